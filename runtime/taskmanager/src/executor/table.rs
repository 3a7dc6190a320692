//! Which executions are here, and what a message about one means. Pure.
//!
//! The rules are those of [`thalweg_rpc::message`]; in short:
//! 1. An attempt that is known is never deployed again, ended ones included.
//! 2. A deployment that a heartbeat has overtaken counts only if that heartbeat expects it.
//! 3. What a heartbeat doesn't expect, and was deployed before it, is cancelled; once it has ended
//!    it is forgotten.
//! 4. A cancellation of an unknown attempt makes it known as cancelled: a deployment that comes
//!    late finds it so.
//! 5. A finished execution counts as running in heartbeats until its results have arrived.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_core::ids::{AllocationId, CheckpointId, Epoch, ExecutionAttemptId, JobId};
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{
    Accumulator, ExecutionReport, FailureInfo, FailureKind, TaskDeployment,
};

use crate::task::TaskOutcome;

/// When the JobManager said something: its term, and its running number there.
pub(super) type Stamp = (Epoch, u64);

/// What to do about a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DeployDecision {
    /// Start it.
    Start,
    /// Nothing: it is known, or not wanted any more.
    Ignore,
    /// It can't run here; it is known as failed now.
    Refuse,
}

/// What to do about a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CancelDecision {
    /// Tell the task.
    Cancel,
    /// It has ended, or is being cancelled.
    Ignore,
    /// It was unknown; report it as cancelled.
    ReportCanceled,
}

/// What a heartbeat of the JobManager leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reconciliation {
    /// A newer one was seen: nothing.
    pub(super) stale: bool,
    /// Tell these tasks to end.
    pub(super) cancel: Vec<ExecutionAttemptId>,
    /// Whose last execution was forgotten.
    pub(super) jobs_gone: Vec<JobId>,
}

#[derive(Debug)]
struct Execution {
    job: JobId,
    slot: u32,
    allocation: Option<AllocationId>,
    deployed: Stamp,
    state: ExecutionState,
    failure: Option<FailureInfo>,
    input_ended: bool,
    results: Vec<Accumulator>,
    /// The report with its results has arrived.
    results_delivered: bool,
}

/// All executions of a TaskManager that the JobManager hasn't let it forget.
#[derive(Debug)]
pub(super) struct TaskTable {
    slots: u32,
    executions: BTreeMap<ExecutionAttemptId, Execution>,
    newest_heartbeat: Stamp,
    expected: BTreeSet<ExecutionAttemptId>,
}

impl TaskTable {
    /// An empty table of a TaskManager with this many slots.
    pub(super) fn new(slots: u32) -> Self {
        Self {
            slots,
            executions: BTreeMap::new(),
            newest_heartbeat: Stamp::default(),
            expected: BTreeSet::new(),
        }
    }

    /// Decides about a deployment.
    pub(super) fn deploy(
        &mut self,
        at: Stamp,
        job: JobId,
        task: &TaskDeployment,
    ) -> DeployDecision {
        if self.executions.contains_key(&task.attempt) {
            return DeployDecision::Ignore;
        }
        if at < self.newest_heartbeat && !self.expected.contains(&task.attempt) {
            return DeployDecision::Ignore;
        }
        let refusal = self.slot_refusal(job, task);
        let refused = refusal.is_some();
        let state = if refused { ExecutionState::Failed } else { ExecutionState::Deploying };
        self.executions.insert(
            task.attempt,
            Execution {
                job,
                slot: task.slot,
                allocation: Some(task.allocation),
                deployed: at,
                state,
                failure: refusal,
                input_ended: false,
                results: Vec::new(),
                results_delivered: false,
            },
        );
        if refused { DeployDecision::Refuse } else { DeployDecision::Start }
    }

    fn slot_refusal(&self, job: JobId, task: &TaskDeployment) -> Option<FailureInfo> {
        if task.slot >= self.slots {
            let message = format!(
                "slot {} doesn't exist, this TaskManager has {} (taskmanager.numberOfTaskSlots)",
                task.slot, self.slots
            );
            return Some(FailureInfo { operator: None, message, kind: FailureKind::Deployment });
        }
        let taken = self.executions.values().find(|other| {
            other.slot == task.slot
                && !other.state.is_terminal()
                && (other.job != job || other.allocation != Some(task.allocation))
        })?;
        let message = format!(
            "slot {} is still used by another allocation of job {}; it is free when that one's \
             tasks have ended",
            task.slot, taken.job
        );
        Some(FailureInfo { operator: None, message, kind: FailureKind::Environment })
    }

    /// Decides about a cancellation.
    pub(super) fn cancel(&mut self, at: Stamp, attempt: ExecutionAttemptId) -> CancelDecision {
        match self.executions.get_mut(&attempt) {
            Some(execution) if execution.state.is_terminal() => CancelDecision::Ignore,
            Some(execution) => {
                execution.state = ExecutionState::Canceling;
                CancelDecision::Cancel
            }
            None => {
                let execution = Execution {
                    job: JobId::new(0),
                    slot: 0,
                    allocation: None,
                    deployed: at,
                    state: ExecutionState::Canceled,
                    failure: None,
                    input_ended: false,
                    results: Vec::new(),
                    results_delivered: false,
                };
                self.executions.insert(attempt, execution);
                CancelDecision::ReportCanceled
            }
        }
    }

    /// Whether any execution of the job is known.
    pub(super) fn knows_job(&self, job: JobId) -> bool {
        self.executions.values().any(|execution| execution.job == job)
    }

