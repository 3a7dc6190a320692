//! Time to live where it meets the rest: programs that add, change or drop it, what runs hold,
//! what reading costs, and cleaning.

use std::time::Duration;

use thalweg_core::record::Key;

use super::*;
use crate::run::RowOperation;
use crate::{
    KeyedState, LastSnapshot, RunKind, StateError, StateTtlConfig, StateVisibility, UpdateType,
};

fn config(ms: u64) -> StateTtlConfig {
    StateTtlConfig::new(Duration::from_millis(ms)).cleanup_incrementally(0)
}

/// State of one subtask, at a time.
fn at(now: i64, runs: &[Vec<u8>]) -> KeyedState<u32> {
    let from = (!runs.is_empty()).then(|| {
        let open = |run: &Vec<u8>| RunReader::open(Arc::new(run.clone())).unwrap();
        let from = RestoredOperator::new(runs.iter().map(open).collect(), 0, 1).unwrap();
        Arc::new(from.continued())
    });
    let mut state = KeyedState::new(ranges(1)[0], MAX_PARALLELISM, from).unwrap();
    state.set_processing_time(now);
    state
}

fn take(state: &mut KeyedState<u32>, kind: RunKind) -> Vec<u8> {
    let operator = "under test".into();
    let origin =
        RunOrigin { operator, subtask: 0, parallelism: 1, max_parallelism: MAX_PARALLELISM };
    let mut writer = RunWriter::incremental(origin, kind, LastSnapshot::Published);
    state.snapshot(&mut writer).unwrap();
    writer.finish().unwrap()
}

fn set_key(state: &mut KeyedState<u32>, key: u32) {
    state.set_current_key(key, key.key_hash());
}

/// The rows of a run: `value until expiry`, `value`, or `-` for a tombstone.
fn rows(run: &[u8]) -> Vec<String> {
    let run = RunReader::open(Arc::new(run.to_vec())).unwrap();
    let mut rows = Vec::new();
    for state in 0..run.description().states.len() {
        let mut cursor = run.rows(state, KeyGroupRange::all(MAX_PARALLELISM));
        while cursor.advance().unwrap() {
            rows.push(match cursor.current().unwrap().1 {
                RowOperation::Value(value) => format!("{value:?}"),
                RowOperation::Expiring { value, expiry } => format!("{value:?} until {expiry}"),
                RowOperation::Delete | RowOperation::DeleteRange => "-".to_owned(),
            });
        }
    }
    rows
}

