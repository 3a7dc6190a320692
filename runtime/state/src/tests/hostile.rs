//! Snapshots whose checksums are right and whose rows are wrong.

use thalweg_core::record::Key;

use super::*;
use crate::run::tests::{blocks, reseal};
use crate::run::{RowKey, StateDeclaration};
use crate::{KeyedState, OperatorState, SliceState, StateError, StateKind, TimerService};

/// One of each kind of state, with a few rows.
struct Everything {
    keyed: KeyedState<String>,
    timers: TimerService<String, i64>,
    slices: SliceState<String, Vec<u32>>,
    operator: OperatorState,
}

impl Everything {
    fn new(from: Option<Arc<RestoredOperator>>) -> Result<Everything, StateError> {
        let range = KeyGroupRange::all(MAX_PARALLELISM);
        let mut keyed = KeyedState::new(range, MAX_PARALLELISM, from.clone())?;
        keyed.value_state::<Option<String>>("value")?;
        keyed.list_state::<()>("units")?;
        keyed.list_state::<(u8, String)>("list")?;
        keyed.map_state::<Vec<u8>, u64>("map")?;
        let mut operator = OperatorState::new(from.clone());
        operator.list_state::<Vec<String>>("splits")?;
        operator.broadcast_state::<bool, String>("rules")?;
        let from = from.as_ref();
        Ok(Everything {
            keyed,
            timers: TimerService::new("timers", range, MAX_PARALLELISM, from)?,
            slices: SliceState::new("slices", range, MAX_PARALLELISM, from)?,
            operator,
        })
    }

    fn fill(&mut self) -> Result<(), StateError> {
        let keyed = &mut self.keyed;
        let value = keyed.value_state::<Option<String>>("value")?;
        let units = keyed.list_state::<()>("units")?;
        let list = keyed.list_state::<(u8, String)>("list")?;
        let map = keyed.map_state::<Vec<u8>, u64>("map")?;
        for key in ["", "alice", "bob"].map(String::from) {
            let hash = key.key_hash();
            keyed.set_current_key(key.clone(), hash);
            value.set(keyed, Some(key.clone()))?;
            units.add_all(keyed, [(); 5])?;
            list.add_all(keyed, [(1, key.clone()), (2, "x".into())])?;
            map.put(keyed, vec![0, 1], 5)?;
            map.put(keyed, vec![], u64::MAX)?;
            self.timers.register_event_time(7, &key, hash, &-1)?;
            let slices = &mut self.slices;
            slices.get_or_insert_with(1000, &key, hash, || vec![1, 2, 300])?;
        }
        let operator = &mut self.operator;
        let splits = operator.list_state::<Vec<String>>("splits")?;
        splits.add(operator, vec!["a".into(), "bc".into()])?;
        let rules = operator.broadcast_state::<bool, String>("rules")?;
        rules.put(operator, true, "yes".into())?;
        Ok(())
    }

    fn run(&mut self) -> Vec<u8> {
        snapshot(0, 1, |writer| {
            self.keyed.snapshot(writer)?;
            self.timers.snapshot(writer)?;
            self.slices.snapshot(writer)?;
            self.operator.snapshot(writer)
        })
    }
}

#[test]
fn wrong_rows_under_right_checksums_end_in_an_error_or_in_other_values() {
    let mut everything = Everything::new(None).unwrap();
    everything.fill().unwrap();
    let run = everything.run();
    let mut again = Everything::new(Some(restored(std::slice::from_ref(&run), 0, 1))).unwrap();
    assert_eq!(again.run(), run, "what was restored is snapshotted to the same bytes");

    let (mut errors, mut tries) = (0, 0);
    for block in blocks(&run) {
        for place in block.start..block.end - 4 {
            for change in [1, 2, 0x40, 0x80, 0xff] {
                let mut hostile = run.clone();
                hostile[place] ^= change;
                reseal(&mut hostile[block.clone()]);
                tries += 1;
                errors += usize::from(Everything::new(Some(restored(&[hostile], 0, 1))).is_err());
            }
        }
    }
    assert!(errors * 4 > tries * 3, "only {errors} of {tries} noticed");
}

#[test]
fn a_row_in_a_wrong_key_group_is_refused() {
    let key = 5u32;
    let right = key_group(key.key_hash(), MAX_PARALLELISM);
    let wrong = (right + 1) % MAX_PARALLELISM;
    let declaration = StateDeclaration {
        name: "count".into(),
        kind: StateKind::Value,
        key: Some(<u32 as thalweg_core::Record>::schema()),
        namespace: None,
        map_key: None,
        value: Some(<u32 as thalweg_core::Record>::schema()),
        time_to_live_ms: None,
    };
    for (group, error) in [(right, None), (wrong, Some(format!("key group {right}")))] {
        let mut bytes = Vec::new();
        key.encode_key(&mut bytes);
        let run = snapshot(0, 1, |writer| {
            writer.begin_state(declaration.clone())?;
            let key = RowKey { key_group: group as u16, key: &bytes, namespace: &[], sub_key: &[] };
            writer.put(key, &[9])
        });
        let from = restored(&[run], 0, 1);
        let range = KeyGroupRange::all(MAX_PARALLELISM);
        let mut state = KeyedState::<u32>::new(range, MAX_PARALLELISM, Some(from)).unwrap();
        let outcome = state.value_state::<u32>("count").err().map(|error| error.to_string());
        match error {
            None => assert_eq!(outcome, None),
            Some(expected) => assert!(outcome.is_some_and(|error| error.contains(&expected))),
        }
    }
}
