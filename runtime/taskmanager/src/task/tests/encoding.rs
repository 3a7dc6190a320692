//! Snapshots of a task with much state: rows go on between their slices, and what is in them is
//! the state at the barrier.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::Clock;
use thalweg_core::ids::{CheckpointId, OperatorId};
use thalweg_core::key_group::KeyGroupRange;
use thalweg_rpc::message::DeclineReason;
use thalweg_state::{MemoryBudget, RunReader, run::RowOperation};

use super::world::{Setting, World, barrier};
use crate::task::{SnapshotPart, Step, TaskEvent, TaskSnapshot};

const KEYS: i64 = 20_000;

/// A task whose state takes several slices.
fn world(snapshot_buffers: Option<usize>) -> World {
    let setting = Setting { checkpointing: true, hoards: true, ..Setting::default() };
    let mut world = World::new(Setting { snapshot_buffers, ..setting });
    world.script.rows(&[KEYS]);
    settle(&mut world);
    world.recorder.taken();
    world.events();
    world
}

fn settle(world: &mut World) {
    assert_eq!(world.settle(), Step::Blocked { until: None });
}

fn snapshots(events: Vec<TaskEvent>) -> Vec<TaskSnapshot> {
    let taken = events.into_iter().filter_map(|event| match event {
        TaskEvent::SnapshotTaken(snapshot) => Some(*snapshot),
        _ => None,
    });
    taken.collect()
}

/// How many rows the run of the task's state has, and which values.
fn held(snapshot: &TaskSnapshot) -> (usize, BTreeSet<Vec<u8>>) {
    let run = RunReader::open(Arc::new(snapshot.chain.operators[0].run.clone())).unwrap();
    let mut cursor = run.rows(0, KeyGroupRange::all(128));
    let (mut rows, mut values) = (0, BTreeSet::new());
    while cursor.advance().unwrap() {
        if let Some((_, RowOperation::Value(value))) = cursor.current() {
            rows += 1;
            values.insert(value.to_vec());
        }
    }
    (rows, values)
}

/// The encoding of a value.
fn value(of: i64) -> BTreeSet<Vec<u8>> {
    let mut bytes = Vec::new();
    thalweg_core::Record::encode(&of, &mut bytes);
    BTreeSet::from([bytes])
}

#[test]
fn rows_are_processed_between_the_slices_and_are_not_in_the_snapshot() {
    let mut world = world(None);
    world.script.barrier(1);
    let mut taken = Vec::new();
    let mut rows = 0;
    while taken.is_empty() {
        // Each row changes everything.
        world.script.rows(&[KEYS + 1]);
        rows += 1;
        assert_eq!(world.task.step(), Step::Ready);
        taken = snapshots(world.events());
    }
    assert!(rows > 3, "it took {rows} steps: more than a slice each");
    let elements = world.recorder.taken();
    assert_eq!((elements.len(), elements[0].as_str()), (rows + 1, "barrier 1"));
    assert_eq!(held(&taken[0]), (KEYS as usize, value(KEYS)));
    // What the next one holds is what has changed since.
    world.mailbox.checkpoint_completed(CheckpointId(1));
    world.script.barrier(2);
    settle(&mut world);
    let taken = snapshots(world.events());
    assert_eq!(taken[0].chain.operators[0].extends, Some(CheckpointId(1)));
    assert_eq!(held(&taken[0]), (KEYS as usize + 1, value(KEYS + 1)));
}

/// Takes a checkpoint.
fn take(world: &mut World, checkpoint: u64) -> TaskSnapshot {
    world.script.barrier(checkpoint);
    settle(world);
    snapshots(world.events()).remove(0)
}

#[test]
fn a_task_writes_all_state_of_an_operator_once_when_it_is_told_to() {
    let mut world = world(None);
    let operator = take(&mut world, 1).chain.operators[0].operator;
    let other = OperatorId::new(operator.bits() ^ 1);
    let all = KEYS as usize;
    let rounds = [(2, other, (Some(1), 0)), (3, operator, (None, all)), (4, other, (Some(3), 0))];
    for (checkpoint, told, expected) in rounds {
        world.mailbox.checkpoint_completed(CheckpointId(checkpoint - 1));
        world.mailbox.write_bases(&BTreeSet::from([told]));
        let taken = take(&mut world, checkpoint);
        let extends = taken.chain.operators[0].extends.map(|checkpoint| checkpoint.0);
        assert_eq!((extends, held(&taken).0), expected, "checkpoint {checkpoint}");
    }
}

