//! Tasks that are moved away from a TaskManager that is about to go.

use thalweg_core::ids::TriggerId;

use super::rescale::{CHECKPOINTS, complete, complete_at_the_end, complete_without_manifest};
use super::*;
use crate::checkpoint_coordinator::{CheckpointRequest, RequestKind};
use crate::job_master::Relocating;

/// Leaves at 100 s.
const UNTIL: Duration = Duration::from_secs(100);

/// source (2) -> sink (2) on a and b, running.
fn running(forward: bool, settings: &[(&str, &str)]) -> Scene {
    let mut scene = scene(forward, settings);
    scene.start();
    scene.all(ExecutionState::Running, 10);
    scene
}

fn leaves(scene: &mut Scene, id: &str, ms: u64) -> Vec<JobAction> {
    leaves_until(scene, (id, UNTIL), ms)
}

fn leaves_until(scene: &mut Scene, (id, until): (&str, Duration), ms: u64) -> Vec<JobAction> {
    let task_manager = task_manager(id);
    let event = JobEvent::TaskManagerLeaving { task_manager, until, slots_until: until };
    scene.handle(event, ms)
}

/// Somebody wants the job to end with a savepoint: as FINISHED, or as CANCELED.
fn ends(scene: &mut Scene, by: JobStatus, ms: u64) -> Vec<JobAction> {
    let target = "/savepoints".to_owned();
    let kind = match by {
        JobStatus::Finished => RequestKind::Stop { target, drain: false },
        _ => RequestKind::Savepoint { target, cancel: true },
    };
    let request = CheckpointRequest { id: TriggerId::new(5), kind };
    scene.handle(JobEvent::CheckpointRequested(request), ms)
}

/// What was asked for: its number, its slots, and those that they replace.
fn asked(actions: &[JobAction]) -> (u64, Vec<AllocationId>, usize) {
    let of = |action: &JobAction| match action {
        JobAction::RequestSlots { request, allocations, replaces, .. } => {
            Some((*request, allocations.clone(), replaces.len()))
        }
        _ => None,
    };
    actions.iter().find_map(of).unwrap_or_else(|| panic!("no request in {actions:?}"))
}

fn grant_on(scene: &mut Scene, on: &str, requested: &[JobAction], ms: u64) -> Vec<JobAction> {
    let (request, allocations, _) = asked(requested);
    let slots = (0..).zip(&allocations).map(|(number, a)| slot(*a, on, number)).collect();
    scene.handle(JobEvent::SlotsGranted { request, slots }, ms)
}

fn released(actions: &[JobAction]) -> usize {
    let of = |action: &JobAction| match action {
        JobAction::ReleaseSlots(slots) => slots.len(),
        _ => 0,
    };
    actions.iter().map(of).sum()
}

fn triggers(actions: &[JobAction]) -> usize {
    actions.iter().filter(|a| matches!(a, JobAction::TriggerCheckpoint { .. })).count()
}

fn from(scene: &Scene, id: &str) -> Relocating {
    scene.job.relocation_from(&task_manager(id))
}

#[test]
fn slots_come_first_then_a_checkpoint_and_then_the_region_restarts_elsewhere_from_it() {
    let mut scene = running(false, &CHECKPOINTS);
    let requested = leaves(&mut scene, "b", 20);
    assert_eq!((asked(&requested).1.len(), asked(&requested).2), (1, 1));
    let until = |a: &JobAction| matches!(a, JobAction::RequestSlots { until: Some(UNTIL), .. });
    assert!(requested.iter().any(until), "{requested:?}");
    assert!(cancelled(&requested).is_empty(), "its tasks work on");
    let granted = grant_on(&mut scene, "c", &requested, 30);
    assert_eq!((triggers(&granted), cancelled(&granted).len()), (2, 0));
    assert_eq!((scene.job.status(), from(&scene, "b")), (JobStatus::Running, Relocating::UnderWay));

    let moved = complete(&mut scene, 1, 40);
    assert_eq!(cancelled(&moved).len(), 4);
    let deployed = scene.all(ExecutionState::Canceled, 50);
    assert_eq!(released(&deployed), 1, "nothing runs there any more");
    let deployed = deployments(&deployed);
    let places: Vec<_> = deployed.iter().map(|(on, task)| (*on, task.subtask)).collect();
    assert_eq!(places, [("a", 0), ("a", 0), ("c", 1), ("c", 1)]);
    for (_, task) in &deployed {
        assert_eq!(task.restore.as_ref().unwrap().checkpoint, CheckpointId(1));
    }
    assert_eq!(from(&scene, "b"), Relocating::NothingThere);
    assert_eq!((scene.job.relocations(), scene.job.restarts()), (1, 0));
    assert_eq!(scene.job.failures().iter().count(), 0);
    scene.all(ExecutionState::Running, 60);
    let cause = "it said goodbye".to_owned();
    let lost = JobEvent::TaskManagerLost { task_manager: task_manager("b"), cause };
    assert!(scene.handle(lost, 70).is_empty(), "nobody misses it");
}

