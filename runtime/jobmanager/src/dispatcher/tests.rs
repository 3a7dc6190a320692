//! Who is listened to, and what is answered. The whole of it is tested by the simulation.

mod leaving;

use thalweg_core::ids::CheckpointId;
use thalweg_core::job_graph::ShipStrategy::Forward;
use thalweg_rpc::message::{
    Notice, Registration, RegistrationRefusal, TaskManagerMessage, ToJobManager,
};

use super::*;
use crate::source_coordinator::SourceCoordinator;
use crate::testing::{at, chain, configuration, information, task_manager};

fn dispatcher() -> Dispatcher {
    let resources = ResourceManagerOptions::of(&configuration(&[]));
    let (epoch, build_id, seed) = (Epoch(5), 7, 1);
    let options = DispatcherOptions { epoch, build_id, seed, resources, workers: None };
    Dispatcher::new(options, at(0))
}

fn register(build_id: u64, epoch: u64) -> ToJobManager {
    let message = TaskManagerMessage::Register(Registration {
        id: task_manager("a"),
        data_address: "a:1".to_owned(),
        slots: 2,
        resources: Default::default(),
        build_id,
        executions: Vec::new(),
        process_id: 1,
        leaving: None,
    });
    Fenced { epoch: Epoch(epoch), sequence: 1, message }
}

fn goodbye(number: u64, epoch: u64) -> ToJobManager {
    let notice = Notice::Goodbye { reason: "SIGTERM".to_owned() };
    let message = TaskManagerMessage::Notice { number, notice };
    Fenced { epoch: Epoch(epoch), sequence: 9, message }
}

fn sent(actions: &[Action]) -> Vec<&JobManagerMessage> {
    fn message(action: &Action) -> Option<&JobManagerMessage> {
        match action {
            Action::Send(_, message) => Some(&message.message),
            _ => None,
        }
    }
    actions.iter().filter_map(message).collect()
}

const ONE: ConnectionId = ConnectionId(1);

#[test]
fn only_those_who_registered_on_the_connection_and_in_this_epoch_are_listened_to() {
    let mut dispatcher = dispatcher();
    dispatcher.handle(Event::Tick, at(0));
    let mut say =
        |connection, message| dispatcher.handle(Event::Received(connection, message), at(1));
    assert!(say(ONE, goodbye(1, 5)).is_empty(), "not registered");
    assert!(say(ONE, register(7, 6)).is_empty(), "it follows a later leader");
    let registered = say(ONE, register(7, 0));
    let registered = sent(&registered);
    assert!(matches!(registered[0], JobManagerMessage::Registered { .. }), "{registered:?}");
    assert!(matches!(registered[1], JobManagerMessage::Heartbeat(_)), "{registered:?}");
    assert!(say(ONE, goodbye(1, 4)).is_empty(), "another epoch");
    assert!(say(ConnectionId(2), goodbye(1, 5)).is_empty(), "another connection");
    let refused = say(ConnectionId(3), register(8, 5));
    let refusal = RegistrationRefusal::BuildMismatch { expected: 7, found: 8 };
    assert_eq!(sent(&refused), [&JobManagerMessage::Refused(refusal)]);
    let gone = say(ONE, goodbye(4, 5));
    let received = JobManagerMessage::Received { numbers: vec![4] };
    assert_eq!(sent(&gone), [&received]);
    let place = |wanted: fn(&Action) -> bool| gone.iter().position(wanted);
    let (told, closed) = (
        place(|action| matches!(action, Action::Send(..))),
        place(|action| matches!(action, Action::Disconnect(ONE))),
    );
    assert!(told < closed, "{gone:?}");
    assert!(dispatcher.resources().task_managers().is_empty());
}

#[test]
fn sequence_numbers_rise_over_all_messages() {
    let mut dispatcher = dispatcher();
    let mut numbers = Vec::new();
    for ms in [0, 1, 1000, 2000] {
        let event = if ms == 1 { Event::Received(ONE, register(7, 0)) } else { Event::Tick };
        for action in dispatcher.handle(event, at(ms)) {
            if let Action::Send(_, message) = action {
                assert_eq!(message.epoch, Epoch(5));
                numbers.push(message.sequence);
            }
        }
    }
    assert!(numbers.len() >= 4 && numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn jobs_that_ended_are_remembered_up_to_a_bound() {
    let mut dispatcher = dispatcher();
    for number in 0..ENDED_JOBS_MAX as u32 + 10 {
        let mut graph = chain(&[("a", 1), ("b", 1)], &[Forward]);
        let id = thalweg_core::ids::job_id("app", number);
        std::sync::Arc::make_mut(&mut graph).job_id = id;
        let job = PreparedJob {
            information: information(&graph, false),
            configuration: configuration(&[]),
            sources: SourceCoordinator::default(),
            restore: None,
            highest_checkpoint: CheckpointId(0),
            requirements: Vec::new(),
        };
        dispatcher.handle(Event::Submitted(Box::new(job)), at(0));
        let ended = dispatcher.handle(Event::Cancel(id), at(1));
        assert!(ended.iter().any(|action| matches!(action, Action::JobEnded(_))));
    }
    assert_eq!(dispatcher.jobs().count(), ENDED_JOBS_MAX + 1);
}

#[test]
fn nobody_registers_while_everything_ends() {
    let mut dispatcher = dispatcher();
    dispatcher.handle(Event::Received(ONE, register(7, 0)), at(0));
    let told = dispatcher.handle(Event::ShutDown("end".to_owned()), at(1));
    assert!(matches!(sent(&told)[..], [JobManagerMessage::ShutDown { .. }]), "{told:?}");
    let refused = dispatcher.handle(Event::Received(ConnectionId(2), register(7, 0)), at(2));
    let refusal = JobManagerMessage::Refused(RegistrationRefusal::ShuttingDown);
    assert_eq!(sent(&refused), [&refusal]);
}
