//! Which slots are asked for, who shares them, and when they are given back.

use std::sync::Arc;

use thalweg_core::ids::Epoch;
use thalweg_core::job_graph::ShipStrategy::{Forward, Hash};

use super::*;
use crate::testing::{at, chain, slot, task_manager};

fn scene(groups: &[&str], parallelism: &[u32], forward: bool) -> (ExecutionGraph, Scheduler) {
    let names = ["a", "b", "c"];
    let vertices: Vec<_> = names.into_iter().zip(parallelism.iter().copied()).collect();
    let ship = if forward { Forward } else { Hash };
    let mut graph = chain(&vertices, &vec![ship; vertices.len() - 1]);
    for (vertex, group) in Arc::make_mut(&mut graph).vertices.iter_mut().zip(groups) {
        vertex.slot_sharing_group = (*group).to_owned();
    }
    let graph = ExecutionGraph::new(graph, Epoch(1), 1, at(0)).unwrap();
    let timeout = Duration::from_millis(50);
    let scheduler = Scheduler::new(&graph, "job".to_owned(), timeout, Duration::ZERO);
    (graph, scheduler)
}

fn requested(step: Step) -> (RequestId, Vec<AllocationId>) {
    match step {
        Step::Request(demand) => (demand.request, demand.allocations),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_needs_the_highest_parallelism_of_each_slot_sharing_group() {
    let table: [(&[&str], &[u32], usize); 4] = [
        (&["x", "x", "x"], &[2, 3, 1], 3),
        (&["x", "y", "x"], &[2, 3, 1], 5),
        (&["x", "y", "z"], &[2, 3, 1], 6),
        (&["x"], &[4], 4),
    ];
    for (groups, parallelism, slots) in table {
        let (graph, mut scheduler) = scene(groups, parallelism, false);
        let (_, allocations) = requested(scheduler.step(&graph, Duration::ZERO));
        assert_eq!(allocations.len(), slots, "{groups:?} {parallelism:?}");
        assert_eq!(scheduler.step(&graph, Duration::ZERO), Step::Nothing, "one is open");
    }
}

#[test]
fn a_restarted_region_takes_its_former_slots_and_asks_only_for_lost_ones() {
    let (mut graph, mut scheduler) = scene(&["x", "x"], &[2, 2], true);
    let (request, allocations) = requested(scheduler.step(&graph, Duration::ZERO));
    let slots = vec![slot(allocations[0], "p", 0), slot(allocations[1], "q", 0)];
    assert_eq!(scheduler.granted(request + 7, slots.clone()), allocations, "nobody asked for it");
    assert!(scheduler.granted(request, slots).is_empty());
    assert_eq!(scheduler.step(&graph, Duration::ZERO), Step::Deploy(vec![0, 1]));
    for region in [0, 1] {
        scheduler.deployed(region);
        for task in graph.regions().list[region].tasks.clone() {
            graph.execution_mut(task).advance(ExecutionState::Running, at(0));
        }
    }
    scheduler.restart(1, Duration::from_millis(10));
    assert_eq!(scheduler.step(&graph, Duration::from_millis(10)), Step::Nothing, "they live");
    for task in graph.regions().list[1].tasks.clone() {
        graph.execution_mut(task).advance(ExecutionState::Failed, at(10));
    }
    assert_eq!(scheduler.step(&graph, Duration::from_millis(9)), Step::Nothing, "the delay");
    assert_eq!(scheduler.step(&graph, Duration::from_millis(10)), Step::Deploy(vec![1]));
    scheduler.lost(&task_manager("q"));
    let (_, again) = requested(scheduler.step(&graph, Duration::from_millis(10)));
    assert_eq!(again.len(), 1);
    assert!(!allocations.contains(&again[0]), "a new claim has a new id");
}

#[test]
fn nothing_is_deployed_where_there_is_no_connection_and_a_lost_slot_is_asked_for_anew() {
    let (graph, mut scheduler) = scene(&["x", "x"], &[2, 2], false);
    let (request, allocations) = requested(scheduler.step(&graph, Duration::ZERO));
    let slots = vec![slot(allocations[0], "p", 0), slot(allocations[1], "q", 0)];
    scheduler.granted(request, slots);
    scheduler.disconnected(task_manager("q"));
    assert_eq!(scheduler.step(&graph, Duration::ZERO), Step::Nothing, "it may come back");
    let mut back = scheduler.clone();
    back.connected(&task_manager("q"));
    assert_eq!(back.step(&graph, Duration::ZERO), Step::Deploy(vec![0]));
    scheduler.lost(&task_manager("q"));
    let (request, again) = requested(scheduler.step(&graph, Duration::ZERO));
    assert_eq!(again.len(), 1);
    scheduler.granted(request, vec![slot(again[0], "p", 1)]);
    assert_eq!(scheduler.step(&graph, Duration::ZERO), Step::Deploy(vec![0]));
}

#[test]
fn a_slot_all_of_whose_tasks_have_finished_is_given_back_after_the_idle_time() {
    let (mut graph, mut scheduler) = scene(&["x", "x"], &[2, 2], true);
    let (request, allocations) = requested(scheduler.step(&graph, Duration::ZERO));
    let slots = allocations.iter().map(|a| slot(*a, "p", 0)).collect();
    scheduler.granted(request, slots);
    (0..2).for_each(|region| scheduler.deployed(region));
    for task in graph.regions().list[0].tasks.clone() {
        graph.execution_mut(task).advance(ExecutionState::Finished, at(0));
    }
    let ms = Duration::from_millis;
    assert!(scheduler.release_idle(&graph, ms(100)).is_empty());
    assert_eq!(scheduler.deadline(ms(100)), Some(ms(150)));
    assert_eq!(scheduler.release_idle(&graph, ms(150)), [allocations[0]]);
    assert_eq!(scheduler.release_all(), (false, vec![allocations[1]]));
}
