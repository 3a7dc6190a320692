//! Restoring as another version of the program: what's allowed, and what's refused by name.

use thalweg_core::Record;
use thalweg_core::record::Key;

use super::*;
use crate::{KeyedState, LastSnapshot, RunKind, StateError, StateKind, TimerService};

mod old {
    use super::Record;

    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(crate = "thalweg_core")]
    pub(super) struct Account {
        pub(super) owner: String,
        pub(super) cents: u32,
        pub(super) closed: bool,
    }
}

mod new {
    use super::Record;

    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(crate = "thalweg_core")]
    pub(super) struct Account {
        #[record(default)]
        pub(super) limit: Option<u64>,
        pub(super) cents: u64,
        #[record(rename_from = "owner")]
        pub(super) holder: String,
    }

    pub(super) mod incompatible {
        use super::Record;

        #[derive(Clone, Debug, PartialEq, Record)]
        #[record(crate = "thalweg_core")]
        pub(in super::super) struct Account {
            pub(in super::super) cents: String,
        }
    }
}

/// The old program again, made able to read what the new one wrote.
mod back {
    use super::Record;

    #[derive(Clone, Debug, PartialEq, Record)]
    #[record(crate = "thalweg_core")]
    pub(super) struct Account {
        #[record(rename_from = "holder")]
        pub(super) owner: String,
        pub(super) cents: u64,
        #[record(default)]
        pub(super) closed: bool,
    }
}

fn old_run() -> Vec<u8> {
    let mut state = KeyedState::<u32>::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    let account = state.value_state::<old::Account>("account").unwrap();
    let history = state.list_state::<old::Account>("history").unwrap();
    let by_name = state.map_state::<String, u8>("by name").unwrap();
    for key in 0..50u32 {
        state.set_current_key(key, key.key_hash());
        let value =
            old::Account { owner: format!("owner {key}"), cents: key * 100, closed: key % 2 == 0 };
        account.set(&mut state, value.clone()).unwrap();
        history.add_all(&mut state, vec![value; 3]).unwrap();
        by_name.put(&mut state, format!("name {key}"), key as u8).unwrap();
    }
    snapshot(0, 1, |writer| state.snapshot(writer))
}

fn restore<K: Key>(run: &[u8]) -> KeyedState<K> {
    let from = restored(&[run.to_vec()], 0, 1);
    KeyedState::new(ranges(1)[0], MAX_PARALLELISM, Some(from)).unwrap()
}

#[test]
fn values_lists_and_maps_are_read_by_the_next_version() {
    let mut state = restore::<u64>(&old_run());
    let account = state.value_state::<new::Account>("account").unwrap();
    let history = state.list_state::<new::Account>("history").unwrap();
    let by_name = state.map_state::<String, u32>("by name").unwrap();
    for key in 0..50u64 {
        state.set_current_key(key, key.key_hash());
        let expected =
            new::Account { limit: None, cents: key * 100, holder: format!("owner {key}") };
        assert_eq!(account.get(&mut state).unwrap(), Some(&expected));
        assert_eq!(history.get(&mut state).unwrap(), vec![expected; 3]);
        let found = by_name.get(&mut state, &format!("name {key}")).unwrap();
        assert_eq!(found, Some(&(key as u32)));
    }
}

/// A delta of the old program and then one of the new one, over the old program's base.
#[test]
fn each_run_is_read_with_its_own_schema() {
    let published = LastSnapshot::Published;
    let write = |state: &mut KeyedState<u32>, kind| {
        let operator = "under test".into();
        let origin =
            RunOrigin { operator, subtask: 0, parallelism: 1, max_parallelism: MAX_PARALLELISM };
        let mut writer = RunWriter::incremental(origin, kind, published);
        state.snapshot(&mut writer).unwrap();
        writer.finish().unwrap()
    };
    let mut state = KeyedState::<u32>::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    let account = state.value_state::<old::Account>("account").unwrap();
    let value = |key: u32, cents| old::Account { owner: key.to_string(), cents, closed: false };
    for key in 0..30u32 {
        state.set_current_key(key, key.key_hash());
        account.set(&mut state, value(key, 1)).unwrap();
    }
    let mut runs = vec![write(&mut state, RunKind::Base)];
    for key in 10..30u32 {
        state.set_current_key(key, key.key_hash());
        account.set(&mut state, value(key, 2)).unwrap();
    }
    runs.push(write(&mut state, RunKind::Delta));

    let open = |run: &Vec<u8>| RunReader::open(Arc::new(run.clone())).unwrap();
    let from = RestoredOperator::new(runs.iter().map(open).collect(), 0, 1).unwrap().continued();
    let mut state =
        KeyedState::<u32>::new(ranges(1)[0], MAX_PARALLELISM, Some(Arc::new(from))).unwrap();
    let account = state.value_state::<new::Account>("account").unwrap();
    for key in 20..30u32 {
        state.set_current_key(key, key.key_hash());
        let mut account = account.get_mut(&mut state).unwrap().unwrap();
        account.limit = Some(u64::from(key));
    }
    runs.push(write(&mut state, RunKind::Delta));
    assert_eq!(open(&runs[2]).row_count(), 10, "what was only restored isn't written again");

    let from = Some(restored(&runs, 0, 1));
    let mut state = KeyedState::<u32>::new(ranges(1)[0], MAX_PARALLELISM, from).unwrap();
    let account = state.value_state::<new::Account>("account").unwrap();
    for key in 0..30u32 {
        state.set_current_key(key, key.key_hash());
        let expected = new::Account {
            limit: (key >= 20).then_some(u64::from(key)),
            cents: if key < 10 { 1 } else { 2 },
            holder: key.to_string(),
        };
        assert_eq!(account.get(&mut state).unwrap(), Some(&expected));
    }
    // Back to the old program, which can't know the new field's value but all others.
    let from = Some(restored(&runs, 0, 1));
    let mut state = KeyedState::<u32>::new(ranges(1)[0], MAX_PARALLELISM, from).unwrap();
    let account = state.value_state::<back::Account>("account").unwrap();
    for key in 0..30u32 {
        state.set_current_key(key, key.key_hash());
        let expected = back::Account {
            owner: key.to_string(),
            cents: if key < 10 { 1 } else { 2 },
            closed: false,
        };
        assert_eq!(account.get(&mut state).unwrap(), Some(&expected));
    }
}

