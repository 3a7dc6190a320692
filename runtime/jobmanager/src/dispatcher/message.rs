//! What the dispatcher is told, and what it wants done.

use std::sync::Arc;

use thalweg_core::ids::{ExecutionAttemptId, JobId, TaskManagerId, TriggerId};
use thalweg_core::job_graph::JobGraph;
use thalweg_rpc::message::{ToJobManager, ToTaskManager};

use super::PreparedJob;
use crate::checkpoint_coordinator::{
    AbandonedCheckpoint, CheckpointEvent, CheckpointRequest, CompletedCheckpoint,
};
use crate::job_master::{JobResult, Observation};
use crate::resource_manager::{ConnectionId, Disconnection, WorkerEvent};

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A message came.
    Received(ConnectionId, ToJobManager),
    /// A connection is gone.
    Disconnected(ConnectionId, Disconnection),
    /// A deployment can never be sent.
    DeploymentRefused {
        /// The job.
        job: JobId,
        /// The executions.
        attempts: Vec<ExecutionAttemptId>,
        /// Why.
        cause: String,
    },
    /// A job was handed in. One with a known id is ignored.
    Submitted(Box<PreparedJob>),
    /// The user wants a job to end.
    Cancel(JobId),
    /// Somebody asks for a checkpoint or a savepoint of a job.
    CheckpointRequested(JobId, CheckpointRequest),
    /// Somebody wants another parallelism of a job: that of this graph.
    RescaleRequested(JobId, TriggerId, Arc<JobGraph>),
    /// What became of a manifest.
    Publication(JobId, CheckpointEvent),
    /// The driver says something of a TaskManager that it started.
    Worker(TaskManagerId, WorkerEvent),
    /// Time has passed.
    Tick,
    /// No more jobs come. TaskManagers that the driver has started aren't kept for any.
    NoMoreJobs,
    /// Everything is to end.
    ShutDown(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send this.
    Send(ConnectionId, ToTaskManager),
    /// Close this connection.
    Disconnect(ConnectionId),
    /// Write a manifest; answered by [`Event::Publication`].
    Publish(CompletedCheckpoint),
    /// Delete a manifest and the objects that no kept checkpoint refers to.
    DiscardCheckpoint {
        /// The checkpoint.
        checkpoint: CompletedCheckpoint,
        /// Objects of its that others refer to.
        kept_objects: Vec<String>,
    },
    /// Delete objects of a checkpoint that was given up.
    DeleteObjects(Vec<String>),
    /// Delete what else attempts have stored of a checkpoint that was given up.
    DeleteAbandoned(AbandonedCheckpoint),
    /// Delete what a savepoint that was given up has left in this directory.
    DeleteFromSavepoint(String, Vec<String>),
    /// See that there are this many TaskManagers.
    RequireWorkers(u32),
    /// Tell the driver that a TaskManager has registered, or is gone.
    WorkerChanged(TaskManagerId, bool),
    /// Tell the driver that a TaskManager is about to go.
    WorkerLeaving(TaskManagerId),
    /// End a TaskManager.
    ReleaseWorker(TaskManagerId),
    /// A job has ended.
    JobEnded(Box<JobResult>),
    /// For the log, about a job.
    Observe(JobId, Observation),
    /// For the log, about a TaskManager.
    ObserveTaskManager(TaskManagerId, TaskManagerObservation),
}

/// What people may want to read about a TaskManager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskManagerObservation {
    /// It registered.
    Registered {
        /// Number of its slots.
        slots: u32,
    },
    /// It was refused.
    Refused(String),
    /// It is about to go.
    Leaving(String),
    /// It is gone.
    Lost(String),
}