#[test]
fn a_program_may_give_state_a_time_to_live_change_it_and_take_it_away() {
    let mut state = at(1000, &[]);
    let count = state.value_state::<u8>("count").unwrap();
    let list = state.list_state::<u8>("list").unwrap();
    let map = state.map_state::<u8, u8>("map").unwrap();
    set_key(&mut state, 1);
    count.set(&mut state, 7).unwrap();
    list.add_all(&mut state, [1, 2]).unwrap();
    map.put(&mut state, 3, 4).unwrap();
    let mut runs = vec![take(&mut state, RunKind::Base)];
    assert_eq!(rows(&runs[0]), ["[7]", "[2, 1, 2]", "[4]"], "no expiry where there's none");

    // Given one at 5000: as if written then. All is written again, or each restart would begin a
    // new life.
    let mut state = at(5000, &runs);
    let mut expiring = state.with_time_to_live(config(100));
    expiring.value_state::<u8>("count").unwrap();
    expiring.list_state::<u8>("list").unwrap();
    expiring.map_state::<u8, u8>("map").unwrap();
    runs.push(take(&mut state, RunKind::Delta));
    let written = rows(&runs[1]);
    let written: Vec<_> = written.iter().filter(|row| *row != "-").collect();
    assert_eq!(written, ["[7] until 5100", "[2, 1, 2] until 5100", "[4] until 5100"]);

    // The same at 5050: what is left of the life stays, and nothing is written again.
    let mut state = at(5050, &runs);
    let mut expiring = state.with_time_to_live(config(100));
    let count = expiring.value_state::<u8>("count").unwrap();
    let list = expiring.list_state::<u8>("list").unwrap();
    let map = expiring.map_state::<u8, u8>("map").unwrap();
    assert_eq!(rows(&take(&mut state, RunKind::Delta)), [""; 0]);
    for (now, lives) in [(5099, true), (5100, false)] {
        state.set_processing_time(now);
        set_key(&mut state, 1);
        assert_eq!(count.get(&mut state).unwrap().is_some(), lives, "{now}");
        assert_eq!(list.get(&mut state).unwrap().len(), if lives { 2 } else { 0 });
        assert_eq!(map.contains(&mut state, &3).unwrap(), lives);
    }

    // Longer, and shorter: counted from when a value was written.
    for (ms, now, lives) in
        [(300, 5299, true), (300, 5300, false), (60, 5059, true), (60, 5060, false)]
    {
        let mut state = at(5001, &runs);
        let count = state.with_time_to_live(config(ms)).value_state::<u8>("count").unwrap();
        let mut again = runs.clone();
        again.push(take(&mut state, RunKind::Delta));
        let mut restarted = at(5002, &again);
        restarted.with_time_to_live(config(ms)).value_state::<u8>("count").unwrap();
        for state in [&mut state, &mut restarted] {
            state.set_processing_time(now);
            set_key(state, 1);
            assert_eq!(count.get(state).unwrap().is_some(), lives, "{ms} ms at {now}");
        }
    }

    // Taken away at 5050: lives for ever, also if one is given again; at 5100 it's gone.
    let mut state = at(5050, &runs);
    let count = state.value_state::<u8>("count").unwrap();
    let mut again = runs.clone();
    again.push(take(&mut state, RunKind::Delta));
    state.set_processing_time(9000);
    set_key(&mut state, 1);
    assert_eq!(count.get(&mut state).unwrap(), Some(&7));
    let mut state = at(9000, &again);
    let count = state.with_time_to_live(config(100)).value_state::<u8>("count").unwrap();
    set_key(&mut state, 1);
    assert_eq!(count.get(&mut state).unwrap(), Some(&7));
    let mut state = at(5100, &runs);
    let count = state.value_state::<u8>("count").unwrap();
    set_key(&mut state, 1);
    assert_eq!(count.get(&mut state).unwrap(), None);
}

#[test]
fn a_delta_has_a_tombstone_for_what_has_expired_and_a_base_leaves_it_out() {
    let mut state = at(0, &[]);
    let value = state.with_time_to_live(config(100)).value_state::<u8>("value").unwrap();
    for key in 0..3 {
        set_key(&mut state, key);
        value.set(&mut state, 5).unwrap();
    }
    let base = take(&mut state, RunKind::Base);
    assert_eq!(rows(&base), ["[5] until 100"; 3]);
    state.set_processing_time(50);
    set_key(&mut state, 1);
    value.set(&mut state, 6).unwrap();
    state.set_processing_time(100);
    // One is found when it's read, one by nobody, and the third one lives.
    set_key(&mut state, 0);
    assert_eq!(value.get(&mut state).unwrap(), None);
    let delta = take(&mut state, RunKind::Delta);
    let mut found = rows(&delta);
    found.sort();
    assert_eq!(found, ["-", "[6] until 150"]);
    assert_eq!(rows(&take(&mut state, RunKind::Base)), ["[6] until 150"]);
    // What is dirty and has expired becomes a tombstone too.
    set_key(&mut state, 2);
    value.set(&mut state, 7).unwrap();
    state.set_processing_time(300);
    assert_eq!(rows(&take(&mut state, RunKind::Delta)), ["-"]);

    // A restore finds what nobody did. Had the clock gone back, or lived values longer from now
    // on, what was cleared meanwhile would be back without the tombstones.
    let mut again = at(120, &[base.clone(), delta.clone()]);
    let value = again.with_time_to_live(config(100)).value_state::<u8>("value").unwrap();
    let removed = take(&mut again, RunKind::Delta);
    assert_eq!(rows(&removed), ["-"]);
    let mut longer = at(120, &[base, delta, removed]);
    longer.with_time_to_live(config(1000)).value_state::<u8>("value").unwrap();
    for (key, expected) in [(0, None), (1, Some(&6)), (2, None)] {
        set_key(&mut longer, key);
        assert_eq!(value.get(&mut longer).unwrap(), expected, "{key}");
    }
}

