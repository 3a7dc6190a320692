//! Keyed state of all kinds against ordered maps.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use thalweg_core::record::Key;

use super::*;
use crate::{
    AggregateFunction, AggregatingState, KeyedState, ListState, MapState, ReducingState,
    StateError, StateKind, ValueState,
};

/// Counts and sums the lengths of strings.
struct Lengths;

impl AggregateFunction<String> for Lengths {
    type Accumulator = (u32, u64);
    type Output = String;

    fn create_accumulator(&self) -> (u32, u64) {
        (0, 0)
    }

    fn add(&self, value: &String, accumulator: &mut (u32, u64)) {
        accumulator.0 += 1;
        accumulator.1 += value.len() as u64;
    }

    fn get_result(&self, accumulator: &(u32, u64)) -> String {
        format!("{}/{}", accumulator.1, accumulator.0)
    }

    fn merge(&self, accumulator: &mut (u32, u64), other: &(u32, u64)) {
        accumulator.0 += other.0;
        accumulator.1 += other.1;
    }
}

/// A subtask with one state of each kind.
pub(super) struct Subtask {
    pub(super) state: KeyedState<String>,
    value: ValueState<String>,
    list: ListState<i32>,
    map: MapState<(u8, String), Option<u64>>,
    sum: ReducingState<i64>,
    lengths: AggregatingState<String, Lengths>,
}

impl Subtask {
    pub(super) fn new(range: KeyGroupRange, restored: Option<Arc<RestoredOperator>>) -> Subtask {
        let mut state = KeyedState::new(range, MAX_PARALLELISM, restored).unwrap();
        Subtask {
            value: state.value_state("value").unwrap(),
            list: state.list_state("list").unwrap(),
            map: state.map_state("map").unwrap(),
            sum: state.reducing_state("sum", |sum: &mut i64, more| *sum += more).unwrap(),
            lengths: state.aggregating_state("lengths", Lengths).unwrap(),
            state,
        }
    }

    pub(super) fn apply(&mut self, operation: &Operation) -> Result<(), StateError> {
        let state = &mut self.state;
        match operation.clone() {
            Operation::Set(value) => self.value.set(state, value)?,
            Operation::Append(text) => {
                self.value.get_or_insert_with(state, String::new)?.push_str(&text);
            }
            Operation::Update(text) => self.value.update(state, |before| {
                before.filter(|before| before.len() < 5).map(|before| before + &text)
            })?,
            Operation::AddAll(elements) => self.list.add_all(state, elements)?,
            Operation::Replace(elements) => self.list.update(state, elements)?,
            Operation::Put(key, value) => drop(self.map.put(state, key, value)?),
            Operation::Remove(key) => drop(self.map.remove(state, &key)?),
            Operation::Increment(key) => {
                let mut value = self.map.get_or_insert_with(state, key, || None)?;
                *value = Some(value.unwrap_or(0) + 1);
            }
            Operation::Sum(value) => self.sum.add(state, value)?,
            Operation::Length(text) => self.lengths.add(state, &text)?,
            Operation::Clear(StateKind::Value) => self.value.clear(state)?,
            Operation::Clear(StateKind::List) => self.list.clear(state)?,
            Operation::Clear(StateKind::Map) => self.map.clear(state)?,
            Operation::Clear(StateKind::Reducing) => self.sum.clear(state)?,
            Operation::Clear(_) => self.lengths.clear(state)?,
        }
        Ok(())
    }

