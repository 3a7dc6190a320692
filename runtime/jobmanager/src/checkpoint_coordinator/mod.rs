//! The checkpoint coordinator of a job: when to take a checkpoint, when it is complete, when it
//! has failed, which are kept.
//!
//! It decides over facts that the JobMaster keeps (the ExecutionGraph) and returns what is to be
//! done. Not here: writing anything (`endpoint`), and what a task does at a barrier.

mod abandoned;
mod completed;
mod options;
mod pending;
mod queue;
mod request;
mod sparse;
mod statistics;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use thalweg_core::element::{Barrier, SnapshotKind};
use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId, OperatorId, TriggerId};
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{CheckpointAck, CheckpointDecline, DeclineReason};

pub use abandoned::AbandonedCheckpoint;
pub(crate) use completed::is_to_be_copied;
pub use completed::{CompletedCheckpoint, RestoreError, SubtaskSnapshot, VertexSnapshot};
pub use options::CheckpointOptions;
pub use request::{CheckpointRequest, Operation, OperationState, Operations, RequestKind};
pub use statistics::CheckpointHistory;

use crate::job_master::execution_graph::{ExecutionGraph, TaskIndex};
use crate::moment::{Moment, earlier};
use abandoned::Abandoned;
use pending::PendingCheckpoint;
use queue::Drain;
use request::Waiting;

/// How often a trigger is sent again until it is seen to have arrived.
const TRIGGER_INTERVAL: Duration = Duration::from_secs(1);
/// How long after a failed checkpoint a final one may begin, at most: those who wait for the end
/// shouldn't wait for a long interval, nor should a broken store be tried without a pause.
const FINAL_RETRY: Duration = Duration::from_secs(1);

/// What the coordinator is told. Facts about tasks it reads from the graph.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckpointEvent {
    /// A task has acknowledged.
    Acknowledged(CheckpointAck),
    /// A task has declined.
    Declined(CheckpointDecline),
    /// The manifest is durable.
    Published {
        /// Which.
        checkpoint: CheckpointId,
        /// Where it is, for people.
        path: String,
        /// The manifest's bytes.
        bytes: u64,
    },
    /// The manifest couldn't be written, and certainly isn't there.
    PublishFailed {
        /// Which.
        checkpoint: CheckpointId,
        /// Why.
        cause: String,
    },
    /// Somebody asks for one. The same request again changes nothing.
    Requested(CheckpointRequest),
    /// Tasks fail or are being cancelled: what is pending can't complete.
    Interrupted,
    /// Time has passed, or tasks have changed.
    Tick,
}

/// What is to be done about checkpoints.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckpointAction {
    /// Tell this task to begin.
    Trigger {
        /// The task.
        task: TaskIndex,
        /// What it puts into its stream.
        barrier: Barrier,
    },
    /// Tell this source to end its input.
    EndInput(TaskIndex),
    /// Write the manifest; answered by `Published` or `PublishFailed`.
    Publish(CompletedCheckpoint),
    /// Tell all tasks that it is published.
    NotifyCompleted(CheckpointId),
    /// Tell all tasks that have runs in these objects of a published checkpoint to write that
    /// state anew.
    RewriteRuns {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The objects.
        objects: Vec<String>,
    },
    /// Tell all tasks that it won't be.
    NotifyAborted(CheckpointId),
    /// This one isn't kept any more: delete its manifest, then objects that no kept one refers to.
    Discard(CompletedCheckpoint),
    /// Objects of a checkpoint that was given up: nothing refers to them.
    DeleteObjects(Vec<String>),
    /// The same for a savepoint: they are in this directory.
    DeleteFromSavepoint(String, Vec<String>),
    /// Whatever else attempts have stored of a checkpoint that was given up. Where a job has a log
    /// its collector finds that.
    DeleteAbandoned(AbandonedCheckpoint),
    /// A savepoint is complete. Tasks were told nothing of it that they could commit by.
    SavepointCompleted(CheckpointId),
    /// The savepoint with which the job is to be cancelled is complete.
    CancelJob,
    /// More checkpoints failed in a row than is borne: the job has to fail over.
    FailJob(String),
    /// For the log: a checkpoint failed.
    Failed {
        /// Which.
        checkpoint: CheckpointId,
        /// Why.
        cause: String,
    },
}

