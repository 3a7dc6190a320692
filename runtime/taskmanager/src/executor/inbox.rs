//! What tasks, and work aside, tell the executor: a place for each kind of news of each execution.
//!
//! Whoever puts something there never waits, since a task must not; and it is bounded by the
//! number of executions, since newer news of a kind takes the place of older: a state, a
//! checkpoint (there is one at a time), an end. Of parts of snapshots there are as many as their
//! tasks have room for. News is read by execution, in a fixed order.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use thalweg_core::ids::{CheckpointId, ExecutionAttemptId};
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{
    CheckpointAck, CheckpointDecline, DeclineReason, FailureInfo, ToJobManager, ToTaskManager,
};
use thalweg_rpc::{ConnectError, LeaderAddress, Link};
use tokio::sync::Notify;

use super::event::Event;
use super::prepare::Prepared;
use super::upload::StoredSnapshot;
use crate::task::{SnapshotPart, TaskEvent, TaskOutcome, TaskSnapshot};

type Connected = Result<Link<ToJobManager, ToTaskManager>, ConnectError>;

/// News of one execution.
#[derive(Default)]
struct News {
    prepared: Option<Result<Prepared, FailureInfo>>,
    state: Option<ExecutionState>,
    input_ended: bool,
    /// Parts of the snapshot that is being written, and the last one that was given up.
    parts: Vec<SnapshotPart>,
    aborted: Option<CheckpointId>,
    snapshot: Option<Box<TaskSnapshot>>,
    declined: Option<(CheckpointId, DeclineReason)>,
    large_stored: Option<Box<StoredSnapshot>>,
    stored: Option<Result<CheckpointAck, CheckpointDecline>>,
    ended: Option<TaskOutcome>,
}

#[derive(Default)]
struct Places {
    connected: Option<Connected>,
    leader: Option<LeaderAddress>,
    executions: BTreeMap<ExecutionAttemptId, News>,
}

/// The executor's inbox.
#[derive(Default)]
pub(super) struct Inbox {
    places: Mutex<Places>,
    changed: Notify,
}

impl Inbox {
    /// An attempt to reach the JobManager is over.
    pub(super) fn connected(&self, connected: Connected) {
        self.places.lock().connected = Some(connected);
        self.changed.notify_one();
    }

    /// Somebody leads.
    pub(super) fn leader(&self, leader: LeaderAddress) {
        self.places.lock().leader = Some(leader);
        self.changed.notify_one();
    }

    /// A deployment's code and state are there.
    pub(super) fn prepared(
        &self,
        attempt: ExecutionAttemptId,
        prepared: Result<Prepared, FailureInfo>,
    ) {
        self.put(attempt, |news| news.prepared = Some(prepared));
    }

    /// What of a snapshot has objects of its own is durable.
    pub(super) fn large_stored(&self, attempt: ExecutionAttemptId, snapshot: Box<StoredSnapshot>) {
        self.put(attempt, |news| {
            // That of a checkpoint that was given up may come late.
            let newer = |old: &StoredSnapshot| old.checkpoint < snapshot.checkpoint;
            if news.large_stored.as_deref().is_none_or(newer) {
                news.large_stored = Some(snapshot);
            }
        });
    }

    /// A snapshot is durable, or can't be.
    pub(super) fn stored(
        &self,
        attempt: ExecutionAttemptId,
        stored: Result<CheckpointAck, CheckpointDecline>,
    ) {
        let of = |stored: &Result<CheckpointAck, CheckpointDecline>| match stored {
            Ok(ack) => ack.checkpoint,
            Err(decline) => decline.checkpoint,
        };
        self.put(attempt, |news| {
            if news.stored.as_ref().is_none_or(|old| of(old) <= of(&stored)) {
                news.stored = Some(stored);
            }
        });
    }

    /// A task says something.
    pub(super) fn task(&self, attempt: ExecutionAttemptId, event: TaskEvent) {
        self.put(attempt, |news| match event {
            TaskEvent::StateChanged(state) => news.state = Some(state),
            TaskEvent::InputEnded => news.input_ended = true,
            TaskEvent::SnapshotPart(part) => news.parts.push(*part),
            TaskEvent::SnapshotAborted(checkpoint) => {
                news.parts.retain(|part| part.barrier.checkpoint > checkpoint);
                news.aborted = Some(checkpoint);
            }
            TaskEvent::SnapshotTaken(snapshot) => news.snapshot = Some(snapshot),
            TaskEvent::CheckpointDeclined(checkpoint, reason) => {
                news.declined = Some((checkpoint, reason));
            }
            TaskEvent::Ended(outcome) => news.ended = Some(outcome),
        });
    }

    /// Waits until there is something. Safe to cancel.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes everything.
    pub(super) fn take(&self) -> Vec<Event> {
        let places = std::mem::take(&mut *self.places.lock());
        let mut events: Vec<Event> = places.connected.map(Event::Connected).into_iter().collect();
        events.extend(places.leader.map(Event::Leader));
        for (attempt, news) in places.executions {
            let News { prepared, state, input_ended, snapshot, declined, .. } = news;
            let News { parts, aborted, large_stored, stored, ended, .. } = news;
            events.extend(prepared.map(|prepared| Event::Prepared(attempt, prepared)));
            let aborted = aborted.map(TaskEvent::SnapshotAborted).into_iter();
            let ahead = aborted
                .chain(parts.into_iter().map(|part| TaskEvent::SnapshotPart(Box::new(part))));
            events.extend(ahead.map(|event| Event::Task(attempt, event)));
            let task = [
                state.map(TaskEvent::StateChanged),
                snapshot.map(TaskEvent::SnapshotTaken),
                declined.map(|(id, reason)| TaskEvent::CheckpointDeclined(id, reason)),
                input_ended.then_some(TaskEvent::InputEnded),
            ];
            events.extend(task.into_iter().flatten().map(|event| Event::Task(attempt, event)));
            events.extend(large_stored.map(Event::LargeStored));
            events.extend(stored.map(Event::Stored));
            events.extend(ended.map(|outcome| Event::Task(attempt, TaskEvent::Ended(outcome))));
        }
        events
    }

    fn put(&self, attempt: ExecutionAttemptId, change: impl FnOnce(&mut News)) {
        change(self.places.lock().executions.entry(attempt).or_default());
        self.changed.notify_one();
    }
}
