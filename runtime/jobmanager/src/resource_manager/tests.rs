//! Slots given, waited for and lost; TaskManagers registering and vanishing.

use std::time::Duration;

use thalweg_core::ids::{AllocationId, JobId};
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{RegistrationRefusal, TaskManagerHeartbeat};

use super::*;
use crate::testing::{at, job_id, report, task_manager};

const WORKERS: WorkerOptions = WorkerOptions { slots: 2, spare: 0, released: true };
const OPTIONS: ResourceManagerOptions = ResourceManagerOptions {
    heartbeat_interval: Duration::from_millis(100),
    heartbeat_timeout: Duration::from_millis(1000),
    reconnect_grace: Duration::from_millis(200),
    close_grace: Duration::from_millis(50),
    slot_request_timeout: Duration::from_millis(5000),
    unused_timeout: Duration::from_millis(3000),
    leave_time: Duration::from_millis(60_000),
};

fn registered(id: &str, slots: u32) -> SlotEvent {
    let (task_manager, data_address) = (task_manager(id), format!("{id}:1"));
    SlotEvent::Registered { task_manager, slots, data_address, busy: Vec::new(), leaving: false }
}

fn request(job: &str, id: RequestId, slots: u128) -> SlotEvent {
    let job = JobId::derive(job);
    let allocations = (0..slots).map(|slot| AllocationId::new(job.bits() ^ slot)).collect();
    SlotEvent::Requested(SlotRequest { job, ..wanted(id, allocations) })
}

fn wanted(id: RequestId, allocations: Vec<AllocationId>) -> SlotRequest {
    SlotRequest { job: job_id(), id, allocations, replaces: Vec::new(), until: None }
}

/// Where the slots that were granted are: `job: tm/slot tm/slot`.
fn granted(actions: &[SlotAction]) -> Vec<String> {
    let text = |action: &SlotAction| match action {
        SlotAction::Granted { request, slots, .. } => {
            let slots: Vec<_> =
                slots.iter().map(|s| format!("{}/{}", s.task_manager, s.slot)).collect();
            format!("{request}: {}", slots.join(" "))
        }
        SlotAction::TimedOut { message, .. } => message.clone(),
    };
    actions.iter().map(text).collect()
}

#[test]
fn slots_are_given_evenly_and_all_or_none() {
    let ms = Duration::from_millis;
    let mut slots = SlotManager::new(ms(5000));
    assert!(slots.handle(registered("a", 3), ms(0)).is_empty());
    assert!(slots.handle(request("big", 1, 5), ms(0)).is_empty(), "two are missing");
    let small = slots.handle(request("small", 2, 1), ms(0));
    assert_eq!(granted(&small), ["2: a/0"], "a smaller one isn't held up");
    assert_eq!(slots.needed_of_unused(), 3);
    let big = slots.handle(registered("b", 3), ms(10));
    assert_eq!(granted(&big), ["1: b/0 a/1 b/1 a/2 b/2"]);
    assert_eq!((slots.free_slots(), slots.registered_slots()), (0, 6));

    let released = vec![AllocationId::new(JobId::derive("small").bits())];
    slots.handle(SlotEvent::Released(released), ms(20));
    assert_eq!(granted(&slots.handle(request("next", 3, 1), ms(20))), ["3: a/0"]);
    slots.handle(SlotEvent::Lost(task_manager("b")), ms(30));
    assert_eq!((slots.free_slots(), slots.registered_slots()), (0, 3));
}

#[test]
fn a_slot_in_which_something_still_runs_is_not_free() {
    let ms = Duration::from_millis;
    let mut slots = SlotManager::new(ms(5000));
    slots.handle(registered("a", 2), ms(0));
    let busy = |busy| SlotEvent::Reported { task_manager: task_manager("a"), busy };
    slots.handle(busy(vec![0]), ms(0));
    assert!(slots.handle(request("job", 1, 2), ms(0)).is_empty());
    assert_eq!(granted(&slots.handle(busy(vec![]), ms(0))), ["1: a/0 a/1"]);
}

