//! Bases and deltas against full snapshots: whatever happens to checkpoints, what is restored from
//! the runs of the last published one is what a full snapshot of that moment restores. Also if they
//! were written in slices of any size, while the state went on changing.

use proptest::collection::vec;
use proptest::prelude::*;
use thalweg_core::record::Key;

use super::keyed_model::{self, Operation};
use super::*;
use crate::run::RowOperation;
use crate::{
    EncodingBudget, KeyedState, LastSnapshot, MemoryBudget, OperatorListState, OperatorState,
    RunKind, SliceState, StateKind, TimerService,
};

/// Everything that a subtask can remember.
struct Subtask {
    keyed: keyed_model::Subtask,
    timers: TimerService<String, i64>,
    slices: SliceState<String, String>,
    operator: OperatorState,
    splits: OperatorListState<u64>,
}

#[derive(Debug, Clone)]
enum Action {
    Keyed(Operation),
    /// Many entries of a map.
    Fill {
        first: u8,
        count: u8,
    },
    /// Many keys.
    Crowd {
        first: u8,
        count: u8,
    },
    /// The same keys go.
    Scatter {
        first: u8,
        count: u8,
    },
    Register {
        time: i64,
        namespace: i64,
    },
    Delete {
        time: i64,
        namespace: i64,
    },
    Fire {
        up_to: i64,
    },
    Append {
        slice: i64,
        text: String,
    },
    Drop {
        slice: i64,
    },
    Split(u64),
}

#[derive(Debug, Clone)]
enum Step {
    Act(Vec<(String, Action)>),
    Checkpoint { base: bool, published: bool },
    Sliced { base: bool, ends: End, slices: Vec<(usize, Vec<(String, Action)>)> },
    Restart { parallelism: u32 },
}

/// How a snapshot ends that is written in slices.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Published,
    GivenUp,
    /// After its last slice, though there may be more to write.
    Aborted,
    /// Nothing goes on from it.
    Savepoint,
}

fn action() -> impl Strategy<Value = Action> {
    let time = || 0..6i64;
    prop_oneof![
        8 => keyed_model::operation().prop_map(Action::Keyed),
        1 => (any::<u8>(), 0..60u8).prop_map(|(first, count)| Action::Fill { first, count }),
        1 => (0..150u8, 0..100u8).prop_map(|(first, count)| Action::Crowd { first, count }),
        1 => (0..150u8, 0..100u8).prop_map(|(first, count)| Action::Scatter { first, count }),
        3 => (time(), 0..2i64).prop_map(|(time, namespace)| Action::Register { time, namespace }),
        1 => (time(), 0..2i64).prop_map(|(time, namespace)| Action::Delete { time, namespace }),
        1 => time().prop_map(|up_to| Action::Fire { up_to }),
        3 => (time(), "[a-z]{1,3}").prop_map(|(slice, text)| Action::Append { slice, text }),
        1 => time().prop_map(|slice| Action::Drop { slice }),
        1 => any::<u64>().prop_map(Action::Split),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => vec(("[a-d]{1,2}", action()), 0..40).prop_map(Step::Act),
        4 => (prop::bool::weighted(0.2), prop::bool::weighted(0.7))
            .prop_map(|(base, published)| Step::Checkpoint { base, published }),
        4 => sliced(),
        1 => (1..=3u32).prop_map(|parallelism| Step::Restart { parallelism }),
    ]
}

fn sliced() -> impl Strategy<Value = Step> {
    let ends = prop_oneof![
        5 => Just(End::Published),
        2 => Just(End::GivenUp),
        2 => Just(End::Aborted),
        2 => Just(End::Savepoint),
    ];
    let slice = (1..40usize, vec(("[a-d]{1,2}", action()), 0..12));
    (prop::bool::weighted(0.2), ends, vec(slice, 0..12))
        .prop_map(|(base, ends, slices)| Step::Sliced { base, ends, slices })
}

