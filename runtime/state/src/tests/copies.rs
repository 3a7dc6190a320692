//! Rows that are copied together with their neighbours before they change, against a map: numbers
//! under numbers, in value state, so many that tables grow and shrink while they're written.

use std::collections::BTreeMap;

use super::*;
use crate::{EncodingBudget, KeyedState, LastSnapshot, MemoryBudget, RunKind, ValueState};

struct Subject {
    state: KeyedState<u64>,
    value: ValueState<u64>,
    model: BTreeMap<u64, u64>,
    random: u64,
    /// Snapshots for which the buffers had to grow because rows changed.
    copied: u32,
}

impl Subject {
    fn next(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Changes some keys' values, or more often takes them away if `shrinks`.
    fn act(&mut self, times: u64, keys: u64, shrinks: bool) {
        for _ in 0..times {
            let (key, action) = (self.next(keys), self.next(8));
            self.state.set_current_key(key, key.key_hash());
            match action {
                0..=1 => self.remove(key),
                2..=6 if shrinks => self.remove(key),
                2..=4 => {
                    let mut value = self.value.get_or_insert_with(&mut self.state, || 0).unwrap();
                    *value += 1;
                    *self.model.entry(key).or_default() += 1;
                }
                _ => {
                    self.value.set(&mut self.state, times).unwrap();
                    self.model.insert(key, times);
                }
            }
        }
    }

    fn remove(&mut self, key: u64) {
        self.value.clear(&mut self.state).unwrap();
        self.model.remove(&key);
    }

    /// Takes a snapshot in slices, and changes a lot between them.
    fn snapshot(&mut self, kind: RunKind, last: LastSnapshot, buffers: &MemoryBudget) -> Vec<u8> {
        let origin = RunOrigin {
            operator: "under test".into(),
            subtask: 0,
            parallelism: 1,
            max_parallelism: MAX_PARALLELISM,
        };
        let writer = RunWriter::incremental(origin, kind, last);
        let mut writer = writer.in_slices(buffers.clone());
        self.state.snapshot(&mut writer).unwrap();
        let (keys, shrinks) = (1 + self.next(20_000), self.next(2) == 0);
        let mut copied = false;
        while writer.is_unfinished() {
            let rows = 1 + self.next(500) as usize;
            self.state.encode(&mut writer, &mut EncodingBudget::new(rows, usize::MAX)).unwrap();
            let times = self.next(1000);
            let before = buffers.drawn();
            self.act(times, keys, shrinks);
            copied |= buffers.drawn() > before;
        }
        self.copied += u32::from(copied);
        writer.finish().unwrap()
    }
}

fn restore(runs: &[Vec<u8>]) -> BTreeMap<u64, u64> {
    let mut state =
        KeyedState::new(ranges(1)[0], MAX_PARALLELISM, Some(restored(runs, 0, 1))).unwrap();
    let value = state.value_state::<u64>("value").unwrap();
    let of = |key: u64| {
        state.set_current_key(key, key.key_hash());
        Some((key, *value.get(&mut state).unwrap()?))
    };
    (0..20_000).filter_map(of).collect()
}

#[test]
fn what_was_copied_with_its_neighbours_is_what_was_there_at_the_barrier() {
    let mut copied = 0;
    for seed in 1..=12u64 {
        println!("seed {seed}");
        let mut state = KeyedState::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap();
        let value = state.value_state::<u64>("value").unwrap();
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut subject = Subject { state, value, model: BTreeMap::new(), random, copied: 0 };
        let buffers = MemoryBudget::new(64 << 20);
        let mut published: Vec<Vec<u8>> = Vec::new();
        let mut last = LastSnapshot::Published;
        for round in 0..8 {
            let times = subject.next(5000);
            subject.act(times, 20_000, false);
            let kind = match published.is_empty() || subject.next(4) == 0 {
                true => RunKind::Base,
                false => RunKind::Delta,
            };
            let expected = subject.model.clone();
            let run = subject.snapshot(kind, last, &buffers);
            let mut runs = if kind == RunKind::Base { Vec::new() } else { published.clone() };
            runs.push(run);
            assert_eq!(restore(&runs), expected, "seed {seed}, round {round}, {kind:?}");
            assert_eq!(buffers.drawn(), 0);
            last = match subject.next(3) {
                0 => LastSnapshot::GivenUp,
                _ => LastSnapshot::Published,
            };
            if last == LastSnapshot::Published {
                published = runs;
            }
        }
        copied += subject.copied;
    }
    assert!(copied > 20, "in {copied} snapshots rows were copied");
}

#[test]
fn a_snapshot_that_copies_more_than_its_buffers_hold_fails_and_leaves_nothing() {
    let mut state = KeyedState::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    let value = state.value_state::<u64>("value").unwrap();
    let all = |state: &mut KeyedState<u64>| {
        for key in 0..40_000u64 {
            state.set_current_key(key, key.key_hash());
            *value.get_or_insert_with(state, || 0).unwrap() += 1;
        }
    };
    all(&mut state);
    let buffers = MemoryBudget::new(256 << 10);
    let origin = RunOrigin {
        operator: "under test".into(),
        subtask: 0,
        parallelism: 1,
        max_parallelism: MAX_PARALLELISM,
    };
    let writer = RunWriter::incremental(origin, RunKind::Base, LastSnapshot::Published);
    let mut writer = writer.in_slices(buffers.clone());
    state.snapshot(&mut writer).unwrap();
    all(&mut state);
    assert!(buffers.drawn() <= buffers.limit());
    let error = state.encode(&mut writer, &mut EncodingBudget::unlimited()).unwrap_err();
    assert!(error.to_string().contains("raise taskmanager.memory.process.size"), "{error}");
    state.abort_snapshot();
    drop(writer);
    assert_eq!(buffers.drawn(), 0);
}