#[test]
fn a_request_times_out_with_numbers_and_a_remedy() {
    let ms = Duration::from_millis;
    let mut slots = SlotManager::new(ms(5000));
    slots.handle(registered("a", 2), ms(0));
    slots.handle(request("job", 1, 7), ms(1));
    assert_eq!(slots.deadline(), Some(ms(5001)));
    assert!(slots.handle(SlotEvent::Tick, ms(5000)).is_empty());
    let actions = slots.handle(SlotEvent::Tick, ms(5001));
    let message = &granted(&actions)[0];
    for part in ["needs 7 more slots", "2 are registered", "Start more TaskManagers"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!((slots.deadline(), slots.needed_of_unused()), (None, 0));
}

fn registration(id: &str, build_id: u64) -> Registration {
    Registration {
        id: task_manager(id),
        data_address: format!("{id}:1"),
        slots: 2,
        resources: Default::default(),
        build_id,
        executions: Vec::new(),
        process_id: 1,
        leaving: None,
    }
}

fn causes(actions: &[ResourceAction]) -> Vec<&str> {
    fn cause(action: &ResourceAction) -> Option<&str> {
        match action {
            ResourceAction::Lost { cause, .. } => Some(cause),
            _ => None,
        }
    }
    actions.iter().filter_map(cause).collect()
}

#[test]
fn a_silent_or_unconnected_task_manager_is_lost_and_one_that_comes_back_in_time_is_not() {
    let mut resources = ResourceManager::new(OPTIONS, None);
    let one = ConnectionId(1);
    resources.register(one, registration("a", 7), 1, 7, at(0)).unwrap();
    assert_eq!(resources.deadline(), Some(Duration::from_millis(1000)));
    let heartbeat = TaskManagerHeartbeat {
        id: task_manager("a"),
        heartbeat_seen: 0,
        executions: Vec::new(),
        metrics: Vec::new(),
        leaving: None,
    };
    assert_eq!(resources.heartbeat(one, &heartbeat, 3, at(500)).0, Reception::Fresh);
    assert_eq!(resources.heartbeat(one, &heartbeat, 2, at(600)).0, Reception::Stale);
    let other = resources.heartbeat(ConnectionId(9), &heartbeat, 9, at(600)).0;
    assert_eq!(other, Reception::Stale);

    resources.disconnected(one, Disconnection::Broken, at(700));
    assert!(causes(&resources.tick(at(899))).is_empty());
    resources.register(ConnectionId(2), registration("a", 7), 4, 7, at(899)).unwrap();
    resources.disconnected(one, Disconnection::Closed, at(900));
    assert!(causes(&resources.tick(at(1800))).is_empty(), "the former connection means nothing");
    let lost = resources.tick(at(1899));
    assert!(causes(&lost)[0].contains("no heartbeat for 1s"), "{lost:?}");

    resources.register(ConnectionId(3), registration("b", 7), 1, 7, at(2000)).unwrap();
    resources.disconnected(ConnectionId(3), Disconnection::Broken, at(2100));
    assert!(causes(&resources.tick(at(2299))).is_empty());
    assert!(causes(&resources.tick(at(2300)))[0].contains("connection broke"));
    assert!(resources.task_managers().is_empty());
}

#[test]
fn one_that_has_closed_its_connection_is_lost_at_once_unless_it_has_another_one() {
    let mut resources = ResourceManager::new(OPTIONS, None);
    for (number, id) in [(1, "a"), (2, "b")] {
        resources.register(ConnectionId(number), registration(id, 7), 1, 7, at(0)).unwrap();
        resources.disconnected(ConnectionId(number), Disconnection::Closed, at(100));
    }
    assert_eq!(resources.deadline(), Some(Duration::from_millis(150)));
    resources.register(ConnectionId(3), registration("b", 7), 2, 7, at(149)).unwrap();
    let lost = resources.tick(at(150));
    assert!(causes(&lost)[0].contains("TaskManager a was lost: its connection closed"), "{lost:?}");
    assert_eq!(causes(&lost).len(), 1);
    assert!(resources.task_managers().contains_key(&task_manager("b")));
}

#[test]
fn slots_of_one_without_a_connection_are_not_given_until_it_is_back() {
    let mut resources = ResourceManager::new(OPTIONS, Some(WORKERS));
    resources.register(ConnectionId(1), registration("a", 7), 1, 7, at(0)).unwrap();
    resources.disconnected(ConnectionId(1), Disconnection::Broken, at(10));
    let allocations = vec![AllocationId::new(1), AllocationId::new(2)];
    let request = wanted(1, allocations);
    let nothing = resources.slot_event(SlotEvent::Requested(request), at(20));
    assert_eq!(nothing, [], "neither given, nor missing yet");
    let mut back = resources.clone();
    let (_, given) = back.register(ConnectionId(2), registration("a", 7), 2, 7, at(30)).unwrap();
    assert!(matches!(given[..], [ResourceAction::Slots(SlotAction::Granted { .. })]), "{given:?}");
    let lost = resources.tick(at(210));
    assert!(matches!(
        lost[..],
        [ResourceAction::Lost { .. }, ResourceAction::WorkerChanged(_, false), ..]
    ));
}

#[test]
fn another_build_and_impossible_slots_are_refused() {
    let mut resources = ResourceManager::new(OPTIONS, None);
    let refused = resources.register(ConnectionId(1), registration("a", 8), 1, 7, at(0));
    let refusal = RegistrationRefusal::BuildMismatch { expected: 7, found: 8 };
    assert_eq!(refused.unwrap_err(), refusal);
    let registration = Registration { slots: 0, ..registration("a", 7) };
    let refused = resources.register(ConnectionId(1), registration, 1, 7, at(0));
    assert!(matches!(refused, Err(RegistrationRefusal::Invalid(_))));
}

#[test]
fn one_that_comes_back_with_running_tasks_gives_their_slots_only_when_they_have_ended() {
    let mut resources = ResourceManager::new(OPTIONS, None);
    let mut running = registration("a", 7);
    let attempt = thalweg_core::ids::ExecutionAttemptId::new(1);
    running.executions = vec![report(attempt, ExecutionState::Running)];
    resources.register(ConnectionId(1), running, 1, 7, at(0)).unwrap();
    let allocations = vec![AllocationId::new(1), AllocationId::new(2)];
    let request = wanted(1, allocations);
    let nothing = resources.slot_event(SlotEvent::Requested(request), at(1));
    assert!(nothing.is_empty());
    let heartbeat = TaskManagerHeartbeat {
        id: task_manager("a"),
        heartbeat_seen: 0,
        executions: vec![report(attempt, ExecutionState::Canceled)],
        metrics: Vec::new(),
        leaving: None,
    };
    let (_, actions) = resources.heartbeat(ConnectionId(1), &heartbeat, 2, at(2));
    assert!(matches!(actions[..], [ResourceAction::Slots(SlotAction::Granted { .. })]));
}

fn five_slots() -> (SlotEvent, Vec<AllocationId>) {
    let allocations = (0..5).map(AllocationId::new).collect::<Vec<_>>();
    let request = wanted(1, allocations.clone());
    (SlotEvent::Requested(request), allocations)
}

fn register(resources: &mut ResourceManager, ids: &[&str], ms: u64) -> Vec<ResourceAction> {
    let of = |(number, id): (u64, &&str)| {
        let connection = ConnectionId(number);
        resources.register(connection, registration(id, 7), 1, 7, at(ms)).unwrap().1
    };
    (100..).zip(ids).flat_map(of).collect()
}

fn required(actions: &[ResourceAction]) -> Vec<u32> {
    let of = |action: &ResourceAction| match action {
        ResourceAction::RequireWorkers(total) => Some(*total),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

#[test]
fn workers_are_required_for_what_is_missing_and_released_when_unused() {
    let mut resources = ResourceManager::new(OPTIONS, Some(WORKERS));
    let (request, allocations) = five_slots();
    assert_eq!(resources.slot_event(request, at(0)), [ResourceAction::RequireWorkers(3)]);
    assert!(resources.tick(at(10)).is_empty());
    let registered = register(&mut resources, &["a", "b", "c"], 50);
    assert!(required(&registered).is_empty(), "three were required, three are there");
    assert!(registered.contains(&ResourceAction::WorkerChanged(task_manager("a"), true)));
    resources.slot_event(SlotEvent::Released(allocations), at(60));
    for (sequence, id) in [(2, "a"), (2, "b"), (2, "c")] {
        let connection = resources.connection(&task_manager(id)).unwrap();
        let heartbeat = TaskManagerHeartbeat {
            id: task_manager(id),
            heartbeat_seen: 0,
            executions: Vec::new(),
            metrics: Vec::new(),
            leaving: None,
        };
        let (_, actions) = resources.heartbeat(connection, &heartbeat, sequence, at(2400));
        assert!(actions.is_empty(), "{actions:?}");
    }
    let released = resources.slot_event(SlotEvent::Tick, at(5200));
    let all = ["a", "b", "c"].map(|id| ResourceAction::ReleaseWorker(task_manager(id)));
    assert_eq!(released[..3], all);
    assert_eq!(required(&released), [0]);
    let (request, _) = five_slots();
    let again = resources.slot_event(request, at(5201));
    assert_eq!(again, [ResourceAction::RequireWorkers(3)], "those that are to go don't count");
}

#[test]
fn a_lost_worker_is_required_again_and_one_in_which_something_still_runs_is_not_doubled() {
    let mut resources = ResourceManager::new(OPTIONS, Some(WORKERS));
    let (request, _) = five_slots();
    resources.slot_event(request, at(0));
    register(&mut resources, &["a", "b", "c"], 1);
    let gone = WorkerEvent::Gone("the pod was deleted".to_owned());
    let lost = resources.worker_event(&task_manager("b"), &gone, at(10));
    assert!(matches!(&lost[0], ResourceAction::Lost { cause, .. } if cause.contains("deleted")));
    assert_eq!(required(&lost), [2]);
    let allocations = vec![AllocationId::new(10), AllocationId::new(11)];
    let request = wanted(2, allocations);
    assert_eq!(required(&resources.slot_event(SlotEvent::Requested(request), at(11))), [3]);

    // A leader that has just begun: the slots are busy with what its predecessor deployed.
    let mut next = ResourceManager::new(OPTIONS, Some(WORKERS));
    let attempt = thalweg_core::ids::ExecutionAttemptId::new(1);
    for (number, id) in [(1, "a"), (2, "b"), (3, "c")] {
        let executions = vec![report(attempt, ExecutionState::Running)];
        let running = Registration { executions, ..registration(id, 7) };
        next.register(ConnectionId(number), running, 1, 7, at(0)).unwrap();
    }
    let (request, _) = five_slots();
    assert_eq!(next.slot_event(request, at(5)), [], "three were there, three are enough");
}

#[test]
fn spare_workers_are_kept_and_one_that_leaves_is_replaced_before_it_is_gone() {
    let workers = WorkerOptions { spare: 1, ..WORKERS };
    let mut resources = ResourceManager::new(OPTIONS, Some(workers));
    assert_eq!(resources.tick(at(0)), [ResourceAction::RequireWorkers(1)]);
    let (request, allocations) = five_slots();
    assert_eq!(required(&resources.slot_event(request, at(1))), [4]);
    register(&mut resources, &["a", "b", "c", "d"], 2);
    let leaving = WorkerEvent::Leaving("the pod is being deleted".to_owned());
    let left = resources.worker_event(&task_manager("a"), &leaving, at(10));
    assert!(required(&left).is_empty(), "b, c, the spare one for what a has, another spare one");
    let gone = WorkerEvent::Gone("exit code 143".to_owned());
    resources.worker_event(&task_manager("a"), &gone, at(20));
    resources.slot_event(SlotEvent::Released(allocations), at(30));
    let mut released = Vec::new();
    for ms in (100..6000).step_by(90) {
        for id in ["b", "c", "d"] {
            let Some(connection) = resources.connection(&task_manager(id)) else { continue };
            let heartbeat = TaskManagerHeartbeat {
                id: task_manager(id),
                heartbeat_seen: 0,
                executions: Vec::new(),
                metrics: Vec::new(),
                leaving: None,
            };
            released.extend(resources.heartbeat(connection, &heartbeat, ms, at(ms)).1);
        }
    }
    let released = released.iter().filter(|a| matches!(a, ResourceAction::ReleaseWorker(_)));
    assert_eq!(released.count(), 2, "one stays as the spare one");
}

#[test]
fn when_no_more_jobs_come_all_workers_go_and_none_is_replaced() {
    let workers = WorkerOptions { spare: 1, ..WORKERS };
    let mut resources = ResourceManager::new(OPTIONS, Some(workers));
    let (request, allocations) = five_slots();
    resources.slot_event(request, at(0));
    register(&mut resources, &["a", "b", "c", "d"], 1);
    // The job has ended; by their own account its tasks haven't.
    let busy = SlotEvent::Reported { task_manager: task_manager("a"), busy: vec![0] };
    resources.slot_event(busy, at(5));
    resources.slot_event(SlotEvent::Released(allocations), at(6));
    let released = resources.no_more_jobs(at(10));
    let all = ["a", "b", "c", "d"].map(|id| ResourceAction::ReleaseWorker(task_manager(id)));
    assert_eq!(released[..4], all);
    assert_eq!(required(&released), [0]);
    let leaving = WorkerEvent::Leaving("the pod is being deleted".to_owned());
    let left = resources.worker_event(&task_manager("a"), &leaving, at(30));
    assert!(required(&left).is_empty(), "none is replaced");
    let late = register(&mut resources, &["e"], 40);
    assert!(late.contains(&ResourceAction::ReleaseWorker(task_manager("e"))), "{late:?}");
}
