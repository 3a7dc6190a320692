//! Graphs spread out, their regions, and which tasks get no barriers.

use thalweg_core::ids::Epoch;
use thalweg_core::job_graph::ShipStrategy::{Forward, Global, Hash, Rescale};
use thalweg_core::status::ExecutionState;

use super::*;
use crate::testing::{at, chain};

fn spread(graph: &Arc<JobGraph>) -> ExecutionGraph {
    ExecutionGraph::new(Arc::clone(graph), Epoch(1), 1, at(0)).unwrap()
}

fn regions(graph: &Arc<JobGraph>) -> Vec<Vec<(usize, u32)>> {
    let regions = spread(graph).regions().list.clone();
    let tasks = |region: Region| region.tasks.iter().map(|t| (t.vertex, t.subtask)).collect();
    regions.into_iter().map(tasks).collect()
}

#[test]
fn regions_are_what_is_connected_by_channels() {
    let forward = chain(&[("a", 2), ("b", 2)], &[Forward]);
    assert_eq!(regions(&forward), [[(0, 0), (1, 0)], [(0, 1), (1, 1)]]);
    let hash = chain(&[("a", 2), ("b", 3)], &[Hash]);
    assert_eq!(regions(&hash), [[(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]]);
    let rescale = chain(&[("a", 4), ("b", 2)], &[Rescale]);
    assert_eq!(regions(&rescale), [[(0, 0), (0, 1), (1, 0)], [(0, 2), (0, 3), (1, 1)]]);
    let global = chain(&[("a", 2), ("b", 2)], &[Global]);
    assert_eq!(regions(&global), [vec![(0, 0), (0, 1), (1, 0)], vec![(1, 1)]]);
}

#[test]
fn all_to_all_edges_make_the_regions_that_their_channels_make() {
    for (p, c) in [(1, 1), (1, 4), (5, 2), (3, 3)] {
        let graph = chain(&[("a", p), ("b", c), ("c", c)], &[Hash, Forward]);
        assert_eq!(regions(&graph).len(), 1, "{p} -> {c}");
    }
}

#[test]
fn tasks_all_of_whose_producers_have_ended_get_no_barriers() {
    let graph = spread(&chain(&[("a", 2), ("b", 2), ("c", 1)], &[Forward, Hash]));
    let without = |ended: [&[bool]; 3]| -> Vec<(usize, u32)> {
        let ended: Vec<Vec<bool>> = ended.iter().map(|subtasks| subtasks.to_vec()).collect();
        graph.without_barriers(&ended).into_iter().map(|t| (t.vertex, t.subtask)).collect()
    };
    let sources = vec![(0, 0), (0, 1)];
    assert_eq!(without([&[false, false], &[false, false], &[false]]), sources);
    let one = vec![(0, 0), (0, 1), (1, 1)];
    assert_eq!(without([&[false, true], &[false, true], &[false]]), one);
    let all = vec![(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)];
    assert_eq!(without([&[true, true], &[true, true], &[false]]), all);
}

#[test]
fn a_new_attempt_follows_only_an_ended_one_and_the_old_id_is_forgotten() {
    let mut graph = spread(&chain(&[("a", 1)], &[]));
    let task = TaskIndex { vertex: 0, subtask: 0 };
    let first = graph.execution(task).id;
    graph.new_attempt(task, at(1));
    assert_eq!(graph.execution(task).id, first, "it lives");
    graph.execution_mut(task).advance(ExecutionState::Failed, at(2));
    graph.new_attempt(task, at(3));
    let second = graph.execution(task);
    assert_eq!((second.number, second.state), (1, ExecutionState::Created));
    assert_eq!((graph.find(first), graph.find(second.id)), (None, Some(task)));
    let other_epoch = ExecutionGraph::new(Arc::clone(&graph.graph), Epoch(2), 1, at(0)).unwrap();
    assert_ne!(other_epoch.execution(task).id, first, "ids of terms differ");
}

#[test]
fn graphs_that_cannot_run_are_refused_with_the_reason() {
    let refusal = |graph: JobGraph| {
        ExecutionGraph::new(Arc::new(graph), Epoch(1), 1, at(0)).unwrap_err().to_string()
    };
    let good = JobGraph::clone(&chain(&[("a", 2), ("b", 2)], &[Forward]));
    type Change = fn(&mut JobGraph);
    let table: [(&str, Change); 5] = [
        ("no operators", |g| g.vertices.clear()),
        ("\"a\" has parallelism 0", |g| g.vertices[0].parallelism = 0),
        ("parallelism 2 and max parallelism 1", |g| g.vertices[1].max_parallelism = 1),
        ("needs equal parallelism; use rebalance()", |g| g.vertices[1].parallelism = 3),
        ("edge 0", |g| g.vertices.swap(0, 1)),
    ];
    for (reason, change) in table {
        let mut graph = good.clone();
        change(&mut graph);
        let error = refusal(graph);
        assert!(error.contains(reason), "{error}");
    }
}
