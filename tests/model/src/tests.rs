//! Explores every scope to its end, and sees that every broken rule is noticed. `cargo test -p
//! thalweg-model -- --ignored --nocapture` explores larger ones; it takes minutes.

mod broken;

use stateright::{Checker, Model};

use crate::scope::Scope;

/// All states of the scope; prints how many.
fn explore(name: &str, scope: Scope) {
    let checker = scope.checker().threads(2).spawn_bfs().join();
    println!("{name}: {} states, {} deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

/// Processes take over from one another; writes fail, are done nevertheless, or later.
fn takeover() -> Scope {
    Scope { checkpoints: 1, unknowns: 2, late: 1, crashes: 1, ..Scope::default() }
}

/// Leaders collect objects, also after they were fenced; checkpoints are abandoned.
fn objects() -> Scope {
    Scope { unknowns: 1, collects_objects: true, ..Scope::default() }
}

/// Leaders collect entries; listings are old, candidates slow.
fn entries() -> Scope {
    let scope = Scope { segment_length: 2, places: 6, checkpoints: 3, ..Scope::default() };
    Scope { collects_entries: true, ..scope }
}

/// Sinks get orders late, twice, and in any order.
fn sinks() -> Scope {
    Scope { unknowns: 1, sinks: 2, ..Scope::default() }
}

/// Jobs end.
fn end() -> Scope {
    Scope { unknowns: 1, sinks: 1, epochs: 2, ends: true, ..Scope::default() }
}

#[test]
fn two_processes_take_over_from_one_another() {
    explore("two processes, two unknown outcomes", takeover());
}

#[test]
fn three_processes_take_over_from_one_another() {
    let scope = Scope { processes: 3, unknowns: 1, crashes: 0, ..takeover() };
    explore("three processes", scope);
}

#[test]
fn collectors_of_objects_are_paused_anywhere() {
    explore("collected objects", objects());
}

#[test]
fn collectors_of_entries_are_paused_anywhere() {
    explore("collected entries", entries());
}

#[test]
fn both_collectors_run_side_by_side() {
    let both = Scope { collects_objects: true, checkpoints: 2, epochs: 2, ..entries() };
    explore("both collections", Scope { places: 5, ..both });
}

#[test]
fn orders_reach_sinks_late_twice_and_in_any_order() {
    explore("sinks", sinks());
}

#[test]
fn a_job_ends_once() {
    explore("the end of a job", end());
}

#[test]
fn a_job_that_ended_is_cleaned_up() {
    let scope = Scope { unknowns: 0, checkpoints: 1, collects_objects: true, ..end() };
    explore("cleaning up", scope);
}

#[test]
#[ignore = "minutes"]
fn larger_worlds_hold_no_surprise() {
    explore("objects and crashes", Scope { crashes: 1, epochs: 2, ..objects() });
    explore("entries and unknown outcomes", Scope { unknowns: 1, late: 1, epochs: 2, ..entries() });
    explore("the end of a job and crashes", Scope { crashes: 1, late: 1, ..end() });
    explore("sinks and crashes", Scope { crashes: 1, late: 1, epochs: 2, ..sinks() });
}
