//! Explores every scope, and sees that each broken rule is noticed.

use stateright::{Checker, Model};

use crate::scope::Scope;

fn explore(name: &str, scope: Scope) {
    let t = std::time::Instant::now();
    let checker = scope.checker().threads(2).spawn_bfs().join();
    println!(
        "\n{name}: {} states, depth {} {:?}",
        checker.unique_state_count(),
        checker.max_depth(),
        t.elapsed()
    );
    checker.assert_properties();
}

#[test]
fn t1() {
    explore(
        "takeover 2 unk",
        Scope {
            unknowns: 2,
            late: 1,
            crashes: 1,
            processes: 2,
            epochs: 3,
            checkpoints: 1,
            ..Scope::default()
        },
    );
}
#[test]
fn t3() {
    explore(
        "objects crash",
        Scope { unknowns: 1, crashes: 1, epochs: 2, collects_objects: true, ..Scope::default() },
    );
}
#[test]
fn t4() {
    explore(
        "entries epochs3",
        Scope {
            epochs: 3,
            segment_length: 2,
            places: 6,
            checkpoints: 3,
            collects_entries: true,
            ..Scope::default()
        },
    );
}
#[test]
fn t4b() {
    explore(
        "entries unk",
        Scope {
            unknowns: 1,
            late: 1,
            epochs: 2,
            segment_length: 2,
            places: 6,
            checkpoints: 3,
            collects_entries: true,
            ..Scope::default()
        },
    );
}
#[test]
fn t4c() {
    explore(
        "entries 3 proc",
        Scope {
            processes: 3,
            epochs: 3,
            segment_length: 2,
            places: 6,
            checkpoints: 2,
            collects_entries: true,
            ..Scope::default()
        },
    );
}
#[test]
fn t5() {
    explore(
        "sinks crash",
        Scope { unknowns: 1, late: 1, sinks: 2, crashes: 1, epochs: 2, ..Scope::default() },
    );
}
#[test]
fn t6() {
    explore(
        "end collect",
        Scope {
            unknowns: 1,
            sinks: 1,
            epochs: 2,
            collects_objects: true,
            crashes: 0,
            ends: true,
            checkpoints: 2,
            ..Scope::default()
        },
    );
}
