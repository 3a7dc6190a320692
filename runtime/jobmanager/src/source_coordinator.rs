//! Which splits of its input each subtask of a source reads.
//!
//! Finding the splits is I/O and happens once, at the edge, before the first deployment
//! ([`SplitEnumeration`]). Distribution is static; a restored job finds its splits in its tasks'
//! state. Not here: readers and their positions (`operators`).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thalweg_core::ids::OperatorId;
use thalweg_core::job_graph::JobGraph;
use thalweg_core::split::SourceSplit;

/// Finds a source's splits. Does I/O; called once per source on the thread that submits the job.
pub trait SplitEnumeration: Send + Sync {
    /// The splits of the source `operator` for `parallelism` readers, in the order in which they
    /// are to be assigned.
    ///
    /// # Errors
    /// A message that names what can't be read and what to do: the job fails with it.
    fn enumerate(&self, operator: OperatorId, parallelism: u32)
    -> Result<Vec<SourceSplit>, String>;
}

/// The sources of a graph, with their parallelism: the heads of vertices that begin a stream.
pub fn sources(graph: &JobGraph) -> impl Iterator<Item = (OperatorId, u32)> {
    let sources = graph.vertices.iter().filter(|vertex| vertex.source_bounded.is_some());
    sources.filter_map(|vertex| Some((vertex.operators.first()?.id, vertex.parallelism)))
}

/// The splits of a job's sources by subtask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceCoordinator {
    assigned: BTreeMap<OperatorId, Vec<Vec<SourceSplit>>>,
    /// Of sources whose splits are in their tasks' state.
    restored: BTreeMap<OperatorId, Vec<u8>>,
}

/// What a checkpoint keeps of a source's coordinator: which splits were given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CoordinatorState {
    assigned: Vec<Vec<String>>,
}

impl SourceCoordinator {
    /// Distributes the splits of each source over its subtasks ([`distribute`]).
    pub fn new(sources: impl IntoIterator<Item = (OperatorId, u32, Vec<SourceSplit>)>) -> Self {
        let assigned = sources
            .into_iter()
            .map(|(operator, parallelism, splits)| (operator, distribute(splits, parallelism)))
            .collect();
        Self { assigned, restored: BTreeMap::new() }
    }

    /// The same with sources of a checkpoint, whose splits were found before it: this is the
    /// state that it has of them.
    #[must_use]
    pub fn with_restored(self, state: impl IntoIterator<Item = (OperatorId, Vec<u8>)>) -> Self {
        Self { restored: state.into_iter().collect(), ..self }
    }

    /// What a subtask of a source starts with, when it isn't restored.
    pub fn initial_splits(&self, operator: OperatorId, subtask: u32) -> Option<&[SourceSplit]> {
        let subtasks = self.assigned.get(&operator)?;
        subtasks.get(subtask as usize).map(Vec::as_slice)
    }

    /// The state of each source's coordinator, for a checkpoint.
    pub fn state(&self) -> Vec<(OperatorId, Vec<u8>)> {
        let ids = |splits: &Vec<SourceSplit>| splits.iter().map(|s| s.id.clone()).collect();
        let state = |subtasks: &Vec<Vec<SourceSplit>>| CoordinatorState {
            assigned: subtasks.iter().map(ids).collect(),
        };
        // Strings and lists always encode; a failure would leave the state out, not the job.
        let encoded = self.assigned.iter().filter_map(|(operator, subtasks)| {
            Some((*operator, postcard::to_stdvec(&state(subtasks)).ok()?))
        });
        let restored = self.restored.iter().map(|(operator, bytes)| (*operator, bytes.clone()));
        encoded.chain(restored).collect()
    }
}

/// Distributes splits over subtasks, the same way every time:
///
/// 1. Without weights, split i goes to subtask i modulo the parallelism.
/// 2. When a split has a weight, the heaviest go first, each to the subtask with the least weight
///    so far (the fewest splits, then the lowest index among equals). Each subtask keeps its
///    splits in the source's order.
pub fn distribute(splits: Vec<SourceSplit>, parallelism: u32) -> Vec<Vec<SourceSplit>> {
    let subtasks = parallelism.max(1) as usize;
    let mut owner = vec![0; splits.len()];
    if splits.iter().all(|split| split.weight == 0) {
        owner.iter_mut().enumerate().for_each(|(split, owner)| *owner = split % subtasks);
    } else {
        let mut order: Vec<usize> = (0..splits.len()).collect();
        order.sort_by_key(|split| Reverse(splits[*split].weight));
        let mut load = vec![(0u64, 0usize); subtasks];
        for split in order {
            let least = (0..subtasks).min_by_key(|subtask| load[*subtask]).unwrap_or(0);
            load[least].0 = load[least].0.saturating_add(splits[split].weight);
            load[least].1 += 1;
            owner[split] = least;
        }
    }
    let mut assigned = vec![Vec::new(); subtasks];
    let total = u32::try_from(splits.len()).unwrap_or(u32::MAX);
    for (split, owner) in splits.into_iter().zip(owner) {
        assigned[owner].push(SourceSplit { total, ..split });
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(id: usize, weight: u64) -> SourceSplit {
        SourceSplit { id: id.to_string(), weight, bytes: Vec::new(), total: 0 }
    }

    fn ids(weights: &[u64], parallelism: u32) -> Vec<Vec<String>> {
        let splits = weights.iter().enumerate().map(|(id, weight)| split(id, *weight)).collect();
        let ids = |splits: Vec<SourceSplit>| splits.into_iter().map(|s| s.id).collect();
        distribute(splits, parallelism).into_iter().map(ids).collect()
    }

    #[test]
    fn splits_without_weight_go_round_and_weighted_ones_balance() {
        assert_eq!(ids(&[0; 5], 2), [vec!["0", "2", "4"], vec!["1", "3"]]);
        assert_eq!(ids(&[1, 10, 4, 6], 2), [vec!["0", "1"], vec!["2", "3"]]);
        assert_eq!(ids(&[5], 3), [vec!["0"], vec![], vec![]]);
        assert_eq!(ids(&[], 2), [Vec::<String>::new(), vec![]]);
    }

    #[test]
    fn what_a_checkpoint_has_of_a_source_is_in_the_next_one_too() {
        let (new, old) = (OperatorId::new(1), OperatorId::new(2));
        let coordinator = SourceCoordinator::new([(new, 1, vec![split(0, 0)])]);
        let coordinator = coordinator.with_restored([(old, vec![7])]);
        let state = coordinator.state();
        assert_eq!(state.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [new, old]);
        assert_eq!(state[1].1, [7]);
        assert_eq!(coordinator.initial_splits(old, 0), None);
    }

    #[test]
    fn every_split_is_assigned_once() {
        let weights: Vec<u64> = (0..100).map(|i| i * 37 % 11).collect();
        for parallelism in 1..8 {
            let mut all: Vec<usize> =
                ids(&weights, parallelism).concat().iter().map(|id| id.parse().unwrap()).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..100));
        }
    }
}
