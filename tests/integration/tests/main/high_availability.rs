//! A JobManager that is lost, one that stands by, one that comes back: the output is the oracle's,
//! with nothing set but `high-availability.storageDir`.
//!
//! Input is slowed, so that a fault comes in the middle of it; a test fails when it doesn't.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use thalweg_integration_tests::{
    Cluster, FraudInput, Process, Rest, application, check_output, referenced_objects, wait_until,
};

/// The exit code of a JobManager that another one has taken the place of.
const NOT_LEADING: i32 = 3;
/// That of one that was ended by SIGTERM.
const SUSPENDED: i32 = 143;

/// A cluster that is recorded in `storage`, without any process yet. Who stands by takes over
/// after `lease`.
pub(crate) fn cluster(binary: &Path, storage: &Path, lease: &str) -> Cluster {
    let settings = [
        ("heartbeat.interval", "200 ms"),
        ("heartbeat.timeout", "2 s"),
        ("high-availability.storageDir", storage.to_str().unwrap()),
        ("high-availability.leader-election.lease-duration", lease),
        ("high-availability.leader-election.retry-period", "200 ms"),
        ("execution.checkpointing.interval", "200 ms"),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "100"),
        ("restart-strategy.fixed-delay.delay", "100 ms"),
    ];
    Cluster::new(binary, &settings)
}

/// One with a JobManager and three slots for the job.
pub(crate) fn running(storage: &Path, lease: &str, arguments: &[String]) -> Cluster {
    let mut cluster = cluster(&application("fraud-detection"), storage, lease);
    cluster.start_task_manager(2);
    cluster.start_task_manager(1);
    cluster.start_job_manager(arguments);
    cluster
}

/// Waits until the job runs and has so many checkpoints that this JobManager took.
pub(crate) fn wait_for_checkpoints(rest: &Rest, job: &str, number: u64) {
    wait_until(&format!("{number} checkpoints are complete"), || {
        rest.completed_checkpoints(job).filter(|&completed| completed >= number)
    });
}

/// The checkpoint that the job was restored from by this JobManager.
pub(crate) fn restored(rest: &Rest, job: &str) -> u64 {
    wait_until("the job is restored from a checkpoint", || {
        let checkpoints = rest.json(&format!("/jobs/{job}/checkpoints"))?;
        checkpoints["latest"]["restored"]["id"].as_u64()
    })
}

/// What a process that was killed had begun to write: no object.
fn is_unfinished(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|name| name.starts_with(".tmp-"))
}

/// All files in a folder.
fn all_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("a folder can be read").path();
        if path.is_dir() {
            all_files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The store of an application whose one job has ended holds what the last published checkpoint
/// refers to, the job's result, the logs, the hint and the application's name, and nothing else.
pub(crate) fn check_store(storage: &Path, job: &str) {
    let mut files = Vec::new();
    all_files(storage, &mut files);
    let name = |path: &PathBuf| path.strip_prefix(storage).unwrap().to_str().unwrap().to_owned();
    let mut names: BTreeSet<String> = files.iter().map(name).collect();
    // The cluster's own are left: they are a hint's, or an entry's that was tried again.
    let of_job = |name: &str| name.starts_with(&format!("{job}/"));
    names.retain(|name| of_job(name) || !is_unfinished(name));
    let log = format!("{job}/log/");
    let is_entry = |name: &&String| name.starts_with(&log) && !is_unfinished(name);
    let last = names.iter().rfind(is_entry).expect("the job has a log");
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
    for object in referenced_objects(storage, [&manifest]) {
        assert!(names.remove(&object), "{object} is missing");
    }
    check_epochs(storage, &log);
    let kept = |name: &String| {
        let (_, rest) = name.split_once('/').unwrap();
        (rest.starts_with("log/") && !is_unfinished(rest))
            || ["leader", "application"].contains(&rest)
    };
    let left: Vec<String> = names.into_iter().filter(|name| !kept(name)).collect();
    assert!(left.is_empty(), "nothing refers to these: {left:#?}");
}

/// Nothing was appended by a leader after another one had claimed the job.
fn check_epochs(storage: &Path, log: &str) {
    let mut files = Vec::new();
    all_files(&storage.join(log), &mut files);
    files.retain(|file| !file.to_str().is_some_and(is_unfinished));
    files.sort();
    let epoch = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        let json = text.rsplit_once("crc32c:").unwrap().0;
        let entry: serde_json::Value = serde_json::from_str(json).unwrap();
        entry["epoch"].as_u64().unwrap()
    };
    let epochs: Vec<u64> = files.iter().map(epoch).collect();
    assert!(epochs.is_sorted(), "{epochs:?}");
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
    let mut cluster = running(&storage, "2 s", &arguments);
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

#[test]
fn a_job_goes_on_at_another_parallelism_when_its_job_manager_is_started_with_one() {
    let input = FraudInput::new(24_000, 46);
    let storage = input.path("storage");
    let arguments =
        |parallelism| input.arguments("run", &["--parallelism", parallelism, "--rate", "3000"]);
    let mut cluster = running(&storage, "2 s", &arguments("3"));
    for parallelism in ["2", "1", "3"] {
        kill_and_restart(&mut cluster, &arguments(parallelism), 2);
    }
    let job = cluster.rest.wait_for_job("RUNNING");
    assert!(restored(&cluster.rest, &job) >= 6);
    cluster.wait().succeeded();
    input.check("run");
    check_store(&storage, &job);
}

/// Starts a second JobManager beside a running job that has some checkpoints.
pub(crate) fn stand_by(cluster: &mut Cluster, arguments: &[String]) -> (String, Process, Rest) {
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster.rest, &job, 2);
    let (mut standby, rest) = cluster.standby(arguments);
    standby.wait_for_line("standing by");
    cluster.rest.wait_for_task_managers(2);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    (job, standby, rest)
}

