//! Puts the JobGraph together.

use thalweg_core::ids::{JobId, JobVertexId, OperatorId};
use thalweg_core::job_graph::{ChainedEdge, JobEdge, JobGraph, JobVertex, OperatorNode};

use super::chains::Chains;
use super::parallelism::SettledGraph;
use crate::stream_graph::StreamGraph;

pub(super) fn job_graph(
    graph: &StreamGraph,
    settled: &SettledGraph,
    ids: &[OperatorId],
    chains: &Chains,
    job_id: JobId,
    name: &str,
) -> JobGraph {
    let vertex_id = |node: usize| JobVertexId::new(ids[chains.heads[node]].bits());
    // A node's place in its vertex: how many of the same chain come before it.
    let place = |node: usize| {
        chains.heads[..node].iter().filter(|head| **head == chains.heads[node]).count()
    };
    let heads = (0..graph.nodes.len()).filter(|node| !chains.is_chained(*node));
    let vertices = heads.map(|head| {
        let members: Vec<usize> =
            (head..graph.nodes.len()).filter(|node| chains.heads[*node] == head).collect();
        JobVertex {
            id: vertex_id(head),
            name: chain_name(graph, chains, head),
            parallelism: settled.nodes[head].parallelism,
            max_parallelism: settled.nodes[head].max_parallelism,
            slot_sharing_group: settled.nodes[head].slot_sharing_group.clone(),
            operators: members
                .iter()
                .map(|member| operator(graph, chains, ids, *member, &place))
                .collect(),
            source_bounded: graph.nodes[head].source.as_ref().map(|s| s.bounded),
        }
    });
    let vertices = vertices.collect();
    let between = graph.edges.iter().zip(&settled.ships).filter(|(e, _)| !chains.is_chained(e.to));
    let edges = between.clone().map(|(edge, ship)| JobEdge {
        from: vertex_id(edge.from),
        from_operator: place(edge.from),
        tag: edge.tag.as_deref().map(str::to_string),
        to: vertex_id(edge.to),
        input: edge.input,
        ship: *ship,
    });
    let edges = edges.collect();
    let edge_schemas = between.map(|(edge, _)| edge.row_type.fingerprint()).collect();
    JobGraph { job_id, name: name.into(), vertices, edges, edge_schemas }
}

fn operator(
    graph: &StreamGraph,
    chains: &Chains,
    ids: &[OperatorId],
    node: usize,
    place: &impl Fn(usize) -> usize,
) -> OperatorNode {
    let chained = graph.edges.iter().filter(|e| e.from == node && chains.is_chained(e.to));
    OperatorNode {
        id: ids[node],
        uid: graph.nodes[node].uid.clone(),
        name: graph.nodes[node].name.clone(),
        stateful: graph.nodes[node].stateful,
        guarantee: graph.nodes[node].guarantee,
        chained: chained
            .map(|e| ChainedEdge { tag: e.tag.as_deref().map(str::to_string), to: place(e.to) })
            .collect(),
    }
}

/// The chain's name as Flink writes it: `a -> b -> (c, d)`.
fn chain_name(graph: &StreamGraph, chains: &Chains, node: usize) -> String {
    let next = graph.edges.iter().filter(|e| e.from == node && chains.is_chained(e.to));
    let next: Vec<String> = next.map(|e| chain_name(graph, chains, e.to)).collect();
    let name = &graph.nodes[node].name;
    match next.as_slice() {
        [] => name.clone(),
        [one] => format!("{name} -> {one}"),
        many => format!("{name} -> ({})", many.join(", ")),
    }
}
