//! State with a time to live against maps with explicit expiries: through time, cleaning,
//! checkpoints of bases and deltas in slices, and restores at other parallelisms.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use thalweg_core::record::Key;

use super::*;
use crate::{
    AggregateFunction, AggregatingState, EncodingBudget, KeyedState, LastSnapshot, ListState,
    MapState, MemoryBudget, ReducingState, RunKind, StateTtlConfig, StateVisibility, TimeToLive,
    UpdateType, ValueState,
};

const TTL: i64 = 160;
/// What a value that was read may live shorter after a restore.
const UNIT: i64 = 10;

/// Counts.
struct Count;

impl AggregateFunction<u32> for Count {
    type Accumulator = u32;
    type Output = u32;

    fn create_accumulator(&self) -> u32 {
        0
    }

    fn add(&self, _value: &u32, accumulator: &mut u32) {
        *accumulator += 1;
    }

    fn get_result(&self, accumulator: &u32) -> u32 {
        *accumulator
    }

    fn merge(&self, accumulator: &mut u32, other: &u32) {
        *accumulator += other;
    }
}

/// A subtask with one state of each kind. Values are strings, which own memory.
struct Subtask {
    state: KeyedState<u16>,
    value: ValueState<String, TimeToLive>,
    list: ListState<String, TimeToLive>,
    map: MapState<u8, String, TimeToLive>,
    sum: ReducingState<u32, TimeToLive>,
    count: AggregatingState<u32, Count, TimeToLive>,
}

#[derive(Debug, Clone)]
enum Act {
    Set(u32),
    Append(u32),
    Change(u32),
    Update(u32),
    ClearValue,
    AddAll(u8),
    Replace(u8),
    ClearList,
    Put(u8, u32),
    Extend(u8, u32),
    Fill(u8),
    Remove(u8),
    GetEntry(u8),
    ClearMap,
    Sum(u32),
    Count,
    ReadValue,
    ReadList,
    ReadMap,
    ReadSum,
    ReadCount,
}

#[derive(Debug, Clone)]
enum Step {
    Act(u16, Act),
    Advance(i64),
    CleanUp(usize),
    Checkpoint { base: bool, published: bool, slices: Vec<Slice> },
    Restart { parallelism: u32, downtime: i64 },
}

/// So many rows of a snapshot are written; then this is done, and so much time passes.
type Slice = (usize, Vec<(u16, Act)>, i64);

/// A value. It's there until `certain`, and from `expiry` on it isn't.
#[derive(Debug, Clone)]
struct Until<T> {
    value: T,
    certain: i64,
    expiry: i64,
}

impl<T> Until<T> {
    fn new(value: T, expiry: i64) -> Self {
        Until { value, certain: expiry, expiry }
    }

    /// It was found by a read.
    fn was_read(&mut self, now: i64, on_read: bool) {
        if on_read && self.expiry > now {
            self.expiry = self.expiry.max(now + TTL);
            if self.certain > now {
                self.certain = self.certain.max(now + TTL);
            }
        }
    }

    /// As rows may have it: without the last reads, or with such that came after the snapshot had
    /// begun.
    fn restored(&mut self) {
        self.certain = self.certain.min(self.expiry - UNIT + 1);
        self.expiry += UNIT - 1;
    }
}

#[derive(Debug, Default, Clone)]
struct Content {
    value: Option<Until<String>>,
    list: Vec<Until<String>>,
    map: BTreeMap<u8, Until<String>>,
    sum: Option<Until<u32>>,
    count: Option<Until<u32>>,
}

/// What the states must hold. It sees time as they do.
#[derive(Debug, Clone)]
struct Model {
    keys: BTreeMap<u16, Content>,
    on_read: bool,
    hides: bool,
    /// What was read may live shorter.
    restored: bool,
    now: i64,
}

/// What a read has shown: compared with what the model has, which takes over from it whether an
/// expired value was cleaned up where that may show.
fn seen<T: PartialEq + Clone + std::fmt::Debug>(
    model: &mut Option<Until<T>>,
    found: Option<T>,
    (now, on_read, hides): (i64, bool, bool),
) {
    match (&mut *model, found) {
        (Some(until), Some(found)) => {
            assert!(until.expiry > now || !hides, "{until:?} is there at {now}");
            assert_eq!(until.value, found);
            // Hidden, and seen nevertheless: it hadn't expired.
            if hides {
                until.certain = until.certain.max(now + 1);
            }
            until.was_read(now, on_read);
        }
        (until, None) => {
            assert!(until.as_ref().is_none_or(|until| until.certain <= now), "{until:?} at {now}");
            *model = None;
        }
        (None, Some(found)) => panic!("there is {found:?} at {now}"),
    }
}