    /// What the key has, as the model holds it.
    fn content(&mut self, key: &str) -> Content {
        let key = key.to_owned();
        self.state.set_current_key_from(&key, key.key_hash());
        let state = &mut self.state;
        let map = self.map.entries(state).unwrap();
        Content {
            map: map.map(|(key, value)| (key.clone(), *value)).collect(),
            value: self.value.get(state).unwrap().cloned(),
            list: self.list.get(state).unwrap().to_vec(),
            sum: self.sum.get(state).unwrap().copied(),
            lengths: self.lengths.get(state).unwrap(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Set(String),
    Append(String),
    Update(String),
    AddAll(Vec<i32>),
    Replace(Vec<i32>),
    Put((u8, String), Option<u64>),
    Remove((u8, String)),
    Increment((u8, String)),
    Sum(i64),
    Length(String),
    Clear(StateKind),
}

#[derive(Debug, Default, PartialEq)]
struct Content {
    value: Option<String>,
    list: Vec<i32>,
    map: Vec<((u8, String), Option<u64>)>,
    sum: Option<i64>,
    lengths: Option<String>,
}

#[derive(Debug, Default, Clone)]
struct Model {
    value: Option<String>,
    list: Vec<i32>,
    map: BTreeMap<(u8, String), Option<u64>>,
    sum: Option<i64>,
    lengths: Option<(u32, u64)>,
}

impl Model {
    fn apply(&mut self, operation: &Operation) {
        match operation.clone() {
            Operation::Set(value) => self.value = Some(value),
            Operation::Append(text) => {
                self.value.get_or_insert_default().push_str(&text);
            }
            Operation::Update(text) => {
                self.value =
                    self.value.take().filter(|value| value.len() < 5).map(|value| value + &text);
            }
            Operation::AddAll(elements) => self.list.extend(elements),
            Operation::Replace(elements) => self.list = elements,
            Operation::Put(key, value) => drop(self.map.insert(key, value)),
            Operation::Remove(key) => drop(self.map.remove(&key)),
            Operation::Increment(key) => {
                let value = self.map.entry(key).or_default();
                *value = Some(value.unwrap_or(0) + 1);
            }
            Operation::Sum(value) => self.sum = Some(self.sum.unwrap_or(0) + value),
            Operation::Length(text) => {
                let (count, length) = self.lengths.get_or_insert_default();
                *count += 1;
                *length += text.len() as u64;
            }
            Operation::Clear(StateKind::Value) => self.value = None,
            Operation::Clear(StateKind::List) => self.list.clear(),
            Operation::Clear(StateKind::Map) => self.map.clear(),
            Operation::Clear(StateKind::Reducing) => self.sum = None,
            Operation::Clear(_) => self.lengths = None,
        }
    }

    fn content(&self) -> Content {
        Content {
            value: self.value.clone(),
            list: self.list.clone(),
            map: self.map.clone().into_iter().collect(),
            sum: self.sum,
            lengths: self.lengths.map(|(count, length)| format!("{length}/{count}")),
        }
    }
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    let text = || "[a-c\0é]{0,6}";
    let map_key = || (0..3u8, "[xy]{0,2}");
    let kinds = [StateKind::Value, StateKind::List, StateKind::Map, StateKind::Reducing];
    prop_oneof![
        text().prop_map(Operation::Set),
        text().prop_map(Operation::Append),
        text().prop_map(Operation::Update),
        vec(any::<i32>(), 0..20).prop_map(Operation::AddAll),
        vec(any::<i32>(), 0..5).prop_map(Operation::Replace),
        (map_key(), any::<Option<u64>>()).prop_map(|(key, value)| Operation::Put(key, value)),
        map_key().prop_map(Operation::Remove),
        map_key().prop_map(Operation::Increment),
        (-1000..1000i64).prop_map(Operation::Sum),
        text().prop_map(Operation::Length),
        proptest::sample::select(kinds.to_vec()).prop_map(Operation::Clear),
        Just(Operation::Clear(StateKind::Aggregating)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Operations, a snapshot, a restore at another parallelism, and so on.
    #[test]
    fn keyed_state_is_that_of_the_model_through_every_rescaling(
        parts in vec((1..=5u32, vec(("[a-h]{0,2}", operation()), 0..60)), 1..4),
    ) {
        let mut model: BTreeMap<String, Model> = BTreeMap::new();
        let mut runs: Option<Vec<Vec<u8>>> = None;
        for (parallelism, operations) in parts {
            let mut subtasks: Vec<_> = (0..parallelism)
                .zip(ranges(parallelism))
                .map(|(index, range)| {
                    let from = runs.as_ref().map(|runs| restored(runs, index, parallelism));
                    let subtask = Subtask::new(range, from.clone());
                    assert!(from.is_none_or(|from| from.unclaimed().is_empty()));
                    subtask
                })
                .collect();
            for (key, operation) in &operations {
                let subtask = &mut subtasks[owner(key, parallelism)];
                subtask.state.set_current_key(key.clone(), key.key_hash());
                subtask.apply(operation).unwrap();
                model.entry(key.clone()).or_default().apply(operation);
            }
            for (key, expected) in &model {
                let subtask = &mut subtasks[owner(key, parallelism)];
                prop_assert_eq!(subtask.content(key), expected.content(), "key {}", key);
            }
            runs = Some(
                (0..parallelism)
                    .zip(&mut subtasks)
                    .map(|(index, subtask)| {
                        snapshot(index, parallelism, |writer| subtask.state.snapshot(writer))
                    })
                    .collect(),
            );
        }
        // What the model doesn't have isn't in the snapshot either.
        let rows: u64 = runs.iter().flatten().map(|run| {
            RunReader::open(Arc::new(run.clone())).unwrap().row_count()
        }).sum();
        let expected: usize = model.values().map(|model| {
            usize::from(model.value.is_some())
                + usize::from(!model.list.is_empty())
                + model.map.len()
                + usize::from(model.sum.is_some())
                + usize::from(model.lengths.is_some())
        }).sum();
        prop_assert_eq!(rows, expected as u64);
    }
}

#[test]
fn a_long_list_is_cut_into_chunks_and_put_together_again() {
    let mut state = KeyedState::<u8>::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    let numbers = state.list_state::<u64>("numbers").unwrap();
    let units = state.list_state::<()>("units").unwrap();
    let bytes = state.list_state::<u8>("bytes").unwrap();
    let texts = state.list_state::<String>("texts").unwrap();
    state.set_current_key(1, 1u8.key_hash());
    let expected: Vec<u64> = (0..50_000).map(|number| number * number).collect();
    numbers.add_all(&mut state, expected.iter().copied()).unwrap();
    units.add_all(&mut state, vec![(); 40_000]).unwrap();
    bytes.add_all(&mut state, vec![7u8; 40_000]).unwrap();
    texts.add_all(&mut state, ["x".repeat(100_000), "y".into()]).unwrap();
    let run = snapshot(0, 1, |writer| state.snapshot(writer));
    let reader = RunReader::open(Arc::new(run.clone())).unwrap();
    let mut largest = 0;
    let mut rows = reader.rows(0, KeyGroupRange::all(MAX_PARALLELISM));
    while let Some(row) = rows.next_row().unwrap() {
        largest = largest.max(row.value.len());
    }
    assert!((16_000..17_000).contains(&largest), "{largest}");

    let from = restored(&[run], 0, 1);
    let mut state = KeyedState::<u8>::new(ranges(1)[0], MAX_PARALLELISM, Some(from)).unwrap();
    let texts = state.list_state::<String>("texts").unwrap();
    let bytes = state.list_state::<u8>("bytes").unwrap();
    let units = state.list_state::<()>("units").unwrap();
    let numbers = state.list_state::<u64>("numbers").unwrap();
    state.set_current_key(1, 1u8.key_hash());
    assert_eq!(numbers.get(&mut state).unwrap(), expected);
    assert_eq!(units.get(&mut state).unwrap().len(), 40_000);
    assert_eq!(bytes.get(&mut state).unwrap(), [7; 40_000]);
    assert_eq!(texts.get(&mut state).unwrap()[0].len(), 100_000);
    assert_eq!(texts.get(&mut state).unwrap()[1], "y");
}

#[test]
fn misuse_is_an_error_that_says_what_to_do() {
    let range = KeyGroupRange { start: 0, end: 4 };
    let mut state = KeyedState::<u32>::new(range, MAX_PARALLELISM, None).unwrap();
    let count = state.value_state::<u64>("count").unwrap();
    let again = state.value_state::<u64>("count").unwrap();
    let error = count.get(&mut state).unwrap_err().to_string();
    assert!(error.contains("\"count\" was used without a current key"), "{error}");
    let error = state.value_state::<u32>("count").unwrap_err().to_string();
    assert!(error.contains("value state of u64 and again as value state of u32"), "{error}");
    let error = state.list_state::<u64>("count").unwrap_err().to_string();
    assert!(error.contains("again as list state of u64"), "{error}");

    let mine = (0..).find(|key: &u32| key_group(key.key_hash(), MAX_PARALLELISM) < 4).unwrap();
    let other = (0..).find(|key: &u32| key_group(key.key_hash(), MAX_PARALLELISM) >= 4).unwrap();
    state.set_current_key(mine, mine.key_hash());
    count.set(&mut state, 5).unwrap();
    assert_eq!(again.get(&mut state).unwrap(), Some(&5), "the same name, the same state");
    state.set_current_key(other, other.key_hash());
    for error in [
        count.get(&mut state).unwrap_err(),
        count.set(&mut state, 1).unwrap_err(),
        count.clear(&mut state).unwrap_err(),
    ] {
        assert!(matches!(error, StateError::ForeignKey { .. }), "{error}");
    }

    let mut stranger = KeyedState::<u32>::new(range, MAX_PARALLELISM, None).unwrap();
    stranger.value_state::<String>("name").unwrap();
    stranger.set_current_key(mine, mine.key_hash());
    let error = count.get(&mut stranger).unwrap_err();
    assert!(matches!(error, StateError::ForeignHandle { .. }), "{error}");
}