impl Subtask {
    fn new(range: KeyGroupRange, from: Option<Arc<RestoredOperator>>) -> Subtask {
        let mut operator = OperatorState::new(from.clone());
        let splits = operator.list_state("splits").unwrap();
        let of = from.as_ref();
        let subtask = Subtask {
            timers: TimerService::new("timers", range, MAX_PARALLELISM, of).unwrap(),
            slices: SliceState::new("slices", range, MAX_PARALLELISM, of).unwrap(),
            keyed: keyed_model::Subtask::new(range, from.clone()),
            operator,
            splits,
        };
        assert!(from.is_none_or(|from| from.unclaimed().is_empty()));
        subtask
    }

    fn act(&mut self, key: &String, action: &Action) {
        let hash = key.key_hash();
        self.keyed.state.set_current_key(key.clone(), hash);
        match action.clone() {
            Action::Keyed(operation) => self.keyed.apply(&operation).unwrap(),
            Action::Fill { first, count } => {
                for number in 0..count {
                    let map_key = (first.wrapping_add(number), String::new());
                    self.keyed.apply(&Operation::Put(map_key, Some(7))).unwrap();
                }
            }
            Action::Crowd { first, count } => self.crowd(first, count, true),
            Action::Scatter { first, count } => self.crowd(first, count, false),
            Action::Register { time, namespace } => {
                self.timers.register_event_time(time, key, hash, &namespace).unwrap();
            }
            Action::Delete { time, namespace } => {
                self.timers.delete_event_time(time, key, hash, &namespace);
            }
            Action::Fire { up_to } => while self.timers.pop_event_time(up_to).is_some() {},
            Action::Append { slice, text } => {
                let value = self.slices.get_or_insert_with(slice, key, hash, String::new);
                value.unwrap().push_str(&text);
            }
            Action::Drop { slice } => drop(self.slices.remove_slice(slice)),
            Action::Split(split) => {
                let mut splits = self.splits.get_mut(&mut self.operator).unwrap();
                splits.truncate((split % 5) as usize);
                splits.push(split);
            }
        }
    }

    /// Those of many keys that are this subtask's get values, or lose them.
    fn crowd(&mut self, first: u8, count: u8, come: bool) {
        for number in first..first.saturating_add(count) {
            let key = format!("key {number}");
            let hash = key.key_hash();
            if !self.keyed.state.key_groups().contains(key_group(hash, MAX_PARALLELISM)) {
                continue;
            }
            self.keyed.state.set_current_key(key.clone(), hash);
            match come {
                true => {
                    self.keyed.apply(&Operation::Append("x".into())).unwrap();
                    self.keyed.apply(&Operation::AddAll(vec![1, 2])).unwrap();
                    let value = self.slices.get_or_insert_with(3, &key, hash, String::new);
                    value.unwrap().push('y');
                }
                false => {
                    self.keyed.apply(&Operation::Clear(StateKind::Value)).unwrap();
                    self.keyed.apply(&Operation::Clear(StateKind::List)).unwrap();
                }
            }
        }
    }

    fn begin(&mut self, writer: &mut RunWriter) {
        self.keyed.state.snapshot(writer).unwrap();
        self.timers.snapshot(writer).unwrap();
        self.slices.snapshot(writer).unwrap();
        self.operator.snapshot(writer).unwrap();
    }

    fn write(&mut self, mut writer: RunWriter) -> Vec<u8> {
        self.begin(&mut writer);
        writer.finish().unwrap()
    }

    /// Whether all is written.
    fn encode(&mut self, writer: &mut RunWriter, budget: &mut EncodingBudget) -> bool {
        self.keyed.state.encode(writer, budget).unwrap()
            && self.timers.encode(writer, budget).unwrap()
            && self.slices.encode(writer, budget).unwrap()
    }

    fn abort(&mut self) {
        self.keyed.state.abort_snapshot();
        self.timers.abort_snapshot();
        self.slices.abort_snapshot();
    }

    fn bytes(&self) -> usize {
        self.keyed.state.bytes() + self.timers.bytes() + self.slices.bytes()
    }
}

fn origin(subtask: u32, parallelism: u32) -> RunOrigin {
    let operator = "under test".into();
    RunOrigin { operator, subtask, parallelism, max_parallelism: MAX_PARALLELISM }
}

