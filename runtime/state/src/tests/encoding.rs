//! Snapshots in slices: how much a slice does, what it costs, and what happens when there's no room
//! for it. That it's the state at the barrier is in `incremental`.

use thalweg_core::record::Key;

use super::*;
use crate::{
    EncodingBudget, KeyedState, LastSnapshot, MemoryBudget, RunKind, SliceState, TimerService,
    ValueState,
};

const KEYS: u64 = 20_000;

fn writer(buffers: &MemoryBudget) -> RunWriter {
    let origin = RunOrigin {
        operator: "under test".into(),
        subtask: 0,
        parallelism: 1,
        max_parallelism: MAX_PARALLELISM,
    };
    RunWriter::incremental(origin, RunKind::Base, LastSnapshot::GivenUp).in_slices(buffers.clone())
}

fn counts() -> (KeyedState<u64>, ValueState<String>) {
    let mut state = KeyedState::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    let count = state.value_state::<String>("count").unwrap();
    set(&mut state, count, 0..KEYS, "before");
    (state, count)
}

fn set(
    state: &mut KeyedState<u64>,
    count: ValueState<String>,
    keys: std::ops::Range<u64>,
    to: &str,
) {
    for key in keys {
        state.set_current_key(key, key.key_hash());
        count.set(state, to.to_owned()).unwrap();
    }
}

fn read(run: Vec<u8>) -> Vec<String> {
    let from = restored(&[run], 0, 1);
    let mut state = KeyedState::new(ranges(1)[0], MAX_PARALLELISM, Some(from)).unwrap();
    let count = state.value_state::<String>("count").unwrap();
    let value = |key: u64| {
        state.set_current_key(key, key.key_hash());
        count.get(&mut state).unwrap().cloned().unwrap_or_default()
    };
    (0..KEYS).map(value).collect()
}

#[test]
fn a_slice_writes_no_more_rows_and_bytes_than_it_may() {
    let (mut state, _) = counts();
    let (range, buffers) = (ranges(1)[0], MemoryBudget::unlimited());
    let mut timers = TimerService::<u64, u8>::new("t", range, MAX_PARALLELISM, None).unwrap();
    let mut slices = SliceState::<u64, u64>::new("s", range, MAX_PARALLELISM, None).unwrap();
    for key in 0..KEYS {
        timers.register_event_time((key % 100) as i64, &key, key.key_hash(), &0).unwrap();
        slices.get_or_insert_with((key % 3) as i64, &key, key.key_hash(), || key).unwrap();
    }
    for (rows, bytes) in [(100, usize::MAX), (usize::MAX, 1000)] {
        let mut writer = writer(&buffers);
        state.snapshot(&mut writer).unwrap();
        timers.snapshot(&mut writer).unwrap();
        slices.snapshot(&mut writer).unwrap();
        assert_eq!(writer.row_count(), 0, "at the barrier nothing is written");
        let mut pieces = 0;
        while writer.is_unfinished() {
            let before = (writer.row_count(), buffers.drawn());
            let mut budget = EncodingBudget::new(rows, bytes);
            let complete = state.encode(&mut writer, &mut budget).unwrap()
                && timers.encode(&mut writer, &mut budget).unwrap()
                && slices.encode(&mut writer, &mut budget).unwrap();
            assert!(complete || budget.is_spent(), "it stops early");
            let written = writer.row_count() - before.0;
            // A row has at least its key, of two bytes or more.
            assert!(written <= rows.min(bytes / 2) as u64, "{written} rows in a piece");
            pieces += 1;
        }
        assert_eq!(writer.row_count(), 3 * KEYS);
        assert!(rows == usize::MAX || pieces >= 6 * KEYS as usize / rows, "{pieces} pieces");
        writer.finish().unwrap();
    }
}

