//! The coordinator fed with facts about tasks, and what it decides.

mod abandoned;
mod requests;

use std::sync::Arc;

use thalweg_core::ids::Epoch;
use thalweg_core::job_graph::JobGraph;
use thalweg_core::job_graph::ShipStrategy::{Forward, Hash};
use thalweg_core::key_group::KeyGroupRange;
use thalweg_rpc::message::{CheckpointMeasures, SnapshotData, SnapshotHandle};

use super::*;
use crate::testing::{at, chain, job_id};

const OPTIONS: CheckpointOptions = CheckpointOptions {
    interval: Some(Duration::from_millis(1000)),
    min_pause: Duration::from_millis(300),
    timeout: Duration::from_millis(5000),
    tolerable_failures: 1,
    retained: 2,
    history: 3,
};

struct Scene {
    graph: ExecutionGraph,
    coordinator: CheckpointCoordinator,
}

fn task(vertex: usize, subtask: u32) -> TaskIndex {
    TaskIndex { vertex, subtask }
}

/// source (2) -> sink (2), all running since 0.
fn scene() -> Scene {
    let graph = chain(&[("source", 2), ("sink", 2)], &[Hash]);
    let graph = ExecutionGraph::new(graph, Epoch(1), 1, at(0)).unwrap();
    let coordinator = CheckpointCoordinator::new(
        job_id(),
        OPTIONS,
        None,
        CheckpointId(0),
        Vec::new(),
        "life".into(),
    );
    let mut scene = Scene { graph, coordinator };
    for (vertex, subtask) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        scene.state(vertex, subtask, ExecutionState::Running);
    }
    scene
}

impl Scene {
    fn state(&mut self, vertex: usize, subtask: u32, state: ExecutionState) {
        self.graph.execution_mut(task(vertex, subtask)).advance(state, at(0));
    }

    fn end_input(&mut self, vertex: usize, subtask: u32) {
        self.graph.execution_mut(task(vertex, subtask)).input_ended = true;
    }

    fn handle(&mut self, event: CheckpointEvent, ms: u64) -> Vec<CheckpointAction> {
        self.coordinator.handle(event, &self.graph, at(ms))
    }

    fn tick(&mut self, ms: u64) -> Vec<CheckpointAction> {
        self.handle(CheckpointEvent::Tick, ms)
    }

    fn ack(&mut self, vertex: usize, subtask: u32, id: u64, ms: u64) -> Vec<CheckpointAction> {
        let execution = self.graph.execution(task(vertex, subtask));
        let ack = CheckpointAck {
            job: job_id(),
            checkpoint: CheckpointId(id),
            attempt: execution.id,
            handles: vec![SnapshotHandle {
                operator: self.graph.graph.vertices[vertex].operators[0].id,
                key_groups: None,
                data: SnapshotData::Object {
                    path: format!("{id}/{vertex}-{subtask}"),
                    offset: 0,
                    object_length: Some(1),
                },
                length: 1,
                crc32c: 0,
            }],
            input_ended: execution.input_ended,
            measures: CheckpointMeasures { state_bytes: 10, ..Default::default() },
        };
        self.handle(CheckpointEvent::Acknowledged(ack), ms)
    }

    fn ack_all(&mut self, id: u64, ms: u64) -> Vec<CheckpointAction> {
        [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(v, s)| self.ack(v, s, id, ms)).concat()
    }

    fn published(&mut self, id: u64, ms: u64) -> Vec<CheckpointAction> {
        let (checkpoint, path) = (CheckpointId(id), format!("/dir/chk-{id}"));
        self.handle(CheckpointEvent::Published { checkpoint, path, bytes: 9 }, ms)
    }
}

fn triggered(actions: &[CheckpointAction]) -> Vec<(usize, u32, u64)> {
    let trigger = |action: &CheckpointAction| match action {
        CheckpointAction::Trigger { task, barrier } => {
            Some((task.vertex, task.subtask, barrier.checkpoint.0))
        }
        _ => None,
    };
    actions.iter().filter_map(trigger).collect()
}

fn has_failed(actions: &[CheckpointAction]) -> bool {
    actions.iter().any(|action| matches!(action, CheckpointAction::Failed { .. }))
}

fn fails_job(actions: &[CheckpointAction]) -> bool {
    actions.iter().any(|action| matches!(action, CheckpointAction::FailJob(_)))
}