/// Why a pending checkpoint ends without being complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counting {
    /// Something is wrong with checkpointing.
    Counts,
    /// The job's tasks changed under it.
    DoesNotCount,
}

/// A complete checkpoint whose manifest is being written.
#[derive(Debug, Clone)]
struct Publishing {
    complete: CompletedCheckpoint,
    /// The attempts that finish with it.
    finishing: Vec<ExecutionAttemptId>,
    request: Option<Waiting>,
}

/// The coordinator.
#[derive(Debug, Clone)]
pub struct CheckpointCoordinator {
    job: JobId,
    options: CheckpointOptions,
    next_id: u64,
    pending: Option<PendingCheckpoint>,
    publishing: Option<Publishing>,
    /// Kept, oldest first.
    completed: VecDeque<CompletedCheckpoint>,
    /// Acknowledged the newest checkpoint at the end of their input and will finish.
    finishing: BTreeSet<ExecutionAttemptId>,
    /// Since when all tasks have been running.
    ready_since: Option<Duration>,
    last_triggered: Option<Duration>,
    last_ended: Option<Duration>,
    last_failed: bool,
    failures_in_a_row: u32,
    coordinators: Vec<(OperatorId, Vec<u8>)>,
    history: CheckpointHistory,
    /// Those that were given up.
    abandoned: Abandoned,
    /// What is asked for, in order.
    requests: VecDeque<Waiting>,
    operations: Operations,
    drain: Drain,
    /// The savepoint that the job has been stopped with.
    stopped: Option<(Waiting, OperationState)>,
    /// Another text for every life of a JobManager.
    life: String,
}

impl CheckpointCoordinator {
    /// A coordinator of a job. `restored` is where the job begins; ids go on above `highest_id`.
    /// `life` is another text for every life of a JobManager: names of savepoints derive from it.
    pub fn new(
        job: JobId,
        options: CheckpointOptions,
        restored: Option<CompletedCheckpoint>,
        highest_id: CheckpointId,
        coordinators: Vec<(OperatorId, Vec<u8>)>,
        life: String,
    ) -> Self {
        let highest = restored.as_ref().map_or(highest_id, |r| r.id.max(highest_id));
        Self {
            job,
            options,
            next_id: highest.0 + 1,
            pending: None,
            publishing: None,
            completed: restored.into_iter().collect(),
            finishing: BTreeSet::new(),
            ready_since: None,
            last_triggered: None,
            last_ended: None,
            last_failed: false,
            failures_in_a_row: 0,
            coordinators,
            history: CheckpointHistory::new(options),
            abandoned: Abandoned::default(),
            requests: VecDeque::new(),
            operations: Operations::default(),
            drain: Drain::default(),
            stopped: None,
            life,
        }
    }

    /// Decides, after taking the event in:
    ///
    /// 1. A pending checkpoint that isn't complete in time, is declined, or whose tasks have
    ///    changed is given up; only the first kind, and failed snapshots, count as failures. More
    ///    failures in a row than tolerable fail the job over.
    /// 2. One that all have acknowledged is published. Only when that is known to have succeeded
    ///    it is completed: tasks are told, and the oldest beyond those kept is discarded.
    /// 3. A new one begins when none is pending or being published; when all tasks run or have
    ///    finished and one still runs; when no task that acknowledged the last one at its end
    ///    still has to finish; and when interval and minimum pause have passed, or all remaining
    ///    tasks wait at the end of their input: then at once.
    /// 4. One that is asked for goes before regular ones, in the order of the requests, and waits
    ///    for no interval or pause. Before a stop with drain the sources are told to end their
    ///    input, and nothing else begins until all of it was processed.
    /// 5. A savepoint isn't what a restart begins with, and nothing is committed with it; unless
    ///    the job stops with it: then it is like any other checkpoint, and nothing follows it.
    /// 6. Triggers go to tasks that get no barrier from others, and again until they are seen.
    pub fn handle(
        &mut self,
        event: CheckpointEvent,
        graph: &ExecutionGraph,
        now: Moment,
    ) -> Vec<CheckpointAction> {
        let mut actions = Vec::new();
        match event {
            CheckpointEvent::Acknowledged(ack) => self.acknowledged(ack, graph, now, &mut actions),
            CheckpointEvent::Declined(decline) => self.declined(&decline, graph, now, &mut actions),
            CheckpointEvent::Published { checkpoint, path, bytes } => {
                self.published(checkpoint, path, bytes, now, &mut actions);
            }
            CheckpointEvent::PublishFailed { checkpoint, cause } => {
                let failed = self.publishing.take_if(|p| p.complete.id == checkpoint);
                if let Some(Publishing { request, .. }) = failed {
                    let cause = format!("its manifest couldn't be written: {cause}");
                    let counting = Counting::Counts;
                    let ended = (checkpoint, request);
                    self.ended_in_failure(ended, cause, counting, now, &mut actions);
                }
            }
            CheckpointEvent::Requested(request) => self.requested(request, now),
            CheckpointEvent::Interrupted => {
                let cause = "tasks failed or were cancelled".to_owned();
                self.give_up(cause, Counting::DoesNotCount, now, &mut actions);
            }
            CheckpointEvent::Tick => {}
        }
        self.look_at_tasks(graph, now, &mut actions);
        self.look_at_requests(graph, now, &mut actions);
        if self.may_begin(graph, now.elapsed) {
            self.begin(graph, now);
        }
        let published = self.published_id();
        if let Some(pending) = &mut self.pending {
            for task in pending.take_due_triggers(graph, now.elapsed, TRIGGER_INTERVAL) {
                let (checkpoint, triggered_ms) = (pending.id, pending.triggered.wall_ms);
                let kind = pending.kind.clone();
                let barrier = Barrier { checkpoint, triggered_ms, published, kind };
                actions.push(CheckpointAction::Trigger { task, barrier });
            }
        }
        actions
    }

