//! Checkpoints and savepoints that somebody asks for.

use thalweg_core::ids::TriggerId;
use thalweg_core::status::JobStatus;

use super::*;

fn ask(id: u128, kind: RequestKind) -> CheckpointEvent {
    CheckpointEvent::Requested(CheckpointRequest { id: TriggerId::new(id), kind })
}

fn savepoint() -> RequestKind {
    RequestKind::Savepoint { target: "/sp/".to_owned(), cancel: false }
}

fn stop(drain: bool) -> RequestKind {
    RequestKind::Stop { target: "/sp".to_owned(), drain }
}

fn state(scene: &Scene, id: u128) -> OperationState {
    scene.coordinator.operations().get(TriggerId::new(id)).unwrap().state.clone()
}

fn is_done(scene: &Scene, id: u128) -> bool {
    matches!(state(scene, id), OperationState::Completed { .. })
}

fn ended(actions: &[CheckpointAction]) -> Vec<(usize, u32)> {
    let task = |action: &CheckpointAction| match action {
        CheckpointAction::EndInput(task) => Some((task.vertex, task.subtask)),
        _ => None,
    };
    actions.iter().filter_map(task).collect()
}

fn barrier(actions: &[CheckpointAction]) -> Barrier {
    let of = |action: &CheckpointAction| match action {
        CheckpointAction::Trigger { barrier, .. } => Some(barrier.clone()),
        _ => None,
    };
    actions.iter().find_map(of).unwrap()
}

fn notified(actions: &[CheckpointAction]) -> Option<CheckpointId> {
    let of = |action: &CheckpointAction| match action {
        CheckpointAction::NotifyCompleted(id) => Some(*id),
        _ => None,
    };
    actions.iter().find_map(of)
}

#[test]
fn a_savepoint_begins_at_once_goes_to_a_new_directory_and_restarts_begin_without_it() {
    let mut scene = scene();
    scene.tick(0);
    let begun = scene.handle(ask(1, savepoint()), 10);
    let target = barrier(&begun).kind.savepoint().unwrap().clone();
    assert!(target.directory.starts_with("/sp/savepoint-") && !target.stop, "{target:?}");
    let published = scene.ack_all(1, 20);
    let CheckpointAction::Publish(complete) = &published[0] else { panic!("{published:?}") };
    assert_eq!(complete.directory.as_deref(), Some(target.directory.as_str()));
    assert!(!complete.stopped);
    let after = scene.published(1, 30);
    assert_eq!(notified(&after), None);
    assert!(after.contains(&CheckpointAction::NotifyAborted(CheckpointId(1))));
    assert!(is_done(&scene, 1) && scene.coordinator.latest().is_none());
    // Regular checkpoints go on as if it hadn't been.
    assert_eq!(scene.coordinator.pending(), None);
    assert_eq!(triggered(&scene.tick(1000)), [(0, 0, 2), (0, 1, 2)]);
    let other = scene.coordinator.history().facts("", "");
    assert!(other.latest_savepoint.is_some() && other.latest_completed.is_none());
}

#[test]
fn requests_wait_for_their_turn_and_the_same_one_again_is_one() {
    let mut scene = scene();
    scene.tick(0);
    assert_eq!(triggered(&scene.tick(1000)), [(0, 0, 1), (0, 1, 1)]);
    scene.handle(ask(1, RequestKind::Checkpoint { full: true }), 1010);
    scene.handle(ask(2, savepoint()), 1020);
    assert!(triggered(&scene.handle(ask(1, savepoint()), 1030)).is_empty());
    scene.ack_all(1, 1040);
    let begun = scene.published(1, 1050);
    assert_eq!(barrier(&begun).kind, SnapshotKind::FullCheckpoint);
    scene.ack_all(2, 1060);
    let begun = scene.published(2, 1070);
    assert!(is_done(&scene, 1) && !is_done(&scene, 2));
    assert_eq!(scene.coordinator.latest().unwrap().id, CheckpointId(2));
    assert!(barrier(&begun).kind.savepoint().is_some());
    scene.ack_all(3, 1080);
    scene.published(3, 1090);
    assert!(is_done(&scene, 2));
    assert_eq!(scene.coordinator.operations().iter().count(), 2);
    // A checkpoint that was asked for counts as one: the next one follows after the interval.
    assert!(triggered(&scene.tick(2049)).is_empty());
    assert_eq!(triggered(&scene.tick(2050)).len(), 2);
}

