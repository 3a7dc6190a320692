//! Everything that can reach the endpoint: a closed list.

use std::collections::BTreeMap;

use thalweg_core::ids::{JobId, JobVertexId, TaskManagerId, TriggerId};
use thalweg_core::status::JobStatus;
use thalweg_rpc::LinkError;
use thalweg_rpc::message::ToJobManager;
use thalweg_storage::log::Leader;
use tokio::sync::oneshot;

use crate::checkpoint_coordinator::{CheckpointEvent, CompletedCheckpoint};
use crate::dispatcher::PreparedJob;
use crate::high_availability::Loss;
use crate::job_master::{JobResult, RescaleError};
use crate::resource_manager::{ConnectionId, WorkerEvent};

/// A job wasn't taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Its settings can't be.
    #[error("the job can't be run: {0}")]
    Invalid(String),
    /// It can't begin with the savepoint that it is to begin with. Nothing was started.
    #[error("{0}")]
    Restore(String),
    /// A source's input can't be read.
    #[error("{0}")]
    Source(String),
    /// A job with this id was submitted before.
    #[error("job {0} was submitted before; a program's execute() calls have ids of their own")]
    Duplicate(JobId),
    /// The JobManager ended before the job did.
    #[error("the JobManager has ended before the job")]
    Ended,
    /// What is recorded of it, or was to be, can't be read or written.
    #[error("{0}")]
    Records(String),
}

/// A job can't be cancelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// There is no such job.
    #[error("there is no such job")]
    Unknown,
    /// It has ended, and not by being cancelled.
    #[error("the job has ended already, it is {0}")]
    HasEnded(JobStatus),
    /// The JobManager has ended.
    #[error("the JobManager has ended")]
    Ended,
}

/// A checkpoint or savepoint that a user asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointCommand {
    /// Names the command, so that it can be repeated; None: it is given a name.
    pub trigger: Option<TriggerId>,
    /// What is asked for.
    pub kind: CommandKind,
}

/// What a user asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandKind {
    /// A checkpoint.
    Checkpoint {
        /// It is to refer to nothing that was written before it.
        full: bool,
    },
    /// A savepoint.
    Savepoint {
        /// Below which directory; None: the configured one.
        target: Option<String>,
        /// The job is cancelled once it is complete.
        cancel: bool,
    },
    /// A savepoint with which the job ends.
    Stop {
        /// Below which directory; None: the configured one.
        target: Option<String>,
        /// Sources end their input first.
        drain: bool,
    },
}

/// A command wasn't taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such job.
    #[error("there is no such job")]
    Unknown,
    /// The job has ended.
    #[error("the job has ended already, it is {0}")]
    HasEnded(JobStatus),
    /// The job is on its way to another end.
    #[error("the job is being stopped or cancelled already: nothing else can be asked of it")]
    Ending,
    /// Nobody said where to.
    #[error(
        "Config key [execution.checkpointing.savepoint-dir] is not set. Property \
         [target-directory] must be provided."
    )]
    NoTarget,
    /// It would be somewhere else for every process.
    #[error(
        "the target directory {0:?} is neither an absolute path nor a URI; every process of the \
         cluster has to see it under the same name"
    )]
    BadTarget(String),
    /// A checkpoint of a job that keeps none.
    #[error(
        "the job has no place for checkpoints; set execution.checkpointing.dir, or ask for a \
         savepoint"
    )]
    NoStore,
    /// It would never end.
    #[error(
        "the job takes no checkpoints, so its tasks end without waiting for a savepoint once they \
         are drained; set execution.checkpointing.interval, or stop it without drain"
    )]
    DrainNeedsCheckpoints,
    /// That parallelism can't be.
    #[error(transparent)]
    Parallelism(#[from] RescaleError),
    /// The tasks are ending for another parallelism.
    #[error("the job is being brought to another parallelism; ask again when it runs")]
    Rescaling,
    /// Too many wait.
    #[error("{0} requests wait already; ask again when some are done")]
    TooMany(usize),
    /// The JobManager has ended.
    #[error("the JobManager has ended")]
    Ended,
}

/// One message to the endpoint.
pub(crate) enum Mail {
    /// A TaskManager says something.
    Peer(ConnectionId, Box<ToJobManager>),
    /// A connection is gone.
    PeerGone(ConnectionId, LinkError),
    /// Run a job, with its log's leader if it has one; answered at its end.
    Submit(Box<PreparedJob>, Option<Box<Leader>>, oneshot::Sender<Result<JobResult, SubmitError>>),
    /// End a job.
    Cancel(JobId, oneshot::Sender<Result<(), CancelError>>),
    /// Take a checkpoint or savepoint; answered with the name of the operation once it is taken in.
    Checkpoint(JobId, CheckpointCommand, oneshot::Sender<Result<TriggerId, CommandError>>),
    /// Give vertices of a job another parallelism; answered as `Checkpoint`.
    Rescale(
        JobId,
        Option<TriggerId>,
        BTreeMap<JobVertexId, u32>,
        oneshot::Sender<Result<TriggerId, CommandError>>,
    ),
    /// Delete the savepoint at a path; answered as `Checkpoint`.
    Dispose(String, Option<TriggerId>, oneshot::Sender<Result<TriggerId, CommandError>>),
    /// A savepoint that the job stops with is whole; now it is to be published.
    SavepointWritten(Box<CompletedCheckpoint>),
    /// What became of a manifest.
    Publication(JobId, CheckpointEvent),
    /// A job that was handed in has ended in an earlier life of the JobManager.
    EndedBefore(Box<JobResult>),
    /// A job's end is recorded.
    JobRecorded(Box<JobResult>),
    /// The driver says something of a TaskManager.
    Worker(TaskManagerId, WorkerEvent),
    /// No more jobs will be handed in.
    NoMoreJobs,
    /// Another JobManager leads, or nobody can know: nothing more may be done here.
    LeadershipLost(Loss),
    /// End here, and leave jobs and TaskManagers to the next leader.
    Suspend(String, oneshot::Sender<()>),
    /// End everything.
    ShutDown(String, oneshot::Sender<()>),
}
