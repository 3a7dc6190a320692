//! Why a task failed, in the words of a report.

use std::any::Any;

use thalweg_network::NetworkError;
use thalweg_operators::OperatorError;
use thalweg_operators::chain::ChainError;
use thalweg_rpc::message::{FailureInfo, FailureKind};

/// An error of the chain: the operator's name, and whether user code or the surroundings are to
/// blame.
pub(super) fn of_chain(error: &ChainError) -> FailureInfo {
    match error {
        ChainError::Operator { name, source } => FailureInfo {
            operator: Some(name.to_string()),
            message: with_causes(source.as_ref()),
            kind: match source.as_ref() {
                OperatorError::RowType(_) => FailureKind::Deployment,
                _ => FailureKind::User,
            },
        },
        ChainError::Downstream(error) => of_surroundings(&error),
    }
}

/// An error of the network.
pub(super) fn of_network(error: &NetworkError) -> FailureInfo {
    of_surroundings(error)
}

fn of_surroundings(error: &dyn std::error::Error) -> FailureInfo {
    FailureInfo { operator: None, message: with_causes(error), kind: FailureKind::Environment }
}

/// A panic in an operator.
pub(super) fn of_panic(operator: Option<String>, payload: &(dyn Any + Send)) -> FailureInfo {
    let message = format!("panicked: {}", panic_message(payload));
    FailureInfo { operator, message, kind: FailureKind::User }
}

/// What a panic was given, if it was text.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "with a value that isn't text",
    }
}

/// The error and its causes, without those that its message repeats already.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message
}