#[test]
fn without_an_interval_only_what_is_asked_for_is_taken() {
    let mut scene = scene();
    let options = CheckpointOptions { interval: None, ..OPTIONS };
    scene.coordinator =
        CheckpointCoordinator::new(job_id(), options, None, CheckpointId(0), vec![], "x".into());
    assert!(triggered(&scene.tick(0)).is_empty());
    assert!(triggered(&scene.tick(1_000_000)).is_empty());
    assert_eq!(triggered(&scene.handle(ask(1, savepoint()), 1_000_001)).len(), 2);
}

#[test]
fn a_savepoint_that_tasks_changed_under_is_tried_again_and_one_that_failed_is_not() {
    let mut scene = scene();
    scene.tick(0);
    scene.handle(ask(1, savepoint()), 10);
    scene.ack(0, 0, 1, 15);
    let given_up = scene.handle(CheckpointEvent::Interrupted, 20);
    let deleted = |a: &CheckpointAction| {
        matches!(a, CheckpointAction::DeleteFromSavepoint(at, objects)
            if at.starts_with("/sp/savepoint-") && objects == &["1/0-0"])
    };
    assert!(given_up.iter().any(deleted), "{given_up:?}");
    assert_eq!(state(&scene, 1), OperationState::InProgress);
    assert!(triggered(&scene.tick(1019)).is_empty());
    assert_eq!(triggered(&scene.tick(1020)), [(0, 0, 2), (0, 1, 2)]);
    scene.ack_all(2, 1030);
    let cause = "disk full".to_owned();
    let failed = CheckpointEvent::PublishFailed { checkpoint: CheckpointId(2), cause };
    let actions = scene.handle(failed, 1040);
    assert!(has_failed(&actions) && !fails_job(&actions));
    let OperationState::Failed(why) = state(&scene, 1) else { panic!() };
    assert!(why.contains("disk full"), "{why}");
}

#[test]
fn what_cannot_begin_in_time_is_given_up() {
    let mut scene = scene();
    scene.tick(0);
    scene.state(1, 0, ExecutionState::Failed);
    scene.tick(5);
    scene.handle(ask(1, savepoint()), 10);
    assert_eq!(scene.coordinator.deadline(&scene.graph), Some(Duration::from_millis(5010)));
    scene.tick(5009);
    assert_eq!(state(&scene, 1), OperationState::InProgress);
    scene.tick(5010);
    assert!(matches!(state(&scene, 1), OperationState::Failed(_)));
}

#[test]
fn a_job_stops_with_a_savepoint_that_is_committed_and_nothing_follows() {
    let mut scene = scene();
    scene.tick(0);
    let begun = scene.handle(ask(1, stop(false)), 10);
    assert!(barrier(&begun).kind.stops() && ended(&begun).is_empty());
    assert!(scene.coordinator.is_stopping());
    let published = scene.ack_all(1, 20);
    let CheckpointAction::Publish(complete) = &published[0] else { panic!("{published:?}") };
    assert!(complete.stopped);
    // Whoever restarts it on his own commits and ends.
    let vertex = scene.graph.graph.vertices[1].clone();
    assert!(complete.restore(&vertex, 0).finished);
    assert_eq!(notified(&scene.published(1, 30)), Some(CheckpointId(1)));
    assert_eq!(state(&scene, 1), OperationState::InProgress);
    assert!(triggered(&scene.tick(10_000)).is_empty());
    scene.coordinator.job_ended(JobStatus::Finished);
    let OperationState::Completed { checkpoint, location } = state(&scene, 1) else { panic!() };
    assert_eq!(checkpoint, CheckpointId(1));
    assert_eq!(Some(&location), complete.directory.as_ref(), "its own manifest isn't for people");
}

#[test]
fn a_stop_that_fails_lets_the_job_go_on() {
    let mut scene = scene();
    scene.tick(0);
    scene.handle(ask(1, stop(false)), 10);
    let actions = scene.tick(5010);
    assert!(actions.contains(&CheckpointAction::NotifyAborted(CheckpointId(1))));
    assert!(matches!(state(&scene, 1), OperationState::Failed(_)));
    assert!(!scene.coordinator.is_stopping() && !fails_job(&actions));
}