#[test]
fn a_task_without_input_writes_on_and_one_whose_input_has_ended_waits_for_that() {
    let mut idle = world(None);
    idle.script.barrier(1);
    settle(&mut idle);
    assert_eq!(held(&snapshots(idle.events())[0]).0, KEYS as usize);

    let mut ended = world(None);
    ended.script.barrier(1);
    ended.script.end();
    settle(&mut ended);
    let taken = snapshots(ended.events());
    assert_eq!(held(&taken[0]).0, KEYS as usize);
    assert!(!taken[0].chain.input_ended, "there was input after its barrier");
}

#[test]
fn while_there_is_no_room_downstream_it_writes_on() {
    let mut world = world(None);
    world.script.barrier(1);
    assert_eq!(world.task.step(), Step::Ready);
    world.recorder.set_full(true);
    world.script.rows(&[1]);
    settle(&mut world);
    assert_eq!(snapshots(world.events()).len(), 1);
}

#[test]
fn other_work_gets_most_of_the_time() {
    let mut world = world(None);
    world.script.barrier(1);
    assert_eq!(world.task.step(), Step::Ready);
    // Looking at the clock takes a millisecond: a slice takes that long.
    world.clock.ticks(1);
    let (mut slices, mut steps) = (0, 0);
    while snapshots(world.events()).is_empty() {
        world.script.rows(&[1]);
        let before = world.clock.reads();
        assert_eq!(world.task.step(), Step::Ready);
        steps += 1;
        slices += usize::from(world.clock.reads() > before + 1);
    }
    assert!(slices > 10 && steps >= 2 * slices, "{slices} slices in {steps} steps");
}

/// A task that has written a slice of a millisecond and is to write the next one later.
fn between_slices() -> World {
    let mut world = world(None);
    world.script.barrier(1);
    world.clock.ticks(1);
    world.script.rows(&[1]);
    assert_eq!(world.task.step(), Step::Ready);
    world.clock.ticks(0);
    world
}

/// How long the task waits if nothing comes.
fn wait(world: &mut World) -> Duration {
    let step = world.settle();
    let Step::Blocked { until: Some(until) } = step else { panic!("{step:?}") };
    until - world.clock.elapsed()
}

#[test]
fn a_task_whose_neighbours_let_it_wait_for_a_moment_writes_no_faster_for_that() {
    let mut world = between_slices();
    for _ in 0..5 {
        world.script.rows(&[1]);
        assert_eq!(wait(&mut world), Duration::from_millis(2));
        let reads = world.clock.reads();
        world.clock.advance(1);
        assert_eq!(wait(&mut world), Duration::from_millis(1));
        assert_eq!(world.clock.reads(), reads + 2, "a slice was written");
    }
}

#[test]
fn a_task_that_is_idle_writes_without_a_pause() {
    let mut world = between_slices();
    world.script.rows(&[1]);
    let wait = wait(&mut world);
    world.clock.ticks(1);
    world.clock.advance(wait.as_millis() as u64);
    // It never waits until a slice is due.
    settle(&mut world);
    assert_eq!(snapshots(world.events()).len(), 1);
}

#[test]
fn an_aborted_snapshot_is_dropped_and_the_next_one_holds_its_rows_too() {
    let mut world = world(None);
    world.script.barrier(1);
    assert_eq!(world.task.step(), Step::Ready);
    world.mailbox.checkpoint_aborted(CheckpointId(1));
    settle(&mut world);
    assert_eq!(world.events(), [TaskEvent::SnapshotAborted(CheckpointId(1))]);
    world.script.event(thalweg_network::GateEvent::BarrierAligned {
        barrier: thalweg_core::element::Barrier { published: CheckpointId(0), ..barrier(2) },
        alignment: Default::default(),
    });
    settle(&mut world);
    assert_eq!(held(&snapshots(world.events())[0]), (KEYS as usize, value(KEYS)));
}