#[test]
fn what_a_snapshot_takes_is_given_back_when_it_ends_or_is_aborted() {
    let (mut state, count) = counts();
    let buffers = MemoryBudget::new(100 << 20);
    let mut first = writer(&buffers);
    state.snapshot(&mut first).unwrap();
    state.encode(&mut first, &mut EncodingBudget::new(5000, usize::MAX)).unwrap();
    set(&mut state, count, 0..KEYS, "after!");
    assert!(buffers.drawn() > KEYS as usize, "copies aren't charged");
    assert!(state.encode(&mut first, &mut EncodingBudget::unlimited()).unwrap());
    assert!(read(first.finish().unwrap()).iter().all(|value| value == "before"));
    assert_eq!(buffers.drawn(), 0);

    let before = state.bytes();
    let mut second = writer(&buffers);
    state.snapshot(&mut second).unwrap();
    state.encode(&mut second, &mut EncodingBudget::new(5000, usize::MAX)).unwrap();
    set(&mut state, count, 0..KEYS, "later!");
    state.abort_snapshot();
    drop(second);
    assert_eq!((state.bytes(), buffers.drawn()), (before, 0));
}

#[test]
fn copies_that_do_not_fit_the_buffers_lose_the_snapshot_and_nothing_else() {
    let (mut state, count) = counts();
    let buffers = MemoryBudget::new(256 << 10);
    let mut lost = writer(&buffers);
    state.snapshot(&mut lost).unwrap();
    set(&mut state, count, 0..KEYS, "after");
    assert!(buffers.drawn() <= buffers.limit());
    let error = state.encode(&mut lost, &mut EncodingBudget::new(10, 10)).unwrap_err().to_string();
    assert!(error.contains("raise taskmanager.memory.process.size"), "{error}");
    state.abort_snapshot();
    drop(lost);
    assert_eq!(buffers.drawn(), 0);
    let mut next = writer(&MemoryBudget::unlimited());
    state.snapshot(&mut next).unwrap();
    assert!(state.encode(&mut next, &mut EncodingBudget::unlimited()).unwrap());
    assert!(read(next.finish().unwrap()).iter().all(|value| value == "after"));
}

#[test]
fn a_dropped_slice_is_kept_as_long_as_it_has_to_be_written() {
    let range = ranges(1)[0];
    let mut slices = SliceState::<u64, String>::new("s", range, MAX_PARALLELISM, None).unwrap();
    for key in 0..1000u64 {
        slices.get_or_insert_with(7, &key, key.key_hash(), || "x".repeat(100)).unwrap();
    }
    let full = slices.bytes();
    let mut writer = writer(&MemoryBudget::unlimited());
    slices.snapshot(&mut writer).unwrap();
    slices.encode(&mut writer, &mut EncodingBudget::new(1500, usize::MAX)).unwrap();
    assert_eq!((slices.remove_slice(7), slices.first_slice_end()), (1000, None));
    assert!(slices.bytes() > full / 4 && slices.bytes() < full, "{} of {full}", slices.bytes());
    // It comes again, as another one.
    slices.get_or_insert_with(7, &5, 5u64.key_hash(), || "y".into()).unwrap();
    assert!(slices.encode(&mut writer, &mut EncodingBudget::unlimited()).unwrap());
    slices.remove_slice(7);
    assert_eq!(slices.bytes(), 0);
    let from = restored(&[writer.finish().unwrap()], 0, 1);
    let again = SliceState::<u64, String>::new("s", range, MAX_PARALLELISM, Some(&from)).unwrap();
    assert_eq!(again.slice_len(7), 1000);
    assert_eq!(again.get(7, &5, 5u64.key_hash()), Some(&"x".repeat(100)));
}

#[test]
fn a_state_that_was_not_written_to_its_end_gives_no_run() {
    let (mut state, _) = counts();
    let mut writer = writer(&MemoryBudget::unlimited());
    state.snapshot(&mut writer).unwrap();
    state.encode(&mut writer, &mut EncodingBudget::new(10, 10)).unwrap();
    let error = writer.finish().unwrap_err().to_string();
    assert!(error.contains("not written to its end"), "{error}");
}
