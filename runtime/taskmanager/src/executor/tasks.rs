//! How the executor starts tasks, and what it does about what they say.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::ids::ExecutionAttemptId;
use thalweg_core::status::ExecutionState;
use thalweg_operators::contract::{SubtaskInfo, WakeHandle};
use thalweg_rpc::message::{CheckpointDecline, DeclineReason, FailureInfo, Notice};

use super::prepare::{self, Deployment, Prepared, Surroundings};
use super::upload::{self, Arrival, SnapshotOwner, SnapshotToStore, StoredSnapshot};
use super::{Live, TaskExecutor, restore, wiring};
use crate::driver::TaskWaker;
use crate::metrics::TaskIdentity;
use crate::task::{Mailbox, TaskEvent, TaskMetrics, TaskOutcome, TaskSnapshot};

impl TaskExecutor {
    /// Begins a deployment: its code and state are fetched aside.
    pub(super) fn start(&mut self, deployment: Deployment, now: Duration) {
        let attempt = deployment.task.attempt;
        match self.admit(&deployment) {
            Ok((subtask, channels)) => {
                let live = Live {
                    deployment: deployment.clone(),
                    subtask,
                    mailbox: None,
                    channels,
                    stored: restore::own_runs(&deployment.task, subtask.parallelism),
                    ahead: None,
                };
                self.live.insert(attempt, live);
                let (codes, stores) = (Arc::clone(&self.codes), Arc::clone(&self.stores));
                let inbox = Arc::clone(&self.inbox);
                let configuration = self.parts.configuration.clone();
                self.parts.driver.run_aside(Box::pin(async move {
                    let prepared =
                        prepare::prepare(&codes, &stores, &configuration, &deployment, subtask);
                    let prepared = prepared.await;
                    inbox.prepared(attempt, prepared);
                }));
            }
            Err(failure) => self.end(attempt, TaskOutcome::Failed(failure), now),
        }
    }

    fn admit(&mut self, deployment: &Deployment) -> Result<(SubtaskInfo, usize), FailureInfo> {
        let subtask = prepare::check(deployment, self.parts.build_id)?;
        let channels = wiring::channels_to_reserve(&self.parts.network, &deployment.task);
        let reserved = self.parts.memory.reserve(channels);
        reserved.map_err(|error| prepare::environment(error.to_string()))?;
        Ok((subtask, channels))
    }

    /// The code and the state are there: makes the task and lets it go.
    pub(super) fn prepared(
        &mut self,
        attempt: ExecutionAttemptId,
        prepared: Result<Prepared, FailureInfo>,
        now: Duration,
    ) {
        if self.table.state(attempt) == Some(ExecutionState::Canceling) {
            return self.end(attempt, TaskOutcome::Canceled, now);
        }
        if prepared.is_err()
            && let Some(job) = self.live.get(&attempt).map(|live| live.deployment.job.job_id)
        {
            // Whatever it was: the next attempt reads the store itself.
            self.forget_copies(job);
        }
        let launched = prepared.and_then(|prepared| self.launch(attempt, prepared));
        if let Err(failure) = launched {
            self.end(attempt, TaskOutcome::Failed(failure), now);
        }
    }

