//! TaskManagers that are told to end (SIGTERM): they work on while their tasks move to slots of
//! others, and end in time; whatever becomes of it, the output is the oracle's.
//!
//! A TaskManager that is told to end is killed after `taskmanager.termination-grace-period`, 120 s
//! here: longer than anything is waited for. So one that ends has been let go.

use thalweg_integration_tests::{
    Cluster, FraudInput, PersonalisationInput, Process, application, wait_until,
};

use crate::faults::{busy_task_manager, start, start_with, wait_for_checkpoints};

/// The first failure is the last. No process is taken for lost because the machine is slow.
const NO_FAILURE: [(&str, &str); 2] =
    [("restart-strategy.fixed-delay.attempts", "0"), ("heartbeat.timeout", "30 s")];

fn metric(cluster: &Cluster, job: &str, name: &str) -> Option<f64> {
    cluster.rest.job_metric(job, name)
}

/// The job runs, on both TaskManagers, and has checkpoints.
fn running(cluster: &Cluster) -> String {
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(cluster, &job, 2);
    job
}

/// A third TaskManager joins, and one of the two that the job uses is told to end.
fn drain(cluster: &mut Cluster) {
    let job = running(cluster);
    let mut drained = cluster.task_managers.remove(busy_task_manager(cluster));
    cluster.start_task_manager(2);
    cluster.rest.wait_for_task_managers(3);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    drained.terminate();
    let ended = drained.wait().succeeded();
    assert!(ended.stderr.contains("nothing runs there any more"), "{}", ended.stderr);
    wait_until("the job runs elsewhere", || {
        let moved = metric(cluster, &job, "numRelocations")? == 1.0;
        (moved && cluster.rest.state(&job)? == "RUNNING").then_some(())
    });
    assert_eq!(metric(cluster, &job, "numRestarts"), Some(0.0), "it was no failure");
    wait_until("the job is restored from a checkpoint", || {
        let checkpoints = cluster.rest.json(&format!("/jobs/{job}/checkpoints"))?;
        checkpoints["latest"]["restored"]["id"].as_u64()
    });
    let answer = cluster.rest.json(&format!("/jobs/{job}")).expect("the job is known");
    let entered = |state: &str| answer["timestamps"][state].as_i64().expect("a time");
    println!("without tasks for {} ms", entered("RUNNING") - entered("RESTARTING"));
}

#[test]
fn fraud_detection_moves_from_a_task_manager_that_is_told_to_end_without_a_failure() {
    let input = FraudInput::new(45_000, 22);
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let checkpoints = input.path("checkpoints");
    let binary = application("fraud-detection");
    let mut cluster = start_with(&binary, &checkpoints, &arguments, &NO_FAILURE);
    drain(&mut cluster);
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn personalisation_moves_from_a_task_manager_that_is_told_to_end_without_a_failure() {
    let input = PersonalisationInput::new(30_000, 24);
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "2000"]);
    let checkpoints = input.path("checkpoints");
    let mut cluster =
        start_with(&application("personalisation"), &checkpoints, &arguments, &NO_FAILURE);
    drain(&mut cluster);
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn one_whose_tasks_have_nowhere_to_go_ends_at_once_and_that_does_not_count_as_a_failure() {
    let input = FraudInput::new(36_000, 91);
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let checkpoints = input.path("checkpoints");
    let binary = application("fraud-detection");
    let mut cluster = start_with(&binary, &checkpoints, &arguments, &NO_FAILURE);
    let job = running(&cluster);
    let mut leaving = cluster.task_managers.remove(busy_task_manager(&cluster));
    leaving.terminate();
    let ended = leaving.wait().succeeded();
    assert!(ended.stderr.contains("its tasks can't be moved"), "{}", ended.stderr);
    wait_until("the job waits for a TaskManager", || {
        (cluster.rest.state(&job)? == "RESTARTING").then_some(())
    });
    cluster.start_task_manager(2);
    wait_until("the job runs again", || (cluster.rest.state(&job)? == "RUNNING").then_some(()));
    assert_eq!(metric(&cluster, &job, "numRestarts"), Some(1.0));
    assert_eq!(metric(&cluster, &job, "numRelocations"), Some(0.0));
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn one_without_tasks_ends_at_once_and_a_second_signal_ends_one_that_waits() {
    let input = FraudInput::new(45_000, 92);
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let checkpoints = input.path("checkpoints");
    let mut cluster = start(&application("fraud-detection"), &checkpoints, &arguments);
    let job = running(&cluster);
    cluster.start_task_manager(2);
    cluster.rest.wait_for_task_managers(3);
    let mut idle = cluster.task_managers.remove(2);
    idle.terminate();
    let ended = idle.wait().succeeded();
    assert!(ended.stderr.contains("nothing runs there any more"), "{}", ended.stderr);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"));

    // A JobManager that stands still moves nothing.
    let mut waiting = cluster.task_managers.remove(busy_task_manager(&cluster));
    job_manager(&mut cluster).pause();
    waiting.terminate();
    waiting.wait_for_line("is about to go");
    waiting.terminate();
    let ended = waiting.wait().succeeded();
    assert!(!ended.stderr.contains("no JobManager moves its tasks"), "{}", ended.stderr);
    job_manager(&mut cluster).resume();
    cluster.start_task_manager(2);
    cluster.wait().succeeded();
    input.check("run");
}

fn job_manager(cluster: &mut Cluster) -> &mut Process {
    cluster.job_manager.as_mut().expect("it was started")
}
