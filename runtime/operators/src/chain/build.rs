//! Makes a chain from a vertex and the code of its operators.

use std::sync::Arc;

use thalweg_core::ids::{CheckpointId, OperatorId};
use thalweg_core::job_graph::JobVertex;
use thalweg_state::{MemoryBudget, RestoredOperator};

use super::node::{Node, Route, Target};
use super::runs::SnapshotRuns;
use super::{Chain, ChainError};
use crate::contract::{OpenContext, OperatorError, OperatorInstance, OperatorMetrics};

/// An edge that leaves the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeTarget {
    /// Index of the operator that feeds it.
    pub operator: usize,
    /// None: its main output.
    pub tag: Option<String>,
}

/// Makes a chain.
#[derive(Debug)]
pub struct ChainBuilder {
    chain: Chain,
    incremental: bool,
    restored: Option<CheckpointId>,
    allow_unclaimed: bool,
}

impl ChainBuilder {
    /// The operators of `vertex`, with an instance for each in the same order; `head_inputs` is
    /// the number of inputs of the first one, `edges` what leaves the chain.
    pub fn new(
        vertex: &JobVertex,
        instances: Vec<OperatorInstance>,
        head_inputs: usize,
        edges: &[EdgeTarget],
    ) -> Self {
        let mut nodes = Vec::with_capacity(instances.len());
        for (at, (node, instance)) in vertex.operators.iter().zip(instances).enumerate() {
            let chained = node.chained.iter().map(|edge| Route {
                tag: edge.tag.as_deref().map(Arc::from),
                target: Target::Operator(edge.to),
            });
            let out = edges.iter().enumerate().filter(|(_, e)| e.operator == at);
            let out = out.map(|(index, edge)| Route {
                tag: edge.tag.as_deref().map(Arc::from),
                target: Target::Edge(index),
            });
            let routes = chained.chain(out).collect();
            let inputs = if at == 0 { head_inputs } else { 1 };
            let metrics = Arc::new(OperatorMetrics::default());
            let name = Arc::from(node.name.as_str());
            nodes.push(Node::new(node.id, name, instance, inputs, routes, metrics));
        }
        let open_ends = nodes.len();
        let (snapshot, refused) = (None, None);
        let chain = Chain { nodes, current: 0, snapshot, refused, ended: false, open_ends };
        Self { chain, incremental: false, restored: None, allow_unclaimed: false }
    }

    /// Snapshots go on from those of published checkpoints; `restored` is the one that the
    /// operators are restored from, if there is one.
    #[must_use]
    pub fn incremental(mut self, restored: Option<CheckpointId>) -> Self {
        self.incremental = true;
        self.restored = restored;
        self
    }

    /// What waits to be written to snapshots, and runs that aren't complete, draw on this.
    #[must_use]
    pub fn snapshot_buffers(mut self, buffers: &MemoryBudget) -> Self {
        for node in &mut self.chain.nodes {
            node.buffers = buffers.clone();
        }
        self
    }

    /// State that no operator asks for may be forgotten.
    #[must_use]
    pub fn allow_unclaimed(mut self) -> Self {
        self.allow_unclaimed = true;
        self
    }

    /// Opens the operators, the last one first, so that each is ready before it can be fed.
    pub fn open<'a>(
        mut self,
        mut context: impl FnMut(OperatorId, &Arc<str>, Arc<OperatorMetrics>) -> OpenContext<'a>,
    ) -> Result<Chain, Box<(Chain, ChainError)>> {
        for at in (0..self.chain.nodes.len()).rev() {
            self.chain.current = at;
            let node = &mut self.chain.nodes[at];
            let mut context = context(node.id, &node.name.clone(), node.metrics.clone());
            node.origin.subtask = context.subtask.index;
            node.origin.parallelism = context.subtask.parallelism;
            node.origin.max_parallelism = context.subtask.max_parallelism;
            let opened = match node.instance() {
                OperatorInstance::Source(source) => source.open(&mut context),
                OperatorInstance::Operator(operator) => operator.open(&mut context),
            };
            let unclaimed = unclaimed(context.restored.as_deref());
            let restored = context.restored.as_deref().filter(|_| unclaimed.is_empty());
            let opened = match unclaimed.is_empty() || self.allow_unclaimed {
                true => opened,
                false => opened.and(Err(OperatorError::Unclaimed(unclaimed))),
            };
            if let Err(error) = opened {
                let error = node.error(error);
                return Err(Box::new((self.chain, error)));
            }
            if self.incremental {
                let own = self.restored.zip(restored);
                let runs = own.map(|(checkpoint, own)| {
                    SnapshotRuns::restored(checkpoint, &own.continued_lengths())
                });
                node.runs = Some(runs.unwrap_or_default());
            }
        }
        Ok(self.chain)
    }
}

/// The states of the snapshot that the operator didn't ask for, for messages.
fn unclaimed(restored: Option<&RestoredOperator>) -> String {
    let states = restored.into_iter().flat_map(RestoredOperator::unclaimed);
    let names: Vec<_> = states.map(|state| format!("{} {:?}", state.kind, state.name)).collect();
    names.join(", ")
}