#[test]
fn before_a_drained_stop_the_sources_end_their_input_and_no_other_checkpoint_begins() {
    let mut scene = scene();
    scene.tick(0);
    let told = scene.handle(ask(1, stop(true)), 10);
    assert_eq!(ended(&told), [(0, 0), (0, 1)]);
    scene.end_input(0, 0);
    assert!(ended(&scene.tick(900)).is_empty());
    let again = scene.tick(1010);
    assert_eq!(ended(&again), [(0, 1)], "one that hasn't ended is told again");
    assert!(triggered(&scene.tick(4_000)).is_empty(), "it isn't time yet");
    scene.end_input(0, 1);
    scene.end_input(1, 0);
    // It waits for as long as windows fire.
    assert!(triggered(&scene.tick(60_000)).is_empty());
    scene.end_input(1, 1);
    let begun = scene.tick(60_001);
    assert_eq!(triggered(&begun).len(), 4, "{begun:?}");
    let published = scene.ack_all(1, 60_010);
    let CheckpointAction::Publish(complete) = &published[0] else { panic!("{published:?}") };
    assert!(complete.vertices.iter().flat_map(|v| &v.subtasks).all(|s| s.finished));
    assert_eq!(notified(&scene.published(1, 60_020)), Some(CheckpointId(1)));
}

#[test]
fn a_drained_stop_that_fails_brings_the_job_back_to_its_last_checkpoint() {
    let mut scene = scene();
    scene.tick(0);
    scene.handle(ask(1, stop(true)), 10);
    for (vertex, subtask) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        scene.end_input(vertex, subtask);
    }
    scene.tick(20);
    scene.ack_all(1, 30);
    let cause = "read-only".to_owned();
    let failed = CheckpointEvent::PublishFailed { checkpoint: CheckpointId(1), cause };
    assert!(fails_job(&scene.handle(failed, 40)));
    assert!(matches!(state(&scene, 1), OperationState::Failed(_)));
}

/// One source has finished, and what it has left is in the first checkpoint, which the job's own
/// store keeps one of. Then a stop's savepoint is complete.
fn stopping_after_a_source_has_finished(drain: bool) -> Scene {
    let mut scene = scene();
    let options = CheckpointOptions { retained: 1, ..OPTIONS };
    scene.coordinator =
        CheckpointCoordinator::new(job_id(), options, None, CheckpointId(0), vec![], "x".into());
    scene.end_input(0, 1);
    scene.tick(0);
    scene.tick(1000);
    scene.ack_all(1, 1010);
    scene.published(1, 1020);
    scene.state(0, 1, ExecutionState::Finished);
    scene.handle(ask(1, stop(drain)), 1100);
    if drain {
        [(0, 0), (1, 0), (1, 1)].into_iter().for_each(|(v, s)| scene.end_input(v, s));
        scene.tick(1110);
    }
    let acknowledged = [(0, 0), (1, 0), (1, 1)].map(|(v, s)| scene.ack(v, s, 2, 1120)).concat();
    let published = |action: &CheckpointAction| matches!(action, CheckpointAction::Publish(_));
    assert!(acknowledged.iter().any(published), "{acknowledged:?}");
    scene
}

/// The object that the finished source's state is restored from, and where.
fn restored_of_the_finished_source(scene: &Scene) -> (String, Option<String>) {
    let source = &scene.graph.graph.vertices[0];
    let restore = scene.coordinator.latest().unwrap().restore(source, 1);
    let pieces = restore.operators[0].pieces.iter().filter(|piece| piece.old_subtask == 1);
    let [piece] = &pieces.collect::<Vec<_>>()[..] else { panic!("{restore:?}") };
    let SnapshotData::Object { path, .. } = &piece.handle.data else { panic!("{piece:?}") };
    (path.clone(), restore.directory)
}

#[test]
fn what_a_stopped_job_goes_on_with_is_in_its_savepoint_and_nothing_of_its_own_is_kept_for_it() {
    for drain in [false, true] {
        let mut scene = stopping_after_a_source_has_finished(drain);
        let published = scene.published(2, 1130);
        let first = |action: &&CheckpointAction| matches!(action, CheckpointAction::Discard(c) if c.objects().contains(&"1/0-1"));
        assert_eq!(published.iter().filter(first).count(), 1, "{published:?}");
        let kept = scene.coordinator.retained().flat_map(CompletedCheckpoint::objects);
        assert_eq!(kept.filter(|object| *object == "1/0-1").count(), 0);
        // A task that fails before the job has ended is restored from the copy.
        let operator = scene.graph.graph.vertices[0].operators[0].id;
        let copy = thalweg_storage::layout::savepoint_run(operator, 1, 0).unwrap().to_string();
        let (path, directory) = restored_of_the_finished_source(&scene);
        assert!(path == copy && directory.unwrap().starts_with("/sp/savepoint-"), "{path}");
    }
}

