//! What is said between a JobManager and its TaskManagers, as plain data.
//!
//! Every message is one-way. Any of them may be lost, repeated, late or out of order, and the two
//! sides must still agree in the end. The rules that make it so, for both ends:
//!
//! 1. A message carries the leader's [`Epoch`] and its sender's sequence number ([`Fenced`]). A
//!    TaskManager obeys only the highest epoch that it has seen ([`crate::EpochGuard`]); a
//!    JobManager drops what was said to another epoch. Sequence numbers start at 1 with a process
//!    (and, for a JobManager, an epoch) and rise with every message sent, repeats included.
//! 2. Heartbeats reconcile. The TaskManager's lists all its executions; the JobManager's lists
//!    those it expects there. One that is older (by sequence) than the newest seen is dropped.
//! 3. An execution that the JobManager's heartbeat `h` doesn't expect, and that was deployed by a
//!    message older than `h`, is cancelled and, once ended, forgotten. A deployment older than the
//!    newest heartbeat is ignored unless that heartbeat expects the attempt. One for an attempt
//!    that is known (ended ones included, until they are forgotten) is ignored.
//! 4. What the TaskManager must say for certain is a [`Notice`]; it is repeated until
//!    [`JobManagerMessage::Received`] names its number ([`crate::Outbox`]).
//! 5. What the JobManager wants for certain it repeats until a heartbeat shows it.
//!
//! Not here: how messages travel ([`crate::link`]).

mod deployment;
mod from_job_manager;
mod from_task_manager;
mod snapshot;

pub use deployment::{
    ConsumerChannel, InputChannelDeployment, JobInformation, OutputDeployment, TaskDeployment,
};
pub use from_job_manager::{
    JobManagerHeartbeat, JobManagerMessage, JobProgress, RegistrationRefusal,
};
pub use from_task_manager::{
    Accumulator, ExecutionReport, FailureInfo, FailureKind, Leaving, MetricGroup, MetricScope,
    Notice, Registration, TaskManagerHeartbeat, TaskManagerMessage, TaskManagerResources,
};
pub use snapshot::{
    CheckpointAck, CheckpointDecline, CheckpointMeasures, DeclineReason, OperatorRestore,
    RestorePiece, SnapshotData, SnapshotHandle, TaskRestore,
};

use serde::{Deserialize, Serialize};
use thalweg_core::ids::Epoch;

/// A message with what decides whether it is still to be obeyed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fenced<M> {
    /// The leader's term: the sender's own, or the one that the sender follows (0: none yet).
    pub epoch: Epoch,
    /// The sender's running number, from 1. Repeats of a message get a new one.
    pub sequence: u64,
    /// What is said.
    pub message: M,
}

/// What a TaskManager sends.
pub type ToJobManager = Fenced<TaskManagerMessage>;
/// What a JobManager sends.
pub type ToTaskManager = Fenced<JobManagerMessage>;
