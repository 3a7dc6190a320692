//! Everything that can happen to a TaskExecutor.

use thalweg_core::ids::ExecutionAttemptId;
use thalweg_rpc::message::{
    CheckpointAck, CheckpointDecline, FailureInfo, ToJobManager, ToTaskManager,
};
use thalweg_rpc::{ConnectError, LeaderAddress, Link, LinkError};

use super::prepare::Prepared;
use super::upload::StoredSnapshot;
use crate::task::TaskEvent;

/// What happens.
pub(super) enum Event {
    /// Time has passed.
    Tick,
    /// The process is told to end, and may work on for a while.
    Leave(String),
    /// The process is told to end now.
    Stop(String),
    /// An attempt to reach the JobManager is over.
    Connected(Result<Link<ToJobManager, ToTaskManager>, ConnectError>),
    /// This JobManager leads, as far as anybody knows.
    Leader(LeaderAddress),
    /// The JobManager says something, or won't any more.
    Received(Result<ToTaskManager, LinkError>),
    /// A deployment's code and state are there.
    Prepared(ExecutionAttemptId, Result<Prepared, FailureInfo>),
    /// A task says something.
    Task(ExecutionAttemptId, TaskEvent),
    /// What of a snapshot has objects of its own is durable.
    LargeStored(Box<StoredSnapshot>),
    /// Small runs have waited for others as long as they may.
    SmallDue,
    /// A snapshot is durable, or can't be.
    Stored(Result<CheckpointAck, CheckpointDecline>),
}
