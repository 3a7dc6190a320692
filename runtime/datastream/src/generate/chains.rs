//! Decides which operators share a task.

use thalweg_core::job_graph::ShipStrategy;

use super::parallelism::SettledGraph;
use crate::stream_graph::{ChainingStrategy, StreamGraph};

/// For every node: the node that heads its chain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chains {
    pub(super) heads: Vec<usize>,
}

impl Chains {
    /// Whether the node is fed by an operator of its own task.
    pub(super) fn is_chained(&self, node: usize) -> bool {
        self.heads[node] != node
    }
}

/// A node joins the chain of what feeds it when that is one output of one node, forwarded, with
/// the same parallelism, key groups and slot sharing group, and neither side says otherwise.
pub(super) fn chain(graph: &StreamGraph, settled: &SettledGraph, enabled: bool) -> Chains {
    let mut heads: Vec<usize> = Vec::with_capacity(graph.nodes.len());
    for (at, node) in graph.nodes.iter().enumerate() {
        let mut inputs = graph.edges.iter().enumerate().filter(|(_, e)| e.to == at);
        let joins = match (inputs.next(), inputs.next()) {
            (Some((index, edge)), None) => {
                let may = enabled
                    && node.chaining == ChainingStrategy::Always
                    && graph.nodes[edge.from].chaining != ChainingStrategy::Never;
                let near = settled.ships[index] == ShipStrategy::Forward
                    && settled.nodes[edge.from] == settled.nodes[at];
                (may && near).then(|| heads[edge.from])
            }
            _ => None,
        };
        heads.push(joins.unwrap_or(at));
    }
    Chains { heads }
}
