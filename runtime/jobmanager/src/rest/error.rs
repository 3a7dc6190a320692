//! Every refusal that REST can answer, with Flink's status code and wording.
//!
//! Flink puts a Java stack trace in `errors`; ours is its first line, which is what tools show and
//! search for.

use axum::http::StatusCode;

use super::gateway::RestFailure;

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RestError {
    #[error("Unable to load requested file {path}.")]
    UnknownPath { path: String },
    #[error(
        "Method {method} is not allowed at {path}. The Allow header of this answer lists those \
         that are."
    )]
    MethodNotAllowed { method: String, path: String },
    #[error("{explanation}")]
    ChangesByGet { explanation: &'static str },
    #[error(
        "org.apache.flink.runtime.rest.handler.RestHandlerException: Bad request, could not parse \
         parameters: Cannot resolve {kind} parameter ({key}) from value \"{value}\"."
    )]
    BadParameter { kind: &'static str, key: &'static str, value: String },
    #[error("org.apache.flink.runtime.rest.handler.RestHandlerException: Bad request: {0}")]
    BadRequest(String),
    #[error("org.apache.flink.runtime.rest.NotFoundException: {0}")]
    NotFound(String),
    #[error("{0}")]
    NotImplemented(&'static str),
    #[error("{0}")]
    Gone(&'static str),
    #[error(
        "The request comes from a page of {origin}, which this JobManager doesn't serve. Commands \
         are accepted from its own pages and from programs (which send no Origin header)."
    )]
    ForeignOrigin { origin: String },
    #[error(
        "{method} changes something. That is accepted from the application's operator by mutual \
         TLS, and from within the JobManager's pod: run `kubectl port-forward` to that pod and \
         send the request to the forwarded port of localhost. Reading (GET) is open."
    )]
    Stranger { method: String },
    #[error("{0}")]
    NotLeading(String),
    #[error("{0}")]
    LeaderSilent(String),
    #[error("The request's body is longer than {bytes_max} bytes: no request needs that.")]
    TooLarge { bytes_max: usize },
    #[error("{0}")]
    Command(#[from] RestFailure),
    #[error("The answer could not be written as JSON: {0}. Please report this.")]
    Encoding(String),
}

impl RestError {
    /// The HTTP status that Flink's clients expect.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath { .. } | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } | Self::ChangesByGet { .. } => {
                StatusCode::METHOD_NOT_ALLOWED
            }
            Self::BadParameter { .. }
            | Self::BadRequest(_)
            | Self::Command(RestFailure::Invalid(_)) => StatusCode::BAD_REQUEST,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Gone(_) => StatusCode::PERMANENT_REDIRECT,
            Self::ForeignOrigin { .. } | Self::Stranger { .. } => StatusCode::FORBIDDEN,
            Self::Command(RestFailure::JobNotFound) => StatusCode::NOT_FOUND,
            Self::Command(RestFailure::Conflict(_)) => StatusCode::CONFLICT,
            Self::Command(RestFailure::TimedOut) => StatusCode::REQUEST_TIMEOUT,
            Self::Command(RestFailure::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotLeading(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::LeaderSilent(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Encoding(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
