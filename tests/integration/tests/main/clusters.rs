//! The example applications as clusters of processes.

use std::path::Path;

use thalweg_integration_tests::{
    Cluster, FraudInput, PersonalisationInput, application, wait_until,
};

const PARALLELISMS: [&str; 3] = ["2", "3", "7"];

/// Runs an application with a JobManager and two TaskManagers, of 2 and 5 slots.
fn run(binary: &Path, arguments: &[String]) {
    let mut cluster = Cluster::new(binary, &[]);
    cluster.start_job_manager(arguments);
    cluster.start_task_manager(2);
    cluster.start_task_manager(5);
    cluster.wait().succeeded();
}

#[test]
fn fraud_detection_gives_the_oracles_output_with_two_task_managers() {
    let input = FraudInput::new(30_000, 11);
    for parallelism in PARALLELISMS {
        let arguments = input.arguments(parallelism, &["--parallelism", parallelism]);
        run(&application("fraud-detection"), &arguments);
        input.check(parallelism);
    }
}

#[test]
fn personalisation_gives_the_oracles_output_with_two_task_managers() {
    let input = PersonalisationInput::new(20_000, 12);
    for parallelism in PARALLELISMS {
        let arguments = input.arguments(parallelism, &["--parallelism", parallelism]);
        run(&application("personalisation"), &arguments);
        input.check(parallelism);
    }
}

#[test]
fn task_managers_that_are_started_first_wait_for_their_job_manager() {
    let input = FraudInput::new(5_000, 13);
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    cluster.start_task_manager(1);
    cluster.start_task_manager(2);
    for task_manager in &mut cluster.task_managers {
        task_manager.wait_for_line("data port");
        assert!(task_manager.is_running());
    }
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "3"]));
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn a_job_waits_for_a_task_manager_that_comes_late() {
    let input = FraudInput::new(5_000, 14);
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "3"]));
    cluster.start_task_manager(2);
    cluster.rest.wait_for_task_managers(1);
    wait_until("the job holds the slots that there are", || {
        let overview = cluster.rest.json("/overview")?;
        (overview["slots-available"] == 0 && overview["slots-total"] == 2).then_some(())
    });
    assert!(cluster.job_manager.as_mut().unwrap().is_running());
    cluster.start_task_manager(1);
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn a_job_that_gets_too_few_slots_fails_and_says_how_many_it_needs() {
    let input = FraudInput::new(1_000, 15);
    let settings = [("slot.request.timeout", "2 s")];
    let mut cluster = Cluster::new(&application("fraud-detection"), &settings);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "7"]));
    cluster.start_task_manager(2);
    cluster.start_task_manager(3);
    let ended = cluster.wait().failed_with(&["slot.request.timeout"]);
    let said = ended.stderr.lines().last().unwrap_or_default();
    // It needs 7, there are 5.
    assert!(said.contains('7') || said.contains('2'), "{said}");
    assert!(!input.path("run-alerts").join("part").exists());
}