#[test]
fn one_is_triggered_at_the_sources_published_when_all_acknowledged_and_old_ones_are_discarded() {
    let mut scene = scene();
    assert!(scene.tick(0).is_empty());
    assert!(scene.tick(999).is_empty());
    assert_eq!(triggered(&scene.tick(1000)), [(0, 0, 1), (0, 1, 1)]);
    assert!(scene.ack(0, 0, 1, 1010).is_empty());
    assert!(scene.ack(0, 0, 1, 1011).is_empty(), "a repeat");
    assert!(scene.ack(1, 0, 2, 1012).is_empty(), "another checkpoint");
    scene.ack(0, 1, 1, 1020);
    scene.ack(1, 0, 1, 1020);
    let complete = scene.ack(1, 1, 1, 1030);
    let [CheckpointAction::Publish(complete)] = &complete[..] else { panic!("{complete:?}") };
    assert_eq!(complete.objects(), ["1/0-0", "1/0-1", "1/1-0", "1/1-1"]);
    assert!(scene.tick(3000).is_empty(), "none beside one that is being published");
    assert!(scene.coordinator.latest().is_none(), "not before it is published");
    let completed = CheckpointAction::NotifyCompleted(CheckpointId(1));
    let at_3100 = scene.published(1, 3100);
    assert_eq!(at_3100, [completed]);
    assert_eq!(triggered(&scene.tick(3399)), [], "the pause");
    assert_eq!(triggered(&scene.tick(3400)), [(0, 0, 2), (0, 1, 2)]);
    scene.ack_all(2, 3500);
    scene.published(2, 3500);
    scene.tick(4400);
    scene.ack_all(3, 4500);
    let discarded = scene.published(3, 4500);
    let [_, CheckpointAction::Discard(oldest)] = &discarded[..] else { panic!("{discarded:?}") };
    assert_eq!(oldest.id, CheckpointId(1));
    let facts = scene.coordinator.history().facts("memory", "/dir");
    assert_eq!((facts.counts.completed, facts.counts.failed, facts.history.len()), (3, 0, 3));
    assert_eq!(facts.latest_completed.as_ref().unwrap().sum(|s| s.state_size), 40);
}

#[test]
fn a_trigger_is_repeated_until_it_is_seen() {
    let mut scene = scene();
    scene.tick(0);
    scene.tick(1000);
    assert!(scene.tick(1999).is_empty());
    scene.graph.execution_mut(task(0, 0)).checkpoint_seen = CheckpointId(1);
    assert_eq!(triggered(&scene.tick(2000)), [(0, 1, 1)]);
    scene.ack(0, 1, 1, 2100);
    assert!(scene.tick(4000).is_empty());
}

#[test]
fn none_begins_before_all_run() {
    let mut scene = scene();
    scene.graph = ExecutionGraph::new(Arc::clone(&scene.graph.graph), Epoch(1), 1, at(0)).unwrap();
    for (vertex, subtask) in [(0, 0), (0, 1), (1, 0)] {
        scene.state(vertex, subtask, ExecutionState::Running);
    }
    scene.state(1, 1, ExecutionState::Initializing);
    assert!(scene.tick(5000).is_empty());
    assert_eq!(scene.coordinator.deadline(&scene.graph), None);
    scene.state(1, 1, ExecutionState::Running);
    assert!(scene.tick(6000).is_empty());
    assert_eq!(triggered(&scene.tick(7000)).len(), 2, "an interval after all run");
}

#[test]
fn failures_that_count_fail_the_job_over_only_beyond_those_tolerated() {
    let mut scene = scene();
    scene.tick(0);
    scene.tick(1000);
    assert!(scene.ack(0, 0, 1, 1100).is_empty());
    let late = scene.tick(6000);
    assert!(has_failed(&late) && !fails_job(&late), "{late:?}");
    let objects = CheckpointAction::DeleteObjects(vec!["1/0-0".to_owned()]);
    assert!(late.contains(&objects), "{late:?}");
    assert!(late.contains(&CheckpointAction::NotifyAborted(CheckpointId(1))));

    scene.tick(6300);
    let deleted = CheckpointAction::DeleteObjects(vec!["1/0-1".to_owned()]);
    assert_eq!(scene.ack(0, 1, 1, 6310), [deleted], "too late for the first");
    let attempt = scene.graph.execution(task(1, 0)).id;
    let decline = |checkpoint, reason| {
        let (job, checkpoint) = (job_id(), CheckpointId(checkpoint));
        CheckpointEvent::Declined(CheckpointDecline { job, checkpoint, attempt, reason })
    };
    let superseded = scene.handle(decline(2, DeclineReason::Superseded), 6400);
    assert!(has_failed(&superseded) && !fails_job(&superseded), "doesn't count");
    scene.tick(7400);
    scene.ack_all(3, 7500);
    let cause = "disk full".to_owned();
    let failed = CheckpointEvent::PublishFailed { checkpoint: CheckpointId(3), cause };
    let failed = scene.handle(failed, 7600);
    assert!(fails_job(&failed), "the second that counts in a row: {failed:?}");
    assert!(scene.coordinator.latest().is_none());
}