/// The TaskManagers end when the job has.
pub(crate) fn all_end(cluster: &mut Cluster) {
    for task_manager in &mut cluster.task_managers {
        task_manager.wait().succeeded();
    }
}

#[test]
fn a_job_manager_that_stands_by_takes_over_and_keeps_the_task_managers() {
    let input = FraudInput::new(24_000, 42);
    let storage = input.path("storage");
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let mut cluster = running(&storage, "2 s", &arguments);
    let (job, mut standby, rest) = stand_by(&mut cluster, &arguments);
    cluster.job_manager.as_mut().unwrap().kill();
    assert_eq!(rest.wait_for_job("RUNNING"), job);
    assert!(restored(&rest, &job) >= 2);
    rest.wait_for_task_managers(2);
    standby.wait().succeeded();
    all_end(&mut cluster);
    input.check("run");
    check_store(&storage, &job);
}

#[test]
fn a_leader_that_stood_still_does_nothing_more_when_it_goes_on() {
    let input = FraudInput::new(30_000, 43);
    let storage = input.path("storage");
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let mut cluster = running(&storage, "2 s", &arguments);
    let (job, mut standby, rest) = stand_by(&mut cluster, &arguments);
    cluster.job_manager.as_mut().unwrap().pause();
    assert_eq!(rest.wait_for_job("RUNNING"), job);
    assert!(restored(&rest, &job) >= 2);
    wait_for_checkpoints(&rest, &job, 2);
    assert_eq!(rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    let old = cluster.job_manager.as_mut().unwrap();
    old.resume();
    let ended = old.wait().with_code(NOT_LEADING);
    assert!(ended.stderr.contains("doesn't lead any more"), "{}", ended.stderr);
    standby.wait().succeeded();
    all_end(&mut cluster);
    input.check("run");
    check_store(&storage, &job);
}

#[test]
fn a_leader_that_is_terminated_is_followed_at_once() {
    let input = FraudInput::new(24_000, 44);
    let storage = input.path("storage");
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    // Nobody could wait that long.
    let mut cluster = running(&storage, "1 h", &arguments);
    let (job, mut standby, rest) = stand_by(&mut cluster, &arguments);
    let old = cluster.job_manager.as_mut().unwrap();
    old.terminate();
    let ended = old.wait().with_code(SUSPENDED);
    assert!(ended.stderr.contains("SIGTERM"), "{}", ended.stderr);
    assert_eq!(rest.wait_for_job("RUNNING"), job);
    assert!(restored(&rest, &job) >= 2);
    standby.wait().succeeded();
    all_end(&mut cluster);
    input.check("run");
    check_store(&storage, &job);
}

#[test]
fn an_application_that_has_ended_is_not_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let (output, storage) = (folder.path().join("output"), folder.path().join("storage"));
    let program = Path::new(env!("CARGO_BIN_EXE_test-programs"));
    let arguments = ["two-jobs", "--parallelism", "1", "--output", output.to_str().unwrap()];
    let arguments = arguments.map(str::to_owned);
    let mut cluster = cluster(program, &storage, "2 s");
    cluster.start_job_manager(&arguments);
    // It has computed the value of `env.once` and waits for slots.
    let first = cluster.job_manager.as_ref().unwrap().id();
    cluster.rest.wait_for_job("CREATED");
    cluster.job_manager.as_mut().unwrap().kill();
    cluster.start_job_manager(&arguments);
    cluster.start_task_manager(1);
    cluster.wait().succeeded();
    let mut expected: Vec<String> =
        (990..1_000).map(|number| format!("{number} of 999 by {first}")).collect();
    expected.sort();
    check_output("the second job", &expected, &output);
    // Neither a TaskManager nor the first job's input is there any more; both results are.
    cluster.start_job_manager(&arguments);
    let ended = cluster.job_manager.as_mut().unwrap().wait().succeeded();
    assert_eq!(ended.stderr.matches("already and isn't run").count(), 2, "{}", ended.stderr);
    check_output("the second job", &expected, &output);
}

#[test]
fn what_cannot_be_recorded_is_refused_at_the_start() {
    let input = FraudInput::new(5_000, 45);
    let arguments = input.arguments("run", &["--parallelism", "1"]);
    let occupied = input.path("occupied");
    fs::write(&occupied, "a file").unwrap();
    let occupied = occupied.join("storage");
    let mut unreachable = cluster(&application("fraud-detection"), &occupied, "2 s");
    unreachable.start_job_manager(&arguments);
    let ended = unreachable.job_manager.as_mut().unwrap().wait();
    ended.failed_with(&["storageDir", occupied.to_str().unwrap(), "may write to"]);

    let storage = input.path("storage");
    let same_id = ["-D", "high-availability.cluster-id=fraud-detection"];
    let mut own = running(&storage, "2 s", &arguments);
    own.wait().succeeded();
    let program = Path::new(env!("CARGO_BIN_EXE_test-programs"));
    let another = cluster(program, &storage, "2 s");
    let config = another.config();
    let arguments = ["jobmanager", "--config", &config, same_id[0], same_id[1], "--", "two-jobs"];
    let ended = Process::run("another application", program, &arguments);
    ended.failed_with(&["\"fraud-detection\"", "\"test-programs\"", "another", "cluster-id"]);
    input.check("run");
}
