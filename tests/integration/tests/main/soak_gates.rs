//! Faults that come exactly during a checkpoint, a commit or a restore: `allround` is made to stop
//! there by a gate, and whoever waits at it is killed, or stands still.

use std::path::PathBuf;

use allround::gates::{AFTER_COMMIT, BEFORE_COMMIT, CHECKPOINT, RESTORE};
use thalweg_integration_tests::{Soak, application, check_store, wait_until};

use crate::soak::{Fault, Run};

/// Where a run's files are.
fn places(soak: &Soak) -> (PathBuf, PathBuf) {
    (soak.path("output"), soak.path("checkpoints"))
}

/// `allround` with so many TaskManagers, RUNNING.
fn start(soak: &Soak, task_managers: usize) -> Run {
    let (output, checkpoints) = places(soak);
    let more = ["--parallelism", "3", "--rate", "1200", "--payload", "200"];
    let arguments = soak.arguments(&output, &more);
    let place = checkpoints.to_str().unwrap();
    Run::start(&application("allround"), place, task_managers, &arguments, &[])
}

/// Kills who comes first to a gate, and opens it for the others.
fn kill_at(soak: &Soak, run: &mut Run, fault: &mut Fault, point: &str) {
    let victim = soak.wait_at_gate(point, &run.processes());
    if point == CHECKPOINT {
        wait_until("a checkpoint is in progress", || {
            let answer = run.cluster.rest.json(&format!("/jobs/{}/checkpoints", run.job))?;
            (answer["counts"]["in_progress"].as_u64()? == 1).then_some(())
        });
    }
    run.replace(fault, victim);
    soak.open_gate(point);
}

#[test]
fn a_task_manager_killed_during_a_checkpoint_a_commit_or_a_restore_costs_no_row_and_none_twice() {
    let soak = Soak::new(30_000);
    let (output, checkpoints) = places(&soak);
    let mut run = start(&soak, 2);
    for point in [CHECKPOINT, BEFORE_COMMIT, AFTER_COMMIT] {
        run.wait_for_checkpoints(1);
        let mut fault = run.fault();
        soak.close_gate(point);
        kill_at(&soak, &mut run, &mut fault, point);
        run.wait_for_recovery(&fault);
    }
    run.wait_for_checkpoints(1);
    let mut fault = run.fault();
    soak.close_gate(RESTORE);
    run.replace(&mut fault, 0);
    kill_at(&soak, &mut run, &mut fault, RESTORE);
    run.wait_for_recovery(&fault);
    run.finish();
    soak.check(&output);
    check_store(&checkpoints);
}

#[test]
fn a_task_manager_that_stands_still_in_front_of_its_commit_commits_nothing_twice_later() {
    let soak = Soak::new(20_000);
    let (output, checkpoints) = places(&soak);
    let mut run = start(&soak, 3);
    run.wait_for_checkpoints(1);
    let mut fault = run.fault();
    soak.close_gate(BEFORE_COMMIT);
    let still = soak.wait_at_gate(BEFORE_COMMIT, &run.processes());
    run.pause(&mut fault, still);
    soak.open_gate(BEFORE_COMMIT);
    run.wait_for_recovery(&fault);
    run.wait_for_checkpoints(2);
    run.is_running();
    // It goes on with its commit, of what others have committed since.
    run.cluster.task_managers[still].resume();
    run.finish();
    soak.check(&output);
    check_store(&checkpoints);
}