#[test]
fn the_next_barrier_supersedes_a_snapshot_that_is_not_complete() {
    let mut world = world(None);
    world.script.barrier(1);
    assert_eq!(world.task.step(), Step::Ready);
    world.script.barrier(2);
    settle(&mut world);
    let events = world.events();
    let declined = TaskEvent::CheckpointDeclined(CheckpointId(1), DeclineReason::Superseded);
    assert_eq!(events[..2], [TaskEvent::SnapshotAborted(CheckpointId(1)), declined]);
    let taken = snapshots(events);
    assert_eq!((taken.len(), taken[0].chain.barrier.checkpoint), (1, CheckpointId(2)));
    assert_eq!(held(&taken[0]), (KEYS as usize, value(KEYS)));
}

#[test]
fn a_snapshot_that_does_not_fit_its_buffers_is_declined_and_the_task_goes_on() {
    let mut world = world(Some(100_000));
    world.script.barrier(1);
    world.script.rows(&[KEYS]);
    settle(&mut world);
    let events = world.events();
    let [_, TaskEvent::CheckpointDeclined(checkpoint, DeclineReason::Failed(reason))] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(*checkpoint, CheckpointId(1));
    assert!(reason.contains("raise taskmanager.memory.process.size"), "{reason}");
    world.recorder.taken();
    world.script.rows(&[3]);
    settle(&mut world);
    assert_eq!(world.recorder.taken(), ["[3]"]);
}

/// A task with so little room for uploads that its run goes ahead in several parts.
fn streaming() -> World {
    let setting = Setting { checkpointing: true, hoards: true, ..Setting::default() };
    let mut world = World::new(Setting { uploads: Some(MemoryBudget::new(UPLOADS)), ..setting });
    world.script.rows(&[KEYS]);
    settle(&mut world);
    world.recorder.taken();
    world.events();
    world
}

const UPLOADS: usize = 60_000;

fn parts(events: &[TaskEvent]) -> Vec<SnapshotPart> {
    let parts = events.iter().filter_map(|event| match event {
        TaskEvent::SnapshotPart(part) => Some((**part).clone()),
        _ => None,
    });
    parts.collect()
}

#[test]
fn with_a_slow_store_a_snapshot_waits_for_room_while_rows_go_on_and_nothing_is_declined() {
    let mut world = streaming();
    world.script.barrier(1);
    let (mut ahead, mut waits, mut taken) = (Vec::new(), 0, Vec::new());
    while taken.is_empty() {
        // The store takes nothing until the task waits for it.
        let Step::Blocked { until } = world.settle() else { panic!("it has ended") };
        let events = world.events();
        let uploading = parts(&events);
        let bytes: usize = uploading.iter().map(|part| part.part.bytes.len()).sum();
        assert!(bytes <= UPLOADS, "{bytes} bytes on their way");
        assert!(uploading.iter().all(|part| part.barrier == barrier(1) && part.room.is_some()));
        assert!(!events.iter().any(|e| matches!(e, TaskEvent::CheckpointDeclined(..))));
        taken = snapshots(events);
        if taken.is_empty() {
            assert!(until.is_some(), "it has to look for room again");
            waits += 1;
            world.recorder.taken();
            world.script.rows(&[KEYS + 1]);
            assert!(matches!(world.settle(), Step::Blocked { .. }));
            assert_eq!(world.recorder.taken(), [format!("[{}]", KEYS + 1)]);
            assert_eq!(world.events(), []);
        }
        // Now it has: what was in it makes room.
        ahead.extend(uploading.into_iter().flat_map(|part| part.part.bytes));
        world.clock.advance(5);
    }
    assert!(waits >= 1, "it was never throttled");
    let mut snapshot = taken.remove(0);
    let operator = &mut snapshot.chain.operators[0];
    assert_eq!((operator.ahead, operator.is_keyed), (ahead.len() as u64, true));
    ahead.append(&mut operator.run);
    operator.run = ahead;
    assert_eq!(held(&snapshot), (KEYS as usize, value(KEYS)));
}

#[test]
fn what_went_ahead_of_an_aborted_snapshot_is_told_to_be_thrown_away() {
    let mut world = streaming();
    world.script.barrier(1);
    assert!(matches!(world.settle(), Step::Blocked { until: Some(_) }));
    let uploading = world.events();
    assert!(!parts(&uploading).is_empty());
    world.mailbox.checkpoint_aborted(CheckpointId(1));
    settle(&mut world);
    assert_eq!(world.events(), [TaskEvent::SnapshotAborted(CheckpointId(1))]);
}