#[test]
fn a_success_forgives_earlier_failures() {
    let mut scene = scene();
    let mut now = 0;
    for round in 0..4u64 {
        let failing = round % 2 == 0;
        scene.tick(now);
        now += 6300;
        scene.tick(now);
        if failing {
            now += 5000;
            assert!(!fails_job(&scene.tick(now)));
        } else {
            scene.ack_all(round + 1, now);
            scene.published(round + 1, now);
        }
    }
}

#[test]
fn the_final_one_begins_at_once_when_all_wait_at_their_end_and_only_those_finish_with_it() {
    let mut scene = scene();
    scene.tick(0);
    for (vertex, subtask) in [(0, 0), (0, 1), (1, 0)] {
        scene.end_input(vertex, subtask);
    }
    assert!(scene.tick(100).is_empty(), "one is still busy: the regular time counts");
    scene.end_input(1, 1);
    let all = [(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1)];
    assert_eq!(triggered(&scene.tick(110)), all, "no barriers any more: each is told");
    scene.ack_all(1, 120);
    scene.published(1, 130);
    assert!(scene.tick(5000).is_empty(), "all of them finish; no other one meanwhile");
    for (vertex, subtask) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        scene.state(vertex, subtask, ExecutionState::Finished);
    }
    assert!(scene.tick(9000).is_empty());
}

#[test]
fn checkpoints_go_on_when_sources_have_finished_and_their_consumers_are_told_directly() {
    let mut scene = scene();
    scene.tick(0);
    scene.end_input(0, 0);
    scene.end_input(0, 1);
    scene.state(0, 0, ExecutionState::Finished);
    scene.state(0, 1, ExecutionState::Finished);
    assert_eq!(triggered(&scene.tick(1000)), [(1, 0, 1), (1, 1, 1)]);
    scene.ack(1, 0, 1, 1100);
    let complete = scene.ack(1, 1, 1, 1100);
    let [CheckpointAction::Publish(complete)] = &complete[..] else { panic!("{complete:?}") };
    let finished = |vertex: usize| complete.vertices[vertex].subtasks.iter().all(|s| s.finished);
    assert!(finished(0) && !finished(1));
}

#[test]
fn consumers_of_a_source_that_ends_during_the_checkpoint_are_told_then() {
    let mut scene = scene();
    scene.tick(0);
    scene.tick(1000);
    scene.end_input(0, 0);
    scene.end_input(0, 1);
    assert_eq!(triggered(&scene.ack(0, 0, 1, 1100)), [(1, 0, 1), (1, 1, 1)]);
}

#[test]
fn a_task_that_finished_before_its_acknowledgement_aborts_without_counting() {
    let mut scene = scene();
    scene.tick(0);
    scene.tick(1000);
    scene.state(1, 1, ExecutionState::Finished);
    for _ in 0..3 {
        let actions = scene.tick(1100);
        assert!(!fails_job(&actions));
    }
    assert_eq!(scene.coordinator.pending(), None);
}

/// The checkpoint that triggers name as published, and those that begin.
fn named(actions: &[CheckpointAction]) -> Vec<(u64, u64)> {
    let trigger = |action: &CheckpointAction| match action {
        CheckpointAction::Trigger { barrier, .. } => {
            Some((barrier.checkpoint.0, barrier.published.0))
        }
        _ => None,
    };
    actions.iter().filter_map(trigger).collect()
}

#[test]
fn triggers_name_what_was_published_and_runs_that_are_referred_to_outlive_a_failure() {
    let mut scene = scene();
    scene.tick(0);
    assert_eq!(named(&scene.tick(1000)), [(1, 0); 2]);
    scene.ack_all(1, 1100);
    scene.published(1, 1200);
    assert_eq!(named(&scene.tick(2000)), [(2, 1); 2]);
    // A delta: its base is in an object of the first checkpoint.
    let execution = scene.graph.execution(task(0, 0));
    let handle = |path: &str| SnapshotHandle {
        data: SnapshotData::Object { path: path.to_owned(), offset: 0, object_length: None },
        ..keyed(scene.graph.graph.vertices[0].operators[0].id, (0, 64))
    };
    let ack = CheckpointAck {
        job: job_id(),
        checkpoint: CheckpointId(2),
        attempt: execution.id,
        handles: vec![handle("1/0-0"), handle("2/0-0")],
        input_ended: false,
        measures: CheckpointMeasures::default(),
    };
    scene.handle(CheckpointEvent::Acknowledged(ack), 2100);
    let given_up = scene.handle(CheckpointEvent::Interrupted, 2200);
    let objects = CheckpointAction::DeleteObjects(vec!["2/0-0".to_owned()]);
    assert!(given_up.contains(&objects), "{given_up:?}");
    let next = scene.tick(4000);
    assert_eq!(named(&next), [(3, 1); 2], "what was given up is never gone on from");
}

