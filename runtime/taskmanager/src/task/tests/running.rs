//! While it runs: back pressure, timers, idleness, cancellation, failures.

use std::time::Duration;

use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{FailureInfo, FailureKind};

use super::world::{Setting, World};
use crate::task::{ActivityTimes, Step, TaskEvent, TaskOutcome};

const NOTHING: Step = Step::Blocked { until: None };

#[test]
fn back_pressure_stops_the_task_and_nothing_is_lost_when_it_goes_on() {
    let mut world = World::new(Setting::default());
    assert_eq!(world.settle(), NOTHING);
    world.recorder.set_full(true);
    world.script.rows(&[1]);
    world.script.rows(&[2]);
    world.clock.advance(10);
    assert_eq!(world.settle(), NOTHING);
    assert_eq!(world.recorder.taken(), Vec::<String>::new());
    world.clock.advance(30);
    world.recorder.set_full(false);
    assert_eq!(world.settle(), NOTHING);
    assert_eq!(world.recorder.taken(), ["[1]", "[2]"]);
    world.clock.advance(5);
    let times = world.metrics.activity.times(Duration::from_millis(45));
    let ms = Duration::from_millis;
    let expected = ActivityTimes { busy: ms(0), idle: ms(15), back_pressured: ms(30) };
    assert_eq!(times, expected);
    assert_eq!(world.metrics.input().records, 42);
    assert_eq!(world.metrics.output().bytes, 50);
    assert_eq!((world.metrics.input_queued_bytes(), world.metrics.output_queued_bytes()), (7, 9));
}

#[test]
fn a_full_output_in_the_middle_of_the_chain_keeps_what_is_on_its_way() {
    let mut world = World::new(Setting { source_rows: Some(5000), ..Setting::default() });
    let mut elements = Vec::new();
    for blocked in 0..10 {
        for _ in 0..5 {
            assert_eq!(world.task.step(), Step::Ready);
        }
        world.recorder.set_full(true);
        assert_eq!(world.settle(), NOTHING, "{blocked}");
        world.recorder.set_full(false);
        elements.append(&mut world.recorder.taken());
    }
    assert_eq!(world.settle(), Step::Finished);
    elements.append(&mut world.recorder.taken());
    let rows = (1..=5000).map(|n| format!("[{n}]"));
    let expected: Vec<_> = rows.chain(["watermark end".to_owned(), "end".to_owned()]).collect();
    assert_eq!(elements, expected);
}

#[test]
fn a_timer_is_waited_for_and_fires_at_its_time() {
    let mut world = World::new(Setting::default());
    world.script.rows(&[-3]);
    assert_eq!(world.settle(), Step::Blocked { until: Some(Duration::from_millis(50)) });
    world.recorder.taken();
    world.clock.advance(49);
    assert_eq!(world.settle(), Step::Blocked { until: Some(Duration::from_millis(50)) });
    assert_eq!(world.recorder.taken(), Vec::<String>::new());
    world.clock.advance(1);
    // The second operator was given the row, too, and has a timer of its own.
    assert_eq!(world.settle(), NOTHING);
    assert_eq!(world.recorder.taken(), ["[50]", "[50]"]);
}

#[test]
fn a_cancel_reaches_a_task_that_is_blocked() {
    let mut world = World::new(Setting::default());
    world.script.rows(&[1]);
    assert_eq!(world.settle(), NOTHING);
    world.recorder.set_full(true);
    world.script.rows(&[2]);
    assert_eq!(world.settle(), NOTHING);
    world.mailbox.cancel();
    assert_eq!(world.task.step(), Step::Finished);
    assert_eq!(world.diary(), ["second opened", "first opened", "first closed", "second closed"]);
    let events = world.events();
    assert_eq!(events.last(), Some(&TaskEvent::Ended(TaskOutcome::Canceled)));
    assert_eq!(world.task.step(), Step::Finished, "an ended task stays so");
    assert_eq!(world.events(), []);
}

#[test]
fn a_task_that_was_never_opened_can_be_cancelled() {
    let mut world = World::new(Setting::default());
    world.mailbox.cancel();
    assert_eq!(world.task.step(), Step::Finished);
    assert_eq!(world.events(), [TaskEvent::Ended(TaskOutcome::Canceled)]);
    assert_eq!(world.diary(), Vec::<String>::new());
}

#[test]
fn a_failure_names_its_operator_and_closes_all() {
    let failure = |operator: &str, message: &str| {
        TaskEvent::Ended(TaskOutcome::Failed(FailureInfo {
            operator: Some(operator.to_owned()),
            message: message.to_owned(),
            kind: FailureKind::User,
        }))
    };
    let table = [
        (-1, failure("first", "panicked: minus one")),
        (-2, failure("first", "the function returned an error: minus two")),
    ];
    for (row, expected) in table {
        let mut world = World::new(Setting::default());
        world.script.rows(&[row]);
        assert_eq!(world.settle(), Step::Finished);
        let events = world.events();
        let begin = [ExecutionState::Initializing, ExecutionState::Running];
        let mut all = begin.map(TaskEvent::StateChanged).to_vec();
        all.push(expected);
        assert_eq!(events, all);
        assert_eq!(world.diary()[2..], ["first closed", "second closed"]);
    }
}

#[test]
fn a_panic_while_closing_fails_a_task_that_had_finished() {
    let mut world = World::new(Setting::default());
    world.script.rows(&[-4]);
    world.script.end();
    assert_eq!(world.settle(), Step::Finished);
    let events = world.events();
    let Some(TaskEvent::Ended(TaskOutcome::Failed(failure))) = events.last() else {
        panic!("{events:?}");
    };
    assert_eq!(failure.message, "panicked: closing fails");
}

#[test]
fn a_panic_while_opening_names_the_operator() {
    let mut world = World::new(Setting { panics_when_opened: true, ..Setting::default() });
    assert_eq!(world.settle(), Step::Finished);
    let events = world.events();
    let Some(TaskEvent::Ended(TaskOutcome::Failed(failure))) = events.last() else {
        panic!("{events:?}");
    };
    assert_eq!(failure.operator.as_deref(), Some("first"));
    assert_eq!(failure.message, "panicked: opening fails");
}
