//! Barriers, triggers, and what is told about them.

use std::time::Duration;

use thalweg_core::ids::CheckpointId;
use thalweg_network::{AlignmentStats, GateEvent};
use thalweg_rpc::message::DeclineReason;

use super::world::{Setting, World, barrier};
use crate::task::{Step, TaskEvent, TaskSnapshot};

const NOTHING: Step = Step::Blocked { until: None };

fn snapshots(world: &World) -> Vec<TaskSnapshot> {
    let events = world.events().into_iter();
    let snapshots = events.filter_map(|event| match event {
        TaskEvent::SnapshotTaken(snapshot) => Some(*snapshot),
        _ => None,
    });
    snapshots.collect()
}

#[test]
fn a_barrier_keeps_its_place_between_rows_and_gives_one_snapshot() {
    let mut world = World::new(Setting { checkpointing: true, ..Setting::default() });
    world.script.rows(&[1]);
    assert_eq!(world.settle(), NOTHING);
    world.clock.advance(100);
    world.script.rows(&[2]);
    let alignment = AlignmentStats {
        started: Duration::from_millis(40),
        duration: Duration::from_millis(60),
        bytes: 77,
    };
    world.script.event(GateEvent::BarrierAligned { barrier: barrier(7), alignment });
    world.script.rows(&[3]);
    assert_eq!(world.settle(), NOTHING);
    assert_eq!(world.recorder.taken(), ["[1]", "[2]", "barrier 7", "[3]"]);
    let taken = snapshots(&world);
    let [snapshot] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!(snapshot.chain.barrier, barrier(7));
    assert_eq!(snapshot.chain.operators.len(), 2);
    assert!(!snapshot.chain.input_ended);
    assert_eq!((snapshot.start_delay_ms, snapshot.alignment_bytes), (40, 77));
    assert_eq!(snapshot.alignment, Duration::from_millis(60));
    assert_eq!(world.metrics.checkpoint(), CheckpointId(7));
}

#[test]
fn a_source_takes_a_trigger_between_two_polls_and_a_repeated_one_changes_nothing() {
    let setting =
        Setting { checkpointing: true, source_rows: Some(1_000_000), ..Setting::default() };
    let mut world = World::new(setting);
    for _ in 0..10 {
        assert_eq!(world.task.step(), Step::Ready);
    }
    for _ in 0..2 {
        world.mailbox.trigger_checkpoint(barrier(3));
        for _ in 0..10 {
            assert_eq!(world.task.step(), Step::Ready);
        }
    }
    let elements = world.recorder.taken();
    assert_eq!(elements.iter().filter(|e| e.starts_with("barrier")).count(), 1);
    let rows: Vec<_> = elements.iter().filter(|e| !e.starts_with("barrier")).collect();
    let expected: Vec<_> = (1..=rows.len()).map(|n| format!("[{n}]")).collect();
    assert_eq!(rows, expected.iter().collect::<Vec<_>>());
    assert_eq!(snapshots(&world).len(), 1);
}

#[test]
fn a_trigger_waits_while_barriers_can_still_come_from_the_channels() {
    let mut world = World::new(Setting { checkpointing: true, ..Setting::default() });
    world.script.rows(&[1]);
    assert_eq!(world.settle(), NOTHING);
    world.mailbox.trigger_checkpoint(barrier(4));
    assert_eq!(world.settle(), NOTHING);
    assert_eq!(snapshots(&world), []);
    // The barrier itself takes the trigger's place.
    world.script.barrier(4);
    assert_eq!(world.settle(), NOTHING);
    assert_eq!(snapshots(&world).len(), 1);
    // The next trigger's barrier never comes: all channels end.
    world.mailbox.trigger_checkpoint(barrier(5));
    world.script.end();
    assert_eq!(world.settle(), NOTHING);
    let taken = snapshots(&world);
    assert_eq!(taken.len(), 1);
    assert!(taken[0].chain.input_ended);
}

#[test]
fn an_aborted_checkpoint_is_forgotten_and_the_gate_told() {
    let mut world = World::new(Setting { checkpointing: true, ..Setting::default() });
    assert_eq!(world.settle(), NOTHING);
    world.mailbox.trigger_checkpoint(barrier(4));
    assert_eq!(world.settle(), NOTHING);
    world.mailbox.checkpoint_aborted(CheckpointId(4));
    assert_eq!(world.settle(), NOTHING);
    assert_eq!(world.script.aborted(), [CheckpointId(4)]);
    world.script.end();
    assert_eq!(world.settle(), NOTHING);
    assert_eq!(snapshots(&world), []);
}

#[test]
fn a_superseded_alignment_is_declined_and_a_trigger_before_the_start_too() {
    let mut world = World::new(Setting { checkpointing: true, ..Setting::default() });
    world.mailbox.trigger_checkpoint(barrier(1));
    world.script.event(GateEvent::BarrierAborted { checkpoint: CheckpointId(2) });
    assert_eq!(world.settle(), NOTHING);
    let declined: Vec<_> = world
        .events()
        .into_iter()
        .filter(|event| matches!(event, TaskEvent::CheckpointDeclined(..)))
        .collect();
    let expected = [
        TaskEvent::CheckpointDeclined(CheckpointId(1), DeclineReason::NotReady),
        TaskEvent::CheckpointDeclined(CheckpointId(2), DeclineReason::Superseded),
    ];
    assert_eq!(declined, expected);
}

#[test]
fn a_published_checkpoint_is_committed_once_even_while_nothing_comes_in() {
    let mut world = World::new(Setting { checkpointing: true, ..Setting::default() });
    world.script.barrier(4);
    assert_eq!(world.settle(), NOTHING);
    world.diary();
    for _ in 0..2 {
        world.mailbox.checkpoint_completed(CheckpointId(4));
        assert_eq!(world.settle(), NOTHING);
    }
    world.mailbox.checkpoint_completed(CheckpointId(3));
    assert_eq!(world.settle(), NOTHING);
    assert_eq!(world.diary(), ["first completed 4", "second completed 4"]);
}