/// A published checkpoint: the runs of each subtask, and a full snapshot of the same moment.
#[derive(Clone)]
struct Published {
    parallelism: u32,
    runs: Vec<Vec<Vec<u8>>>,
    full: Vec<Vec<u8>>,
}

struct Job {
    parallelism: u32,
    subtasks: Vec<Subtask>,
    published: Option<Published>,
    /// Whether the subtasks' states know the runs of `published`.
    continued: bool,
    last: LastSnapshot,
}

fn start(parallelism: u32, runs: Option<&[Vec<u8>]>, continued: bool) -> Vec<Subtask> {
    let subtask = |(index, range)| {
        let from = runs.map(|runs| {
            let open = |run: &Vec<u8>| RunReader::open(Arc::new(run.clone())).unwrap();
            let runs = runs.iter().map(open).collect();
            let from = RestoredOperator::new(runs, index, parallelism).unwrap();
            Arc::new(if continued { from.continued() } else { from })
        });
        Subtask::new(range, from)
    };
    (0..).zip(ranges(parallelism)).map(subtask).collect()
}

impl Job {
    fn new(parallelism: u32) -> Job {
        Job {
            parallelism,
            subtasks: start(parallelism, None, false),
            published: None,
            continued: false,
            last: LastSnapshot::Published,
        }
    }

    fn full(&mut self) -> Vec<Vec<u8>> {
        let subtasks = (0..).zip(&mut self.subtasks);
        let write = |(index, subtask): (u32, &mut Subtask)| {
            subtask.write(RunWriter::new(origin(index, self.parallelism)))
        };
        subtasks.map(write).collect()
    }

    fn act(&mut self, actions: &[(String, Action)]) {
        for (key, action) in actions {
            match action {
                Action::Crowd { .. } | Action::Scatter { .. } => {
                    self.subtasks.iter_mut().for_each(|subtask| subtask.act(key, action));
                }
                _ => self.subtasks[owner(key, self.parallelism)].act(key, action),
            }
        }
    }

    /// The runs that the next snapshot goes on from, and what it is.
    fn next(&self, base: bool) -> (Vec<Vec<Vec<u8>>>, RunKind) {
        let before = self.published.clone().filter(|_| self.continued);
        let kind = if base || before.is_none() { RunKind::Base } else { RunKind::Delta };
        let mut runs = before.filter(|_| kind == RunKind::Delta).map_or(vec![], |b| b.runs);
        runs.resize(self.subtasks.len(), Vec::new());
        (runs, kind)
    }

    fn checkpoint(&mut self, base: bool, published: bool) {
        let full = self.full();
        let (mut runs, kind) = self.next(base);
        for ((index, subtask), runs) in (0..).zip(&mut self.subtasks).zip(&mut runs) {
            let origin = origin(index, self.parallelism);
            runs.push(subtask.write(RunWriter::incremental(origin, kind, self.last)));
        }
        self.taken(runs, full, published);
    }

    fn taken(&mut self, runs: Vec<Vec<Vec<u8>>>, full: Vec<Vec<u8>>, published: bool) {
        self.last = if published { LastSnapshot::Published } else { LastSnapshot::GivenUp };
        if published {
            self.published = Some(Published { parallelism: self.parallelism, runs, full });
            self.continued = true;
        }
    }

