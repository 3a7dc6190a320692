//! What a client is configured with, and the location of a store: bucket and prefix.

use std::fmt;
use std::time::Duration;

use super::super::{BlobPath, BlobPathError};

/// Where the keys come from.
#[derive(Clone, PartialEq, Eq)]
pub enum S3Credentials {
    /// The AWS chain: environment, profile, web identity, the container's or machine's role.
    Auto,
    /// These.
    Keys {
        /// The access key.
        access: String,
        /// Its secret.
        secret: String,
    },
    /// `AWS_ACCESS_KEY_ID` and its companions.
    Environment,
    /// The profile.
    Profile,
    /// The token file and role that the environment names.
    WebIdentity,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            S3Credentials::Auto => "Auto",
            S3Credentials::Keys { .. } => "Keys",
            S3Credentials::Environment => "Environment",
            S3Credentials::Profile => "Profile",
            S3Credentials::WebIdentity => "WebIdentity",
        })
    }
}

/// When a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetrySettings {
    /// No repetition begins later than this after the first try.
    pub timeout: Duration,
    /// The longest first pause; it doubles with each repetition.
    pub initial_backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
}

/// What makes the object of an upload appear that somebody completes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadCommit {
    /// A copy where the server is known to need it, else the completion.
    Auto,
    /// The completion of the upload.
    Completion,
    /// A copy, made by the server, of an object that readers pass over.
    Copy,
}

/// What a client is configured with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// The server; none for Amazon's.
    pub endpoint: Option<String>,
    /// The region; none for what the environment says.
    pub region: Option<String>,
    /// Whether the bucket stands in the path.
    pub path_style: bool,
    /// Where the keys come from.
    pub credentials: S3Credentials,
    /// The profile of AWS's files; none for the environment's.
    pub profile: Option<String>,
    /// The longest that connecting may take.
    pub connection_timeout: Duration,
    /// The longest that a request may take, and the longest pause within an answer.
    pub request_timeout: Duration,
    /// When a request is repeated.
    pub retry: RetrySettings,
    /// Larger objects are uploaded in parts of this many bytes.
    pub part_bytes: u64,
    /// The parts of an object that are uploaded at a time.
    pub concurrent_parts: usize,
    /// How uploads are committed.
    pub upload_commit: UploadCommit,
}

/// A bucket, and the prefix of all keys in it: `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// The prefix, without a slash at its ends; the root for none.
    pub prefix: BlobPath,
}

/// A text that isn't a location in S3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum S3LocationError {
    /// Another scheme.
    #[error("{0:?} doesn't begin with s3://")]
    Scheme(String),
    /// What a bucket can't be called.
    #[error(
        "{location:?} names no bucket: a bucket's name has 3 to 63 lower-case letters, digits, \
         dots and dashes; write s3://BUCKET/PREFIX"
    )]
    Bucket {
        /// The text.
        location: String,
    },
    /// What a prefix can't be.
    #[error("{location:?}: {source}")]
    Prefix {
        /// The text.
        location: String,
        /// What is wrong.
        source: BlobPathError,
    },
}

impl S3Location {
    /// The location of this text.
    ///
    /// # Errors
    /// It isn't of the form `s3://bucket/prefix`.
    pub fn parse(location: &str) -> Result<S3Location, S3LocationError> {
        let text = location
            .strip_prefix("s3://")
            .ok_or_else(|| S3LocationError::Scheme(location.to_owned()))?;
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(allowed) {
            return Err(S3LocationError::Bucket { location: location.to_owned() });
        }
        let prefix = BlobPath::parse(prefix.trim_matches('/'))
            .map_err(|source| S3LocationError::Prefix { location: location.to_owned(), source })?;
        Ok(S3Location { bucket: bucket.to_owned(), prefix })
    }

    /// The key of a blob.
    ///
    /// # Errors
    /// It would be too long.
    pub(super) fn key(&self, path: &BlobPath) -> Result<String, BlobPathError> {
        if path == &BlobPath::root() {
            return Ok(self.prefix.to_string());
        }
        Ok(self.prefix.join(path.as_str())?.to_string())
    }

    /// The blob that has a key; none for one that isn't below the prefix or isn't a blob's.
    pub(super) fn path(&self, key: &str) -> Option<BlobPath> {
        let rest = if self.prefix == BlobPath::root() {
            key
        } else {
            key.strip_prefix(self.prefix.as_str())?.strip_prefix('/')?
        };
        BlobPath::parse(rest).ok().filter(|path| *path != BlobPath::root())
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.prefix == BlobPath::root() { "" } else { "/" };
        write!(f, "s3://{}{separator}{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_bucket_and_a_prefix_and_maps_paths_to_keys_and_back() {
        let path = BlobPath::parse("log/1").unwrap();
        for (text, bucket, prefix, key) in [
            ("s3://bucket", "bucket", "", "log/1"),
            ("s3://bucket/", "bucket", "", "log/1"),
            ("s3://my.bucket-1/a/b/", "my.bucket-1", "a/b", "a/b/log/1"),
        ] {
            let location = S3Location::parse(text).unwrap();
            assert_eq!((location.bucket.as_str(), location.prefix.as_str()), (bucket, prefix));
            assert_eq!(location.key(&path).unwrap(), key);
            assert_eq!(location.path(key), Some(path.clone()));
            assert_eq!(location.to_string(), text.trim_end_matches('/'));
        }
        let location = S3Location::parse("s3://bucket/a").unwrap();
        for foreign in ["ab/log/1", "log/1", "a", "a/", "a/.hidden", "a/x y"] {
            assert_eq!(location.path(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn what_is_no_location_is_refused_with_its_reason() {
        for (text, part) in [
            ("/tmp/x", "doesn't begin with s3://"),
            ("s3a://bucket/x", "doesn't begin with s3://"),
            ("s3:///x", "names no bucket"),
            ("s3://My_Bucket/x", "names no bucket"),
            ("s3://bucket/a//b", "a part is empty"),
            ("s3://bucket/a b", "another character"),
        ] {
            let error = S3Location::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
