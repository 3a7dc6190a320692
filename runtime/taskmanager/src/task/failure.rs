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
        ChainError::Downstream(error) => {
            let kind = error.0.downcast_ref().map_or(FailureKind::Environment, kind_of);
            FailureInfo { operator: None, message: with_causes(error), kind }
        }
    }
}

/// An error of the network.
pub(super) fn of_network(error: &NetworkError) -> FailureInfo {
    FailureInfo { operator: None, message: with_causes(error), kind: kind_of(error) }
}

fn kind_of(error: &NetworkError) -> FailureKind {
    match error {
        NetworkError::PartitionConnectionLost { .. } | NetworkError::ConnectFailed { .. } => {
            FailureKind::Connection
        }
        _ => FailureKind::Environment,
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use thalweg_operators::chain::DownstreamError;

    use super::*;

    #[test]
    fn a_connection_to_another_task_manager_is_told_from_other_surroundings() {
        let (peer, reason) = ("b:1".to_owned(), "reset".into());
        let lost = NetworkError::PartitionConnectionLost { peer, reason };
        let (peer, reason) = ("b:1".to_owned(), "refused".into());
        let none = NetworkError::ConnectFailed { peer, within: Duration::ZERO, reason };
        let other = NetworkError::NoSuchChannel { chosen: 2, channels: 1 };
        let kinds = [
            (lost, FailureKind::Connection),
            (none, FailureKind::Connection),
            (other, FailureKind::Environment),
        ];
        for (error, kind) in kinds {
            let written = of_network(&error);
            assert_eq!(written.kind, kind);
            let emitted = of_chain(&ChainError::Downstream(DownstreamError(Box::new(error))));
            assert_eq!(emitted, written);
        }
    }
}
