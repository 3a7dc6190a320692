//! Everything that can reach the endpoint: a closed list.

use thalweg_core::ids::JobId;
use thalweg_core::status::JobStatus;
use thalweg_rpc::LinkError;
use thalweg_rpc::message::ToJobManager;
use thalweg_storage::log::Leader;
use tokio::sync::oneshot;

use crate::checkpoint_coordinator::CheckpointEvent;
use crate::dispatcher::PreparedJob;
use crate::job_master::JobResult;
use crate::resource_manager::ConnectionId;

/// A job wasn't taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Its settings can't be.
    #[error("the job can't be run: {0}")]
    Invalid(String),
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
    /// What became of a manifest.
    Publication(JobId, CheckpointEvent),
    /// A job's end is recorded.
    JobRecorded(Box<JobResult>),
    /// Another JobManager leads, or nobody can know: nothing more may be done here.
    LeadershipLost(String),
    /// End here, and leave jobs and TaskManagers to the next leader.
    Suspend(String, oneshot::Sender<()>),
    /// End everything.
    ShutDown(String, oneshot::Sender<()>),
}
