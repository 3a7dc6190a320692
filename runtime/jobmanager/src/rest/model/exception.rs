//! A failure that a job has lived through or died of.

use std::collections::BTreeMap;

/// One failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExceptionFacts {
    /// What kind of failure, a name without spaces.
    pub name: String,
    /// The whole message, its causes on lines of their own.
    pub stacktrace: String,
    /// When it was seen.
    pub timestamp_ms: i64,
    /// The failed task (`name (index/parallelism)`); none for a failure of the whole job.
    pub task_name: Option<String>,
    /// Where the task ran, `host:port`.
    pub endpoint: Option<String>,
    /// The TaskManager where the task ran.
    pub task_manager_id: Option<String>,
    /// Labels of failure enrichers.
    pub failure_labels: BTreeMap<String, String>,
    /// Failures that were seen while this one was answered.
    pub concurrent: Vec<ExceptionFacts>,
}