#[test]
fn only_the_regions_with_tasks_there_are_moved_at_once_where_there_are_no_checkpoints() {
    let mut scene = running(true, &RESTART);
    let kept = [scene.attempt(0, 0), scene.attempt(1, 0)];
    let requested = leaves(&mut scene, "b", 20);
    let moved = grant_on(&mut scene, "c", &requested, 30);
    assert_eq!(cancelled(&moved), [scene.attempt(0, 1), scene.attempt(1, 1)]);
    let attempts = cancelled(&moved);
    let mut last = Vec::new();
    for attempt in attempts {
        last = scene.says(report(attempt, ExecutionState::Canceled), 40);
    }
    let deployed: Vec<_> = deployments(&last).iter().map(|(on, _)| (*on).to_owned()).collect();
    assert_eq!(deployed, ["c", "c"]);
    assert_eq!([scene.attempt(0, 0), scene.attempt(1, 0)], kept);
    // The restart strategy allows two failures: it hasn't been asked.
    scene.all(ExecutionState::Running, 50);
    for ms in [1000, 5000] {
        scene.fail(0, 0, FailureKind::User, ms);
        scene.says(report(scene.attempt(1, 0), ExecutionState::Canceled), ms + 1);
        scene.handle(JobEvent::Tick, ms + 1500);
        assert_eq!(scene.job.status(), JobStatus::Running);
        scene.all(ExecutionState::Running, ms + 2000);
    }
}

#[test]
fn without_slots_elsewhere_tasks_stay_and_their_going_with_it_does_not_count() {
    let mut scene = running(false, &RESTART);
    let (request, ..) = asked(&leaves(&mut scene, "b", 20));
    let message = "the job needs 1 more slots".to_owned();
    let nothing = scene.handle(JobEvent::SlotsUnavailable { request, message }, 30);
    assert!(cancelled(&nothing).is_empty() && scene.job.status() == JobStatus::Running);
    let Relocating::Impossible(why) = from(&scene, "b") else { panic!("{:?}", from(&scene, "b")) };
    assert!(why.contains("needs 1 more slots"), "{why}");
    for round in 0..5 {
        let cause = "it said goodbye".to_owned();
        let id = if round == 0 { "b" } else { "c" };
        let lost = JobEvent::TaskManagerLost { task_manager: task_manager(id), cause };
        let ms = 100 + round * 100;
        scene.handle(lost, ms);
        assert_eq!(scene.job.status(), JobStatus::Restarting);
        let requested = scene.all(ExecutionState::Canceled, ms);
        let deployed = grant_on(&mut scene, "c", &requested, ms + 10);
        assert_eq!(deployments(&deployed).len(), 4, "without a delay");
        scene.all(ExecutionState::Running, ms + 20);
        let (request, ..) = asked(&leaves(&mut scene, "c", ms + 30));
        let message = "none".to_owned();
        scene.handle(JobEvent::SlotsUnavailable { request, message }, ms + 30);
    }
    assert_eq!((scene.job.restarts(), scene.job.relocations()), (5, 0));
}

#[test]
fn a_job_that_may_not_restart_is_moved_with_a_checkpoint_only() {
    let mut without = running(false, &[]);
    assert!(leaves(&mut without, "b", 20).is_empty());
    assert!(matches!(from(&without, "b"), Relocating::Impossible(_)));
    assert_eq!(from(&without, "x"), Relocating::NothingThere);

    let settings = [CHECKPOINTS[0], ("restart-strategy.type", "none")];
    let mut with = running(false, &settings);
    let requested = leaves(&mut with, "b", 20);
    grant_on(&mut with, "c", &requested, 30);
    let late = with.handle(JobEvent::Tick, 95_000);
    assert!(cancelled(&late).is_empty(), "it would begin from nothing");
    assert!(matches!(from(&with, "b"), Relocating::Impossible(_)));
}

