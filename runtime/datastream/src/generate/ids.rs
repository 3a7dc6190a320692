//! Gives every operator an id: from its uid, else from its name and its place.

use std::collections::BTreeMap;

use thalweg_core::ids::OperatorId;

use super::GraphError;
use crate::stream_graph::StreamGraph;

/// One id per node. The place of an operator without a uid is: what feeds it, and the how many-th
/// it is of those with the same name and feeds. So a new operator elsewhere doesn't change it.
pub(super) fn assign(graph: &StreamGraph) -> Result<Vec<OperatorId>, GraphError> {
    let mut ids: Vec<OperatorId> = Vec::with_capacity(graph.nodes.len());
    let mut uids: BTreeMap<&str, &str> = BTreeMap::new();
    let mut places: BTreeMap<String, u32> = BTreeMap::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        if let Some(uid) = &node.uid {
            if let Some(first) = uids.insert(uid, &node.name) {
                return Err(GraphError::DuplicateUid {
                    uid: uid.clone(),
                    first: first.into(),
                    second: node.name.clone(),
                });
            }
            ids.push(OperatorId::derive(&format!("uid/{uid}")));
            continue;
        }
        let mut place = format!("place/{}", node.name);
        for edge in graph.edges.iter().filter(|e| e.to == at) {
            let tag = edge.tag.as_deref().unwrap_or_default();
            place.push_str(&format!("/{}:{}:{tag}", edge.input, ids[edge.from]));
        }
        let ordinal = places.entry(place.clone()).or_default();
        ids.push(OperatorId::derive(&format!("{place}/{ordinal}")));
        *ordinal += 1;
    }
    Ok(ids)
}

/// Names the stateful operators whose state can't be found again after the program changes.
pub(super) fn warn_without_uid(graph: &StreamGraph) {
    let without = graph.nodes.iter().filter(|n| n.stateful && n.uid.is_none());
    let names: Vec<&str> = without.map(|n| n.name.as_str()).collect();
    if !names.is_empty() {
        tracing::warn!(
            "these operators keep state but have no uid: {names:?}. Give each one .uid(\"...\"), \
             else its state can't be matched after the program changes"
        );
    }
}
