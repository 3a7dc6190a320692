//! What an answer that is no success means: for the metrics, for the retry, and for the user.

use std::error::Error;
use std::fmt::{self, Write};
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::super::{BlobError, BlobErrorKind, RequestOutcome};

/// Why a try of a request failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) outcome: RequestOutcome,
    /// The server's status, if it answered.
    status: Option<u16>,
    /// The server's name of the error, if it gave one.
    pub(super) code: String,
    /// What was said, or what broke.
    message: String,
    /// Whether it failed before it was sent: there are no keys to sign it with.
    no_keys: bool,
}

impl Failure {
    /// A failure that isn't the server's answer.
    pub(super) fn new(outcome: RequestOutcome, message: impl fmt::Display) -> Failure {
        let (code, message) = (String::new(), message.to_string());
        Failure { outcome, status: None, code, message, no_keys: false }
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_passing(&self) -> bool {
        use RequestOutcome as Outcome;
        match self.outcome {
            Outcome::Throttled | Outcome::ServerError | Outcome::Timeout => true,
            Outcome::Unreachable | Outcome::Conflict => true,
            // No object: an upload may need parts that are on their way, but nothing else waits.
            Outcome::NotFound | Outcome::Exists | Outcome::Denied => false,
            Outcome::Refused | Outcome::Success => false,
        }
    }

    /// Whether the object isn't there, and the bucket is.
    pub(super) fn is_missing_object(&self) -> bool {
        self.outcome == RequestOutcome::NotFound && self.code != "NoSuchBucket"
    }

    /// Whether the upload isn't there, and the bucket is.
    pub(super) fn is_missing_upload(&self) -> bool {
        self.code == "NoSuchUpload"
    }

    fn kind(&self) -> BlobErrorKind {
        match (self.outcome, self.code.as_str()) {
            (_, "InvalidRange") => BlobErrorKind::Range,
            (_, "XMinioStorageFull" | "QuotaExceeded" | "InsufficientCapacity") => {
                BlobErrorKind::Full
            }
            // A missing bucket isn't a missing blob: nothing may be concluded from it.
            (RequestOutcome::NotFound, "NoSuchBucket") => BlobErrorKind::Other,
            (RequestOutcome::NotFound, _) => BlobErrorKind::NotFound,
            (RequestOutcome::Denied, _) => BlobErrorKind::Permission,
            _ => BlobErrorKind::Other,
        }
    }

    /// What to do about it.
    fn remedy(&self) -> &'static str {
        if self.no_keys {
            return "no usable keys were found: set s3.access-key and s3.secret-key, or see \
                    s3.credentials.source";
        }
        match (self.code.as_str(), self.outcome) {
            ("NoSuchBucket", _) => "create the bucket, or correct its name",
            ("InvalidAccessKeyId" | "InvalidClientTokenId", _) => {
                "the server doesn't know the access key: check s3.access-key, or where \
                 s3.credentials.source takes it from, and s3.endpoint"
            }
            ("SignatureDoesNotMatch", _) => {
                "the secret key is wrong, or something between here and the server changes requests"
            }
            ("ExpiredToken" | "TokenRefreshRequired", _) => "the temporary keys have expired",
            ("RequestTimeTooSkewed", _) => "set this machine's clock",
            (
                "PermanentRedirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException",
                _,
            ) => "the bucket is in another region: set s3.region",
            ("InvalidPart", _) => {
                "the server has lost what was uploaded, as MinIO does when a completion is broken \
                 off: with s3.upload.commit: COPY it can't happen again"
            }
            (_, RequestOutcome::Denied) => {
                "these keys may not do this: allow s3:GetObject, s3:PutObject, s3:DeleteObject, \
                 s3:ListBucket and s3:AbortMultipartUpload for the bucket"
            }
            (_, RequestOutcome::Unreachable) => "check s3.endpoint, and that the server runs",
            (_, RequestOutcome::Timeout) => {
                "check s3.endpoint and the network, or raise s3.request.timeout"
            }
            (_, RequestOutcome::Throttled) => {
                "the server wants fewer requests: checkpoint less \
                 often, or raise s3.retry.timeout"
            }
            (_, RequestOutcome::ServerError) => "the server has failed: its logs say why",
            _ => "",
        }
    }

    /// The error for whoever has asked.
    pub(super) fn into_error(
        self,
        action: &'static str,
        place: impl fmt::Display,
        tries: u32,
    ) -> BlobError {
        let kind = self.kind();
        let mut text = String::new();
        if let Some(status) = self.status {
            // Writing into a string doesn't fail.
            let _ = write!(text, "the server answered {status}");
            if !self.code.is_empty() {
                let _ = write!(text, " {}", self.code);
            }
            if !self.message.is_empty() {
                let _ = write!(text, " ({})", self.message);
            }
        } else {
            text.push_str(&self.message);
        }
        if tries > 1 {
            let _ = write!(text, ", {tries} tries");
        }
        if !self.remedy().is_empty() {
            let _ = write!(text, "; {}", self.remedy());
        }
        let source = io::Error::new(io_kind(kind, self.outcome), text);
        BlobError { action, place: place.to_string(), kind, source }
    }
}

