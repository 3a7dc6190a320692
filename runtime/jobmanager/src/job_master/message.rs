//! What a JobMaster is told, and what it wants done.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::element::Barrier;
use thalweg_core::ids::{
    AllocationId, CheckpointId, ExecutionAttemptId, JobId, TaskManagerId, TriggerId,
};
use thalweg_core::job_graph::JobGraph;
use thalweg_core::status::JobStatus;
use thalweg_rpc::message::{
    Accumulator, CheckpointAck, CheckpointDecline, ExecutionReport, FailureInfo, TaskDeployment,
};

use super::execution_graph::AssignedSlot;
use crate::checkpoint_coordinator::{
    AbandonedCheckpoint, CheckpointEvent, CheckpointRequest, CompletedCheckpoint,
};
use crate::resource_manager::RequestId;

/// What happened to a job.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    /// Slots were given.
    SlotsGranted {
        /// The request.
        request: RequestId,
        /// The slots.
        slots: Vec<AssignedSlot>,
    },
    /// Slots couldn't be had in time.
    SlotsUnavailable {
        /// The request.
        request: RequestId,
        /// What was missing and what helps.
        message: String,
    },
    /// A TaskManager tells of one execution.
    ExecutionChanged {
        /// The TaskManager.
        task_manager: TaskManagerId,
        /// Its message's number.
        sequence: u64,
        /// What it says.
        report: ExecutionReport,
    },
    /// A TaskManager tells of all its executions, those of other jobs included.
    Heartbeat {
        /// The TaskManager.
        task_manager: TaskManagerId,
        /// Its message's number.
        sequence: u64,
        /// The newest of our heartbeats that it had acted on.
        heartbeat_seen: u64,
        /// What it says.
        reports: Vec<ExecutionReport>,
    },
    /// A TaskManager has no connection: it comes back, or is lost.
    TaskManagerDisconnected(TaskManagerId),
    /// A TaskManager has a connection, perhaps again.
    TaskManagerConnected(TaskManagerId),
    /// A TaskManager is gone.
    TaskManagerLost {
        /// Which.
        task_manager: TaskManagerId,
        /// Why, for people.
        cause: String,
    },
    /// A TaskManager is about to go, and works on until then.
    TaskManagerLeaving {
        /// Which.
        task_manager: TaskManagerId,
        /// When it goes.
        until: Duration,
        /// Until when slots on others may come.
        slots_until: Duration,
    },
    /// A deployment can never be sent.
    DeploymentRefused {
        /// The executions.
        attempts: Vec<ExecutionAttemptId>,
        /// Why.
        cause: String,
    },
    /// A task has acknowledged a checkpoint.
    CheckpointAcknowledged(CheckpointAck),
    /// A task has declined a checkpoint.
    CheckpointDeclined(CheckpointDecline),
    /// What became of a manifest.
    Publication(CheckpointEvent),
    /// Somebody asks for a checkpoint or a savepoint.
    CheckpointRequested(CheckpointRequest),
    /// Somebody wants another parallelism.
    RescaleRequested {
        /// Names the request; the same one again is the same request.
        id: TriggerId,
        /// The job's graph with that parallelism.
        graph: Arc<JobGraph>,
    },
    /// The user wants it to end.
    Cancel,
    /// Time has passed.
    Tick,
}

