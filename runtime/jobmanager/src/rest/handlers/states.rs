//! Objects with one member per state, and the one state that stands for many tasks.

use std::collections::BTreeMap;

use thalweg_core::status::{ExecutionState, JobStatus};

use crate::rest::json::Entries;
use crate::rest::model::SubtaskFacts;

/// Shown for compatibility: an execution is never in this state here.
const RECONCILING: &str = "RECONCILING";

const EXECUTION_STATES: [(&str, Option<ExecutionState>); 10] = [
    ("FINISHED", Some(ExecutionState::Finished)),
    ("CANCELED", Some(ExecutionState::Canceled)),
    ("SCHEDULED", Some(ExecutionState::Scheduled)),
    ("FAILED", Some(ExecutionState::Failed)),
    ("INITIALIZING", Some(ExecutionState::Initializing)),
    ("CREATED", Some(ExecutionState::Created)),
    (RECONCILING, None),
    ("DEPLOYING", Some(ExecutionState::Deploying)),
    ("CANCELING", Some(ExecutionState::Canceling)),
    ("RUNNING", Some(ExecutionState::Running)),
];

const JOB_STATES: [JobStatus; 11] = [
    JobStatus::Finished,
    JobStatus::Suspended,
    JobStatus::Canceled,
    JobStatus::Restarting,
    JobStatus::Running,
    JobStatus::Created,
    JobStatus::Failing,
    JobStatus::Reconciling,
    JobStatus::Initializing,
    JobStatus::Failed,
    JobStatus::Cancelling,
];

/// How many are in each state, every state named.
pub(crate) fn execution_counts(
    states: impl IntoIterator<Item = ExecutionState>,
) -> Entries<'static, usize> {
    let mut counts = BTreeMap::new();
    for state in states {
        *counts.entry(state).or_insert(0) += 1;
    }
    let count = |state| counts.get(&state).copied().unwrap_or(0);
    Entries::of(EXECUTION_STATES.map(|(name, state)| (name, state.map_or(0, count))))
}

/// When each state was entered, every state named, 0 for never.
pub(crate) fn execution_timestamps(subtask: &SubtaskFacts) -> Entries<'static, i64> {
    let entered = |state| subtask.timestamps.get(&state).copied().unwrap_or(0);
    Entries::of(EXECUTION_STATES.map(|(name, state)| (name, state.map_or(0, entered))))
}

/// When each state of a job was entered, every state named, 0 for never.
pub(crate) fn job_timestamps(timestamps: &BTreeMap<JobStatus, i64>) -> Entries<'static, i64> {
    let entered = |state| timestamps.get(&state).copied().unwrap_or(0);
    Entries::of(JOB_STATES.map(|state| (state.name(), entered(state))))
}

/// The state that stands for a whole vertex. The first rule that holds wins: a failed subtask, one
/// being cancelled, a cancelled one, one that initializes, one that runs; then, if any has
/// finished, finished when all have and running when not; else created.
pub(crate) fn aggregate<'a>(
    subtasks: impl IntoIterator<Item = &'a SubtaskFacts>,
) -> ExecutionState {
    use ExecutionState::{Canceled, Canceling, Created, Failed, Finished, Initializing, Running};
    let states: Vec<_> = subtasks.into_iter().map(|subtask| subtask.state).collect();
    let first = [Failed, Canceling, Canceled, Initializing, Running];
    if let Some(state) = first.into_iter().find(|state| states.contains(state)) {
        return state;
    }
    match states.iter().filter(|state| **state == Finished).count() {
        0 => Created,
        finished if finished == states.len() => Finished,
        _ => Running,
    }
}

/// Start, end and duration of one or more attempts, -1 where there is none yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) duration: i64,
}

/// From the first deployment to the last end; open while one of them hasn't ended.
pub(crate) fn span<'a>(subtasks: impl IntoIterator<Item = &'a SubtaskFacts>, now_ms: i64) -> Span {
    let (mut start, mut end, mut open) = (None::<i64>, None, false);
    for subtask in subtasks {
        start = [start, subtask.start_ms()].into_iter().flatten().min();
        end = end.max(subtask.end_ms());
        open |= subtask.end_ms().is_none();
    }
    let Some(start) = start else { return Span { start: -1, end: -1, duration: -1 } };
    let end = end.filter(|_| !open);
    let duration = (end.unwrap_or(now_ms) - start).max(0);
    Span { start, end: end.unwrap_or(-1), duration }
}
