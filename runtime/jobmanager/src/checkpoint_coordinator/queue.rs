//! The requests that wait for their checkpoint, and the draining of sources before a stop.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_core::ids::CheckpointId;
use thalweg_core::status::{ExecutionState, JobStatus};

use super::request::{self, CheckpointRequest, OperationState, Operations, Waiting};
use super::{CheckpointAction, CheckpointCoordinator, Counting, TRIGGER_INTERVAL};
use crate::job_master::execution_graph::{ExecutionGraph, TaskIndex};
use crate::moment::{Moment, earlier};

/// Sources that were told to end their input, and when.
#[derive(Debug, Clone, Default)]
pub(super) struct Drain {
    told: BTreeMap<TaskIndex, Duration>,
}

impl CheckpointCoordinator {
    /// Takes a request in; the same one again changes nothing.
    pub(super) fn requested(&mut self, request: CheckpointRequest, now: Moment) {
        if self.operations.get(request.id).is_some() {
            return;
        }
        self.operations.begin(request.clone());
        self.requests.push_back(Waiting::new(request, now.elapsed));
    }

    /// Whether the job is to end with one of the requests.
    pub fn is_stopping(&self) -> bool {
        let mut all = self.operations.iter();
        all.any(|o| o.state == OperationState::InProgress && o.request.kind.ends_job())
    }

    /// Whether as many requests wait as may.
    pub fn is_full(&self) -> bool {
        self.requests.len() >= request::WAITING_MAX
    }

    /// What was asked for, and what has become of it.
    pub fn operations(&self) -> &Operations {
        &self.operations
    }

    /// Requests that have waited for too long are given up; a stop with drain tells sources to end,
    /// once it is its turn.
    pub(super) fn look_at_requests(
        &mut self,
        graph: &ExecutionGraph,
        now: Moment,
        actions: &mut Vec<CheckpointAction>,
    ) {
        let timeout = self.options.timeout;
        let overdue = |w: &Waiting| now.elapsed.saturating_sub(w.since) >= timeout;
        let draining = !self.drain.told.is_empty();
        let first_stays = usize::from(draining && self.pending.is_none());
        for at in (first_stays..self.requests.len()).rev() {
            if let Some(waiting) = self.requests.get(at).filter(|w| overdue(w)) {
                let message = format!(
                    "it couldn't begin within {timeout:?} (execution.checkpointing.timeout): not \
                     all tasks were running"
                );
                self.operations.end(waiting.request.id, OperationState::Failed(message));
                self.requests.remove(at);
            }
        }
        for task in self.sources_to_tell(graph, now.elapsed) {
            self.drain.told.insert(task, now.elapsed);
            actions.push(CheckpointAction::EndInput(task));
        }
    }

    /// The sources that have to be told to end their input, now.
    fn sources_to_tell(&self, graph: &ExecutionGraph, now: Duration) -> Vec<TaskIndex> {
        if !self.is_draining() {
            return Vec::new();
        }
        let due = |task: &TaskIndex| {
            let told = self.drain.told.get(task);
            told.is_none_or(|at| now.saturating_sub(*at) >= TRIGGER_INTERVAL)
        };
        unended_sources(graph).filter(due).collect()
    }

    /// Whether it is the turn of a stop with drain, and tasks are there to be told.
    fn is_draining(&self) -> bool {
        self.ready_since.is_some()
            && self.pending.is_none()
            && self.publishing.is_none()
            && self.requests.front().is_some_and(|first| first.request.kind.drains())
    }

    /// When requests are to be looked at if nothing happens before.
    pub(super) fn next_look_at_requests(&self, graph: &ExecutionGraph) -> Option<Duration> {
        let timeout = self.options.timeout;
        let first_stays = usize::from(!self.drain.told.is_empty());
        let overdue = self.requests.iter().skip(first_stays).map(|w| w.since + timeout).min();
        let draining = self.is_draining();
        let told = |task: TaskIndex| self.drain.told.get(&task).map(|at| *at + TRIGGER_INTERVAL);
        let reminder = unended_sources(graph).filter(|_| draining).filter_map(told).min();
        earlier(overdue, reminder)
    }

    /// A request's checkpoint is published. Gives whether it is one that a restart begins with.
    pub(super) fn request_completed(
        &mut self,
        waiting: Waiting,
        checkpoint: CheckpointId,
        location: String,
        actions: &mut Vec<CheckpointAction>,
    ) -> bool {
        let kind = waiting.request.kind.clone();
        let done = OperationState::Completed { checkpoint, location };
        if kind.stops() {
            // It is done once the job has ended.
            self.stopped = Some((waiting, done));
            return true;
        }
        self.operations.end(waiting.request.id, done);
        if !kind.is_savepoint() {
            return true;
        }
        // Nothing is committed with it: to its tasks it is as if it hadn't been.
        actions.push(CheckpointAction::NotifyAborted(checkpoint));
        actions.push(CheckpointAction::SavepointCompleted(checkpoint));
        if kind.ends_job() {
            actions.push(CheckpointAction::CancelJob);
        }
        false
    }

    /// A request's checkpoint has failed. When only tasks changed under it, it is tried again; else
    /// that was it. Sources that were drained for it begin again from the last checkpoint.
    pub(super) fn request_failed(
        &mut self,
        waiting: Waiting,
        checkpoint: CheckpointId,
        cause: String,
        counting: Counting,
        actions: &mut Vec<CheckpointAction>,
    ) {
        let (id, drained) = (waiting.request.id, waiting.request.kind.drains());
        let again = Some(waiting).filter(|_| counting == Counting::DoesNotCount);
        if let Some(again) = again.and_then(Waiting::again) {
            return self.requests.push_front(again);
        }
        self.drain = Drain::default();
        self.operations.end(id, OperationState::Failed(cause.clone()));
        if drained {
            actions.push(CheckpointAction::FailJob(format!(
                "the job couldn't be stopped: savepoint {checkpoint} failed: {cause}; its sources \
                 have ended for it, so it goes on from its last checkpoint"
            )));
        }
    }

    /// All tasks were replaced by others.
    pub fn tasks_replaced(&mut self) {
        self.ready_since = None;
        self.finishing.clear();
        self.drain = Drain::default();
    }

    /// The job has ended; what was asked for and isn't done won't be.
    pub fn job_ended(&mut self, status: JobStatus) {
        if let Some((waiting, done)) = self.stopped.take()
            && status == JobStatus::Finished
        {
            self.operations.end(waiting.request.id, done);
        }
        self.requests.clear();
        self.operations.end_all(&format!("the job has ended before: it is {status}"));
    }
}

/// Sources that run and haven't ended their input.
fn unended_sources(graph: &ExecutionGraph) -> impl Iterator<Item = TaskIndex> {
    let running = graph.tasks().filter(|(_, execution)| {
        execution.state == ExecutionState::Running && !execution.input_ended
    });
    let tasks = running.map(|(task, _)| task);
    tasks.filter(|task| graph.vertex(*task).source_bounded.is_some())
}