#[test]
fn a_stop_that_fails_at_its_manifest_keeps_what_finished_tasks_have_left_in_the_jobs_own_store() {
    for drain in [false, true] {
        let mut scene = stopping_after_a_source_has_finished(drain);
        let cause = "read-only".to_owned();
        let failed = CheckpointEvent::PublishFailed { checkpoint: CheckpointId(2), cause };
        let failed = scene.handle(failed, 1130);
        assert_eq!(fails_job(&failed), drain, "{failed:?}");
        let deletes = |action: &CheckpointAction| {
            use CheckpointAction::{DeleteAbandoned, DeleteObjects, Discard};
            matches!(action, Discard(_) | DeleteObjects(_) | DeleteAbandoned(_))
        };
        assert!(!failed.iter().any(deletes), "{failed:?}");
        assert_eq!(restored_of_the_finished_source(&scene), ("1/0-1".to_owned(), None));
        if !drain {
            // The next checkpoint goes on from there, and the object outlives the one it came with.
            scene.tick(3000);
            [(0, 0), (1, 0), (1, 1)].into_iter().for_each(|(v, s)| drop(scene.ack(v, s, 3, 3010)));
            let published = scene.published(3, 3020);
            assert!(published.iter().any(|a| matches!(a, CheckpointAction::Discard(_))));
            let mut kept = scene.coordinator.retained().flat_map(CompletedCheckpoint::objects);
            assert!(kept.any(|object| object == "1/0-1"));
        }
    }
}

#[test]
fn a_job_that_is_cancelled_with_a_savepoint_is_cancelled_when_it_is_complete() {
    let mut scene = scene();
    scene.tick(0);
    let kind = RequestKind::Savepoint { target: "s3://bucket".to_owned(), cancel: true };
    let begun = scene.handle(ask(1, kind), 10);
    let directory = &barrier(&begun).kind.savepoint().unwrap().directory.clone();
    assert!(directory.starts_with("s3://bucket/savepoint-"), "{directory}");
    assert!(!scene.ack_all(1, 20).contains(&CheckpointAction::CancelJob));
    assert!(scene.published(1, 30).contains(&CheckpointAction::CancelJob));
    assert!(is_done(&scene, 1));
}

#[test]
fn what_is_open_at_the_end_of_the_job_has_failed_and_old_answers_are_forgotten() {
    let mut scene = scene();
    scene.tick(0);
    scene.state(0, 0, ExecutionState::Failed);
    for id in 0..300 {
        scene.handle(ask(id, savepoint()), 10);
    }
    scene.coordinator.job_ended(JobStatus::Canceled);
    let OperationState::Failed(why) = state(&scene, 299) else { panic!() };
    assert!(why.contains("CANCELED"), "{why}");
    scene.handle(ask(1000, savepoint()), 20);
    scene.coordinator.job_ended(JobStatus::Canceled);
    assert!(scene.coordinator.operations().iter().count() <= 301);
}

#[test]
fn what_a_job_begins_with_but_does_not_own_is_never_discarded() {
    let mut scene = scene();
    let mut restored = None;
    scene.tick(0);
    scene.tick(1000);
    for action in scene.ack_all(1, 1010) {
        if let CheckpointAction::Publish(complete) = action {
            let directory = Some("/savepoint".to_owned());
            restored = Some(CompletedCheckpoint { directory, ..complete });
        }
    }
    let (options, id) = (CheckpointOptions { retained: 1, ..OPTIONS }, CheckpointId(0));
    scene.coordinator =
        CheckpointCoordinator::new(job_id(), options, restored, id, Vec::new(), "x".into());
    scene.tick(2000);
    scene.tick(3000);
    scene.ack_all(2, 3010);
    let published = scene.published(2, 3020);
    assert_eq!(notified(&published), Some(CheckpointId(2)));
    assert_eq!(scene.coordinator.retained().count(), 1);
    assert!(!published.iter().any(|a| matches!(a, CheckpointAction::Discard(_))));
    scene.tick(4000);
    scene.ack_all(3, 4010);
    let published = scene.published(3, 4020);
    assert!(published.iter().any(|a| matches!(a, CheckpointAction::Discard(c) if c.id.0 == 2)));
}
