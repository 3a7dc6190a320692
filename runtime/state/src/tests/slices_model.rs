//! Slices against nested ordered maps.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use thalweg_core::record::Key;

use super::*;
use crate::{SliceCursor, SliceState};

type Slices = SliceState<(u16, bool), String>;
type Model = BTreeMap<i64, BTreeMap<(u16, bool), String>>;

#[derive(Debug, Clone)]
enum Operation {
    Append { slice: i64, key: (u16, bool), text: String },
    Remove { slice: i64 },
}

fn operation() -> impl Strategy<Value = Operation> {
    let slice = || prop_oneof![8 => 0..6i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let append = (slice(), (0..40u16, any::<bool>()), "[a-z]{0,3}");
    prop_oneof![
        9 => append.prop_map(|(slice, key, text)| Operation::Append { slice, key, text }),
        1 => slice().prop_map(|slice| Operation::Remove { slice }),
    ]
}

/// All entries, each slice walked over with a cursor that was stored in between.
fn content(subtasks: &[Slices]) -> Model {
    let mut model = Model::new();
    for slices in subtasks {
        for end in slices.slice_ends() {
            let mut cursor = SliceCursor::default();
            let mut count = 0;
            while let Some((key, value)) = slices.next_entry(end, &mut cursor) {
                cursor = cursor.clone();
                let other = model.entry(end).or_default().insert(*key, value.clone());
                assert_eq!(other, None, "{key:?} came twice");
                count += 1;
            }
            assert_eq!(count, slices.slice_len(end));
        }
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn slices_are_those_of_the_model_through_every_rescaling(
        parts in vec((1..=5u32, vec(operation(), 0..150)), 1..4),
    ) {
        let mut model = Model::new();
        let mut runs: Option<Vec<Vec<u8>>> = None;
        for (parallelism, operations) in parts {
            let mut subtasks: Vec<Slices> = (0..parallelism)
                .zip(ranges(parallelism))
                .map(|(index, range)| {
                    let from = runs.as_ref().map(|runs| restored(runs, index, parallelism));
                    SliceState::new("slices", range, MAX_PARALLELISM, from.as_ref()).unwrap()
                })
                .collect();
            for operation in operations {
                match operation {
                    Operation::Append { slice, key, text } => {
                        let subtask = &mut subtasks[owner(&key, parallelism)];
                        let mut value = subtask
                            .get_or_insert_with(slice, &key, key.key_hash(), String::new)
                            .unwrap();
                        value.push_str(&text);
                        drop(value);
                        let expected = model.entry(slice).or_default().entry(key).or_default();
                        expected.push_str(&text);
                        let value = subtask.get(slice, &key, key.key_hash());
                        prop_assert_eq!(value, Some(&*expected));
                        let value = subtask.get_mut(slice, &key, key.key_hash());
                        prop_assert_eq!(&*value.unwrap(), &*expected);
                        prop_assert_eq!(subtask.get(slice ^ 64, &key, key.key_hash()), None);
                    }
                    Operation::Remove { slice } => {
                        let removed: usize = subtasks
                            .iter_mut()
                            .map(|subtask| subtask.remove_slice(slice))
                            .sum();
                        prop_assert_eq!(removed, model.remove(&slice).unwrap_or_default().len());
                    }
                }
            }
            prop_assert_eq!(&content(&subtasks), &model);
            for subtask in &subtasks {
                prop_assert!(subtask.slice_ends().is_sorted());
                prop_assert_eq!(subtask.bytes() == 0, subtask.is_empty());
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