fn io_kind(kind: BlobErrorKind, outcome: RequestOutcome) -> io::ErrorKind {
    match (kind, outcome) {
        (BlobErrorKind::NotFound, _) => io::ErrorKind::NotFound,
        (BlobErrorKind::Range, _) => io::ErrorKind::UnexpectedEof,
        (BlobErrorKind::Permission, _) => io::ErrorKind::PermissionDenied,
        (BlobErrorKind::Full, _) => io::ErrorKind::StorageFull,
        (BlobErrorKind::Other, RequestOutcome::Timeout) => io::ErrorKind::TimedOut,
        (BlobErrorKind::Other, RequestOutcome::Unreachable) => io::ErrorKind::NotConnected,
        (BlobErrorKind::Other, _) => io::ErrorKind::Other,
    }
}

/// What a status stands for, with the server's own name of the error, which HEAD doesn't give.
fn outcome(status: u16, code: &str) -> RequestOutcome {
    match (status, code) {
        (_, "RequestTimeout") => RequestOutcome::Timeout,
        (_, "SlowDown" | "SlowDownRead" | "SlowDownWrite" | "TooManyRequests") => {
            RequestOutcome::Throttled
        }
        (_, "InvalidRange") => RequestOutcome::Refused,
        (401 | 403, _) => RequestOutcome::Denied,
        (404, _) => RequestOutcome::NotFound,
        (409, _) => RequestOutcome::Conflict,
        (412, _) => RequestOutcome::Exists,
        (429, _) => RequestOutcome::Throttled,
        (507, _) | (_, "XMinioStorageFull") => RequestOutcome::Refused,
        (500.., _) => RequestOutcome::ServerError,
        _ => RequestOutcome::Refused,
    }
}

impl<E> From<SdkError<E, HttpResponse>> for Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Failure {
        if let SdkError::ServiceError(answer) = &error {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().unwrap_or_default().to_owned();
            let message = answer.err().message().unwrap_or_default().to_owned();
            let outcome = outcome(status, &code);
            return Failure { outcome, status: Some(status), code, message, no_keys: false };
        }
        let no_keys = no_keys(&error);
        let outcome = match &error {
            _ if no_keys => RequestOutcome::Denied,
            SdkError::TimeoutError(_) => RequestOutcome::Timeout,
            SdkError::DispatchFailure(broken) if broken.is_timeout() => RequestOutcome::Timeout,
            SdkError::DispatchFailure(broken) if broken.is_user() => RequestOutcome::Refused,
            SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
                RequestOutcome::Unreachable
            }
            _ => RequestOutcome::Refused,
        };
        Failure { no_keys, ..Failure::new(outcome, Chain(&error)) }
    }
}

/// Whether it failed because there are no keys.
fn no_keys(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<CredentialsError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// An error and its causes, without those that say nothing new.
struct Chain<'e>(&'e (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(error) = next {
            let text = error.to_string();
            if !said.contains(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            next = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, code: &str) -> Failure {
        let (code, message) = (code.to_owned(), String::new());
        let outcome = outcome(status, &code);
        Failure { outcome, status: Some(status), code, message, no_keys: false }
    }

    #[test]
    fn only_what_may_pass_is_repeated() {
        for (status, code, passing) in [
            (500, "InternalError", true),
            (503, "SlowDown", true),
            (503, "", true),
            (502, "", true),
            (429, "", true),
            (409, "ConditionalRequestConflict", true),
            (400, "RequestTimeout", true),
            (400, "InvalidArgument", false),
            (403, "AccessDenied", false),
            (404, "NoSuchKey", false),
            (412, "PreconditionFailed", false),
            (507, "XMinioStorageFull", false),
        ] {
            assert_eq!(answered(status, code).is_passing(), passing, "{status} {code}");
        }
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_blob() {
        let error = answered(404, "NoSuchBucket").into_error("read", "s3://b/k", 1);
        assert_eq!(error.kind, BlobErrorKind::Other);
        assert!(error.to_string().contains("create the bucket"), "{error}");
        let error = answered(404, "NoSuchKey").into_error("read", "s3://b/k", 1);
        assert_eq!(error.kind, BlobErrorKind::NotFound);
    }

    #[test]
    fn a_lost_upload_is_not_asked_for_again_and_says_what_prevents_it() {
        let failure = answered(400, "InvalidPart");
        assert!(!failure.is_passing());
        let error = failure.into_error("complete the upload of", "s3://b/k", 1);
        assert!(error.to_string().ends_with("with s3.upload.commit: COPY it can't happen again"));
    }

    #[test]
    fn an_error_says_what_where_why_how_often_and_what_to_do() {
        let error = answered(403, "InvalidAccessKeyId").into_error("write", "s3://b/k", 3);
        assert_eq!(
            error.to_string(),
            "can't write s3://b/k: the server answered 403 InvalidAccessKeyId, 3 tries; the \
             server doesn't know the access key: check s3.access-key, or where \
             s3.credentials.source takes it from, and s3.endpoint"
        );
    }
}
