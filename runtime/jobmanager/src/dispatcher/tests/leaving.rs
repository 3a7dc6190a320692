//! TaskManagers that are about to go: who hears of it, and when they are dismissed.

use thalweg_core::job_graph::ShipStrategy::Hash;
use thalweg_rpc::message::Leaving;

use super::*;
use crate::resource_manager::{WorkerEvent, WorkerOptions};

const SETTINGS: [(&str, &str); 1] = [("restart-strategy.type", "fixed-delay")];

fn with_driver(workers: Option<WorkerOptions>) -> Dispatcher {
    let DispatcherOptions { epoch, build_id, seed, resources, .. } = *dispatcher().options();
    Dispatcher::new(DispatcherOptions { epoch, build_id, seed, resources, workers }, at(0))
}

fn registers(id: &str, leaving: bool) -> ToJobManager {
    let mut message = register(7, 0);
    if let TaskManagerMessage::Register(registration) = &mut message.message {
        registration.id = task_manager(id);
        registration.data_address = format!("{id}:1");
        registration.slots = 1;
        registration.leaving = leaving.then(says);
    }
    message
}

fn says() -> Leaving {
    Leaving { reason: "SIGTERM".to_owned(), remaining_ms: 110_000 }
}

fn heartbeat(id: &str, sequence: u64) -> ToJobManager {
    let message = TaskManagerMessage::Heartbeat(thalweg_rpc::message::TaskManagerHeartbeat {
        id: task_manager(id),
        heartbeat_seen: 0,
        executions: Vec::new(),
        metrics: Vec::new(),
        leaving: Some(says()),
    });
    Fenced { epoch: Epoch(5), sequence, message }
}

/// A job of two tasks in two slots, on a (connection 1) and b (connection 2).
fn running(workers: Option<WorkerOptions>) -> Dispatcher {
    let mut dispatcher = with_driver(workers);
    let graph = chain(&[("a", 2), ("b", 2)], &[Hash]);
    let job = PreparedJob {
        information: information(&graph, false),
        configuration: configuration(&SETTINGS),
        sources: SourceCoordinator::default(),
        restore: None,
        highest_checkpoint: CheckpointId(0),
        requirements: Vec::new(),
    };
    dispatcher.handle(Event::Submitted(Box::new(job)), at(0));
    for (number, id) in [(1, "a"), (2, "b")] {
        let received = Event::Received(ConnectionId(number), registers(id, false));
        dispatcher.handle(received, at(number));
    }
    dispatcher
}

/// Why the TaskManager on this connection is told that it may go.
fn dismissed(actions: &[Action], connection: u64) -> Option<String> {
    let of = |action: &Action| match action {
        Action::Send(to, Fenced { message: JobManagerMessage::Heartbeat(beat), .. }) => {
            beat.dismissed.clone().filter(|_| to.0 == connection)
        }
        _ => None,
    };
    actions.iter().find_map(of)
}

fn required(actions: &[Action]) -> Vec<u32> {
    let of = |action: &Action| match action {
        Action::RequireWorkers(total) => Some(*total),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

#[test]
fn one_that_has_nothing_may_go_at_once_and_so_may_one_whose_slots_nobody_can_replace() {
    let mut dispatcher = running(None);
    let three = ConnectionId(3);
    dispatcher.handle(Event::Received(three, registers("c", false)), at(10));
    let told = dispatcher.handle(Event::Received(three, heartbeat("c", 2)), at(20));
    assert_eq!(dismissed(&told, 3).as_deref(), Some("nothing runs there any more"));
    // Nobody starts TaskManagers here, and c is about to go, too.
    let told = dispatcher.handle(Event::Received(ConnectionId(2), heartbeat("b", 2)), at(30));
    let why = dismissed(&told, 2).unwrap();
    assert!(why.contains("can't be moved") && why.contains("needs 1 more slots"), "{why}");
}

#[test]
fn one_that_is_about_to_go_when_it_registers_gets_nothing() {
    let mut dispatcher = with_driver(None);
    let told = dispatcher.handle(Event::Received(ONE, registers("a", true)), at(0));
    assert!(dismissed(&told, 1).is_some());
    assert_eq!(dispatcher.resources().slots().free_slots(), 0);
}

#[test]
fn with_a_driver_one_more_is_required_and_it_stays_until_its_tasks_are_elsewhere() {
    let workers = WorkerOptions { slots: 1, spare: 0, released: true };
    for by_driver in [false, true] {
        let mut dispatcher = running(Some(workers));
        let leaves = match by_driver {
            true => Event::Worker(task_manager("b"), WorkerEvent::Leaving("deleted".to_owned())),
            false => Event::Received(ConnectionId(2), heartbeat("b", 2)),
        };
        let told = dispatcher.handle(leaves, at(10));
        assert!(required(&told).is_empty(), "two of those that stay: a, and the one that comes");
        assert!(told.contains(&Action::WorkerLeaving(task_manager("b"))), "{told:?}");
        assert_eq!(dismissed(&told, 2), None);
        let also = dispatcher.handle(Event::Received(ConnectionId(2), heartbeat("b", 3)), at(11));
        let news = |action: &Action| matches!(action, Action::ObserveTaskManager(..));
        assert!(!also.iter().any(news), "{also:?}");

        let three = ConnectionId(3);
        let moved = dispatcher.handle(Event::Received(three, registers("c", false)), at(20));
        let cancelled = |action: &&Action| {
            matches!(action, Action::Send(_, message)
                if matches!(message.message, JobManagerMessage::CancelTask { .. }))
        };
        assert_eq!(moved.iter().filter(cancelled).count(), 4, "there are no checkpoints");
        assert!(required(&moved).is_empty(), "that was enough");
        assert_eq!(dismissed(&moved, 2), None, "its tasks haven't ended");
        let gone =
            Event::Disconnected(ConnectionId(2), crate::resource_manager::Disconnection::Closed);
        dispatcher.handle(gone, at(30));
        let lost = dispatcher.handle(Event::Tick, at(500));
        assert!(required(&lost).is_empty());
    }
}
