//! Answers about what users have set going: Flink's asynchronous operations.

use serde::Serialize;
use serde_json::{Value, json};
use thalweg_core::ids::TriggerId;

use super::throwable::failure_cause;
use crate::rest::model::{OperationFacts, OperationOutcome};

/// What Flink calls the failure of a checkpoint.
const FAILURE_CLASS: &str = "org.apache.flink.runtime.checkpoint.CheckpointException";

/// The answer to a request that was taken in.
#[derive(Debug, Serialize)]
pub(crate) struct Triggered {
    #[serde(rename = "request-id")]
    request_id: String,
}

impl Triggered {
    pub(crate) fn of(trigger: TriggerId) -> Self {
        Self { request_id: trigger.to_string() }
    }
}

/// How an operation went. Of a savepoint Flink shows where it is, of a checkpoint its id.
pub(crate) fn status(operation: &OperationFacts) -> Value {
    let (status, result) = match &operation.outcome {
        OperationOutcome::InProgress => ("IN_PROGRESS", Value::Null),
        OperationOutcome::Completed { location, .. } if operation.is_savepoint => {
            ("COMPLETED", json!({ "location": location }))
        }
        OperationOutcome::Completed { checkpoint, .. } => {
            ("COMPLETED", json!({ "checkpointId": checkpoint }))
        }
        OperationOutcome::Failed { message } => {
            let member = if operation.is_savepoint { "failure-cause" } else { "failureCause" };
            ("COMPLETED", json!({ member: failure_cause(FAILURE_CLASS, message) }))
        }
    };
    json!({ "status": { "id": status }, "operation": result })
}

/// How a change of parallelism went.
pub(crate) fn rescale_status(outcome: &OperationOutcome) -> Value {
    without_result("org.apache.flink.runtime.jobmaster.RescalingException", outcome)
}

/// How the deletion of a savepoint went.
pub(crate) fn disposal_status(outcome: &OperationOutcome) -> Value {
    without_result("org.apache.flink.util.FlinkException", outcome)
}

/// An operation of which only the failure, of this class, says more.
fn without_result(class: &str, outcome: &OperationOutcome) -> Value {
    let (status, result) = match outcome {
        OperationOutcome::InProgress => ("IN_PROGRESS", Value::Null),
        OperationOutcome::Completed { .. } => ("COMPLETED", json!({})),
        OperationOutcome::Failed { message } => {
            ("COMPLETED", json!({ "failure-cause": failure_cause(class, message) }))
        }
    };
    json!({ "status": { "id": status }, "operation": result })
}