    fn launch(
        &mut self,
        attempt: ExecutionAttemptId,
        prepared: Prepared,
    ) -> Result<(), FailureInfo> {
        let Some(live) = self.live.get_mut(&attempt) else { return Ok(()) };
        let waker = Arc::new(TaskWaker::new());
        let wake: WakeHandle = {
            let waker = Arc::clone(&waker);
            Arc::new(move || waker.wake())
        };
        let mailbox = Arc::new(Mailbox::new(wake));
        let metrics = Arc::new(TaskMetrics::default());
        let inbox = Arc::clone(&self.inbox);
        let observer = Arc::new(move |event: TaskEvent| inbox.task(attempt, event));
        let identity = TaskIdentity::of(&live.deployment.job, &live.deployment.task);
        let task = prepare::make(
            &live.deployment,
            prepared,
            live.subtask,
            Surroundings {
                network: &self.parts.network,
                configuration: &self.parts.configuration,
                clock: &self.parts.clock,
                state_budget: self.budgets.of(live.deployment.task.slot),
                snapshot_buffers: self.budgets.snapshots_of(live.deployment.task.slot),
                uploads: live
                    .deployment
                    .job
                    .checkpoint_directory
                    .is_some()
                    .then(|| self.budgets.uploads_of(live.deployment.task.slot)),
                stores: Arc::clone(&self.stores) as _,
                observer,
                metrics: Arc::clone(&metrics),
                mailbox: Arc::clone(&mailbox),
                waker: Arc::clone(&waker),
            },
        )?;
        live.mailbox = Some(mailbox);
        self.parts.metrics.add(identity, metrics, self.parts.clock.elapsed());
        let spawned = self.parts.driver.spawn(task, waker);
        spawned.map_err(|error| prepare::environment(error.to_string()))
    }

    /// Tells a task to end. One that is being prepared ends when that is over.
    pub(super) fn cancel_live(&mut self, attempt: ExecutionAttemptId, now: Duration) {
        self.table.state_changed(attempt, ExecutionState::Canceling);
        match self.live.get(&attempt) {
            Some(Live { mailbox: Some(mailbox), .. }) => mailbox.cancel(),
            Some(_) => {}
            None => self.end(attempt, TaskOutcome::Canceled, now),
        }
    }

    pub(super) fn task_event(
        &mut self,
        attempt: ExecutionAttemptId,
        event: TaskEvent,
        now: Duration,
    ) {
        match event {
            TaskEvent::StateChanged(state) => {
                if self.table.state_changed(attempt, state) {
                    self.tell_state(attempt, now);
                }
            }
            TaskEvent::InputEnded => {
                if self.table.input_ended(attempt) {
                    self.tell_state(attempt, now);
                }
            }
            TaskEvent::SnapshotPart(part) => self.store_part(attempt, *part),
            TaskEvent::SnapshotAborted(checkpoint) => {
                if let Some(live) = self.live.get_mut(&attempt) {
                    live.ahead.take_if(|ahead| ahead.checkpoint == checkpoint);
                }
            }
            TaskEvent::SnapshotTaken(snapshot) => self.store(attempt, *snapshot),
            TaskEvent::CheckpointDeclined(checkpoint, reason) => {
                if let Some(live) = self.live.get(&attempt) {
                    let job = live.deployment.job.job_id;
                    let decline = CheckpointDecline { job, checkpoint, attempt, reason };
                    self.notice(Notice::CheckpointDeclined(decline), now);
                }
            }
            TaskEvent::Ended(outcome) => self.end(attempt, outcome, now),
        }
    }

    /// Makes a snapshot durable, aside.
    fn store(&mut self, attempt: ExecutionAttemptId, snapshot: TaskSnapshot) {
        let Some(live) = self.live.get_mut(&attempt) else { return };
        let former = upload::take_former(&mut live.stored, &snapshot.chain);
        let checkpoint = snapshot.chain.barrier.checkpoint;
        let ahead = live.ahead.take().filter(|ahead| ahead.checkpoint == checkpoint);
        let job = Arc::clone(&live.deployment.job);
        let bytes = snapshot.chain.operators.iter().map(|operator| operator.run.len()).sum();
        let reserved = match self.budgets.reserve_snapshot(live.deployment.task.slot, bytes) {
            Ok(reserved) => reserved,
            Err(full) => {
                let decline = CheckpointDecline {
                    job: job.job_id,
                    checkpoint: snapshot.chain.barrier.checkpoint,
                    attempt,
                    reason: DeclineReason::Failed(full.to_string()),
                };
                return self.inbox.stored(attempt, Err(decline));
            }
        };
        let key_groups = live.subtask.key_groups;
        let log_epoch = job.log_epoch;
        let owner = SnapshotOwner { job: job.job_id, attempt, log_epoch, key_groups };
        let mut to_store = SnapshotToStore { owner, snapshot, former, store: None, reserved };
        let barrier = to_store.snapshot.chain.barrier.clone();
        if let Some(ahead) = ahead {
            if !ahead.finish(to_store) {
                self.parts_refused(attempt, barrier.checkpoint);
            }
            return;
        }
        let (stores, inbox) = (Arc::clone(&self.stores), Arc::clone(&self.inbox));
        self.parts.driver.run_aside(Box::pin(async move {
            let stored = match stores.of_snapshot(&barrier, job.checkpoint_directory.as_deref()) {
                Ok(store) => {
                    to_store.store = store;
                    upload::store_large(to_store).await
                }
                Err(error) => Err(upload::declined(owner, barrier.checkpoint, &error.to_string())),
            };
            match stored {
                Ok(stored) => inbox.large_stored(attempt, Box::new(stored)),
                Err(decline) => inbox.stored(attempt, Err(decline)),
            }
        }));
    }