impl Subtask {
    fn new(
        range: KeyGroupRange,
        config: StateTtlConfig,
        now: i64,
        from: Option<Arc<RestoredOperator>>,
    ) -> Subtask {
        let mut state = KeyedState::new(range, MAX_PARALLELISM, from).unwrap();
        state.set_processing_time(now);
        let mut expiring = state.with_time_to_live(config);
        Subtask {
            value: expiring.value_state("value").unwrap(),
            list: expiring.list_state("list").unwrap(),
            map: expiring.map_state("map").unwrap(),
            sum: expiring.reducing_state("sum", |sum: &mut u32, more| *sum += more).unwrap(),
            count: expiring.aggregating_state("count", Count).unwrap(),
            state,
        }
    }

    fn write(&mut self, mut writer: RunWriter) -> Vec<u8> {
        self.state.snapshot(&mut writer).unwrap();
        writer.finish().unwrap()
    }

    /// Does it here and to the model.
    fn act(&mut self, model: &mut Model, key: u16, act: &Act) {
        self.state.set_current_key(key, key.key_hash());
        if !model.hides || model.restored {
            // What may have expired or been cleaned up is known by looking.
            self.read(model, key);
        }
        let (now, how) = (model.now, (model.now, model.on_read, model.hides));
        let until = now + TTL;
        let content = model.keys.entry(key).or_default();
        let lives = |expiry: i64| expiry > now || !how.2;
        let state = &mut self.state;
        match act.clone() {
            Act::Set(value) => {
                self.value.set(state, text(value)).unwrap();
                content.value = Some(Until::new(text(value), until));
            }
            Act::Append(value) => {
                let mut stored = self.value.get_or_insert_with(state, String::new).unwrap();
                stored.push_str(&text(value));
                let before = content.value.take().filter(|it| lives(it.expiry));
                let before = before.map_or_else(String::new, |before| before.value);
                content.value = Some(Until::new(before + &text(value), until));
            }
            Act::Change(value) => {
                if let Some(mut stored) = self.value.get_mut(state).unwrap() {
                    *stored = text(value);
                }
                let before = content.value.take().filter(|it| lives(it.expiry));
                content.value = before.map(|_| Until::new(text(value), until));
            }
            Act::Update(value) => {
                let change = |before: Option<String>| before.map(|_| text(value));
                self.value.update(state, change).unwrap();
                let before = content.value.take().filter(|it| lives(it.expiry));
                content.value = before.map(|_| Until::new(text(value), until));
            }
            Act::ClearValue => {
                self.value.clear(state).unwrap();
                content.value = None;
            }
            Act::AddAll(count) => {
                let added = (0..u32::from(count)).map(text);
                content.list.extend(added.clone().map(|text| Until::new(text, until)));
                self.list.add_all(state, added).unwrap();
            }
            Act::Replace(count) => {
                let elements: Vec<_> = (0..u32::from(count)).map(text).collect();
                content.list =
                    elements.iter().cloned().map(|text| Until::new(text, until)).collect();
                self.list.update(state, elements).unwrap();
            }
            Act::ClearList => {
                self.list.clear(state).unwrap();
                content.list.clear();
            }
            Act::Put(map_key, value) => {
                let before = self.map.put(state, map_key, text(value)).unwrap();
                let known = content.map.insert(map_key, Until::new(text(value), until));
                let known = known.filter(|it| lives(it.expiry)).map(|it| it.value);
                assert_eq!(before, known);
            }
            Act::Extend(map_key, value) => {
                let mut stored = self.map.get_or_insert_with(state, map_key, String::new).unwrap();
                stored.push_str(&text(value));
                let before = content.map.remove(&map_key).filter(|it| lives(it.expiry));
                let before = before.map_or_else(String::new, |before| before.value);
                content.map.insert(map_key, Until::new(before + &text(value), until));
            }
            Act::Fill(count) => {
                for map_key in 0..count {
                    self.map.put(state, map_key, text(1)).unwrap();
                    content.map.insert(map_key, Until::new(text(1), until));
                }
            }
            Act::Remove(map_key) => {
                let before = self.map.remove(state, &map_key).unwrap();
                let known = content.map.remove(&map_key).filter(|it| lives(it.expiry));
                assert_eq!(before, known.map(|it| it.value));
            }
            Act::GetEntry(map_key) => {
                let found = self.map.get(state, &map_key).unwrap().cloned();
                let mut known = content.map.remove(&map_key);
                seen(&mut known, found, how);
                content.map.extend(known.map(|known| (map_key, known)));
            }
            Act::ClearMap => {
                self.map.clear(state).unwrap();
                content.map.clear();
            }
            Act::Sum(value) => {
                self.sum.add(state, value).unwrap();
                let before = content.sum.take().filter(|it| lives(it.expiry));
                content.sum = Some(Until::new(before.map_or(0, |it| it.value) + value, until));
            }
            Act::Count => {
                self.count.add(state, &0).unwrap();
                let before = content.count.take().filter(|it| lives(it.expiry));
                content.count = Some(Until::new(before.map_or(0, |it| it.value) + 1, until));
            }
            Act::ReadValue => {
                seen(&mut content.value, self.value.get(state).unwrap().cloned(), how);
            }
            Act::ReadList => self.read_list(content, how),
            Act::ReadMap => self.read_map(content, how),
            Act::ReadSum => seen(&mut content.sum, self.sum.get(state).unwrap().copied(), how),
            Act::ReadCount => seen(&mut content.count, self.count.get(state).unwrap(), how),
        }
    }

