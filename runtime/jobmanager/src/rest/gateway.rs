//! What the web layer may ask of the JobManager. Implemented by the JobManager, by a table of facts
//! in tests.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use thalweg_core::ids::{JobVertexId, TriggerId};

use super::model::{ClusterFacts, JobFacts, OperationOutcome};
use crate::endpoint::CheckpointCommand;

/// The answer to a command, once the JobManager has accepted or refused it.
pub type RestReply<T = ()> = Pin<Box<dyn Future<Output = Result<T, RestFailure>> + Send + 'static>>;

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestFailure {
    /// No such job. Answered as 404.
    #[error("Job could not be found.")]
    JobNotFound,
    /// The JobManager can't do it in the job's present state. Answered as 409.
    #[error("{0}")]
    Conflict(String),
    /// What is asked for can't be. Answered as 400.
    #[error("{0}")]
    Invalid(String),
    /// The JobManager did not answer in time, the command may yet take effect. Answered as 408.
    #[error("Job cancellation timed out.")]
    TimedOut,
    /// The JobManager is gone or is ending. Answered as 503.
    #[error("{0}")]
    Unavailable(String),
}

/// The JobManager as the web layer sees it.
///
/// Reading answers at once from the latest published facts and never waits for a job: a stuck
/// JobMaster must stay visible. Facts are shared, so that a request copies nothing.
pub trait RestGateway: Send + Sync + 'static {
    /// The present time in ms since the epoch. All durations in one answer are taken against it.
    fn now_ms(&self) -> i64;

    /// The facts of the whole cluster.
    fn cluster(&self) -> Arc<ClusterFacts>;

    /// The facts of one job, ended ones included for as long as they are kept; `job_id` is 32
    /// lower-case hexadecimal digits.
    fn job(&self, job_id: &str) -> Option<Arc<JobFacts>>;

    /// Asks for a job's end. Cancelling a job that is being cancelled succeeds again. Must be ready
    /// within 60 s ([`RestFailure::TimedOut`] else): the connection is given up then.
    fn cancel(&self, job_id: &str) -> RestReply;

    /// Asks for a checkpoint or savepoint. The answer comes once it is taken in, with the name of
    /// the operation; the job's facts know it by then.
    fn checkpoint(&self, job_id: &str, command: CheckpointCommand) -> RestReply<TriggerId>;

    /// Asks for another parallelism of vertices. Answered as [`checkpoint`](Self::checkpoint).
    fn rescale(
        &self,
        job_id: &str,
        trigger: Option<TriggerId>,
        parallelism: BTreeMap<JobVertexId, u32>,
    ) -> RestReply<TriggerId>;

    /// Asks for the deletion of the savepoint at `path`. The answer comes once that is taken in,
    /// with the name of the operation.
    fn dispose(&self, path: String, trigger: Option<TriggerId>) -> RestReply<TriggerId>;

    /// How a deletion went so far; none of this name is known.
    fn disposal(&self, trigger: TriggerId) -> Option<OperationOutcome>;

    /// Somebody has read how an operation went.
    fn outcome_read(&self, trigger: TriggerId);

    /// Asks for the cluster's end; the answer comes before the process ends.
    fn shut_down(&self) -> RestReply;
}
