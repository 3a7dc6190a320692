//! The code of a job, found by the ids that stand in its JobGraph.
//!
//! Capturing the program fills it, on the JobManager as on every TaskManager: code itself is
//! never sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::RowType;
use thalweg_core::batch::RowTypeMismatch;
use thalweg_core::ids::OperatorId;
use thalweg_core::job_graph::JobGraph;

use crate::contract::{FunctionResult, OperatorFactory};
use crate::functions::KeyHashes;
use crate::source::SourceSplit;

/// Finds the splits of one source; runs on the JobManager.
pub trait Enumerate: Send + Sync {
    /// The splits, in the order of assignment.
    fn enumerate(&self, parallelism: u32) -> FunctionResult<Vec<SourceSplit>>;
}

/// Chooses channels by a function of the application.
pub trait CustomPartition: Send + Sync {
    /// Adds one channel (below `channels`) per row of the batch to `destinations`.
    fn partition(
        &self,
        batch: &thalweg_core::Batch,
        channels: u32,
        destinations: &mut Vec<u32>,
    ) -> Result<(), RowTypeMismatch>;
}

/// The code of an edge between two vertices.
#[derive(Clone)]
pub struct EdgeCode {
    /// The type of its rows.
    pub row_type: RowType,
    /// For hash edges: the keys' hashes.
    pub keys: Option<Arc<dyn KeyHashes>>,
    /// For custom edges: the channels.
    pub custom: Option<Arc<dyn CustomPartition>>,
}

impl std::fmt::Debug for EdgeCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EdgeCode({:?})", self.row_type)
    }
}

/// The code of one job.
#[derive(Clone)]
pub struct JobCode {
    /// The graph that the code belongs to.
    pub graph: Arc<JobGraph>,
    /// Makes the operators' instances.
    pub operators: BTreeMap<OperatorId, Arc<dyn OperatorFactory>>,
    /// The edges, at the indexes that they have in the graph.
    pub edges: Vec<EdgeCode>,
    /// The sources' enumerations.
    pub sources: BTreeMap<OperatorId, Arc<dyn Enumerate>>,
}

impl std::fmt::Debug for JobCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JobCode({}, {} operators)", self.graph.name, self.operators.len())
    }
}