    /// Reads all that the current key has.
    fn read(&mut self, model: &mut Model, key: u16) {
        self.state.set_current_key(key, key.key_hash());
        let how = (model.now, model.on_read, model.hides);
        let content = model.keys.entry(key).or_default();
        let state = &mut self.state;
        seen(&mut content.value, self.value.get(state).unwrap().cloned(), how);
        seen(&mut content.sum, self.sum.get(state).unwrap().copied(), how);
        seen(&mut content.count, self.count.get(state).unwrap(), how);
        self.read_list(content, how);
        self.read_map(content, how);
    }

    fn read_list(&mut self, content: &mut Content, (now, on_read, hides): (i64, bool, bool)) {
        let found = self.list.get(&mut self.state).unwrap().to_vec();
        let certain = content.list.iter().filter(|it| it.certain > now).count();
        let possible = content.list.iter().filter(|it| it.expiry > now || !hides).count();
        assert!((certain..=possible).contains(&found.len()), "{:?} at {now}", content.list);
        // The last ones: those that aren't there have expired first.
        content.list.drain(..content.list.len() - found.len());
        assert!(content.list.iter().map(|it| &it.value).eq(&found));
        for element in &mut content.list {
            if hides {
                element.certain = element.certain.max(now + 1);
            }
            element.was_read(now, on_read);
        }
    }

    fn read_map(&mut self, content: &mut Content, (now, on_read, hides): (i64, bool, bool)) {
        let count = self.map.len(&mut self.state).unwrap();
        assert_eq!(self.map.is_empty(&mut self.state).unwrap(), count == 0);
        let found = self.map.entries(&mut self.state).unwrap();
        let found: BTreeMap<_, _> = found.map(|(key, text)| (*key, text.clone())).collect();
        assert_eq!(count, found.len());
        content.map.retain(|key, it| {
            let mut known = Some(it.clone());
            seen(&mut known, found.get(key).cloned(), (now, on_read, hides));
            known.is_some_and(|known| {
                *it = known;
                true
            })
        });
        assert!(found.keys().all(|key| content.map.contains_key(key)));
    }
}

fn text(number: u32) -> String {
    format!("{number:>3}")
}

fn origin(subtask: u32, parallelism: u32) -> RunOrigin {
    let operator = "under test".into();
    RunOrigin { operator, subtask, parallelism, max_parallelism: MAX_PARALLELISM }
}

/// The subtasks, and the last published checkpoint with the model of its moment.
struct Job {
    config: StateTtlConfig,
    model: Model,
    subtasks: Vec<Subtask>,
    published: Option<(Vec<Vec<Vec<u8>>>, Model)>,
    continued: bool,
    last: LastSnapshot,
}

