//! A job that is stopped with a savepoint, or whose sources are drained.

use thalweg_core::element::{Barrier, SavepointTarget, SnapshotKind};
use thalweg_core::ids::CheckpointId;
use thalweg_network::GateEvent;

use super::world::{Setting, World, barrier};
use crate::task::{Step, TaskEvent, TaskOutcome};

const NOTHING: Step = Step::Blocked { until: None };

fn stop(checkpoint: u64) -> Barrier {
    let target = SavepointTarget { directory: "/savepoints/1".to_owned(), stop: true };
    Barrier { kind: SnapshotKind::Savepoint(target.into()), ..barrier(checkpoint) }
}

fn source(rows: i64) -> World {
    World::new(Setting { checkpointing: true, source_rows: Some(rows), ..Setting::default() })
}

fn has_finished(world: &World) -> bool {
    let finished = |e: &TaskEvent| matches!(e, TaskEvent::Ended(TaskOutcome::Finished { .. }));
    world.events().iter().any(finished)
}

#[test]
fn a_source_reads_nothing_after_the_barrier_and_ends_when_the_savepoint_is_complete() {
    let mut world = source(1_000_000);
    for _ in 0..5 {
        assert_eq!(world.task.step(), Step::Ready);
    }
    world.mailbox.trigger_checkpoint(stop(3));
    assert_eq!(world.settle(), NOTHING);
    let before = world.recorder.taken();
    assert_eq!(before.last().unwrap(), "barrier 3");
    assert!(!has_finished(&world));
    world.mailbox.checkpoint_completed(CheckpointId(3));
    assert_eq!(world.settle(), Step::Finished);
    assert!(has_finished(&world));
    assert_eq!(world.recorder.taken(), ["watermark end", "end"]);
    let diary = world.diary();
    assert!(diary.contains(&"second completed 3".to_owned()), "{diary:?}");
}

#[test]
fn a_stop_that_is_given_up_lets_the_source_go_on_where_it_was() {
    let rows = |world: &World| -> Vec<String> {
        world.recorder.taken().into_iter().filter(|e| e.starts_with('[')).collect()
    };
    for how in ["aborted", "another trigger"] {
        let mut world = source(1_000_000);
        assert_eq!(world.task.step(), Step::Ready);
        world.mailbox.trigger_checkpoint(stop(3));
        assert_eq!(world.settle(), NOTHING);
        let mut read = rows(&world);
        match how {
            "aborted" => world.mailbox.checkpoint_aborted(CheckpointId(3)),
            _ => world.mailbox.trigger_checkpoint(barrier(4)),
        }
        for _ in 0..5 {
            assert_eq!(world.task.step(), Step::Ready, "{how}");
        }
        let more = rows(&world);
        assert!(!more.is_empty(), "{how}");
        read.extend(more);
        let expected: Vec<_> = (1..=read.len()).map(|n| format!("[{n}]")).collect();
        assert_eq!(read, expected, "{how}");
    }
}

#[test]
fn behind_the_barrier_nothing_is_processed_no_timer_fires_and_what_comes_is_thrown_away() {
    let mut world = World::new(Setting { checkpointing: true, ..Setting::default() });
    world.script.rows(&[-3]);
    let alignment = Default::default();
    world.script.event(GateEvent::BarrierAligned { barrier: stop(5), alignment });
    world.script.rows(&[7]);
    assert_eq!(world.settle(), NOTHING);
    world.clock.advance(1_000);
    assert_eq!(world.settle(), NOTHING, "a timer that is due isn't waited for");
    assert_eq!(world.recorder.taken(), ["[-3]", "barrier 5"]);
    world.mailbox.checkpoint_completed(CheckpointId(5));
    // Its producers haven't ended yet: it waits for them.
    assert_eq!(world.settle(), NOTHING);
    assert!(!has_finished(&world));
    world.script.end();
    assert_eq!(world.settle(), Step::Finished);
    assert!(has_finished(&world));
    assert_eq!(world.recorder.taken(), ["watermark end", "end"]);
}

#[test]
fn a_task_that_has_ended_before_finishes_as_with_any_checkpoint() {
    let mut world = source(2);
    assert_eq!(world.settle(), NOTHING);
    world.recorder.taken();
    world.mailbox.trigger_checkpoint(stop(3));
    assert_eq!(world.settle(), NOTHING);
    world.mailbox.checkpoint_completed(CheckpointId(3));
    assert_eq!(world.settle(), Step::Finished);
    assert!(world.recorder.taken().is_empty(), "the end isn't sent twice");
}

#[test]
fn a_drained_source_ends_its_event_time_and_waits_for_a_checkpoint() {
    let mut world = source(1_000_000);
    for _ in 0..5 {
        assert_eq!(world.task.step(), Step::Ready);
    }
    for _ in 0..2 {
        world.mailbox.end_input();
        assert_eq!(world.settle(), NOTHING);
    }
    let elements = world.recorder.taken();
    assert_eq!(elements[elements.len() - 2..], ["watermark end", "end"]);
    assert!(world.events().contains(&TaskEvent::InputEnded));
    world.mailbox.trigger_checkpoint(barrier(3));
    assert_eq!(world.settle(), NOTHING);
    let ended = |e: &TaskEvent| matches!(e, TaskEvent::SnapshotTaken(s) if s.chain.input_ended);
    assert!(world.events().iter().any(ended));
    world.mailbox.checkpoint_completed(CheckpointId(3));
    assert_eq!(world.settle(), Step::Finished);
}
