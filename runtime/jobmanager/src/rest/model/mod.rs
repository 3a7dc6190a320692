//! What is true in the cluster, as plain data: filled by the JobManager, read by REST.
//!
//! Ids are text (32 hexadecimal digits for jobs, vertices and operators), times are ms since the
//! epoch, durations are ms, sizes are bytes, unless a field says otherwise. Nothing that follows
//! from other facts is a fact: durations, totals and aggregated states are computed by the reader.

mod checkpoint;
mod cluster;
mod exception;
mod job;
mod job_metrics;
mod metric;
mod operation;
mod summary;
mod task_manager;
mod vertex;

pub use checkpoint::{
    CheckpointConfigurationFacts, CheckpointCounts, CheckpointFacts, CheckpointKind,
    CheckpointOutcome, CheckpointStatistics, CheckpointSummary, RestoredCheckpointFacts,
    SubtaskCheckpointStatistics, TaskCheckpointStatistics,
};
pub use cluster::{ClusterFacts, EnvironmentFacts};
pub use exception::ExceptionFacts;
pub use job::{AccumulatorFacts, ExecutionConfigFacts, JobFacts, JobType};
pub use job_metrics::job_metrics;
pub use metric::{MetricValue, Metrics, operator_metric_name};
pub use operation::{OperationFacts, OperationOutcome};
pub use summary::{StatisticsSummary, percentile};
pub use task_manager::{
    AllocatedSlotFacts, HardwareFacts, MemoryFacts, ResourceFacts, TaskManagerFacts,
};
pub use vertex::{InputFacts, OperatorFacts, SubtaskFacts, VertexFacts};
