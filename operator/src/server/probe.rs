//! Asking an operator how it is, as `helm test` does: no more than a probe of the kubelet's does.

use std::time::Duration;

/// The longest that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// It isn't as it should be, or nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// There was no answer.
    #[error("{url} gave no answer: {source}; is the operator running, and may this pod reach it?")]
    NoAnswer {
        /// Who was asked.
        url: String,
        /// What the connection said.
        source: Box<ureq::Error>,
    },
    /// The answer was no.
    #[error("{url} answered {status}: {text}")]
    Refused {
        /// Who was asked.
        url: String,
        /// The status.
        status: u16,
        /// Why, in its own words.
        text: String,
    },
}

/// Asks once; the answer, if it is a good one.
///
/// # Errors
/// When there is none within ten seconds, or another status than 200.
pub fn probe(url: &str) -> Result<String, ProbeError> {
    let config = ureq::Agent::config_builder();
    let agent: ureq::Agent =
        config.timeout_global(Some(TIMEOUT)).http_status_as_error(false).build().into();
    let no_answer = |source| ProbeError::NoAnswer { url: url.to_owned(), source: Box::new(source) };
    let mut answer = agent.get(url).call().map_err(no_answer)?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let text = body.read_to_string().map_err(no_answer)?;
    match status {
        200 => Ok(text),
        _ => Err(ProbeError::Refused { url: url.to_owned(), status, text: text.trim().to_owned() }),
    }
}