    /// The large runs of a snapshot are durable: its small ones wait for those of the other tasks
    /// of its job.
    pub(super) fn large_stored(&mut self, snapshot: StoredSnapshot, now: Duration) {
        let (job, checkpoint) = (snapshot.owner.job, snapshot.checkpoint);
        let attempt = snapshot.owner.attempt;
        let running = |attempt: &ExecutionAttemptId| {
            self.live.get(attempt).is_some_and(|live| live.mailbox.is_some())
        };
        let mut expected = self.table.live_attempts_of(job);
        expected.retain(running);
        let brings = match snapshot.waiting_bytes() {
            Some(bytes) => Some((snapshot, bytes)),
            None => {
                let told = snapshot.acknowledgement(self.parts.clock.as_ref());
                self.inbox.stored(attempt, Ok(told));
                None
            }
        };
        let arrival = Arrival { job, checkpoint, attempt, brings };
        for group in self.gathering.arrived(arrival, &expected, now) {
            self.store_shared(group);
        }
    }

    /// Stores the small runs that have waited long enough.
    pub(super) fn store_due(&mut self, now: Duration) {
        for group in self.gathering.due(now) {
            self.store_shared(group);
        }
    }

    /// Makes small runs durable in one object, aside.
    fn store_shared(&self, snapshots: Vec<StoredSnapshot>) {
        let (inbox, clock) = (Arc::clone(&self.inbox), Arc::clone(&self.parts.clock));
        self.parts.driver.run_aside(Box::pin(async move {
            for (attempt, stored) in upload::store_shared(snapshots, clock.as_ref()).await {
                inbox.stored(attempt, stored);
            }
        }));
    }

    /// An execution has ended, however.
    fn end(&mut self, attempt: ExecutionAttemptId, outcome: TaskOutcome, now: Duration) {
        if let Some(live) = self.live.remove(&attempt) {
            self.parts.memory.release(live.channels);
        }
        if let TaskOutcome::Failed(failure) = &outcome {
            tracing::warn!(%attempt, "the execution failed: {failure}");
        }
        if self.table.ended(attempt, outcome) {
            let metrics = self.parts.metrics.groups_of(attempt, now);
            self.notice(Notice::FinalMetrics { attempt, metrics }, now);
            self.tell_state(attempt, now);
        }
    }

    /// Tells the JobManager how an execution is.
    pub(super) fn tell_state(&mut self, attempt: ExecutionAttemptId, now: Duration) {
        let Some(report) = self.table.report(attempt, self.checkpoint_of(attempt)) else { return };
        let ended = report.state.is_terminal();
        let number = self.notice(Notice::ExecutionChanged(report), now);
        if ended {
            self.ends_told.insert(number, attempt);
        }
    }

    /// Forgets the figures of executions that were forgotten.
    pub(super) fn forget_metrics(&self) {
        self.parts.metrics.retain(|attempt| self.table.state(attempt).is_some());
    }
}
