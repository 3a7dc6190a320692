//! Timers against an ordered set.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use thalweg_core::record::Key;

use super::*;
use crate::{Timer, TimerService};

type Timers = TimerService<String, i64>;

#[derive(Debug, Clone)]
enum Operation {
    Register { event_time: bool, time: i64, key: String, namespace: i64 },
    Delete { event_time: bool, time: i64, key: String, namespace: i64 },
    Fire { event_time: bool, up_to: i64 },
}

fn operation() -> impl Strategy<Value = Operation> {
    let time = || prop_oneof![-5..10i64, Just(i64::MIN), Just(i64::MAX)];
    let timer = || (any::<bool>(), time(), "[a-d]{0,2}", 0..3i64);
    prop_oneof![
        4 => timer().prop_map(|(event_time, time, key, namespace)| {
            Operation::Register { event_time, time, key, namespace }
        }),
        1 => timer().prop_map(|(event_time, time, key, namespace)| {
            Operation::Delete { event_time, time, key, namespace }
        }),
        1 => (any::<bool>(), -6..10i64)
            .prop_map(|(event_time, up_to)| Operation::Fire { event_time, up_to }),
    ]
}

/// In the order in which they fire.
type Model = BTreeSet<(i64, u64, String, i64)>;

fn pop(timers: &mut Timers, event_time: bool, up_to: i64) -> Option<(i64, u64, String, i64)> {
    let timer =
        if event_time { timers.pop_event_time(up_to) } else { timers.pop_processing_time(up_to) };
    timer.map(|Timer { time, key, hash, namespace }| (time, hash, key, namespace))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn timers_fire_as_the_models_do_through_every_rescaling(
        parts in vec((1..=5u32, vec(operation(), 0..80)), 1..4),
    ) {
        // A model per subtask and kind of time would be the same: keys don't meet.
        let mut model: [Model; 2] = Default::default();
        let mut runs: Option<Vec<Vec<u8>>> = None;
        for (parallelism, operations) in parts {
            let mut subtasks: Vec<Timers> = (0..parallelism)
                .zip(ranges(parallelism))
                .map(|(index, range)| {
                    let from = runs.as_ref().map(|runs| restored(runs, index, parallelism));
                    TimerService::new("timers", range, MAX_PARALLELISM, from.as_ref()).unwrap()
                })
                .collect();
            for operation in operations {
                match operation {
                    Operation::Register { event_time, time, key, namespace } => {
                        let hash = key.key_hash();
                        let subtask = &mut subtasks[owner(&key, parallelism)];
                        let new = if event_time {
                            subtask.register_event_time(time, &key, hash, &namespace).unwrap()
                        } else {
                            subtask.register_processing_time(time, &key, hash, &namespace).unwrap()
                        };
                        let model = &mut model[usize::from(event_time)];
                        prop_assert_eq!(new, model.insert((time, hash, key, namespace)));
                    }
                    Operation::Delete { event_time, time, key, namespace } => {
                        let hash = key.key_hash();
                        let subtask = &mut subtasks[owner(&key, parallelism)];
                        let was = if event_time {
                            subtask.delete_event_time(time, &key, hash, &namespace)
                        } else {
                            subtask.delete_processing_time(time, &key, hash, &namespace)
                        };
                        let model = &mut model[usize::from(event_time)];
                        prop_assert_eq!(was, model.remove(&(time, hash, key, namespace)));
                    }
                    Operation::Fire { event_time, up_to } => {
                        let model = &mut model[usize::from(event_time)];
                        for (index, subtask) in subtasks.iter_mut().enumerate() {
                            let due: Vec<_> = model
                                .iter()
                                .filter(|timer| timer.0 <= up_to)
                                .filter(|timer| owner(&timer.2, parallelism) == index)
                                .cloned()
                                .collect();
                            let fired: Vec<_> =
                                std::iter::from_fn(|| pop(subtask, event_time, up_to)).collect();
                            prop_assert_eq!(fired, due);
                        }
                        model.retain(|timer| timer.0 > up_to);
                    }
                }
            }
            let next = subtasks.iter().filter_map(TimerService::next_processing_time).min();
            prop_assert_eq!(next, model[0].first().map(|timer| timer.0));
            let length: usize = subtasks.iter().map(TimerService::event_time_len).sum();
            prop_assert_eq!(length, model[1].len());
            for subtask in &subtasks {
                let empty = subtask.event_time_len() + subtask.processing_time_len() == 0;
                prop_assert_eq!(subtask.bytes() == 0, empty, "nothing left behind, nothing lost");
            }
            runs = Some(
                (0..parallelism)
                    .zip(&mut subtasks)
                    .map(|(index, subtask)| {
                        snapshot(index, parallelism, |writer| subtask.snapshot(writer))
                    })
                    .collect(),
            );
        }
    }
}

#[test]
fn timers_are_rows_ordered_by_key_group_time_and_key() {
    let mut timers = Timers::new("timers", ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    for time in [5, -3, i64::MAX, i64::MIN, 0] {
        for key in ["b", "a", "c", "aa"] {
            let key = key.to_owned();
            timers.register_event_time(time, &key, key.key_hash(), &0).unwrap();
        }
    }
    let run = snapshot(0, 1, |writer| timers.snapshot(writer));
    let run = RunReader::open(Arc::new(run)).unwrap();
    let mut rows = run.rows(0, KeyGroupRange::all(MAX_PARALLELISM));
    let mut read = Vec::new();
    while let Some(row) = rows.next_row().unwrap() {
        let (time, mut key) = row.key.key.split_first_chunk::<8>().unwrap();
        let time = i64::from_be_bytes(*time) ^ i64::MIN;
        read.push((row.key.key_group, time, String::decode_key(&mut key).unwrap()));
    }
    assert_eq!(read.len(), 20);
    assert!(read.is_sorted(), "{read:?}");
}