    /// Decides about a heartbeat.
    pub(super) fn heartbeat(
        &mut self,
        at: Stamp,
        expected: &[ExecutionAttemptId],
    ) -> Reconciliation {
        if at <= self.newest_heartbeat {
            return Reconciliation { stale: true, ..Reconciliation::default() };
        }
        self.newest_heartbeat = at;
        self.expected = expected.iter().copied().collect();
        let mut result = Reconciliation::default();
        let mut forgotten = BTreeSet::new();
        let expected = &self.expected;
        self.executions.retain(|attempt, execution| {
            if execution.deployed >= at || expected.contains(attempt) {
                return true;
            }
            if execution.state.is_terminal() {
                forgotten.insert(execution.job);
                return false;
            }
            execution.state = ExecutionState::Canceling;
            result.cancel.push(*attempt);
            true
        });
        forgotten.retain(|job| !self.executions.values().any(|e| e.job == *job));
        result.jobs_gone = forgotten.into_iter().collect();
        result
    }

    /// A task says that it has got further. Gives whether that is news.
    pub(super) fn state_changed(
        &mut self,
        attempt: ExecutionAttemptId,
        state: ExecutionState,
    ) -> bool {
        let Some(execution) = self.executions.get_mut(&attempt) else { return false };
        let next = execution.state.consolidate(state);
        std::mem::replace(&mut execution.state, next) != next
    }

    /// All input of a task was processed. Gives whether that is news.
    pub(super) fn input_ended(&mut self, attempt: ExecutionAttemptId) -> bool {
        let execution = self.executions.get_mut(&attempt);
        execution.is_some_and(|e| !std::mem::replace(&mut e.input_ended, true))
    }

    /// A task has ended. Gives whether that is news.
    pub(super) fn ended(&mut self, attempt: ExecutionAttemptId, outcome: TaskOutcome) -> bool {
        let Some(execution) = self.executions.get_mut(&attempt) else { return false };
        if execution.state.is_terminal() {
            return false;
        }
        match outcome {
            TaskOutcome::Finished { results } => {
                execution.state = ExecutionState::Finished;
                execution.input_ended = true;
                execution.results = results;
            }
            TaskOutcome::Canceled => execution.state = ExecutionState::Canceled,
            TaskOutcome::Failed(failure) => {
                execution.state = ExecutionState::Failed;
                execution.failure = Some(failure);
            }
        }
        true
    }

    /// The report of this execution's end has arrived. Its results are kept until it is forgotten:
    /// another leader may ask for them.
    pub(super) fn end_delivered(&mut self, attempt: ExecutionAttemptId) {
        if let Some(execution) = self.executions.get_mut(&attempt)
            && execution.state.is_terminal()
        {
            execution.results_delivered = true;
        }
    }

    /// Everything there is to say about one execution.
    pub(super) fn report(
        &self,
        attempt: ExecutionAttemptId,
        checkpoint: CheckpointId,
    ) -> Option<ExecutionReport> {
        let execution = self.executions.get(&attempt)?;
        Some(ExecutionReport {
            job: execution.job,
            attempt,
            slot: execution.slot,
            state: execution.state,
            failure: execution.failure.clone(),
            input_ended: execution.input_ended,
            checkpoint,
            accumulators: execution.results.clone(),
        })
    }

    /// What a heartbeat says: all executions, without their results.
    pub(super) fn summaries(
        &self,
        checkpoint: impl Fn(ExecutionAttemptId) -> CheckpointId,
    ) -> Vec<ExecutionReport> {
        let summary = |(attempt, execution): (&ExecutionAttemptId, &Execution)| {
            let results_wait = execution.state == ExecutionState::Finished
                && !execution.results.is_empty()
                && !execution.results_delivered;
            let state = if results_wait { ExecutionState::Running } else { execution.state };
            ExecutionReport {
                job: execution.job,
                attempt: *attempt,
                slot: execution.slot,
                state,
                failure: execution.failure.clone(),
                input_ended: execution.input_ended,
                checkpoint: checkpoint(*attempt),
                accumulators: Vec::new(),
            }
        };
        self.executions.iter().map(summary).collect()
    }

    /// Another leader is followed: gives those that have ended, of which it hasn't heard.
    pub(super) fn new_leader(&mut self) -> Vec<ExecutionAttemptId> {
        for execution in self.executions.values_mut() {
            execution.results_delivered = false;
        }
        self.attempts(|execution| execution.state.is_terminal())
    }

    /// Those that haven't ended.
    pub(super) fn live_attempts(&self) -> Vec<ExecutionAttemptId> {
        self.attempts(|execution| !execution.state.is_terminal())
    }

    /// Those of the job that haven't ended.
    pub(super) fn live_attempts_of(&self, job: JobId) -> Vec<ExecutionAttemptId> {
        self.attempts(|execution| execution.job == job && !execution.state.is_terminal())
    }

    /// The state, if it is known.
    pub(super) fn state(&self, attempt: ExecutionAttemptId) -> Option<ExecutionState> {
        self.executions.get(&attempt).map(|execution| execution.state)
    }

    fn attempts(&self, which: impl Fn(&Execution) -> bool) -> Vec<ExecutionAttemptId> {
        let matching = self.executions.iter().filter(|(_, execution)| which(execution));
        matching.map(|(attempt, _)| *attempt).collect()
    }
}

#[cfg(test)]
mod tests;
