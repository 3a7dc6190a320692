//! Exactly once, after processes were lost: the output is the oracle's, nothing is missing and
//! nothing is there twice.
//!
//! Input is slowed, so that a fault comes in the middle of it; a test fails when it doesn't.

use std::path::Path;

use thalweg_integration_tests::{
    Cluster, FraudInput, PersonalisationInput, Settings, application, wait_until,
};

/// A cluster of two TaskManagers that take all the tasks, and a third one that takes over.
/// Checkpoints are written as often as possible.
pub(crate) fn start(binary: &Path, checkpoints: &Path, arguments: &[String]) -> Cluster {
    start_with(binary, checkpoints, arguments, &[])
}

/// The same with some settings in the place of its own.
pub(crate) fn start_with(
    binary: &Path,
    checkpoints: &Path,
    arguments: &[String],
    more: Settings<'_>,
) -> Cluster {
    let mut settings = vec![
        ("heartbeat.interval", "200 ms"),
        ("heartbeat.timeout", "2 s"),
        ("execution.checkpointing.interval", "200 ms"),
        ("execution.checkpointing.dir", checkpoints.to_str().unwrap()),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "100"),
        ("restart-strategy.fixed-delay.delay", "100 ms"),
    ];
    settings.retain(|(key, _)| !more.iter().any(|(other, _)| other == key));
    settings.extend(more);
    let mut cluster = Cluster::new(binary, &settings);
    cluster.start_task_manager(2);
    cluster.start_task_manager(2);
    cluster.start_job_manager(arguments);
    cluster
}

/// The number of the first TaskManager that the job uses.
pub(crate) fn busy_task_manager(cluster: &Cluster) -> usize {
    // Both have two slots, and the job needs three: it uses both.
    let busy = cluster.rest.task_managers().iter().filter(|t| t["freeSlots"] != 2).count();
    assert_eq!(busy, 2, "the job doesn't use both TaskManagers");
    0
}

/// Waits until the job runs and has so many more checkpoints; gives how many it has.
pub(crate) fn wait_for_checkpoints(cluster: &Cluster, job: &str, more: u64) -> u64 {
    let completed = || cluster.rest.completed_checkpoints(job);
    let before = wait_until("checkpoints are counted", completed);
    wait_until(&format!("{more} checkpoints are complete"), || {
        completed().filter(|&now| now >= before + more)
    })
}

/// Kills a TaskManager of a running job, and sees to it that the job restarts from a checkpoint.
fn strike(cluster: &mut Cluster) {
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(cluster, &job, 2);
    let mut victim = cluster.task_managers.remove(busy_task_manager(cluster));
    cluster.start_task_manager(2);
    cluster.rest.wait_for_task_managers(3);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    let restarts = cluster.rest.job_metric(&job, "numRestarts");
    assert_eq!(restarts, Some(0.0), "the job restarted without a fault");
    victim.kill();
    wait_until("the job has restarted", || {
        let restarts = cluster.rest.job_metric(&job, "numRestarts")?;
        (restarts >= 1.0 && cluster.rest.state(&job)? == "RUNNING").then_some(())
    });
    wait_until("the job is restored from a checkpoint", || {
        let checkpoints = cluster.rest.json(&format!("/jobs/{job}/checkpoints"))?;
        checkpoints["latest"]["restored"]["id"].as_u64()
    });
    // It works again, and comes this far once more.
    wait_for_checkpoints(cluster, &job, 1);
}