/// A version without the state was restored in between, and wrote a delta on the same base.
#[test]
fn a_state_that_was_dropped_does_not_come_back_with_a_later_version() {
    let write = |state: &mut KeyedState<u32>, kind| {
        let operator = "under test".into();
        let origin =
            RunOrigin { operator, subtask: 0, parallelism: 1, max_parallelism: MAX_PARALLELISM };
        let mut writer = RunWriter::incremental(origin, kind, LastSnapshot::Published);
        state.snapshot(&mut writer).unwrap();
        writer.finish().unwrap()
    };
    let start = |runs: &[Vec<u8>]| {
        let open = |run: &Vec<u8>| RunReader::open(Arc::new(run.clone())).unwrap();
        let from = RestoredOperator::new(runs.iter().map(open).collect(), 0, 1).unwrap();
        let from = (!runs.is_empty()).then(|| Arc::new(from.continued()));
        KeyedState::<u32>::new(ranges(1)[0], MAX_PARALLELISM, from).unwrap()
    };
    let set = |state: &mut KeyedState<u32>, names: &[&str], key: u32, value: u64| {
        for name in names {
            let of_name = state.value_state::<u64>(name).unwrap();
            state.set_current_key(key, key.key_hash());
            of_name.set(state, value).unwrap();
        }
    };
    let mut first = start(&[]);
    set(&mut first, &["kept", "dropped"], 1, 10);
    set(&mut first, &["kept", "dropped"], 2, 20);
    let mut runs = vec![write(&mut first, RunKind::Base)];
    let mut second = start(&runs);
    set(&mut second, &["kept"], 1, 11);
    runs.push(write(&mut second, RunKind::Delta));
    let mut third = start(&runs);
    set(&mut third, &["kept", "dropped"], 2, 22);
    runs.push(write(&mut third, RunKind::Delta));

    for runs in [&runs[..2], &runs] {
        let mut state = start(runs);
        let again = runs.len() == 3;
        for (name, key, expected) in [
            ("kept", 1, Some(11)),
            ("kept", 2, Some(if again { 22 } else { 20 })),
            ("dropped", 1, None),
            ("dropped", 2, again.then_some(22)),
        ] {
            let of_name = state.value_state::<u64>(name).unwrap();
            state.set_current_key(key, key.key_hash());
            let found = of_name.get(&mut state).unwrap().copied();
            assert_eq!(found, expected, "{name} of {key} from {} runs", runs.len());
        }
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_operator_state_and_place() {
    let run = old_run();
    let error = restore::<u32>(&run)
        .value_state::<new::incompatible::Account>("account")
        .unwrap_err()
        .to_string();
    let expected = "the value of state \"account\" of operator \"under test\" can't be restored: Account.cents";
    assert!(error.starts_with(expected), "{error}");
    let error = restore::<u32>(&run).list_state::<new::Account>("account").unwrap_err();
    assert!(
        matches!(error, StateError::Kind { stored: StateKind::Value, .. }),
        "another kind: {error}"
    );
    let error = restore::<String>(&run).value_state::<old::Account>("account").unwrap_err();
    assert!(error.to_string().contains("written as u32, read as String"), "{error}");
    let error = restore::<u32>(&run).map_state::<bool, u8>("by name").unwrap_err();
    assert!(error.to_string().contains("the map key of state \"by name\""), "{error}");

    let from = restored(&[run], 0, 1);
    let error =
        KeyedState::<u32>::new(KeyGroupRange::all(16), 16, Some(from)).err().unwrap().to_string();
    assert!(error.contains("max parallelism 8 and is restored with 16"), "{error}");
}

#[test]
fn keys_may_get_wider_and_never_lose_their_group() {
    let mut timers = TimerService::<u8, u8>::new("t", ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    for key in 0..=255u8 {
        timers.register_processing_time(i64::from(key), &key, key.key_hash(), &key).unwrap();
    }
    let run = snapshot(0, 1, |writer| timers.snapshot(writer));
    let mut count = 0;
    for (subtask, range) in (0..3).zip(ranges(3)) {
        let from = restored(std::slice::from_ref(&run), subtask, 3);
        let mut timers =
            TimerService::<i64, u32>::new("t", range, MAX_PARALLELISM, Some(&from)).unwrap();
        while let Some(timer) = timers.pop_processing_time(i64::MAX) {
            assert_eq!((timer.time, timer.namespace), (timer.key, timer.key as u32));
            assert_eq!(timer.hash, timer.key.key_hash());
            count += 1;
        }
    }
    assert_eq!(count, 256);
    let from = restored(&[run], 0, 1);
    let error =
        TimerService::<u8, ()>::new("t", ranges(1)[0], MAX_PARALLELISM, Some(&from)).err().unwrap();
    assert!(error.to_string().contains("the namespace of state \"t\""), "{error}");
}
