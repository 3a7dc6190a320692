//! The result of a job as it is stored beside its terminal entry, for whoever asks later.

use serde::{Deserialize, Serialize};
use thalweg_core::ids::{JobId, OperatorId};
use thalweg_core::status::JobStatus;
use thalweg_rpc::message::{Accumulator, FailureInfo, FailureKind};
use thalweg_storage::CoordinatorState;
use thalweg_storage::log::{EntryBody, LogEntry, TerminalStatus};
use thalweg_storage::sealed::{self, SealedError};

use crate::job_master::JobResult;

/// The highest version that is read.
const FORMAT_VERSION: u64 = 2;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    name: String,
    status: TerminalStatus,
    accumulators: Vec<RecordedAccumulator>,
    error: Option<FailureInfo>,
    runtime_ms: i64,
    ended_ms: i64,
    restarts: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedAccumulator {
    operator: String,
    subtask: u32,
    name: String,
    /// Bytes as hexadecimal digits.
    value: CoordinatorState,
}

/// The terminal status that a job's status is; None while it hasn't ended.
pub(super) fn terminal_status(status: JobStatus) -> Option<TerminalStatus> {
    match status {
        JobStatus::Finished => Some(TerminalStatus::Finished),
        JobStatus::Canceled => Some(TerminalStatus::Canceled),
        JobStatus::Failed => Some(TerminalStatus::Failed),
        _ => None,
    }
}

/// What is told of a job whose result was deleted with its state.
pub(super) fn deleted(job: JobId, entry: &LogEntry) -> JobResult {
    let message = match &entry.body {
        EntryBody::Terminal {
            status: TerminalStatus::Canceled, failure: Some(failure), ..
        } => failure.clone(),
        EntryBody::Terminal { status, .. } => {
            format!("the job was {} and its state was deleted", JobStatus::from(*status))
        }
        EntryBody::Claim { .. } | EntryBody::Publish { .. } => String::new(),
    };
    JobResult {
        job,
        name: String::new(),
        status: JobStatus::Canceled,
        accumulators: Vec::new(),
        error: Some(FailureInfo { operator: None, message, kind: FailureKind::User }),
        runtime_ms: 0,
        ended_ms: 0,
        restarts: 0,
    }
}

/// The lowest version that says all of it: version 1 knows nothing of connections.
fn format_version(result: &JobResult) -> u64 {
    let connection = |error: &FailureInfo| error.kind == FailureKind::Connection;
    if result.error.as_ref().is_some_and(connection) { 2 } else { 1 }
}

/// The result as it is stored. `place` names it in errors.
pub(super) fn to_bytes(result: &JobResult, place: &str) -> Result<Vec<u8>, SealedError> {
    let unfit = |reason: &str| SealedError::Unfit { place: place.into(), reason: reason.into() };
    let status = terminal_status(result.status);
    let accumulator = |accumulator: &Accumulator| RecordedAccumulator {
        operator: accumulator.operator.to_string(),
        subtask: accumulator.subtask,
        name: accumulator.name.clone(),
        value: CoordinatorState(accumulator.value.clone()),
    };
    let recorded = Recorded {
        name: result.name.clone(),
        status: status.ok_or_else(|| unfit("the job hasn't ended"))?,
        accumulators: result.accumulators.iter().map(accumulator).collect(),
        error: result.error.clone(),
        runtime_ms: result.runtime_ms,
        ended_ms: result.ended_ms,
        restarts: result.restarts,
    };
    sealed::to_bytes(&recorded, format_version(result), place)
}

/// The result of `job` that these bytes are.
pub(super) fn from_bytes(bytes: &[u8], job: JobId, place: &str) -> Result<JobResult, SealedError> {
    let recorded: Recorded = sealed::from_bytes(bytes, FORMAT_VERSION, place)?;
    let accumulator = |recorded: RecordedAccumulator| {
        let operator = recorded.operator.parse::<OperatorId>();
        let CoordinatorState(value) = recorded.value;
        let (subtask, name) = (recorded.subtask, recorded.name);
        Ok(Accumulator { operator: operator?, subtask, name, value })
    };
    let accumulators: Result<_, thalweg_core::ids::ParseIdError> =
        recorded.accumulators.into_iter().map(accumulator).collect();
    let damaged = |error: thalweg_core::ids::ParseIdError| SealedError::Damaged {
        place: place.to_owned(),
        reason: error.to_string(),
    };
    Ok(JobResult {
        job,
        name: recorded.name,
        status: recorded.status.into(),
        accumulators: accumulators.map_err(damaged)?,
        error: recorded.error,
        runtime_ms: recorded.runtime_ms,
        ended_ms: recorded.ended_ms,
        restarts: recorded.restarts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_failed_by_a_connection_has_another_version_of_it_and_only_that() {
        for (kind, version) in [(FailureKind::Environment, 1), (FailureKind::Connection, 2)] {
            let (operator, message) = (None, "reset".to_owned());
            let result = JobResult {
                job: JobId::new(1),
                name: "job".to_owned(),
                status: JobStatus::Failed,
                accumulators: Vec::new(),
                error: Some(FailureInfo { operator, message, kind }),
                runtime_ms: 1,
                ended_ms: 2,
                restarts: 3,
            };
            let bytes = to_bytes(&result, "x").unwrap();
            assert_eq!(from_bytes(&bytes, result.job, "x"), Ok(result));
            let older = sealed::from_bytes::<Recorded>(&bytes, 1, "x").map(|_| ());
            let refused = matches!(older, Err(SealedError::Version { found: 2, .. }));
            assert_eq!((older.is_ok(), refused), (version == 1, version == 2));
        }
    }
}
