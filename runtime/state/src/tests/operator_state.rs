//! Operator state: dealt out, united and broadcast.

use super::*;
use crate::{MemoryBudget, OperatorState, StateError};

/// Three subtasks with two, none and three elements; the same rules everywhere.
fn runs() -> Vec<Vec<u8>> {
    let lists = [vec!["a", "b"], vec![], vec!["c", "d", "e"]];
    (0..3)
        .zip(lists)
        .map(|(subtask, list)| {
            let mut state = OperatorState::new(None);
            let splits = state.list_state::<String>("splits").unwrap();
            let union = state.union_list_state::<u32>("union").unwrap();
            let rules = state.broadcast_state::<u8, String>("rules").unwrap();
            for element in list {
                splits.add(&mut state, element.into()).unwrap();
            }
            union.update(&mut state, vec![subtask * 10, subtask * 10 + 1]).unwrap();
            for rule in [2, 0, 1u8] {
                rules.put(&mut state, rule, format!("rule {rule}")).unwrap();
            }
            rules.put(&mut state, 9, "old".into()).unwrap();
            assert_eq!(rules.remove(&mut state, &9).unwrap().as_deref(), Some("old"));
            snapshot(subtask, 3, |writer| state.snapshot(writer))
        })
        .collect()
}

#[test]
fn lists_are_dealt_out_unions_given_whole_and_broadcast_maps_are_equal() {
    let runs = runs();
    for (parallelism, expected) in [
        (1, vec!["abcde"]),
        (2, vec!["ace", "bd"]),
        (3, vec!["ab", "", "cde"]),
        (4, vec!["ae", "b", "c", "d"]),
        (7, vec!["a", "b", "c", "d", "e", "", ""]),
    ] {
        for subtask in 0..parallelism {
            let from = restored(&runs, subtask, parallelism);
            let mut state = OperatorState::new(Some(from.clone()));
            let rules = state.broadcast_state::<u8, String>("rules").unwrap();
            let union = state.union_list_state::<u32>("union").unwrap();
            assert_eq!(from.unclaimed().len(), 1);
            let splits = state.list_state::<String>("splits").unwrap();
            assert_eq!(splits.get(&state).unwrap().concat(), expected[subtask as usize]);
            assert_eq!(union.get(&state).unwrap(), [0, 1, 10, 11, 20, 21]);
            let rules: Vec<_> = rules.entries(&state).unwrap().collect();
            let expected = ["rule 0", "rule 1", "rule 2"].map(String::from);
            assert_eq!(rules, [(&0, &expected[0]), (&1, &expected[1]), (&2, &expected[2])]);
            assert!(from.unclaimed().is_empty());
        }
    }
}

#[test]
fn states_that_nobody_registers_are_listed_and_other_kinds_are_refused() {
    let from = restored(&runs(), 0, 1);
    let mut state = OperatorState::new(Some(from.clone()));
    let names: Vec<_> = from.unclaimed().into_iter().map(|state| state.name).collect();
    assert_eq!(names, ["rules", "splits", "union"]);
    let error = state.union_list_state::<String>("splits").unwrap_err().to_string();
    let expected = "state \"splits\" of operator \"under test\" was stored as operator list \
                    state and is registered as operator union list state";
    assert!(error.contains(expected), "{error}");
    state.list_state::<String>("splits").unwrap();
    let error = state.list_state::<u8>("splits").unwrap_err();
    assert!(matches!(error, StateError::Registered { .. }), "{error}");
    let names: Vec<_> = from.unclaimed().into_iter().map(|state| state.name).collect();
    assert_eq!(names, ["rules", "union"]);
}

#[test]
fn runs_that_do_not_belong_together_are_refused() {
    let runs = runs();
    let open = |run: &Vec<u8>| RunReader::open(Arc::new(run.clone())).unwrap();
    let error = RestoredOperator::new(vec![open(&runs[0]), open(&runs[0])], 0, 1).err().unwrap();
    assert!(error.to_string().contains("two are of subtask 0"), "{error}");
    let other = snapshot(1, 2, |_| Ok(()));
    let error = RestoredOperator::new(vec![open(&runs[0]), open(&other)], 0, 1).err().unwrap();
    assert!(error.to_string().contains("subtask 0 had parallelism 3 of at most 8"), "{error}");
}

#[test]
fn operator_state_counts_against_the_budget_and_names_itself_when_it_exceeds_it() {
    let budget = MemoryBudget::new(200_000);
    let mut state = OperatorState::with_budget(None, &budget);
    let splits = state.list_state::<String>("splits").unwrap();
    let rules = state.broadcast_state::<u32, String>("rules").unwrap();
    for rule in 0..100 {
        rules.put(&mut state, rule, "x".repeat(100)).unwrap();
    }
    let with_rules = state.bytes();
    assert!((10_000..40_000).contains(&with_rules), "{with_rules}");
    splits.update(&mut state, vec!["y".repeat(1000); 50]).unwrap();
    assert!(state.bytes() > with_rules + 50_000);
    let run = snapshot(0, 1, |writer| state.snapshot(writer));
    let error = splits.update(&mut state, vec!["y".repeat(1000); 300]).unwrap_err();
    assert!(error.to_string().contains("state \"splits\" exceeds"), "{error}");
    splits.clear(&mut state).unwrap();
    for rule in 0..100 {
        rules.put(&mut state, rule, String::new()).unwrap();
        rules.remove(&mut state, &rule).unwrap();
    }
    assert_eq!(state.bytes(), 0);
    drop(state);
    assert_eq!(budget.drawn(), 0);
    // So does what grows in place, from the end of the access on.
    let mut state = OperatorState::with_budget(None, &budget);
    let splits = state.list_state::<String>("splits").unwrap();
    splits.add(&mut state, "y".repeat(1000)).unwrap();
    let one = state.bytes();
    splits.get_mut(&mut state).unwrap().extend(vec!["y".repeat(1000); 9]);
    assert_eq!(state.bytes(), 10 * one);
    splits.get_mut(&mut state).unwrap().truncate(2);
    assert_eq!(state.bytes(), 2 * one);
    splits.get_mut(&mut state).unwrap().extend(vec!["y".repeat(1000); 300]);
    let error = splits.get_mut(&mut state).map(drop).unwrap_err();
    assert!(error.to_string().contains("state \"splits\" exceeds"), "{error}");
    drop(state);
    assert_eq!(budget.drawn(), 0);
    // What is restored counts as well.
    let from = || Some(restored(std::slice::from_ref(&run), 0, 1));
    let mut state = OperatorState::with_budget(from(), &budget);
    state.broadcast_state::<u32, String>("rules").unwrap();
    assert_eq!(state.bytes(), with_rules);
    let mut state = OperatorState::with_budget(from(), &MemoryBudget::new(1000));
    let error = state.broadcast_state::<u32, String>("rules").unwrap_err();
    assert!(matches!(error, StateError::OverBudget { .. }), "{error}");
}