impl Job {
    fn new(config: StateTtlConfig, model: Model) -> Job {
        let subtask = |range| Subtask::new(range, config, model.now, None);
        let subtasks = ranges(2).into_iter().map(subtask).collect();
        let last = LastSnapshot::Published;
        Job { config, model, subtasks, published: None, continued: false, last }
    }

    fn parallelism(&self) -> u32 {
        self.subtasks.len() as u32
    }

    fn step(&mut self, step: &Step) {
        let parallelism = self.parallelism();
        match step {
            Step::Act(key, act) => {
                self.subtasks[owner(key, parallelism)].act(&mut self.model, *key, act);
            }
            Step::Advance(by) => self.advance(*by),
            Step::CleanUp(rows) => {
                self.subtasks.iter_mut().for_each(|it| it.state.clean_up(*rows).unwrap());
            }
            Step::Checkpoint { base, published, slices } => {
                self.checkpoint(*base, *published, slices);
            }
            Step::Restart { parallelism, downtime } => self.restart(*parallelism, *downtime),
        }
    }

    fn advance(&mut self, by: i64) {
        self.model.now += by;
        let now = self.model.now;
        self.subtasks.iter_mut().for_each(|it| it.state.set_processing_time(now));
    }

    /// A snapshot, in slices with actions between them: it holds what was there before them.
    fn checkpoint(&mut self, base: bool, published: bool, slices: &[Slice]) {
        let before = self.published.clone().filter(|_| self.continued);
        let kind = if base || before.is_none() { RunKind::Base } else { RunKind::Delta };
        let mut runs = before.map_or_else(Vec::new, |(runs, _)| runs);
        let parallelism = self.parallelism();
        runs.resize(self.subtasks.len(), Vec::new());
        let model = self.model.clone();
        let begin = |(index, subtask): (u32, &mut Subtask)| {
            let writer = RunWriter::incremental(origin(index, parallelism), kind, self.last);
            let mut writer = writer.in_slices(MemoryBudget::unlimited());
            subtask.state.snapshot(&mut writer).unwrap();
            writer
        };
        let mut writers: Vec<_> = (0..).zip(&mut self.subtasks).map(begin).collect();
        for (rows, acts, by) in slices {
            for (subtask, writer) in self.subtasks.iter_mut().zip(&mut writers) {
                let mut budget = EncodingBudget::new(*rows, usize::MAX);
                subtask.state.encode(writer, &mut budget).unwrap();
            }
            for (key, act) in acts {
                self.subtasks[owner(key, parallelism)].act(&mut self.model, *key, act);
            }
            self.advance(*by);
            self.subtasks.iter_mut().for_each(|it| it.state.clean_up(3).unwrap());
        }
        for ((subtask, mut writer), runs) in self.subtasks.iter_mut().zip(writers).zip(&mut runs) {
            let mut budget = EncodingBudget::unlimited();
            assert!(subtask.state.encode(&mut writer, &mut budget).unwrap());
            if kind == RunKind::Base {
                runs.clear();
            }
            runs.push(writer.finish().unwrap());
        }
        self.last = if published { LastSnapshot::Published } else { LastSnapshot::GivenUp };
        if published {
            self.published = Some((runs, model));
            self.continued = true;
        }
    }

    fn restart(&mut self, parallelism: u32, downtime: i64) {
        let now = self.model.now + downtime;
        let Some((runs, mut model)) = self.published.clone() else {
            self.model.keys.clear();
            self.model.now = now;
            *self = Job::new(self.config, self.model.clone());
            return;
        };
        model.now = now;
        if model.on_read {
            model.keys.values_mut().for_each(Content::restored);
            model.restored = true;
        }
        self.continued = runs.len() == parallelism as usize;
        self.last = LastSnapshot::Published;
        self.model = model;
        let runs: Vec<_> = runs.concat();
        let subtask = |(index, range)| {
            let open = |run: &Vec<u8>| RunReader::open(Arc::new(run.clone())).unwrap();
            let runs = runs.iter().map(open).collect();
            let from = RestoredOperator::new(runs, index, parallelism).unwrap();
            let from = if self.continued { from.continued() } else { from };
            Subtask::new(range, self.config, now, Some(Arc::new(from)))
        };
        self.subtasks = (0..).zip(ranges(parallelism)).map(subtask).collect();
    }