    /// A snapshot in slices of so many rows, with actions after each.
    fn sliced(&mut self, base: bool, ends: End, slices: &[(usize, Vec<(String, Action)>)]) {
        let full = self.full();
        let (mut runs, kind) = self.next(base);
        if ends == End::Savepoint {
            runs.iter_mut().for_each(Vec::clear);
        }
        let begin = |(index, subtask): (u32, &mut Subtask)| {
            let origin = origin(index, self.parallelism);
            let writer = match ends {
                End::Savepoint => RunWriter::new(origin),
                _ => RunWriter::incremental(origin, kind, self.last),
            };
            let mut writer = writer.in_slices(MemoryBudget::unlimited());
            subtask.begin(&mut writer);
            writer
        };
        let mut writers: Vec<_> = (0..).zip(&mut self.subtasks).map(begin).collect();
        for (rows, actions) in slices {
            for (subtask, writer) in self.subtasks.iter_mut().zip(&mut writers) {
                subtask.encode(writer, &mut EncodingBudget::new(*rows, usize::MAX));
            }
            self.act(actions);
        }
        if ends == End::Aborted {
            self.subtasks.iter_mut().for_each(Subtask::abort);
            self.last = LastSnapshot::GivenUp;
            return;
        }
        for ((subtask, mut writer), runs) in self.subtasks.iter_mut().zip(writers).zip(&mut runs) {
            assert!(subtask.encode(&mut writer, &mut EncodingBudget::unlimited()));
            runs.push(writer.finish().unwrap());
        }
        let restored = |runs: &[Vec<u8>]| {
            let mut job = Job::new(self.parallelism);
            job.subtasks = start(self.parallelism, Some(runs), false);
            job.full()
        };
        assert!(restored(&runs.concat()) == restored(&full), "it isn't the state at the barrier");
        if ends != End::Savepoint {
            self.taken(runs, full, ends == End::Published);
        }
    }