    fn acknowledged(
        &mut self,
        ack: CheckpointAck,
        graph: &ExecutionGraph,
        now: Moment,
        actions: &mut Vec<CheckpointAction>,
    ) {
        let Some(pending) = self.pending.as_mut().filter(|p| p.id == ack.checkpoint) else {
            return self.acknowledged_late(&ack, actions);
        };
        let Some(task) = graph.find(ack.attempt) else { return };
        let measures = ack.measures;
        if !pending.acknowledge(task, ack) {
            return;
        }
        self.history.acknowledged(task, measures, now);
        if !pending.is_complete() {
            return;
        }
        let coordinators = self.coordinators.clone();
        // What lies elsewhere isn't the job's to refer to.
        let former = self.completed.back().filter(|former| former.directory.is_none());
        if let Some(complete) = pending.complete(self.job, graph, coordinators, former, now) {
            let finishing = pending.finishing();
            let request = self.pending.take().and_then(|pending| pending.request);
            self.publishing = Some(Publishing { complete: complete.clone(), finishing, request });
            actions.push(CheckpointAction::Publish(complete));
        }
    }

    fn declined(
        &mut self,
        decline: &CheckpointDecline,
        graph: &ExecutionGraph,
        now: Moment,
        actions: &mut Vec<CheckpointAction>,
    ) {
        let task = graph.find(decline.attempt);
        let awaited = |p: &PendingCheckpoint| {
            p.id == decline.checkpoint && task.is_some_and(|task| p.awaits(task, decline.attempt))
        };
        let (true, Some(task)) = (self.pending.as_ref().is_some_and(awaited), task) else { return };
        let name = graph.task_name(task);
        let (cause, counting) = match &decline.reason {
            DeclineReason::NotReady => (format!("{name} isn't running"), Counting::DoesNotCount),
            DeclineReason::Superseded => {
                (format!("{name} saw a later barrier first"), Counting::DoesNotCount)
            }
            DeclineReason::Failed(cause) => {
                (format!("{name} couldn't write its snapshot: {cause}"), Counting::Counts)
            }
        };
        self.give_up(cause, counting, now, actions);
    }

