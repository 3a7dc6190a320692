//! What programs may do that the examples don't: several jobs, a function that panics, a program
//! that isn't the same each time.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use thalweg_integration_tests::{Cluster, Process, check_output, strs, wait_until};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_test-programs"))
}

fn arguments(words: &[&str], output: &Path) -> Vec<String> {
    let mut all: Vec<String> = words.iter().map(|word| word.to_string()).collect();
    all.extend(["--output".to_owned(), output.to_str().unwrap().to_owned()]);
    all
}

/// What the second job writes when `process` computed the value of `env.once`.
fn ten_highest(process: u32) -> Vec<String> {
    let mut lines: Vec<String> =
        (990..1_000).map(|number| format!("{number} of 999 by {process}")).collect();
    lines.sort();
    lines
}

/// The process that the output's lines name.
fn process_in(output: &Path) -> u32 {
    let lines = thalweg_oracle::read_output(output).unwrap();
    let line = lines.first().expect("there is output");
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_later_job_depends_on_an_earlier_ones_result() {
    let folder = tempfile::tempdir().unwrap();
    for parallelism in ["1", "3"] {
        let output = folder.path().join(parallelism);
        let arguments = arguments(&["two-jobs", "--parallelism", parallelism], &output);
        Process::run("two-jobs", program(), &strs(&arguments)).succeeded();
        check_output("the second job", &ten_highest(process_in(&output)), &output);
    }
}

#[test]
fn a_later_job_depends_on_an_earlier_ones_result_in_a_cluster_too() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    let mut cluster = Cluster::new(program(), &[]);
    cluster.start_job_manager(&arguments(&["two-jobs", "--parallelism", "3"], &output));
    cluster.start_task_manager(1);
    cluster.start_task_manager(2);
    let job_manager = cluster.job_manager.as_ref().unwrap().id();
    cluster.wait().succeeded();
    // `env.once` was computed on the JobManager only.
    check_output("the second job", &ten_highest(job_manager), &output);
}

#[test]
fn a_program_that_describes_another_job_each_time_is_refused_with_the_remedy() {
    let ended = Process::run("not-deterministic", program(), &["not-deterministic"]);
    if cfg!(debug_assertions) {
        ended.failed_with(&["env.once"]);
    }
    let mut cluster = Cluster::new(program(), &[]);
    cluster.start_job_manager(&["not-deterministic".to_owned()]);
    cluster.start_task_manager(1);
    cluster.wait().failed_with(&["env.once"]);
}

#[test]
fn a_panic_in_user_code_fails_the_job_and_not_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["counts", "--rows", "1000", "--fail-at", "500", "--parallelism", "2"];
    let arguments = arguments(&words, &folder.path().join("output"));
    let ended = Process::run("counts", program(), &strs(&arguments)).with_code(1);
    // The panic's own line is there as well; what counts is that the program ended by itself.
    let last = ended.stderr.lines().last().unwrap_or_default();
    for part in ["error: ", "counts", "fragile count", "row 500 is too much"] {
        assert!(last.contains(part), "{part:?} is missing: {last}");
    }
}

/// Settings of a cluster that restarts a job so many times.
fn restarting<'a>(attempts: &'a str, checkpoints: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("execution.checkpointing.interval", "100 ms"),
        ("execution.checkpointing.dir", checkpoints),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", attempts),
        ("restart-strategy.fixed-delay.delay", "50 ms"),
    ]
}

fn checkpoints(folder: &TempDir) -> String {
    folder.path().join("checkpoints").to_str().unwrap().to_owned()
}

#[test]
fn a_job_that_always_fails_is_restarted_as_often_as_the_strategy_says() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = checkpoints(&folder);
    let mut cluster = Cluster::new(program(), &restarting("3", &checkpoints));
    let words = ["counts", "--rows", "1000", "--fail-at", "500", "--parallelism", "2"];
    cluster.start_job_manager(&arguments(&words, &folder.path().join("output")));
    cluster.start_task_manager(2);
    let ended = cluster.wait().with_code(1);
    for part in ["fragile count", "row 500 is too much"] {
        assert!(ended.stderr.contains(part), "{part:?} is missing:\n{}", ended.stderr);
    }
    // The task ran once and then three times more; each panic has its line where it ran.
    let panics = cluster.task_managers[0].stderr().matches("row 500 is too much\n").count();
    assert!(panics >= 4, "{panics} panics");
}

#[test]
fn state_is_exactly_once_after_a_function_has_panicked() {
    let (rows, keys) = (9_000, 100);
    let folder = tempfile::tempdir().unwrap();
    let (checkpoints, once) = (checkpoints(&folder), folder.path().join("once"));
    let output = folder.path().join("output");
    let mut cluster = Cluster::new(program(), &restarting("100", &checkpoints));
    let words = [
        "counts",
        "--rows",
        "9000",
        "--rate",
        "3000",
        "--parallelism",
        "3",
        "--fail-at",
        "6000",
        "--once",
        once.to_str().unwrap(),
    ];
    cluster.start_job_manager(&arguments(&words, &output));
    cluster.start_task_manager(2);
    cluster.start_task_manager(2);
    let job = cluster.rest.wait_for_job("RUNNING");
    let completed = wait_until("two checkpoints are complete", || {
        cluster.rest.completed_checkpoints(&job).filter(|&number| number >= 2)
    });
    assert!(!once.exists(), "it panicked before {completed} checkpoints");
    wait_until("the job is restored from a checkpoint", || {
        let checkpoints = cluster.rest.json(&format!("/jobs/{job}/checkpoints"))?;
        checkpoints["latest"]["restored"]["id"].as_u64()
    });
    let metric = |name: &str| cluster.rest.job_metric(&job, name);
    assert_eq!(metric("numRestarts"), Some(1.0));
    assert!(metric("lastCheckpointRestoreTimestamp").is_some_and(|at| at > 0.0));
    assert!(metric("lastCheckpointRestoreDuration").is_some_and(|ms| ms >= 0.0));
    let exceptions = cluster.rest.json(&format!("/jobs/{job}/exceptions")).unwrap();
    let text = exceptions.to_string();
    assert!(text.contains("row 6000 is too much") && text.contains("fragile count"), "{text}");
    cluster.wait().succeeded();
    assert!(fs::metadata(&once).is_ok());
    let expected: Vec<String> = (0..keys)
        .flat_map(|key| (1..=rows / keys).map(move |count| format!("{key} {count}")))
        .collect();
    check_output("counts", &expected, &output);
}
