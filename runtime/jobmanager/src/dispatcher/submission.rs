//! A job as it is handed in. Not here: its splits being found, which happens before the
//! dispatcher sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use thalweg_core::configuration::Configuration;
use thalweg_core::ids::CheckpointId;
use thalweg_core::job_graph::JobGraph;
use thalweg_rpc::message::JobInformation;
use thalweg_storage::manifest::VertexRequirement;

use crate::checkpoint_coordinator::CompletedCheckpoint;
use crate::source_coordinator::{SourceCoordinator, SplitEnumeration};

/// A job, captured by one `execute` of a program.
#[derive(Clone)]
pub struct JobSubmission {
    /// What is to run.
    pub graph: Arc<JobGraph>,
    /// The program's arguments.
    pub arguments: Vec<String>,
    /// Which `execute` of the program it is, from 0.
    pub execute_ordinal: u32,
    /// What the earlier ones returned, in the facade's encoding.
    pub earlier_results: Vec<Vec<u8>>,
    /// Values that the program computed once.
    pub once_values: BTreeMap<String, Vec<u8>>,
    /// What the program sets for this job; it goes before the cluster's configuration.
    pub configuration: Configuration,
    /// Finds the splits of the job's sources.
    pub splits: Arc<dyn SplitEnumeration>,
}

impl fmt::Debug for JobSubmission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobSubmission({} {})", self.graph.job_id, self.graph.name)
    }
}

/// A job that is ready to be run.
#[derive(Debug, Clone)]
pub struct PreparedJob {
    /// What its tasks have in common.
    pub information: Arc<JobInformation>,
    /// Its effective configuration.
    pub configuration: Configuration,
    /// Its sources' splits.
    pub sources: SourceCoordinator,
    /// The checkpoint that it begins with.
    pub restore: Option<CompletedCheckpoint>,
    /// The highest checkpoint id that the store knows of the job.
    pub highest_checkpoint: CheckpointId,
    /// Where the graph has another parallelism than the program gives it.
    pub requirements: Vec<VertexRequirement>,
}