#[test]
fn reads_that_make_values_live_on_seldom_make_rows_count_as_changed() {
    let on_read = config(1600).update_type(UpdateType::OnReadAndWrite);
    let mut state = at(0, &[]);
    let mut expiring = state.with_time_to_live(on_read);
    let value = expiring.value_state::<u8>("value").unwrap();
    let list = expiring.list_state::<u8>("list").unwrap();
    let map = expiring.map_state::<u8, u8>("map").unwrap();
    set_key(&mut state, 1);
    value.set(&mut state, 5).unwrap();
    list.add_all(&mut state, [1, 2, 3]).unwrap();
    (0..20).for_each(|key| assert!(map.put(&mut state, key, key).unwrap().is_none()));
    take(&mut state, RunKind::Base);
    let mut written = 0;
    for now in 1..=1600 {
        state.set_processing_time(now);
        assert_eq!(value.get(&mut state).unwrap(), Some(&5));
        assert_eq!(list.get(&mut state).unwrap(), [1, 2, 3]);
        assert_eq!(map.get(&mut state, &7).unwrap(), Some(&7));
        let delta = rows(&take(&mut state, RunKind::Delta));
        written += delta.iter().filter(|row| *row != "-").count();
    }
    assert_eq!(written, 3 * 16, "of 4800 reads");
    // In memory, the last read counts to the millisecond.
    for (now, lives) in [(3199, true), (3200, false)] {
        let lives_at = |state: &mut KeyedState<u32>| map.len(state).unwrap() == 1;
        state.set_processing_time(now);
        assert_eq!(lives_at(&mut state), lives, "{now}");
    }
}

#[test]
fn elements_of_a_list_expire_one_by_one_and_a_delta_holds_only_the_new_ones() {
    let mut state = at(0, &[]);
    let list = state.with_time_to_live(config(100)).list_state::<u16>("list").unwrap();
    let mut runs = Vec::new();
    for now in 0..500 {
        state.set_processing_time(now);
        set_key(&mut state, 1);
        list.add(&mut state, now as u16).unwrap();
        let expected: Vec<u16> = (0..=now as u16).filter(|at| i64::from(*at) + 100 > now).collect();
        assert_eq!(list.get(&mut state).unwrap(), expected);
        let kind = if now == 0 { RunKind::Base } else { RunKind::Delta };
        let run = take(&mut state, kind);
        assert!(rows(&run).len() <= 3, "{now}: {:?}", rows(&run));
        runs.push(run);
    }
    for now in [499, 520, 598, 599] {
        let mut again = at(now, &runs);
        let list = again.with_time_to_live(config(100)).list_state::<u16>("list").unwrap();
        set_key(&mut again, 1);
        let expected: Vec<u16> = (0..500u16).filter(|at| i64::from(*at) + 100 > now).collect();
        assert_eq!(list.get(&mut again).unwrap(), expected, "{now}");
    }
}

#[test]
fn cleaning_looks_at_a_bounded_number_of_entries_and_at_all_in_the_end() {
    let mut state = at(0, &[]);
    let five = config(100).cleanup_incrementally(5);
    let mut expiring = state.with_time_to_live(five);
    let value = expiring.value_state::<String>("value").unwrap();
    let map = expiring.map_state::<u32, String>("map").unwrap();
    let list = expiring.list_state::<String>("list").unwrap();
    for key in 0..2000 {
        set_key(&mut state, key);
        value.set(&mut state, "x".repeat(100)).unwrap();
        list.add(&mut state, "x".repeat(100)).unwrap();
    }
    set_key(&mut state, 1);
    (0..2000).for_each(|key| drop(map.put(&mut state, key, "x".repeat(100)).unwrap()));
    let full = state.bytes();
    state.clean_up(100_000).unwrap();
    assert_eq!(state.bytes(), full, "nothing has expired");
    state.set_processing_time(100);
    state.clean_up(20).unwrap();
    let less = full - state.bytes();
    assert!((1..=3 * 100 * 200).contains(&less), "{less} bytes of at most 300 entries");
    let mut rounds = 0;
    while state.bytes() > full / 4 && rounds < 1000 {
        rounds += 1;
        state.set_processing_time(100 + rounds);
        state.clean_up(20).unwrap();
    }
    assert!((20..300).contains(&rounds), "{rounds}, {} bytes left of {full}", state.bytes());
}