#[test]
fn a_checkpoint_that_fails_is_tried_again_and_waited_for_as_long_as_there_is_time() {
    let mut scene = running(false, &CHECKPOINTS);
    let requested = leaves(&mut scene, "b", 20);
    grant_on(&mut scene, "c", &requested, 30);
    complete_without_manifest(&mut scene, CheckpointId(1), 40);
    assert_eq!(scene.job.status(), JobStatus::Running);
    assert_eq!(triggers(&scene.handle(JobEvent::Tick, 1100)), 2, "after a second");
    assert_eq!(scene.job.deadline(at(94_900).elapsed), Some(at(2100).elapsed), "a reminder");
    scene.handle(JobEvent::Tick, 94_990);
    assert!(cancelled(&scene.handle(JobEvent::Tick, 94_999)).is_empty());
    assert_eq!(scene.job.deadline(at(94_999).elapsed), Some(at(95_000).elapsed));
    assert_eq!(cancelled(&scene.handle(JobEvent::Tick, 95_000)).len(), 4, "from the last one");
}

#[test]
fn a_failure_goes_first_and_what_it_restarts_goes_elsewhere_at_once() {
    let mut scene = running(true, &RESTART);
    let before = leaves(&mut scene, "b", 20);
    let failed = scene.fail(0, 1, FailureKind::User, 30);
    assert!(failed.contains(&JobAction::WithdrawRequest), "{failed:?}");
    let ended = scene.says(report(scene.attempt(1, 1), ExecutionState::Canceled), 40);
    assert_eq!(released(&ended), 1);
    let requested = scene.handle(JobEvent::Tick, 1100);
    assert!(asked(&requested).0 > asked(&before).0);
    assert_eq!(from(&scene, "b"), Relocating::NothingThere);
    let deployed = grant_on(&mut scene, "c", &requested, 1200);
    assert_eq!(deployments(&deployed).len(), 2);
    assert!(deployments(&deployed).iter().all(|(on, _)| *on == "c"));
    assert_eq!((scene.job.restarts(), scene.job.relocations()), (1, 0));
}

#[test]
fn slots_that_come_when_the_job_ends_are_given_back() {
    let mut scene = running(false, &CHECKPOINTS);
    let requested = leaves(&mut scene, "b", 20);
    let cancelled = scene.handle(JobEvent::Cancel, 30);
    assert!(cancelled.contains(&JobAction::WithdrawRequest));
    assert_eq!(released(&grant_on(&mut scene, "c", &requested, 40)), 1);
    let ended = scene.all(ExecutionState::Canceled, 50);
    assert_eq!(result(&ended).unwrap().status, JobStatus::Canceled);
    assert_eq!(from(&scene, "b"), Relocating::NothingThere);
}

#[test]
fn a_stop_with_a_savepoint_takes_the_place_of_a_move_and_ends_the_job_at_once() {
    for (by, in_slots) in
        [JobStatus::Finished, JobStatus::Canceled].map(|by| [(by, true), (by, false)]).concat()
    {
        let what = format!("{by}, slots there: {}", !in_slots);
        let mut scene = running(false, &CHECKPOINTS);
        let requested = leaves(&mut scene, "b", 20);
        let savepoint = if in_slots {
            let asked = ends(&mut scene, by, 30);
            assert!(asked.contains(&JobAction::WithdrawRequest), "{what}: {asked:?}");
            assert_eq!(triggers(&asked), 2, "{what}");
            assert_eq!(released(&grant_on(&mut scene, "c", &requested, 35)), 1, "{what}");
            1
        } else {
            assert_eq!(triggers(&grant_on(&mut scene, "c", &requested, 25)), 2);
            assert_eq!(triggers(&ends(&mut scene, by, 30)), 0, "{what}: one after the other");
            let next = complete(&mut scene, 1, 40);
            assert_eq!((triggers(&next), cancelled(&next).len()), (2, 0), "{what}");
            2
        };
        let taken = complete(&mut scene, savepoint, 50);
        let (ended, state) = match by {
            JobStatus::Finished => (0, ExecutionState::Finished),
            _ => (4, ExecutionState::Canceled),
        };
        assert_eq!(cancelled(&taken).len(), ended, "{what}");
        assert_eq!(result(&scene.all(state, 60)).expect(&what).status, by);
        assert_eq!((scene.job.relocations(), scene.job.restarts()), (0, 0), "{what}");
    }
}

