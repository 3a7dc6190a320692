//! A JobManager that is lost, one that stands by, one that comes back: the output is the oracle's,
//! with nothing set but `high-availability.storageDir`.
//!
//! Input is slowed, so that a fault comes in the middle of it; a test fails when it doesn't.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use thalweg_integration_tests::{Cluster, FraudInput, Process, Rest, application, wait_until};

/// The exit code of a JobManager that another one has taken the place of.
const NOT_LEADING: i32 = 3;
/// That of one that was ended by SIGTERM.
const SUSPENDED: i32 = 143;

/// A cluster that is recorded in `storage`, without any process yet.
fn cluster(storage: &Path) -> Cluster {
    let settings = [
        ("heartbeat.interval", "200 ms"),
        ("heartbeat.timeout", "2 s"),
        ("high-availability.storageDir", storage.to_str().unwrap()),
        ("high-availability.leader-election.lease-duration", "2 s"),
        ("high-availability.leader-election.retry-period", "200 ms"),
        ("execution.checkpointing.interval", "200 ms"),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "100"),
        ("restart-strategy.fixed-delay.delay", "100 ms"),
    ];
    Cluster::new(&application("fraud-detection"), &settings)
}

/// One with a JobManager and three slots for the job.
fn running(storage: &Path, arguments: &[String]) -> Cluster {
    let mut cluster = cluster(storage);
    cluster.start_task_manager(2);
    cluster.start_task_manager(1);
    cluster.start_job_manager(arguments);
    cluster
}

/// Waits until the job runs and has so many checkpoints that this JobManager took.
fn wait_for_checkpoints(rest: &Rest, job: &str, number: u64) {
    wait_until(&format!("{number} checkpoints are complete"), || {
        rest.completed_checkpoints(job).filter(|&completed| completed >= number)
    });
}

/// The checkpoint that the job was restored from by this JobManager.
fn restored(rest: &Rest, job: &str) -> u64 {
    wait_until("the job is restored from a checkpoint", || {
        let checkpoints = rest.json(&format!("/jobs/{job}/checkpoints"))?;
        checkpoints["latest"]["restored"]["id"].as_u64()
    })
}

fn all_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() { all_files(&path, found) } else { found.push(path) }
    }
}

/// The store of an application whose one job has ended holds what the last published checkpoint
/// refers to, the job's result, the logs, the hint and the application's name, and nothing else.
fn check_store(storage: &Path, job: &str) {
    let mut files = Vec::new();
    all_files(storage, &mut files);
    let name = |path: &PathBuf| path.strip_prefix(storage).unwrap().to_str().unwrap().to_owned();
    let mut names: BTreeSet<String> = files.iter().map(name).collect();
    let log = format!("{job}/log/");
    let last = names.iter().rfind(|name| name.starts_with(&log)).expect("the job has a log");
    let text = fs::read_to_string(storage.join(last)).unwrap();
    let json = text.rsplit_once("crc32c:").expect("an entry ends with a checksum").0;
    let entry: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(entry["body"]["kind"], "terminal", "{text}");
    let result = entry["body"]["results"].as_str().expect("a result is named");
    assert!(names.remove(result), "{result} is missing");
    let published = entry["previous_publish"]["position"].as_u64().expect("one is published");
    let text = fs::read_to_string(storage.join(format!("{log}{published:020}"))).unwrap();
    let entry: serde_json::Value =
        serde_json::from_str(text.rsplit_once("crc32c:").unwrap().0).unwrap();
    let manifest = entry["body"]["manifest"].as_str().unwrap();
    assert!(names.remove(manifest), "{manifest} is missing");
    let text = fs::read_to_string(storage.join(manifest)).unwrap();
    let manifest: serde_json::Value =
        serde_json::from_str(text.rsplit_once("crc32c:").unwrap().0).unwrap();
    let operators = manifest["operators"].as_array().unwrap().iter();
    let subtasks = operators.flat_map(|operator| operator["subtasks"].as_array().unwrap());
    let objects: BTreeSet<&str> =
        subtasks.map(|subtask| subtask["object"].as_str().unwrap()).collect();
    for object in objects {
        assert!(names.remove(object), "{object} is missing");
    }
    let kept = |name: &String| {
        let (_, rest) = name.split_once('/').unwrap();
        rest.starts_with("log/") || ["leader", "application"].contains(&rest)
    };
    let left: Vec<String> = names.into_iter().filter(|name| !kept(name)).collect();
    assert!(left.is_empty(), "nothing refers to these: {left:#?}");
}

/// Kills the JobManager after so many of its checkpoints, or right after its start.
fn kill_and_restart(cluster: &mut Cluster, arguments: &[String], checkpoints: u64) {
    if checkpoints > 0 {
        let job = cluster.rest.wait_for_job("RUNNING");
        wait_for_checkpoints(&cluster.rest, &job, checkpoints);
        assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was short");
    } else {
        cluster.job_manager.as_mut().unwrap().wait_for_line("this JobManager leads");
    }
    cluster.job_manager.as_mut().unwrap().kill();
    cluster.start_job_manager(arguments);
}

#[test]
fn a_job_is_exactly_once_when_its_job_manager_is_killed_again_and_again() {
    let input = FraudInput::new(30_000, 41);
    let storage = input.path("storage");
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let mut cluster = running(&storage, &arguments);
    for checkpoints in [3, 0, 1, 4, 2] {
        kill_and_restart(&mut cluster, &arguments, checkpoints);
    }
    let job = cluster.rest.wait_for_job("RUNNING");
    let before = restored(&cluster.rest, &job);
    assert!(before >= 10, "checkpoints went on from where they were: {before}");
    cluster.wait().succeeded();
    input.check("run");
    check_store(&storage, &job);
}
