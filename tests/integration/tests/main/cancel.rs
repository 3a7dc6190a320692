//! The command line: `list` and `cancel`.

use thalweg_integration_tests::{Cluster, FraudInput, Process, application, free_port};

#[test]
fn cancel_ends_a_job_and_its_cluster_with_exit_code_2() {
    let input = FraudInput::new(20_000, 31);
    let binary = application("fraud-detection");
    let mut cluster = Cluster::new(&binary, &[]);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "2", "--rate", "500"]));
    cluster.start_task_manager(1);
    cluster.start_task_manager(1);
    let job = cluster.rest.wait_for_job("RUNNING");
    let target = cluster.rest.address().to_owned();

    let listed = Process::run("list", &binary, &["list", "--target", &target]).succeeded();
    let row = listed.stdout.lines().find(|line| line.contains(&job));
    let row = row.unwrap_or_else(|| panic!("{job} isn't listed:\n{}", listed.stdout));
    assert!(row.contains("fraud-detection") && row.contains("RUNNING"), "{row}");

    let other = "0123456789abcdef0123456789abcdef";
    let refused = Process::run("cancel", &binary, &["cancel", "--target", &target, other]);
    refused.failed_with(&[other]);
    let refused = Process::run("cancel", &binary, &["cancel", "--target", &target, "nonsense"]);
    refused.failed_with(&["nonsense"]);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"));

    Process::run("cancel", &binary, &["cancel", "--target", &target, &job]).succeeded();
    let ended = cluster.wait().with_code(2);
    assert!(ended.stderr.contains("cancel"), "{}", ended.stderr);
    assert!(thalweg_oracle::read_output(input.path("run-alerts")).unwrap().is_empty());
}

#[test]
fn list_says_when_nobody_or_somebody_else_is_there() {
    let binary = application("fraud-detection");
    let target = format!("127.0.0.1:{}", free_port());
    let ended = Process::run("list", &binary, &["list", "--target", &target]);
    ended.failed_with(&[&target, "can't be reached"]);
    let ended = Process::run("cancel", &binary, &["cancel", "--target", &target, "0"]);
    ended.failed_with(&[&target, "can't be reached"]);
}