fn keyed(operator: OperatorId, range: (u32, u32)) -> SnapshotHandle {
    SnapshotHandle {
        operator,
        key_groups: Some(KeyGroupRange { start: range.0, end: range.1 }),
        data: SnapshotData::Inline(vec![0]),
        length: 1,
        crc32c: 0,
    }
}

#[test]
fn a_restore_at_another_parallelism_reads_overlapping_key_groups_and_everything_unkeyed() {
    // An operator with keyed state, a base and a delta, and one with other state.
    let two_operators = |parallelism| {
        let mut graph = JobGraph::clone(&chain(&[("count", parallelism)], &[]));
        let mut other = graph.vertices[0].operators[0].clone();
        other.id = OperatorId::new(77);
        graph.vertices[0].operators.push(other);
        graph
    };
    let graph = two_operators(2);
    let vertex = &graph.vertices[0];
    let operator = vertex.operators[0].id;
    let subtask = |index: u32, finished| SubtaskSnapshot {
        finished,
        handles: vec![
            keyed(operator, (index * 64, index * 64 + 64)),
            keyed(operator, (index * 64, index * 64 + 64)),
            SnapshotHandle { key_groups: None, ..keyed(OperatorId::new(77), (0, 0)) },
        ],
    };
    let mut checkpoint = CompletedCheckpoint {
        job: job_id(),
        id: CheckpointId(4),
        triggered_ms: 0,
        acknowledged_ms: 0,
        vertices: vec![VertexSnapshot {
            vertex: vertex.id,
            name: "count".to_owned(),
            max_parallelism: 128,
            operators: vec![operator, OperatorId::new(77)],
            subtasks: vec![subtask(0, true), subtask(1, false)],
        }],
        coordinators: Vec::new(),
        directory: None,
        stopped: false,
        requirements: Vec::new(),
    };
    let restored = |checkpoint: &CompletedCheckpoint, parallelism| -> Vec<_> {
        let graph = two_operators(parallelism);
        let restore = |subtask| checkpoint.restore(&graph.vertices[0], subtask);
        let shape = |restore: thalweg_rpc::message::TaskRestore| {
            let pieces = restore.operators.iter().flat_map(|operator| &operator.pieces);
            let pieces: Vec<_> =
                pieces.map(|p| (p.old_subtask, p.handle.key_groups.is_some())).collect();
            (restore.finished, pieces)
        };
        (0..parallelism).map(|subtask| shape(restore(subtask))).collect()
    };
    let (own0, own1) = ((0, true), (1, true));
    let (all0, all1) = ((0, false), (1, false));
    assert_eq!(
        restored(&checkpoint, 2),
        [(true, vec![own0, own0, all0, all1]), (false, vec![own1, own1, all0, all1])]
    );
    let third = vec![own0, own0, own1, own1, all0, all1];
    assert_eq!(restored(&checkpoint, 1), [(false, third.clone())]);
    assert_eq!(restored(&checkpoint, 3)[1], (false, third));
    checkpoint.vertices[0].subtasks[1].finished = true;
    assert!(restored(&checkpoint, 3).iter().all(|(finished, _)| *finished));
    // What a task that had finished has left must be in the job's own store, as its subtask's.
    let rewrites = |checkpoint: &CompletedCheckpoint, parallelism| {
        let graph = two_operators(parallelism);
        let restore = |subtask| checkpoint.restore(&graph.vertices[0], subtask);
        (0..parallelism).map(|subtask| restore(subtask).rewrites).collect::<Vec<_>>()
    };
    assert_eq!(rewrites(&checkpoint, 2), [false, false]);
    assert_eq!(rewrites(&checkpoint, 3), [true, true, true]);
    checkpoint.vertices[0].subtasks[1].finished = false;
    checkpoint.directory = Some("/savepoint".to_owned());
    assert_eq!(rewrites(&checkpoint, 2), [true, false]);
    checkpoint.stopped = true;
    assert_eq!(rewrites(&checkpoint, 2), [false, false]);
}

