//! The cluster as a whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{JobFacts, Metrics, TaskManagerFacts};

/// What is known of the cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterFacts {
    /// The version shown as `flink-version`.
    pub version: String,
    /// The commit it was built from, shortened.
    pub commit: String,
    /// When it was built, as text; empty when the build doesn't say.
    pub build_time: String,
    /// How often a page should ask again, in ms (`web.refresh-interval`).
    pub refresh_interval_ms: u64,
    /// The registered TaskManagers, by id.
    pub task_managers: Vec<Arc<TaskManagerFacts>>,
    /// All jobs that are still known, in the order of their submission.
    pub jobs: Vec<Arc<JobFacts>>,
    /// The effective configuration. Secrets are hidden by the reader.
    pub configuration: BTreeMap<String, String>,
    /// The JobManager process' metrics (`numRegisteredTaskManagers`, `Status.JVM.CPU.Load`, ...).
    pub job_manager_metrics: Metrics,
    /// What the JobManager runs on.
    pub environment: EnvironmentFacts,
}

/// What the JobManager process runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvironmentFacts {
    /// The runtime and its version (in Flink: the JVM's).
    pub version: String,
    /// The processor's architecture.
    pub architecture: String,
    /// The process' options, without the application's arguments: those may be private.
    pub options: Vec<String>,
}