#[test]
fn fraud_detection_is_exactly_once_after_a_task_manager_is_killed() {
    let input = FraudInput::new(24_000, 21);
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let checkpoints = input.path("checkpoints");
    let mut cluster = start(&application("fraud-detection"), &checkpoints, &arguments);
    strike(&mut cluster);
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn personalisation_is_exactly_once_after_a_task_manager_is_killed() {
    let input = PersonalisationInput::new(16_000, 23);
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "2000"]);
    let checkpoints = input.path("checkpoints");
    let mut cluster = start(&application("personalisation"), &checkpoints, &arguments);
    strike(&mut cluster);
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn a_job_is_exactly_once_after_one_task_manager_after_the_other_is_killed() {
    let input = FraudInput::new(30_000, 25);
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let checkpoints = input.path("checkpoints");
    let mut cluster = start(&application("fraud-detection"), &checkpoints, &arguments);
    let job = cluster.rest.wait_for_job("RUNNING");
    for restarts in 1..=3 {
        wait_for_checkpoints(&cluster, &job, 2);
        let state = cluster.rest.state(&job);
        assert_eq!(state.as_deref(), Some("RUNNING"), "the input was too short");
        cluster.task_managers.remove(0).kill();
        cluster.start_task_manager(2);
        wait_until("the job has restarted", || {
            let number = cluster.rest.job_metric(&job, "numRestarts")?;
            (number >= f64::from(restarts) && cluster.rest.state(&job)? == "RUNNING").then_some(())
        });
    }
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn a_job_is_exactly_once_when_some_tasks_had_finished_before_the_fault() {
    let input = FraudInput::with_short_files(24_000, 29, 500);
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let checkpoints = input.path("checkpoints");
    let mut cluster = start(&application("fraud-detection"), &checkpoints, &arguments);
    let job = cluster.rest.wait_for_job("RUNNING");
    let finished = wait_until("a task has finished", || {
        let answer = cluster.rest.json(&format!("/jobs/{job}"))?;
        let vertices = answer["vertices"].as_array()?;
        vertices
            .iter()
            .filter_map(|vertex| vertex["tasks"]["FINISHED"].as_u64())
            .max()
            .filter(|&n| n > 0)
    });
    assert!(finished < 3, "the input was too short");
    strike(&mut cluster);
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn a_task_manager_that_stands_still_is_replaced_and_does_no_harm_when_it_goes_on() {
    let input = FraudInput::new(30_000, 27);
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let checkpoints = input.path("checkpoints");
    let mut cluster = start(&application("fraud-detection"), &checkpoints, &arguments);
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster, &job, 2);
    cluster.start_task_manager(2);
    cluster.rest.wait_for_task_managers(3);
    cluster.task_managers[0].pause();
    wait_until("the job has restarted", || {
        let restarts = cluster.rest.job_metric(&job, "numRestarts")?;
        (restarts >= 1.0 && cluster.rest.state(&job)? == "RUNNING").then_some(())
    });
    wait_for_checkpoints(&cluster, &job, 2);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    // It still believes that it has tasks of the job.
    cluster.task_managers[0].resume();
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn a_job_manager_that_stands_still_for_a_while_finds_its_job_again() {
    let input = FraudInput::new(24_000, 28);
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let checkpoints = input.path("checkpoints");
    let mut cluster = start(&application("fraud-detection"), &checkpoints, &arguments);
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster, &job, 2);
    cluster.job_manager.as_mut().unwrap().pause();
    for task_manager in &mut cluster.task_managers {
        task_manager.wait_for_line("the connection to the JobManager is lost");
    }
    cluster.job_manager.as_mut().unwrap().resume();
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn without_a_restart_strategy_a_lost_task_manager_fails_the_job_and_is_named() {
    let input = FraudInput::new(20_000, 26);
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    cluster.start_task_manager(2);
    cluster.start_task_manager(2);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "3", "--rate", "2000"]));
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_until("all tasks run", || {
        let answer = cluster.rest.json(&format!("/jobs/{job}"))?;
        let vertices = answer["vertices"].as_array()?;
        vertices.iter().all(|vertex| vertex["status"] == "RUNNING").then_some(())
    });
    cluster.task_managers.remove(0).kill();
    cluster.wait().failed_with(&["fraud-detection", "TaskManager"]);
    // What was written without a commit is no output.
    assert!(thalweg_oracle::read_output(input.path("run-alerts")).unwrap().is_empty());
}