/// What a job wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum JobAction {
    /// Ask for slots.
    RequestSlots {
        /// The request's number.
        request: RequestId,
        /// One for each slot.
        allocations: Vec<AllocationId>,
        /// Slots that it has, of TaskManagers that are about to go, in whose place these are.
        replaces: Vec<AllocationId>,
        /// Until when it waits, if not for the usual time.
        until: Option<Duration>,
    },
    /// The open request isn't needed any more.
    WithdrawRequest,
    /// Give slots back.
    ReleaseSlots(Vec<AllocationId>),
    /// Send these deployments.
    Deploy {
        /// Where to.
        task_manager: TaskManagerId,
        /// The tasks.
        tasks: Vec<TaskDeployment>,
    },
    /// Tell an execution to end.
    CancelTask {
        /// Where it is.
        task_manager: TaskManagerId,
        /// Which.
        attempt: ExecutionAttemptId,
    },
    /// Tell a task to begin a checkpoint.
    TriggerCheckpoint {
        /// Where it is.
        task_manager: TaskManagerId,
        /// Which.
        attempt: ExecutionAttemptId,
        /// What it puts into its stream.
        barrier: Barrier,
    },
    /// Tell a source to end its input.
    EndInput {
        /// Where it is.
        task_manager: TaskManagerId,
        /// Which.
        attempt: ExecutionAttemptId,
    },
    /// Tell a TaskManager that a checkpoint is published.
    NotifyCompleted(TaskManagerId, CheckpointId),
    /// Tell a TaskManager whose state is to be written anew.
    RewriteRuns {
        /// The TaskManager.
        task_manager: TaskManagerId,
        /// The published checkpoint.
        checkpoint: CheckpointId,
        /// Objects of it, of which little is needed.
        objects: Vec<String>,
    },
    /// Tell a TaskManager that a checkpoint won't be.
    NotifyAborted(TaskManagerId, CheckpointId),
    /// Write a manifest; answered by [`JobEvent::Publication`].
    Publish(CompletedCheckpoint),
    /// Delete a manifest and the objects that no kept checkpoint refers to.
    DiscardCheckpoint {
        /// The checkpoint.
        checkpoint: CompletedCheckpoint,
        /// Objects of its that others refer to.
        kept_objects: Vec<String>,
    },
    /// Delete objects that nothing refers to.
    DeleteObjects(Vec<String>),
    /// Delete what else attempts have stored of a checkpoint that was given up.
    DeleteAbandoned(AbandonedCheckpoint),
    /// Delete what a savepoint that was given up has left in this directory.
    DeleteFromSavepoint(String, Vec<String>),
    /// A TaskManager doesn't end a task: take it for lost.
    GiveUpTaskManager {
        /// Which.
        task_manager: TaskManagerId,
        /// Why, for people.
        cause: String,
    },
    /// For the log.
    Observe(Observation),
    /// The job has ended; nothing follows.
    Ended(Box<JobResult>),
}

/// What people may want to read in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The job entered a state.
    Status(JobStatus),
    /// A task failed.
    TaskFailed {
        /// Its name.
        task: String,
        /// Why.
        failure: FailureInfo,
    },
    /// A restart was decided.
    Restarting {
        /// Number of tasks that restart.
        tasks: usize,
        /// After which pause.
        delay: Duration,
    },
    /// Tasks were deployed.
    Deployed {
        /// Their number.
        tasks: usize,
        /// What they are restored from.
        restored: Option<CheckpointId>,
    },
    /// A checkpoint was published.
    CheckpointCompleted(CheckpointId),
    /// A savepoint is complete.
    SavepointCompleted(CheckpointId),
    /// The job has another parallelism.
    Rescaled {
        /// The number of its tasks from now on.
        tasks: usize,
    },
    /// The parallelism stays what it was, for this reason.
    RescaleGivenUp(String),
    /// Tasks are moved away from TaskManagers that are about to go.
    Relocating {
        /// Their number, and that of those that restart with them.
        tasks: usize,
    },
    /// A checkpoint failed.
    CheckpointFailed {
        /// Which.
        checkpoint: CheckpointId,
        /// Why.
        cause: String,
    },
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobResult {
    /// The job.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// FINISHED, CANCELED or FAILED.
    pub status: JobStatus,
    /// What its operators return, by operator, name and subtask; only when FINISHED.
    pub accumulators: Vec<Accumulator>,
    /// Why it failed.
    pub error: Option<FailureInfo>,
    /// From submission to end.
    pub runtime_ms: i64,
    /// When it ended, in ms since the epoch.
    pub ended_ms: i64,
    /// How often tasks were restarted.
    pub restarts: u64,
}
