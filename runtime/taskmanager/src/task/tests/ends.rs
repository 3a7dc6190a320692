//! How a task ends: with and without checkpoints, and restored as finished.

use thalweg_core::ids::{CheckpointId, OperatorId};
use thalweg_rpc::message::{Accumulator, DeclineReason};

use super::world::{Setting, World, barrier};
use crate::task::{SpecRestore, Step, TaskEvent, TaskOutcome};

const NOTHING: Step = Step::Blocked { until: None };

fn finished() -> TaskEvent {
    let result = |operator, name: &str| Accumulator {
        operator: OperatorId::new(operator),
        subtask: 0,
        name: name.to_owned(),
        value: vec![1],
    };
    let results = vec![result(1, "first"), result(2, "second")];
    TaskEvent::Ended(TaskOutcome::Finished { results })
}

fn had_finished(rewrites: bool) -> SpecRestore {
    let operators = Default::default();
    SpecRestore { checkpoint: CheckpointId(5), finished: true, rewrites, operators }
}

#[test]
fn without_checkpoints_a_task_commits_at_the_end_and_is_finished() {
    let mut world = World::new(Setting::default());
    world.script.rows(&[1, 2]);
    world.script.end();
    assert_eq!(world.settle(), Step::Finished);
    assert_eq!(world.recorder.taken(), ["[1, 2]", "end"]);
    let expected =
        ["first committed", "second committed", "first closed", "second closed"].as_slice();
    assert_eq!(world.diary()[2..], *expected);
    assert_eq!(world.events().last(), Some(&finished()));
}

#[test]
fn with_checkpoints_a_task_waits_for_one_that_was_taken_after_the_end() {
    let mut world = World::new(Setting { checkpointing: true, ..Setting::default() });
    world.script.barrier(7);
    world.script.end();
    assert_eq!(world.settle(), NOTHING);
    assert_eq!(world.recorder.taken(), ["barrier 7", "end"]);
    assert_eq!(world.events().last(), Some(&TaskEvent::InputEnded));
    // 7 was taken before the end: its publication isn't enough.
    world.mailbox.checkpoint_completed(CheckpointId(7));
    assert_eq!(world.settle(), NOTHING);
    world.mailbox.trigger_checkpoint(barrier(8));
    assert_eq!(world.settle(), NOTHING);
    let events = world.events();
    let [TaskEvent::SnapshotTaken(snapshot)] = events.as_slice() else { panic!("{events:?}") };
    assert!(snapshot.chain.input_ended);
    assert_eq!(snapshot.chain.barrier, barrier(8));
    // 8 comes to nothing; 9 is taken and published.
    world.mailbox.checkpoint_aborted(CheckpointId(8));
    world.mailbox.trigger_checkpoint(barrier(9));
    assert_eq!(world.settle(), NOTHING);
    world.mailbox.checkpoint_completed(CheckpointId(9));
    assert_eq!(world.settle(), Step::Finished);
    assert_eq!(world.recorder.taken(), Vec::<String>::new(), "nothing follows the end");
    let diary = world.diary();
    assert_eq!(
        diary[2..],
        [
            "first snapshot 7 ended=false",
            "second snapshot 7 ended=false",
            "first completed 7",
            "second completed 7",
            "first snapshot 8 ended=true",
            "second snapshot 8 ended=true",
            "first snapshot 9 ended=true",
            "second snapshot 9 ended=true",
            "first completed 9",
            "second completed 9",
            "first closed",
            "second closed",
        ]
    );
    assert_eq!(world.events().last(), Some(&finished()));
}

#[test]
fn a_task_that_had_finished_before_passes_the_end_on_and_runs_nothing() {
    let restore = had_finished(false);
    let setting = Setting { checkpointing: true, restore: Some(restore), ..Setting::default() };
    let mut world = World::new(setting);
    world.script.rows(&[1]);
    assert_eq!(world.settle(), NOTHING, "its producers haven't ended");
    world.mailbox.trigger_checkpoint(barrier(6));
    assert_eq!(world.settle(), NOTHING);
    let declined = TaskEvent::CheckpointDeclined(CheckpointId(6), DeclineReason::NotReady);
    assert_eq!(world.events().last(), Some(&declined));
    world.script.end();
    assert_eq!(world.settle(), Step::Finished);
    assert_eq!(world.recorder.taken(), ["watermark end", "end"]);
    let expected = ["second opened", "first opened", "first closed", "second closed"];
    assert_eq!(world.diary(), expected);
    assert_eq!(world.events().last(), Some(&finished()));
}

#[test]
fn a_source_that_had_finished_before_ends_at_once() {
    let restore = had_finished(false);
    let setting = Setting {
        checkpointing: true,
        restore: Some(restore),
        source_rows: Some(9),
        ..Setting::default()
    };
    let mut world = World::new(setting);
    assert_eq!(world.settle(), Step::Finished);
    assert_eq!(world.recorder.taken(), ["watermark end", "end"]);
}

#[test]
fn one_that_had_finished_elsewhere_writes_its_state_again_before_it_ends() {
    let restore = Some(had_finished(true));
    let setting = Setting { checkpointing: true, restore, ..Setting::default() };
    let mut world = World::new(setting);
    world.script.rows(&[1]);
    world.script.end();
    assert_eq!(world.settle(), NOTHING);
    assert_eq!(world.recorder.taken(), ["watermark end", "end"]);
    assert_eq!(world.events().last(), Some(&TaskEvent::InputEnded));
    world.mailbox.trigger_checkpoint(barrier(6));
    assert_eq!(world.settle(), NOTHING);
    let events = world.events();
    let [TaskEvent::SnapshotTaken(snapshot)] = events.as_slice() else { panic!("{events:?}") };
    assert!(snapshot.chain.input_ended);
    assert_eq!(snapshot.chain.operators.len(), 2);
    world.mailbox.checkpoint_completed(CheckpointId(6));
    assert_eq!(world.settle(), Step::Finished);
    assert_eq!(world.recorder.taken(), Vec::<String>::new(), "nothing follows the end");
    let diary = world.diary();
    let snapshots = ["first snapshot 6 ended=true", "second snapshot 6 ended=true"];
    assert_eq!(diary[2..4], snapshots, "no row was processed: {diary:?}");
    assert_eq!(world.events().last(), Some(&finished()));
}

#[test]
fn a_source_that_had_finished_elsewhere_writes_its_position_again_and_without_checkpoints_ends() {
    for checkpointing in [true, false] {
        let restore = Some(had_finished(true));
        let source_rows = Some(9);
        let setting = Setting { checkpointing, restore, source_rows, ..Setting::default() };
        let mut world = World::new(setting);
        if checkpointing {
            assert_eq!(world.settle(), NOTHING);
            world.mailbox.trigger_checkpoint(barrier(6));
            assert_eq!(world.settle(), NOTHING);
            world.mailbox.checkpoint_completed(CheckpointId(6));
        }
        assert_eq!(world.settle(), Step::Finished);
        assert_eq!(world.recorder.taken(), ["watermark end", "end"]);
    }
}