#[test]
fn expired_values_are_seen_until_they_are_removed_where_that_is_wanted() {
    let mut state = at(0, &[]);
    let visible = config(100).state_visibility(StateVisibility::ReturnExpiredIfNotCleanedUp);
    let mut expiring = state.with_time_to_live(visible.cleanup_incrementally(1));
    let value = expiring.value_state::<u8>("value").unwrap();
    let sum = expiring.reducing_state("sum", |sum: &mut u8, more| *sum += more).unwrap();
    set_key(&mut state, 1);
    value.set(&mut state, 5).unwrap();
    sum.add(&mut state, 1).unwrap();
    state.set_processing_time(1000);
    assert_eq!(value.get(&mut state).unwrap(), Some(&5));
    assert_eq!(value.get(&mut state).unwrap(), Some(&5), "reading doesn't remove it");
    sum.add(&mut state, 2).unwrap();
    state.clean_up(1000).unwrap();
    assert_eq!(value.get(&mut state).unwrap(), None);
    assert_eq!(sum.get(&mut state).unwrap(), Some(&3), "written, so it lives again");
}

#[test]
fn a_clock_that_goes_back_shortens_no_life_and_brings_nothing_back() {
    let mut state = at(1000, &[]);
    let value = state.with_time_to_live(config(100)).value_state::<u8>("value").unwrap();
    set_key(&mut state, 1);
    value.set(&mut state, 1).unwrap();
    state.set_processing_time(1100);
    state.set_processing_time(500);
    assert_eq!(value.get(&mut state).unwrap(), None);
    value.set(&mut state, 2).unwrap();
    state.set_processing_time(1199);
    assert_eq!(value.get(&mut state).unwrap(), Some(&2));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let mut state = at(0, &[]);
    let error = state.with_time_to_live(config(0)).value_state::<u8>("seen").err().unwrap();
    assert!(error.to_string().contains("\"seen\" has a time to live of less than 1 ms"), "{error}");
    state.with_time_to_live(config(5)).value_state::<u8>("seen").unwrap();
    state.with_time_to_live(config(5)).value_state::<u8>("seen").unwrap();
    let error = state.with_time_to_live(config(6)).value_state::<u8>("seen").err().unwrap();
    let expected = "registered as value state of u8 with a time to live of 5 ms";
    assert!(error.to_string().contains(expected), "{error}");
    let error = state.value_state::<u8>("seen").err().unwrap();
    assert!(error.to_string().contains("and again as value state of u8:"), "{error}");
    let mut state = KeyedState::<u32>::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap();
    let error = state.with_time_to_live(config(5)).map_state::<u8, u8>("seen").err().unwrap();
    assert!(matches!(error, StateError::NoTime { .. }), "{error}");
    // A century and more is no different.
    let mut state = at(0, &[]);
    let ever = StateTtlConfig::new(Duration::MAX);
    let value = state.with_time_to_live(ever).value_state::<u8>("value").unwrap();
    set_key(&mut state, 1);
    value.set(&mut state, 1).unwrap();
    state.set_processing_time(i64::MAX - 1);
    assert_eq!(value.get(&mut state).unwrap(), Some(&1));
}

#[test]
fn a_few_rows_at_a_time_are_enough_to_clean_up_what_lives_long() {
    let day = 24 * 3_600_000;
    let mut state = at(0, &[]);
    let config = config(day as u64).cleanup_incrementally(5);
    let value = state.with_time_to_live(config).value_state::<u64>("value").unwrap();
    for key in 0..10_000 {
        state.set_processing_time(i64::from(key));
        set_key(&mut state, key);
        value.set(&mut state, 1).unwrap();
    }
    let full = state.bytes();
    // An eighth of a day later than the first ones expire, all that have are gone: few rows at a
    // time are enough, since they come all the time.
    let mut now = day;
    for _ in 0..3_000 {
        now += day / 8 / 3_000;
        state.set_processing_time(now);
        state.clean_up(3).unwrap();
    }
    assert!(state.bytes() < full / 4, "{} bytes of {full}", state.bytes());
}
