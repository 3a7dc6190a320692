//! What a JobManager says. Not here: what a deployment consists of (`deployment`).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg_core::element::Barrier;
use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId};

use super::deployment::{JobInformation, TaskDeployment};

/// A message of a JobManager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum JobManagerMessage {
    /// The TaskManager belongs to this JobManager from now on.
    Registered {
        /// How often each side sends a heartbeat.
        heartbeat_interval_ms: u64,
        /// Silence after which each side takes the other for lost.
        heartbeat_timeout_ms: u64,
    },
    /// The TaskManager can't be used; it should end with this error.
    Refused(RegistrationRefusal),
    /// What the JobManager thinks is there, every heartbeat interval.
    Heartbeat(JobManagerHeartbeat),
    /// These notices have arrived: don't repeat them.
    Received {
        /// Their numbers.
        numbers: Vec<u64>,
    },
    /// Start these tasks.
    DeployTasks {
        /// What they have in common.
        job: Arc<JobInformation>,
        /// The tasks, all on this TaskManager.
        tasks: Vec<TaskDeployment>,
    },
    /// End this task; it reports CANCELED.
    CancelTask {
        /// The execution.
        attempt: ExecutionAttemptId,
    },
    /// Begin a checkpoint. Goes to tasks that get no barrier from others: sources, and tasks all
    /// of whose producers have ended (nothing follows an end of input, not even a barrier). A
    /// source takes its snapshot now and sends barriers. Any other task takes its snapshot as soon
    /// as each of its channels has delivered this checkpoint's barrier or its end of input. One
    /// that isn't above the highest checkpoint seen is ignored.
    TriggerCheckpoint {
        /// The job.
        job: JobId,
        /// The execution to begin with.
        attempt: ExecutionAttemptId,
        /// What it puts into its stream.
        barrier: Barrier,
    },
    /// This source is to end its input here, as if there were nothing more: event time reaches its
    /// end, everything that waits for it fires, and the task waits for a final checkpoint.
    EndInput {
        /// The source's execution.
        attempt: ExecutionAttemptId,
    },
    /// The checkpoint is published: sinks commit.
    CheckpointCompleted {
        /// The job.
        job: JobId,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Little of these objects is referred to by the checkpoint, which is published: whoever has a
    /// run in one of them is to write all of that state anew the next time. Only space is lost if
    /// it doesn't.
    RewriteRuns {
        /// The job.
        job: JobId,
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The objects' paths.
        objects: Vec<String>,
    },
    /// The checkpoint won't be: release what it holds.
    CheckpointAborted {
        /// The job.
        job: JobId,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Cancel everything and end the process.
    ShutDown {
        /// Why, for people.
        reason: String,
    },
}

/// The state of the JobManager, as far as it matters to one TaskManager.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobManagerHeartbeat {
    /// Every execution that is wanted there: deployed, not being cancelled, and not yet known to
    /// have ended.
    pub expected: Vec<ExecutionAttemptId>,
    /// Jobs with executions there.
    pub jobs: Vec<JobProgress>,
    /// The TaskManager, which is about to go, isn't needed any more, or can't be helped: it needn't
    /// wait. Why, for people.
    pub dismissed: Option<String>,
}

/// How far a job's checkpoints are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// The job.
    pub job: JobId,
    /// The newest published checkpoint; 0 for none. Sinks may commit up to it.
    pub completed: CheckpointId,
    /// The checkpoint under way.
    pub pending: Option<CheckpointId>,
    /// The newest one that was begun. Any one up to it that is neither `completed` nor below, nor
    /// `pending`, won't be published.
    pub begun: CheckpointId,
}

/// Why a TaskManager was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegistrationRefusal {
    /// It runs another binary.
    BuildMismatch {
        /// The JobManager's build id.
        expected: u64,
        /// The TaskManager's.
        found: u64,
    },
    /// What it says of itself can't be (no slots, for instance).
    Invalid(String),
    /// Everything here has ended.
    ShuttingDown,
}

impl fmt::Display for RegistrationRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuildMismatch { expected, found } => write!(
                f,
                "this TaskManager was started from another binary (build {found:016x}) than its \
                 JobManager (build {expected:016x}); start both from the same binary or image"
            ),
            Self::Invalid(what) => write!(f, "the registration is invalid: {what}"),
            Self::ShuttingDown => f.write_str("the JobManager is shutting down"),
        }
    }
}
