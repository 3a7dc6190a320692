//! A job: its states, its vertices, how it runs.

use std::collections::BTreeMap;

use thalweg_core::ids::TriggerId;
use thalweg_core::status::{ExecutionState, JobStatus};

use super::{
    CheckpointFacts, ExceptionFacts, Metrics, OperationFacts, OperationOutcome, VertexFacts,
};

/// What is known of a job.
#[derive(Debug, Clone)]
pub struct JobFacts {
    /// The job's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether its input is taken as a stream or in stages.
    pub job_type: JobType,
    /// The state it is in.
    pub state: JobStatus,
    /// When each state was last entered. [`JobStatus::Initializing`] is the job's start.
    pub timestamps: BTreeMap<JobStatus, i64>,
    /// The job-wide max parallelism, if it was set.
    pub max_parallelism: Option<u32>,
    /// How often it was restarted.
    pub restarts: u64,
    /// Its vertices, each after all of its inputs.
    pub vertices: Vec<VertexFacts>,
    /// Its checkpoints; none when checkpointing is off.
    pub checkpoints: Option<CheckpointFacts>,
    /// What users have set going in it, the latest last, bounded by the JobManager.
    pub operations: Vec<OperationFacts>,
    /// The last change of its parallelism: its name, and how it went.
    pub rescale: Option<(TriggerId, OperationOutcome)>,
    /// Its failures, the latest first, bounded by the JobManager.
    pub exceptions: Vec<ExceptionFacts>,
    /// Whether `exceptions` has already lost older ones.
    pub exceptions_truncated: bool,
    /// How it is executed.
    pub execution_config: ExecutionConfigFacts,
    /// Accumulators over all of its tasks.
    pub accumulators: Vec<AccumulatorFacts>,
    /// Metrics beside those that follow from the facts, see [`super::job_metrics`].
    pub metrics: Metrics,
}

impl JobFacts {
    /// When the job started; 0 before.
    pub fn start_ms(&self) -> i64 {
        self.timestamps.get(&JobStatus::Initializing).copied().unwrap_or(0)
    }

    /// When the job ended for good.
    pub fn end_ms(&self) -> Option<i64> {
        let ended = self.state.is_globally_terminal();
        self.timestamps.get(&self.state).copied().filter(|_| ended)
    }

    /// How long it has run, or ran.
    pub fn duration_ms(&self, now_ms: i64) -> i64 {
        (self.end_ms().unwrap_or(now_ms) - self.start_ms()).max(0)
    }

    /// When anything in the job last changed its state.
    pub fn last_modification_ms(&self) -> i64 {
        let tasks = self.vertices.iter().flat_map(|vertex| &vertex.subtasks);
        let times = tasks.flat_map(|subtask| subtask.timestamps.values());
        times.chain(self.timestamps.values()).copied().max().unwrap_or(0)
    }

    /// The vertex with this id.
    pub fn vertex(&self, id: &str) -> Option<&VertexFacts> {
        self.vertices.iter().find(|vertex| vertex.id == id)
    }

    /// How many of its tasks are in each state; states without a task are absent.
    pub fn task_counts(&self) -> BTreeMap<ExecutionState, usize> {
        let mut counts = BTreeMap::new();
        for subtask in self.vertices.iter().flat_map(|vertex| &vertex.subtasks) {
            *counts.entry(subtask.state).or_insert(0) += 1;
        }
        counts
    }
}

/// How a job takes its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobType {
    /// All stages at once.
    Streaming,
    /// Stage after stage.
    Batch,
}

impl JobType {
    /// Flink's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Streaming => "STREAMING",
            Self::Batch => "BATCH",
        }
    }
}

/// How a job is executed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecutionConfigFacts {
    /// The restart strategy, in words.
    pub restart_strategy: String,
    /// The default parallelism.
    pub parallelism: u32,
    /// Whether records are handed on without a copy.
    pub object_reuse: bool,
    /// The application's own parameters, as far as it published them.
    pub user_config: BTreeMap<String, String>,
}

/// An accumulator's latest value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccumulatorFacts {
    /// Its name.
    pub name: String,
    /// Its kind (`LongCounter`, ...).
    pub kind: String,
    /// Its value as text.
    pub value: String,
}
