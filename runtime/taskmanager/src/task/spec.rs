//! What a task is made of, and how its chain is opened. Not here: where these come from
//! (`executor`).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::Clock;
use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobVertexId, OperatorId};
use thalweg_core::job_graph::JobVertex;
use thalweg_operators::chain::{Chain, ChainBuilder, EdgeTarget};
use thalweg_operators::code::JobCode;
use thalweg_operators::contract::{JobInfo, OpenContext, SubtaskInfo, WakeHandle};
use thalweg_operators::source::SourceSplit;
use thalweg_rpc::message::{FailureInfo, FailureKind};
use thalweg_state::{MemoryBudget, RestoredOperator};
use thalweg_storage::BlobStoreOpener;

/// What a task is to do.
#[derive(Debug)]
pub struct TaskSpec {
    /// Its job.
    pub job: JobInfo,
    /// The execution.
    pub attempt: ExecutionAttemptId,
    /// The vertex, to be found in the code's graph.
    pub vertex: JobVertexId,
    /// Which subtask of it.
    pub subtask: SubtaskInfo,
    /// The code of the job.
    pub code: Arc<JobCode>,
    /// Number of inputs of the head operator; 0 for a source.
    pub inputs: usize,
    /// The edges that leave the task, at the places of its writers.
    pub edges: Vec<EdgeTarget>,
    /// What its sources read, when it starts new.
    pub splits: BTreeMap<OperatorId, Vec<SourceSplit>>,
    /// What its operators remember. None: it starts new.
    pub restore: Option<SpecRestore>,
    /// Whether checkpoints are taken.
    pub checkpointing: bool,
    /// Whether snapshots go on from those of published checkpoints.
    pub incremental: bool,
    /// Whether restored state that no operator asks for may be forgotten.
    pub allow_unclaimed: bool,
    /// Memory for state, shared by the tasks of the slot.
    pub state_budget: MemoryBudget,
    /// Memory for snapshots that aren't stored yet, shared by the tasks of the slot.
    pub snapshot_buffers: MemoryBudget,
    /// Room for parts of snapshots that are being uploaded while the snapshot is written; shared,
    /// too. None: there's no store that could take them.
    pub uploads: Option<MemoryBudget>,
    /// Opens the stores that its sinks write to.
    pub stores: Arc<dyn BlobStoreOpener>,
    /// How often latency markers are sent by sources; zero for never.
    pub latency_interval: std::time::Duration,
}

/// A restored task's past.
pub struct SpecRestore {
    /// The checkpoint that the job starts from.
    pub checkpoint: CheckpointId,
    /// The task had ended in it: only its sinks commit again.
    pub finished: bool,
    /// If it had, it takes part in one more checkpoint all the same.
    pub rewrites: bool,
    /// State by operator.
    pub operators: BTreeMap<OperatorId, Arc<RestoredOperator>>,
}

/// A chain that couldn't be opened.
pub(super) struct OpenFailure {
    /// To be closed, if it was made.
    pub(super) chain: Option<Chain>,
    pub(super) failure: FailureInfo,
}

impl std::fmt::Debug for SpecRestore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpecRestore")
            .field("checkpoint", &self.checkpoint)
            .field("finished", &self.finished)
            .field("rewrites", &self.rewrites)
            .field("operators", &self.operators.len())
            .finish()
    }
}

impl TaskSpec {
    /// `name (2/4)`, as Flink writes it.
    pub fn task_name(&self) -> String {
        let name = self.code.graph.vertex(self.vertex).map_or("?", |v| v.name.as_str());
        format!("{name} ({}/{})", self.subtask.index + 1, self.subtask.parallelism)
    }

    /// Makes and opens the operators. A chain that couldn't be opened comes back to be closed.
    /// `current` is told which operator is at it, for the report of a panic.
    pub(super) fn open(
        &mut self,
        clock: &Arc<dyn Clock>,
        wake: &WakeHandle,
        current: &RefCell<Option<String>>,
    ) -> Result<Chain, Box<OpenFailure>> {
        let graph = Arc::clone(&self.code.graph);
        let Some(vertex) = graph.vertex(self.vertex) else {
            let message = format!("vertex {} isn't in the graph of the job", self.vertex);
            let failure = deployment_failure(message);
            return Err(Box::new(OpenFailure { chain: None, failure }));
        };
        let instances = self
            .instances(vertex, current)
            .map_err(|failure| Box::new(OpenFailure { chain: None, failure }))?;
        let mut builder = ChainBuilder::new(vertex, instances, self.inputs, &self.edges)
            .snapshot_buffers(&self.snapshot_buffers);
        if self.incremental {
            builder = builder.incremental(self.restore.as_ref().map(|restore| restore.checkpoint));
        }
        if self.allow_unclaimed {
            builder = builder.allow_unclaimed();
        }
        let names: BTreeMap<OperatorId, &str> =
            vertex.operators.iter().map(|o| (o.id, o.name.as_str())).collect();
        let mut splits = std::mem::take(&mut self.splits);
        let this = &*self;
        let opened = builder.open(|operator, _, metrics| {
            let name = names.get(&operator).copied().unwrap_or_default();
            current.replace(Some(name.to_owned()));
            OpenContext {
                job: &this.job,
                operator,
                name,
                subtask: this.subtask,
                restored: this.restore.as_ref().and_then(|r| r.operators.get(&operator).cloned()),
                splits: splits.remove(&operator).unwrap_or_default(),
                checkpointing: this.checkpointing,
                state_budget: this.state_budget.clone(),
                stores: this.stores.clone(),
                clock: clock.clone(),
                wake: wake.clone(),
                metrics,
            }
        });
        opened.map_err(|failed| {
            let (chain, error) = *failed;
            let failure = super::failure::of_chain(&error);
            Box::new(OpenFailure { chain: Some(chain), failure })
        })
    }

    fn instances(
        &self,
        vertex: &JobVertex,
        current: &RefCell<Option<String>>,
    ) -> Result<Vec<thalweg_operators::OperatorInstance>, FailureInfo> {
        let instance = |node: &thalweg_core::job_graph::OperatorNode| {
            let factory = self.code.operators.get(&node.id).ok_or_else(|| {
                deployment_failure(format!(
                    "operator {:?} ({}) isn't in the program as it was captured here; start \
                     JobManager and TaskManagers from the same binary",
                    node.name, node.id
                ))
            })?;
            current.replace(Some(node.name.clone()));
            Ok(factory.create())
        };
        vertex.operators.iter().map(instance).collect()
    }
}

fn deployment_failure(message: String) -> FailureInfo {
    FailureInfo { operator: None, message, kind: FailureKind::Deployment }
}