    fn published(
        &mut self,
        checkpoint: CheckpointId,
        path: String,
        bytes: u64,
        now: Moment,
        actions: &mut Vec<CheckpointAction>,
    ) {
        let published = self.publishing.take_if(|p| p.complete.id == checkpoint);
        let Some(Publishing { complete, finishing, request }) = published else { return };
        let path = complete.directory.clone().unwrap_or(path);
        self.last_ended = Some(now.elapsed);
        self.last_failed = false;
        self.history.completed(path.clone(), bytes);
        if let Some(request) = request
            && !self.request_completed(request, checkpoint, path, actions)
        {
            return;
        }
        self.finishing = finishing.into_iter().collect();
        // What lies elsewhere isn't the job's to rewrite.
        let objects = match complete.directory {
            None => sparse::objects(&complete),
            Some(_) => Vec::new(),
        };
        self.completed.push_back(complete.with_copies());
        self.failures_in_a_row = 0;
        actions.push(CheckpointAction::NotifyCompleted(checkpoint));
        if !objects.is_empty() {
            actions.push(CheckpointAction::RewriteRuns { checkpoint, objects });
        }
        self.delete_abandoned_before(checkpoint, actions);
        while self.completed.len() > self.options.retained {
            // What isn't the job's own is the user's to delete.
            if let Some(oldest) = self.completed.pop_front().filter(|c| c.directory.is_none()) {
                self.history.discarded(oldest.id);
                actions.push(CheckpointAction::Discard(oldest));
            }
        }
    }

    /// Gives up what is pending for reasons that lie in time or in the tasks.
    fn look_at_tasks(
        &mut self,
        graph: &ExecutionGraph,
        now: Moment,
        actions: &mut Vec<CheckpointAction>,
    ) {
        self.finishing.retain(|attempt| {
            graph.find(*attempt).is_some_and(|t| !graph.execution(t).state.is_terminal())
        });
        let up = |state| matches!(state, ExecutionState::Running | ExecutionState::Finished);
        let ready = graph.all(up) && !graph.all(|state| state == ExecutionState::Finished);
        self.ready_since = self.ready_since.filter(|_| ready).or(ready.then_some(now.elapsed));
        let Some(pending) = &self.pending else { return };
        let gone = graph.tasks().find(|(task, execution)| {
            pending.awaits(*task, execution.id) && execution.state == ExecutionState::Finished
        });
        if let Some((task, _)) = gone {
            let cause = format!("{} finished before it began", graph.task_name(task));
            self.give_up(cause, Counting::DoesNotCount, now, actions);
        } else if !graph.all(up) {
            self.give_up("a task isn't running".into(), Counting::DoesNotCount, now, actions);
        } else if now.elapsed.saturating_sub(pending.triggered.elapsed) >= self.options.timeout {
            let cause = format!(
                "not all tasks had acknowledged after {:?} (execution.checkpointing.timeout)",
                self.options.timeout
            );
            self.give_up(cause, Counting::Counts, now, actions);
        }
    }

    fn give_up(
        &mut self,
        cause: String,
        counting: Counting,
        now: Moment,
        actions: &mut Vec<CheckpointAction>,
    ) {
        let Some(pending) = self.pending.take() else { return };
        let directory = pending.kind.savepoint().map(|savepoint| savepoint.directory.clone());
        self.delete_unneeded(directory.clone(), pending.objects(), actions);
        self.abandoned.add(pending.id, directory, pending.attempts());
        self.ended_in_failure((pending.id, pending.request), cause, counting, now, actions);
    }

    fn ended_in_failure(
        &mut self,
        (checkpoint, request): (CheckpointId, Option<Waiting>),
        cause: String,
        counting: Counting,
        now: Moment,
        actions: &mut Vec<CheckpointAction>,
    ) {
        self.last_ended = Some(now.elapsed);
        self.last_failed = true;
        self.history.failed(cause.clone(), now);
        actions.push(CheckpointAction::NotifyAborted(checkpoint));
        actions.push(CheckpointAction::Failed { checkpoint, cause: cause.clone() });
        if let Some(request) = request {
            return self.request_failed(request, checkpoint, cause, counting, actions);
        }
        if counting == Counting::Counts {
            self.failures_in_a_row += 1;
            if self.failures_in_a_row > self.options.tolerable_failures {
                self.failures_in_a_row = 0;
                actions.push(CheckpointAction::FailJob(format!(
                    "checkpoint {checkpoint} failed: {cause} (more failures in a row than \
                     execution.checkpointing.tolerable-failed-checkpoints = {})",
                    self.options.tolerable_failures
                )));
            }
        }
    }