#[test]
fn state_that_does_not_fit_the_job_is_refused() {
    let graph = chain(&[("a", 1), ("b", 1)], &[Forward]);
    let operator = graph.vertices[1].operators[0].id;
    let subtask = SubtaskSnapshot { finished: false, handles: vec![keyed(operator, (0, 128))] };
    let checkpoint = CompletedCheckpoint {
        job: job_id(),
        id: CheckpointId(4),
        triggered_ms: 0,
        acknowledged_ms: 0,
        vertices: vec![VertexSnapshot {
            vertex: graph.vertices[1].id,
            name: "b".to_owned(),
            max_parallelism: 128,
            operators: vec![operator],
            subtasks: vec![subtask],
        }],
        coordinators: Vec::new(),
        directory: None,
        stopped: false,
        requirements: Vec::new(),
    };
    assert_eq!(checkpoint.check(&graph), Ok(()));
    let error = checkpoint.check(&chain(&[("a", 1)], &[])).unwrap_err().to_string();
    assert!(error.contains("uid()"), "{error}");
    let mut other = thalweg_core::job_graph::JobGraph::clone(&graph);
    other.vertices[1].max_parallelism = 256;
    let error = checkpoint.check(&other).unwrap_err().to_string();
    assert!(error.contains("set the max parallelism to 128"), "{error}");
}

/// What is left of a scene's newest checkpoint when another JobManager reads its manifest.
async fn read_back(scene: &Scene) -> CompletedCheckpoint {
    let store: Arc<dyn thalweg_storage::BlobStore> = Arc::new(thalweg_storage::MemoryStore::new());
    let name = "memory:".to_owned();
    let place = crate::endpoint::CheckpointStore { store: store.clone(), name, blocking: false };
    let latest = scene.coordinator.latest().unwrap();
    let written =
        crate::endpoint::store::write_manifest(&place, &scene.graph.graph, latest, Some(Epoch(3)));
    let (path, _) = written.await.unwrap();
    let manifest =
        thalweg_storage::manifest::load_from(store.as_ref(), &path, job_id(), latest.id).await;
    CompletedCheckpoint::of_manifest(&manifest.unwrap(), None)
}

#[tokio::test]
async fn another_job_manager_restores_from_the_manifest_what_this_one_would() {
    let mut scene = scene();
    scene.end_input(0, 1);
    scene.tick(0);
    scene.tick(1000);
    scene.ack_all(1, 1010);
    scene.published(1, 1020);
    let read = read_back(&scene).await;
    let known = scene.coordinator.latest().unwrap();
    assert_eq!(read.coordinators, known.coordinators);
    for vertex in &scene.graph.graph.vertices {
        for parallelism in [1, 2, 3] {
            let vertex = thalweg_core::job_graph::JobVertex { parallelism, ..vertex.clone() };
            for subtask in 0..parallelism {
                let restored = known.restore(&vertex, subtask);
                assert_eq!(read.restore(&vertex, subtask), restored);
            }
        }
    }
    // One of two sources had ended, so the other one hadn't.
    let source = &scene.graph.graph.vertices[0];
    assert_eq!([0, 1].map(|subtask| read.restore(source, subtask).finished), [false, true]);
}

#[tokio::test]
async fn what_a_finished_task_left_behind_stays_in_later_checkpoints() {
    let mut scene = scene();
    scene.end_input(0, 1);
    scene.tick(0);
    scene.tick(1000);
    scene.ack_all(1, 1010);
    scene.published(1, 1020);
    scene.state(0, 1, ExecutionState::Finished);
    for id in [2, 3] {
        scene.tick(1000 * id + 500);
        for (vertex, subtask) in [(0, 0), (1, 0), (1, 1)] {
            scene.ack(vertex, subtask, id, 1000 * id + 510);
        }
        scene.published(id, 1000 * id + 520);
    }
    for checkpoint in [scene.coordinator.latest().unwrap().clone(), read_back(&scene).await] {
        assert_eq!(checkpoint.id, CheckpointId(3));
        let restored = checkpoint.restore(&scene.graph.graph.vertices[0], 1);
        assert!(restored.finished);
        let pieces: Vec<_> =
            restored.operators[0].pieces.iter().filter(|piece| piece.old_subtask == 1).collect();
        let path = "1/0-1".to_owned();
        let object = SnapshotData::Object { path, offset: 0, object_length: Some(1) };
        assert_eq!(pieces.iter().map(|p| &p.handle.data).collect::<Vec<_>>(), [&object]);
    }
}
