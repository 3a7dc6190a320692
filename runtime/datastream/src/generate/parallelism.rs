//! Settles what the program left open: parallelism, key groups, slot sharing, partitioning.

use thalweg_core::job_graph::ShipStrategy;
use thalweg_core::key_group::MAX_MAX_PARALLELISM;

use super::{Defaults, GraphError};
use crate::stream_graph::StreamGraph;

/// The group of operators that name none.
const DEFAULT_SLOT_SHARING_GROUP: &str = "default";

/// A node's settings, none of them open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) parallelism: u32,
    pub(super) max_parallelism: u32,
    pub(super) slot_sharing_group: String,
}

/// All nodes' settings, in the order of the nodes, and all edges' strategies.
#[derive(Debug)]
pub(super) struct SettledGraph {
    pub(super) nodes: Vec<Settled>,
    pub(super) ships: Vec<ShipStrategy>,
}

pub(super) fn settle(graph: &StreamGraph, defaults: &Defaults) -> Result<SettledGraph, GraphError> {
    let mut nodes: Vec<Settled> = Vec::with_capacity(graph.nodes.len());
    for (at, node) in graph.nodes.iter().enumerate() {
        let parallelism = node.parallelism.unwrap_or(defaults.parallelism);
        let max_parallelism = node.max_parallelism.unwrap_or(defaults.max_parallelism);
        let operator = node.name.clone();
        if max_parallelism == 0 || max_parallelism > MAX_MAX_PARALLELISM {
            return Err(GraphError::MaxParallelism { operator, max_parallelism });
        }
        if parallelism == 0 || parallelism > max_parallelism {
            return Err(GraphError::Parallelism { operator, parallelism, max_parallelism });
        }
        let inherited = || {
            let mut inputs = graph.edges.iter().filter(|e| e.to == at);
            let first = inputs.next().map(|e| &nodes[e.from].slot_sharing_group)?;
            inputs.all(|e| nodes[e.from].slot_sharing_group == *first).then(|| first.clone())
        };
        let group = node.slot_sharing_group.clone().or_else(inherited);
        let slot_sharing_group = group.unwrap_or_else(|| DEFAULT_SLOT_SHARING_GROUP.into());
        nodes.push(Settled { parallelism, max_parallelism, slot_sharing_group });
    }
    let ships = graph.edges.iter().map(|edge| {
        let (from, to) = (&nodes[edge.from], &nodes[edge.to]);
        let equal = from.parallelism == to.parallelism;
        match &edge.partition {
            Some(partition) if partition.ship == ShipStrategy::Forward && !equal => {
                Err(GraphError::Forward {
                    from: graph.nodes[edge.from].name.clone(),
                    from_parallelism: from.parallelism,
                    to: graph.nodes[edge.to].name.clone(),
                    to_parallelism: to.parallelism,
                })
            }
            Some(partition) => Ok(partition.ship),
            None if equal => Ok(ShipStrategy::Forward),
            None => Ok(ShipStrategy::Rebalance),
        }
    });
    let ships = ships.collect::<Result<_, _>>()?;
    Ok(SettledGraph { nodes, ships })
}