    /// When the next checkpoint may begin, as far as time decides; None while tasks aren't ready.
    fn due(&self, graph: &ExecutionGraph) -> Option<Duration> {
        let ready = self.ready_since?;
        if self.pending.is_some()
            || self.publishing.is_some()
            || !self.finishing.is_empty()
            || self.stopped.is_some()
        {
            return None;
        }
        let waiting = |e: &crate::job_master::execution_graph::Execution| {
            e.input_ended || e.state == ExecutionState::Finished
        };
        let all_wait = graph.tasks().all(|(_, execution)| waiting(execution));
        let after_failure = self.last_ended.filter(|_| self.last_failed);
        if let Some(first) = self.requests.front() {
            let drained = all_wait || !first.request.kind.drains();
            let rested = after_failure.map_or(ready, |at| at + FINAL_RETRY);
            return drained.then(|| rested.max(ready));
        }
        let interval = self.options.interval?;
        if all_wait {
            let pause = FINAL_RETRY.min(interval);
            return Some(after_failure.map_or(ready, |at| at + pause));
        }
        let regular = self.last_triggered.unwrap_or(ready).max(ready) + interval;
        let rested = self.last_ended.map(|at| at + self.options.min_pause);
        Some(rested.map_or(regular, |rested| rested.max(regular)))
    }

    fn may_begin(&self, graph: &ExecutionGraph, now: Duration) -> bool {
        self.due(graph).is_some_and(|due| now >= due)
    }

    fn begin(&mut self, graph: &ExecutionGraph, now: Moment) {
        let id = CheckpointId(self.next_id);
        self.next_id += 1;
        let request = self.requests.pop_front();
        let kind = match &request {
            Some(waiting) => waiting.request.kind.snapshot(self.job, id, &self.life),
            None => SnapshotKind::Checkpoint,
        };
        if kind.savepoint().is_none() {
            self.last_triggered = Some(now.elapsed);
        }
        self.history.triggered(id, &kind, graph, now);
        self.pending = Some(PendingCheckpoint::new(id, kind, request, graph, now));
    }

    /// The newest completed checkpoint: what a restart begins with.
    pub fn latest(&self) -> Option<&CompletedCheckpoint> {
        self.completed.back()
    }

    /// Completed checkpoints that are kept, oldest first.
    pub fn retained(&self) -> impl Iterator<Item = &CompletedCheckpoint> {
        self.completed.iter()
    }

    /// The newest published checkpoint that a later one of this job may refer to; 0 for none. It
    /// is kept for as long as a later one is under way.
    fn published_id(&self) -> CheckpointId {
        let own = |checkpoint: &&CompletedCheckpoint| {
            checkpoint.job == self.job && checkpoint.directory.is_none()
        };
        self.completed.back().filter(own).map_or(CheckpointId(0), |checkpoint| checkpoint.id)
    }

    /// The checkpoint under way, being published included.
    pub fn pending(&self) -> Option<CheckpointId> {
        let publishing = self.publishing.as_ref().map(|publishing| publishing.complete.id);
        self.pending.as_ref().map(|pending| pending.id).or(publishing)
    }

    /// The newest checkpoint that was begun; 0 for none.
    pub fn begun(&self) -> CheckpointId {
        CheckpointId(self.next_id - 1)
    }

    /// Whose checkpoint's manifest is being written, if somebody asked for it.
    pub fn publishing_for(&self) -> Option<TriggerId> {
        let request = self.publishing.as_ref()?.request.as_ref()?;
        Some(request.request.id)
    }

    /// Whether an attempt is about to finish: the newest checkpoint has all that it had.
    pub fn finishes(&self, attempt: ExecutionAttemptId) -> bool {
        self.finishing.contains(&attempt)
    }

    /// Whether a manifest is being written: until its fate is known nobody may restart.
    pub fn is_publishing(&self) -> bool {
        self.publishing.is_some()
    }

    /// The job was restored from the newest completed checkpoint.
    pub fn restored(&mut self, now: Moment) {
        if let Some(latest) = self.completed.back() {
            self.history.restored(latest.id, latest.directory.as_deref(), now);
        }
    }

    /// How checkpoints went.
    pub fn history(&self) -> &CheckpointHistory {
        &self.history
    }

    /// When something is to be decided if nothing happens before.
    pub fn deadline(&self, graph: &ExecutionGraph) -> Option<Duration> {
        match &self.pending {
            Some(pending) => {
                let times_out = pending.triggered.elapsed + self.options.timeout;
                earlier(pending.next_reminder(TRIGGER_INTERVAL), Some(times_out))
            }
            None => earlier(self.due(graph), self.next_look_at_requests(graph)),
        }
    }
}
