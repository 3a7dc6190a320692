//! Requests to the API server, with a time-out, and what their answers mean here.

use std::time::Duration;

/// How long the API server has for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    /// It was done.
    Done(T),
    /// The object isn't as it was read, or is there already.
    Conflict,
    /// There is no such object.
    NotFound,
    /// It wasn't done, or nobody knows: why, for people.
    Failed(String),
}

/// Waits for a request, not for ever.
pub(crate) async fn asked<T>(request: impl Future<Output = kube::Result<T>>) -> Outcome<T> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(answer)) => Outcome::Done(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Outcome::Conflict,
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Outcome::NotFound,
        Ok(Err(kube::Error::Api(status))) => {
            Outcome::Failed(format!("{} ({})", status.message, status.code))
        }
        Ok(Err(error)) => Outcome::Failed(error.to_string()),
        Err(_) => Outcome::Failed(format!("the API server gave no answer in {REQUEST_TIMEOUT:?}")),
    }
}
