//! What a user asks of the coordinator, and what has become of it: one answer for each trigger id,
//! however often it is asked. Not here: who asks (`rest`), and taking the checkpoint.

use std::collections::VecDeque;
use std::time::Duration;

use thalweg_core::element::{SavepointTarget, SnapshotKind};
use thalweg_core::ids::{CheckpointId, JobId, TriggerId};

/// How many operations that have ended are remembered.
const ENDED_MAX: usize = 128;
/// How many requests wait at most.
pub(super) const WAITING_MAX: usize = 64;
/// How often a request is tried again when tasks changed under its checkpoint.
const ATTEMPTS_MAX: u32 = 10;

/// A checkpoint that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRequest {
    /// Names the request; the same one again is the same request.
    pub id: TriggerId,
    /// What is asked for.
    pub kind: RequestKind,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestKind {
    /// A checkpoint of the job, now.
    Checkpoint {
        /// It is to refer to nothing that was written before it.
        full: bool,
    },
    /// A savepoint in a new directory below `target`.
    Savepoint {
        /// The directory or bucket that savepoints are kept in.
        target: String,
        /// The job is cancelled once it is complete.
        cancel: bool,
    },
    /// A savepoint with which the job ends as FINISHED.
    Stop {
        /// The directory or bucket that savepoints are kept in.
        target: String,
        /// The sources end their input first: event time reaches its end and all windows fire.
        drain: bool,
    },
}

impl RequestKind {
    /// Whether the job is to end with it.
    pub fn ends_job(&self) -> bool {
        match self {
            Self::Checkpoint { .. } => false,
            Self::Savepoint { cancel, .. } => *cancel,
            Self::Stop { .. } => true,
        }
    }

    /// Whether it is a savepoint.
    pub fn is_savepoint(&self) -> bool {
        !matches!(self, Self::Checkpoint { .. })
    }

    /// Whether sources end their input first.
    pub(super) fn drains(&self) -> bool {
        matches!(self, Self::Stop { drain: true, .. })
    }

    /// Whether the job ends with it as FINISHED.
    pub(super) fn stops(&self) -> bool {
        matches!(self, Self::Stop { .. })
    }

    /// What tasks are told. A savepoint's directory has the job and the checkpoint in its name,
    /// and `lives` (another one for every life of a JobManager), so that it is always a new one.
    pub(super) fn snapshot(&self, job: JobId, id: CheckpointId, lives: &str) -> SnapshotKind {
        let target = match self {
            Self::Checkpoint { full: false } => return SnapshotKind::Checkpoint,
            Self::Checkpoint { full: true } => return SnapshotKind::FullCheckpoint,
            Self::Savepoint { target, .. } | Self::Stop { target, .. } => target,
        };
        let (job, unique) = (job.to_string(), TriggerId::derive(&format!("{lives}/{id}")));
        let unique = unique.to_string();
        let name = format!("savepoint-{}-{}", &job[..6], &unique[..12]);
        let directory = format!("{}/{name}", target.trim_end_matches('/'));
        SnapshotKind::Savepoint(SavepointTarget { directory, stop: self.stops() }.into())
    }
}

/// A request on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) request: CheckpointRequest,
    pub(super) since: Duration,
    attempts: u32,
}

impl Waiting {
    pub(super) fn new(request: CheckpointRequest, since: Duration) -> Self {
        Self { request, since, attempts: 0 }
    }

    /// Another attempt, unless there were enough.
    pub(super) fn again(self) -> Option<Self> {
        let attempts = self.attempts + 1;
        (attempts < ATTEMPTS_MAX).then_some(Self { attempts, ..self })
    }
}

/// What has become of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperationState {
    /// It waits, or is under way.
    InProgress,
    /// It is done.
    Completed {
        /// The checkpoint's id.
        checkpoint: CheckpointId,
        /// Where it is: a savepoint's directory, a checkpoint's manifest.
        location: String,
    },
    /// It won't be done. The job goes on, unless it has ended for another reason.
    Failed(String),
}

/// A request and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The request.
    pub request: CheckpointRequest,
    /// What has become of it.
    pub state: OperationState,
}

/// The latest requests, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Operations(VecDeque<Operation>);

impl Operations {
    /// All that are remembered, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Operation> {
        self.0.iter()
    }

    /// The one with this id.
    pub fn get(&self, id: TriggerId) -> Option<&Operation> {
        self.0.iter().find(|operation| operation.request.id == id)
    }

    pub(super) fn begin(&mut self, request: CheckpointRequest) {
        let ended = |o: &Operation| o.state != OperationState::InProgress;
        if self.0.iter().filter(|o| ended(o)).count() >= ENDED_MAX
            && let Some(oldest) = self.0.iter().position(ended)
        {
            self.0.remove(oldest);
        }
        self.0.push_back(Operation { request, state: OperationState::InProgress });
    }

    /// Ends one that is in progress; what has ended stays as it is.
    pub(super) fn end(&mut self, id: TriggerId, state: OperationState) {
        let open = |o: &&mut Operation| o.request.id == id && o.state == OperationState::InProgress;
        if let Some(operation) = self.0.iter_mut().find(open) {
            operation.state = state;
        }
    }

    /// Ends all that are in progress.
    pub(super) fn end_all(&mut self, message: &str) {
        for operation in &mut self.0 {
            if operation.state == OperationState::InProgress {
                operation.state = OperationState::Failed(message.to_owned());
            }
        }
    }
}