#[test]
fn tasks_are_moved_after_all_when_the_savepoint_to_stop_with_fails() {
    let mut scene = running(false, &CHECKPOINTS);
    let requested = leaves(&mut scene, "b", 20);
    grant_on(&mut scene, "c", &requested, 25);
    ends(&mut scene, JobStatus::Finished, 30);
    complete(&mut scene, 1, 40);
    complete_without_manifest(&mut scene, CheckpointId(2), 50);
    assert_eq!(triggers(&scene.handle(JobEvent::Tick, 1100)), 2, "the move's own");
    assert_eq!(cancelled(&complete(&mut scene, 3, 1200)).len(), 4);
    scene.all(ExecutionState::Canceled, 1300);
    assert_eq!((scene.job.relocations(), scene.job.restarts()), (1, 0));
}

#[test]
fn tasks_that_finish_with_the_checkpoint_of_a_move_are_not_moved() {
    let mut scene = running(false, &CHECKPOINTS);
    let requested = leaves(&mut scene, "b", 20);
    grant_on(&mut scene, "c", &requested, 30);
    assert!(cancelled(&complete_at_the_end(&mut scene, 1, 40)).is_empty());
    let finished = scene.all(ExecutionState::Finished, 50);
    assert_eq!(result(&finished).unwrap().status, JobStatus::Finished);
    assert_eq!(scene.job.relocations(), 0);
}

#[test]
fn only_task_managers_that_hold_slots_of_the_job_say_how_long_it_waits() {
    let mut scene = running(false, &CHECKPOINTS);
    assert!(leaves_until(&mut scene, ("x", at(10_000).elapsed), 15).is_empty());
    let requested = leaves(&mut scene, "b", 20);
    let until = |a: &JobAction| matches!(a, JobAction::RequestSlots { until: Some(UNTIL), .. });
    assert!(requested.iter().any(until), "{requested:?}");
    grant_on(&mut scene, "c", &requested, 30);
    assert!(cancelled(&scene.handle(JobEvent::Tick, 94_999)).is_empty());
    assert_eq!(cancelled(&scene.handle(JobEvent::Tick, 95_000)).len(), 4);
}

#[test]
fn connections_that_a_leaving_task_manager_took_with_it_count_no_more_than_its_going() {
    let mut scene = running(false, &RESTART);
    leaves(&mut scene, "b", 20);
    // It was killed, and its neighbour is quicker than the connection to the JobManager.
    scene.fail(0, 0, FailureKind::Connection, 30);
    let (task_manager, cause) = (task_manager("b"), "its connection closed".to_owned());
    scene.handle(JobEvent::TaskManagerLost { task_manager, cause }, 40);
    let requested = scene.all(ExecutionState::Canceled, 50);
    let deployed = grant_on(&mut scene, "c", &requested, 60);
    assert_eq!(deployments(&deployed).len(), 4, "without a delay");
    // The strategy bears two failures: none is used up. From here on none is excused, as the
    // region has nothing on a TaskManager that is about to go.
    leaves(&mut scene, "x", 70);
    for round in 1..=2 {
        let ms = round * 10_000;
        scene.all(ExecutionState::Running, ms);
        scene.fail(0, 0, FailureKind::Connection, ms + 10);
        scene.all(ExecutionState::Canceled, ms + 20);
        assert!(deployments(&scene.handle(JobEvent::Tick, ms + 1000)).is_empty(), "the delay");
        assert_eq!(deployments(&scene.handle(JobEvent::Tick, ms + 1010)).len(), 4);
    }
    scene.all(ExecutionState::Running, 30_000);
    scene.fail(0, 0, FailureKind::Connection, 30_010);
    assert_eq!((scene.job.status(), scene.job.restarts()), (JobStatus::Failing, 3));
}

#[test]
fn what_users_code_does_beside_a_leaving_task_manager_counts() {
    for kind in [FailureKind::User, FailureKind::Environment] {
        let mut scene = running(false, &RESTART);
        leaves(&mut scene, "b", 20);
        scene.fail(0, 0, kind, 30);
        scene.all(ExecutionState::Canceled, 40);
        assert!(scene.handle(JobEvent::Tick, 1029).is_empty(), "the delay");
        assert!(!scene.handle(JobEvent::Tick, 1030).is_empty());
    }
}
