//! Accounting: what is used is known, is limited, and is given back.

use thalweg_core::record::Key;

use super::*;
use crate::{KeyedState, MemoryBudget, SliceState, StateError, TimerService};

fn keyed() -> KeyedState<u64> {
    KeyedState::new(ranges(1)[0], MAX_PARALLELISM, None).unwrap()
}

#[test]
fn going_over_the_budget_names_the_state_and_the_remedy() {
    let budget = MemoryBudget::new(1 << 20);
    let mut state = keyed();
    state.set_budget(&budget).unwrap();
    let small = state.value_state::<u8>("small").unwrap();
    let large = state.list_state::<String>("large").unwrap();
    state.set_current_key(0, 0u64.key_hash());
    small.set(&mut state, 1).unwrap();
    let error = (0..10_000u64)
        .find_map(|key| {
            state.set_current_key(key, key.key_hash());
            large.add(&mut state, "x".repeat(1000)).err()
        })
        .expect("10 MB don't fit 1 MiB");
    let message = error.to_string();
    assert!(matches!(error, StateError::OverBudget { budget: 1048576, .. }), "{message}");
    assert!(message.contains("state \"large\" exceeds"), "{message}");
    assert!(message.contains("state.backend.type: disk"), "{message}");
    assert!(budget.drawn() <= budget.limit());
    assert!(state.bytes() < budget.limit() + 100_000, "noticed at once");
    drop(state);
    assert_eq!(budget.drawn(), 0);
}

#[test]
fn values_that_grow_in_place_are_accounted() {
    let mut state = keyed();
    let text = state.value_state::<String>("text").unwrap();
    state.set_current_key(5, 5u64.key_hash());
    text.set(&mut state, String::new()).unwrap();
    let empty = state.bytes();
    *text.get_or_insert_with(&mut state, String::new).unwrap() = "x".repeat(5000);
    assert_eq!(state.bytes(), empty + 5000);
    text.get_mut(&mut state).unwrap().unwrap().shrink_to(0);
    text.set(&mut state, "y".repeat(10)).unwrap();
    assert_eq!(state.bytes(), empty + 10);
    text.clear(&mut state).unwrap();
    assert_eq!(state.bytes(), empty);
}

#[test]
fn what_is_accounted_is_what_is_restored_and_clearing_gives_it_back() {
    let mut state = keyed();
    let map = state.map_state::<String, String>("map").unwrap();
    let list = state.list_state::<String>("list").unwrap();
    for key in 0..2000u64 {
        state.set_current_key(key, key.key_hash());
        for entry in 0..key % 7 {
            map.put(&mut state, format!("entry {entry}"), "x".repeat(entry as usize)).unwrap();
            list.add(&mut state, entry.to_string()).unwrap();
        }
    }
    let full = state.bytes();
    let run = snapshot(0, 1, |writer| state.snapshot(writer));
    let mut again =
        KeyedState::<u64>::new(ranges(1)[0], MAX_PARALLELISM, Some(restored(&[run], 0, 1)))
            .unwrap();
    again.map_state::<String, String>("map").unwrap();
    again.list_state::<String>("list").unwrap();
    let ratio = again.bytes() as f64 / full as f64;
    assert!((0.7..1.4).contains(&ratio), "{} restored of {full}", again.bytes());
    for key in 0..2000u64 {
        state.set_current_key(key, key.key_hash());
        for entry in 0..7 {
            map.remove(&mut state, &format!("entry {entry}")).unwrap();
        }
        assert!(map.is_empty(&mut state).unwrap());
        list.update(&mut state, Vec::new()).unwrap();
    }
    assert!(state.bytes() < full / 15, "{} left of {full}", state.bytes());
    let by_state: usize = state.bytes_by_state().map(|(_, _, bytes)| bytes).sum();
    assert_eq!(by_state, state.bytes());
}

#[test]
fn timers_and_slices_share_the_budget() {
    let budget = MemoryBudget::new(300_000);
    let range = ranges(1)[0];
    let mut timers = TimerService::<u64, ()>::new("t", range, MAX_PARALLELISM, None).unwrap();
    let mut slices = SliceState::<u64, u64>::new("s", range, MAX_PARALLELISM, None).unwrap();
    timers.set_budget(&budget).unwrap();
    slices.set_budget(&budget).unwrap();
    for _ in 0..100_000 {
        timers.register_event_time(7, &1, 1u64.key_hash(), &()).unwrap();
    }
    assert_eq!(timers.event_time_len(), 1, "the same timer again takes nothing");
    let mut last = Ok(());
    for key in 0..100_000u64 {
        last = slices.get_or_insert_with(1, &key, key.key_hash(), || key).map(drop);
        if last.is_err() {
            break;
        }
    }
    assert!(matches!(last, Err(StateError::OverBudget { .. })));
    slices.remove_slice(1);
    assert_eq!(slices.bytes(), 0);
    slices.get_or_insert_with(2, &1, 1u64.key_hash(), || 1).unwrap();
}