    fn read_all(&mut self) {
        for key in 0..KEYS {
            let parallelism = self.parallelism();
            self.subtasks[owner(&key, parallelism)].read(&mut self.model, key);
        }
    }
}

impl Content {
    fn restored(&mut self) {
        self.value.iter_mut().for_each(Until::restored);
        self.list.iter_mut().for_each(Until::restored);
        self.map.values_mut().for_each(Until::restored);
        self.sum.iter_mut().for_each(Until::restored);
        self.count.iter_mut().for_each(Until::restored);
    }
}

const KEYS: u16 = 6;

fn act() -> impl Strategy<Value = Act> {
    let number = || 0..1000u32;
    prop_oneof![
        number().prop_map(Act::Set),
        number().prop_map(Act::Append),
        number().prop_map(Act::Change),
        number().prop_map(Act::Update),
        Just(Act::ClearValue),
        (0..4u8).prop_map(Act::AddAll),
        (1..2u8).prop_map(Act::AddAll),
        (0..4u8).prop_map(Act::Replace),
        Just(Act::ClearList),
        (0..4u8, number()).prop_map(|(key, value)| Act::Put(key, value)),
        (0..40u8, number()).prop_map(|(key, value)| Act::Extend(key, value)),
        (0..60u8).prop_map(Act::Fill),
        (0..40u8).prop_map(Act::Remove),
        (0..40u8).prop_map(Act::GetEntry),
        Just(Act::ClearMap),
        number().prop_map(Act::Sum),
        Just(Act::Count),
        Just(Act::ReadValue),
        Just(Act::ReadList),
        Just(Act::ReadMap),
        Just(Act::ReadSum),
        Just(Act::ReadCount),
    ]
}

fn slice() -> impl Strategy<Value = Slice> {
    (0..20usize, vec((0..KEYS, act()), 0..6), prop_oneof![3 => Just(0), 1 => 0..TTL / 2])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => (0..KEYS, act()).prop_map(|(key, act)| Step::Act(key, act)),
        6 => prop_oneof![1..9i64, 1..TTL + 9].prop_map(Step::Advance),
        1 => (0..30usize).prop_map(Step::CleanUp),
        2 => (prop::bool::weighted(0.2), prop::bool::weighted(0.7))
            .prop_map(|(base, published)| Step::Checkpoint { base, published, slices: vec![] }),
        2 => (prop::bool::weighted(0.2), prop::bool::weighted(0.7), vec(slice(), 0..6))
            .prop_map(|(base, published, slices)| Step::Checkpoint { base, published, slices }),
        1 => (1..=3u32, prop_oneof![Just(0), 0..TTL])
            .prop_map(|(parallelism, downtime)| Step::Restart { parallelism, downtime }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn values_live_as_long_as_the_models_do_through_checkpoints_and_restores(
        steps in vec(step(), 1..150),
        on_read: bool,
        hides: bool,
        start in -500..500i64,
    ) {
        let update = match on_read {
            true => UpdateType::OnReadAndWrite,
            false => UpdateType::OnCreateAndWrite,
        };
        let visibility = match hides {
            true => StateVisibility::NeverReturnExpired,
            false => StateVisibility::ReturnExpiredIfNotCleanedUp,
        };
        let config = StateTtlConfig::new(Duration::from_millis(TTL as u64))
            .update_type(update)
            .state_visibility(visibility);
        let keys = BTreeMap::new();
        let model = Model { keys, on_read, hides, restored: false, now: start };
        let mut job = Job::new(config, model);
        for step in &steps {
            job.step(step);
        }
        job.checkpoint(false, true, &[]);
        for parallelism in [job.parallelism(), 3, 1] {
            job.restart(parallelism, 0);
        }
        job.read_all();
        // All expires, and nothing of it is left: in no snapshot, and after cleaning nowhere.
        job.step(&Step::Advance(2 * TTL));
        let run = job.subtasks[0].write(RunWriter::new(origin(0, 1)));
        prop_assert_eq!(RunReader::open(Arc::new(run)).unwrap().row_count(), 0);
        for _ in 0..20 {
            job.step(&Step::CleanUp(200));
            job.step(&Step::Advance(TTL));
        }
        job.model.keys.clear();
        job.read_all();
        let empty = Job::new(config, job.model.clone()).subtasks[0].state.bytes();
        prop_assert!(job.subtasks[0].state.bytes() <= empty + 40_000);
    }
}