    fn restart(&mut self, parallelism: u32) {
        let Some(published) = self.published.clone() else {
            *self = Job::new(parallelism);
            return;
        };
        let runs = published.runs.concat();
        self.parallelism = parallelism;
        self.subtasks = start(parallelism, Some(&published.full), false);
        let expected = (self.full(), self.subtasks.iter().map(Subtask::bytes).sum::<usize>());
        self.subtasks = start(parallelism, Some(&runs), false);
        let found = (self.full(), self.subtasks.iter().map(Subtask::bytes).sum::<usize>());
        assert!(found.0 == expected.0, "the runs hold something else than the full snapshot");
        assert!(found.1 <= expected.1 * 2, "{} bytes instead of {}", found.1, expected.1);
        // At another parallelism the first checkpoint begins with bases.
        self.continued = parallelism == published.parallelism;
        self.subtasks = start(parallelism, Some(&runs), self.continued);
        self.last = LastSnapshot::Published;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn bases_and_deltas_restore_what_a_full_snapshot_does(steps in vec(step(), 1..20)) {
        let mut job = Job::new(2);
        for step in steps {
            match step {
                Step::Act(actions) => job.act(&actions),
                Step::Sliced { base, ends, slices } => job.sliced(base, ends, &slices),
                Step::Checkpoint { base, published } => job.checkpoint(base, published),
                Step::Restart { parallelism } => job.restart(parallelism),
            }
        }
        job.checkpoint(false, true);
        for parallelism in [job.parallelism, 3, 1] {
            job.restart(parallelism);
        }
    }
}

/// The rows of a run: values and tombstones.
fn rows(run: &[u8]) -> (usize, usize) {
    let run = RunReader::open(Arc::new(run.to_vec())).unwrap();
    let (mut values, mut tombstones) = (0, 0);
    for state in 0..run.description().states.len() {
        let mut cursor = run.rows(state, KeyGroupRange::all(MAX_PARALLELISM));
        while cursor.advance().unwrap() {
            match cursor.current().unwrap().1 {
                RowOperation::Value(_) | RowOperation::Expiring { .. } => values += 1,
                RowOperation::Delete | RowOperation::DeleteRange => tombstones += 1,
            }
        }
    }
    (values, tombstones)
}

fn one() -> KeyedState<u32> {
    KeyedState::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap()
}

fn take(state: &mut KeyedState<u32>, kind: RunKind, last: LastSnapshot) -> Vec<u8> {
    let mut writer = RunWriter::incremental(origin(0, 1), kind, last);
    state.snapshot(&mut writer).unwrap();
    writer.finish().unwrap()
}

#[test]
fn a_delta_holds_the_rows_that_changed_while_tables_grow_and_shrink() {
    let mut state = one();
    let count = state.value_state::<u32>("count").unwrap();
    let set = |state: &mut KeyedState<u32>, keys: std::ops::Range<u32>| {
        for key in keys {
            state.set_current_key(key, key.key_hash());
            *count.get_or_insert_with(state, || 0).unwrap() += 1;
        }
    };
    let clear = |state: &mut KeyedState<u32>, keys: std::ops::Range<u32>| {
        for key in keys {
            state.set_current_key(key, key.key_hash());
            count.clear(state).unwrap();
        }
    };
    let published = LastSnapshot::Published;
    set(&mut state, 0..1000);
    assert_eq!(rows(&take(&mut state, RunKind::Base, published)), (1000, 0));
    assert_eq!(rows(&take(&mut state, RunKind::Delta, published)), (0, 0));
    set(&mut state, 500..510);
    assert_eq!(rows(&take(&mut state, RunKind::Delta, published)), (10, 0));
    // Ten times as many keys: their tables grow, and the old rows are still unchanged.
    set(&mut state, 990..10_000);
    assert_eq!(rows(&take(&mut state, RunKind::Delta, LastSnapshot::GivenUp)), (9020, 0));
    clear(&mut state, 20..9_000);
    set(&mut state, 9_500..9_510);
    let (values, tombstones) = rows(&take(&mut state, RunKind::Delta, published));
    assert!(values < 1100, "more than what is left: {values}");
    assert!(tombstones <= 8980, "{tombstones}");
    // Keys that come and go between two checkpoints are in none.
    set(&mut state, 50_000..50_100);
    clear(&mut state, 50_000..50_100);
    assert_eq!(rows(&take(&mut state, RunKind::Delta, published)), (0, 0));
}

#[test]
fn of_a_long_list_or_a_large_map_a_delta_holds_what_changed() {
    let mut state = one();
    let list = state.list_state::<u64>("list").unwrap();
    let map = state.map_state::<u32, u32>("map").unwrap();
    state.set_current_key(1, 1u32.key_hash());
    list.add_all(&mut state, (0..100_000).map(|number| u64::MAX - number)).unwrap();
    for key in 0..10_000 {
        map.put(&mut state, key, key).unwrap();
    }
    let published = LastSnapshot::Published;
    let mut runs = vec![take(&mut state, RunKind::Base, published)];
    list.add(&mut state, 1).unwrap();
    map.put(&mut state, 5, 6).unwrap();
    map.remove(&mut state, &6).unwrap();
    runs.push(take(&mut state, RunKind::Delta, published));
    list.add_all(&mut state, 0..20_000).unwrap();
    map.put(&mut state, 7, 8).unwrap();
    runs.push(take(&mut state, RunKind::Delta, published));
    // The last chunk, a value and a tombstone; a few chunks and a value.
    assert_eq!(rows(&runs[1]), (2, 1));
    assert!(rows(&runs[2]).0 < 20 && rows(&runs[2]).1 == 0, "{:?}", rows(&runs[2]));
    let expected = snapshot(0, 1, |writer| state.snapshot(writer));
    let mut again =
        KeyedState::<u32>::new(ranges(1)[0], MAX_PARALLELISM, Some(restored(&runs, 0, 1))).unwrap();
    again.list_state::<u64>("list").unwrap();
    again.map_state::<u32, u32>("map").unwrap();
    assert!(snapshot(0, 1, |writer| again.snapshot(writer)) == expected);
}

#[test]
fn a_chain_without_its_base_or_with_two_is_refused() {
    let mut state = one();
    state.value_state::<u32>("count").unwrap();
    let base = take(&mut state, RunKind::Base, LastSnapshot::Published);
    let delta = take(&mut state, RunKind::Delta, LastSnapshot::Published);
    let open = |runs: &[&Vec<u8>]| {
        let open = |run: &&Vec<u8>| RunReader::open(Arc::new((*run).clone())).unwrap();
        RestoredOperator::new(runs.iter().map(open).collect(), 0, 1)
    };
    assert!(open(&[&base, &delta, &delta]).is_ok());
    let error = open(&[&delta]).err().unwrap().to_string();
    assert!(error.contains("the base run of subtask 0 is missing"), "{error}");
    let error = open(&[&base, &base]).err().unwrap().to_string();
    assert!(error.contains("two are of subtask 0"), "{error}");
}
