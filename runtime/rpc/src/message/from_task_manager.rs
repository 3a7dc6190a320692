//! What a TaskManager says. Not here: what a snapshot consists of (`snapshot`).

use std::fmt;

use serde::{Deserialize, Serialize};
use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId, OperatorId, TaskManagerId};
use thalweg_core::status::ExecutionState;

use super::snapshot::{CheckpointAck, CheckpointDecline};

/// A message of a TaskManager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TaskManagerMessage {
    /// The first message on a connection, repeated until it is answered.
    Register(Registration),
    /// All that there is to know, every heartbeat interval.
    Heartbeat(TaskManagerHeartbeat),
    /// Something that happened, repeated under the same number until it is acknowledged.
    Notice {
        /// The number to acknowledge; from 1, in the order of events of this process.
        number: u64,
        /// What happened.
        notice: Notice,
    },
}

/// Who registers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// The process. Another start is another id.
    pub id: TaskManagerId,
    /// Where its data port is: `host:port`; within one process any text that is unique.
    pub data_address: String,
    /// Number of its slots, at least 1.
    pub slots: u32,
    /// What it has, for people.
    pub resources: TaskManagerResources,
    /// The binary's build; must be the JobManager's.
    pub build_id: u64,
    /// Executions that it runs already (after a reconnection).
    pub executions: Vec<ExecutionReport>,
    /// Its operating system process id, for people.
    pub process_id: u32,
    /// It is about to go.
    pub leaving: Option<Leaving>,
}

/// A TaskManager is about to go (SIGTERM). It works on: whoever has tasks there moves them away,
/// and tells it when it isn't needed any more ([`super::JobManagerHeartbeat::dismissed`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Why, for people.
    pub reason: String,
    /// After which time it goes, dismissed or not.
    pub remaining_ms: u64,
}

/// What a TaskManager has. Sizes are bytes; those of slots are for all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskManagerResources {
    /// Processors that it sees.
    pub cpu_cores: u32,
    /// Memory of its machine or container.
    pub physical_bytes: u64,
    /// Memory of the process as configured; the parts that follow add up to it.
    pub process_bytes: u64,
    /// For the process itself.
    pub overhead_bytes: u64,
    /// For the data plane.
    pub network_bytes: u64,
    /// For state.
    pub state_bytes: u64,
    /// For snapshots on their way out.
    pub snapshot_buffer_bytes: u64,
    /// For user code.
    pub user_code_bytes: u64,
}

/// The state of a TaskManager.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskManagerHeartbeat {
    /// The process.
    pub id: TaskManagerId,
    /// Sequence number of the newest heartbeat of the JobManager that it has acted on; 0 for none.
    /// With it the JobManager knows that an execution which it no longer expected by then, and
    /// which isn't listed here, is gone and can't appear any more.
    pub heartbeat_seen: u64,
    /// Every execution that it has and hasn't been allowed to forget, ended ones included.
    pub executions: Vec<ExecutionReport>,
    /// Current values of its metrics.
    pub metrics: Vec<MetricGroup>,
    /// It is about to go.
    pub leaving: Option<Leaving>,
}

/// One execution as its TaskManager sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecutionReport {
    /// Which job's.
    pub job: JobId,
    /// Which.
    pub attempt: ExecutionAttemptId,
    /// The slot that it runs in, from 0.
    pub slot: u32,
    /// How far it is.
    pub state: ExecutionState,
    /// Why it failed, when it did.
    pub failure: Option<FailureInfo>,
    /// All its input was processed and its operators are finished; it waits for a final
    /// checkpoint, or has ended.
    pub input_ended: bool,
    /// The highest checkpoint whose trigger or barrier it has seen; 0 for none.
    pub checkpoint: CheckpointId,
    /// What its operators hand to the program's caller; only in state FINISHED.
    pub accumulators: Vec<Accumulator>,
}

/// What must not be lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Notice {
    /// An execution's state, failure, or end of input changed.
    ExecutionChanged(ExecutionReport),
    /// A task's part of a checkpoint is durable.
    CheckpointAcknowledged(CheckpointAck),
    /// A task can't take part in a checkpoint.
    CheckpointDeclined(CheckpointDecline),
    /// An execution's figures at its end; its heartbeats don't carry them any more.
    FinalMetrics {
        /// The execution.
        attempt: ExecutionAttemptId,
        /// Its own and its operators'.
        metrics: Vec<MetricGroup>,
    },
    /// The process ends (SIGTERM) and its tasks with it: go on without it.
    Goodbye {
        /// Why, for people.
        reason: String,
    },
}

/// A value that an operator hands to the caller of `execute` when its task has finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accumulator {
    /// The operator.
    pub operator: OperatorId,
    /// The subtask.
    pub subtask: u32,
    /// Its name, unique within the operator.
    pub name: String,
    /// The value; its maker and its reader agree on the encoding.
    pub value: Vec<u8>,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The application's code or its input: an error or a panic.
    User,
    /// The engine's surroundings: a disk, a lost process. Trying again may help.
    Environment,
    /// The deployment itself can't work (another binary, another graph): trying again won't help.
    Deployment,
    /// A connection to another TaskManager: what became of that one may be the reason.
    Connection,
}

/// Why an execution failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureInfo {
    /// The operator's name, where one is to blame.
    pub operator: Option<String>,
    /// What happened.
    pub message: String,
    /// Whose fault it is.
    pub kind: FailureKind,
}

impl fmt::Display for FailureInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.operator {
            Some(operator) => write!(f, "operator {operator:?}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// What a group of metrics is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MetricScope {
    /// The process.
    TaskManager,
    /// One execution.
    Task(ExecutionAttemptId),
    /// One operator of an execution.
    Operator(ExecutionAttemptId, OperatorId),
}

/// Metrics of one scope, named as Flink names them (`numRecordsIn`, `busyTimeMsPerSecond`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricGroup {
    /// What they are about.
    pub scope: MetricScope,
    /// Name and current value.
    pub values: Vec<(String, f64)>,
}
