//! What becomes of the pieces of a job's state that nobody changes any more, in whole processes:
//! small runs that are left alone in objects that they shared are written anew, and what finished
//! tasks have left goes with the job wherever it begins.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use thalweg_integration_tests::{Cluster, Process, check_output, check_store, wait_until};

use crate::high_availability::{self, restored, wait_for_checkpoints};

/// As the program has them.
const CHANGING_KEYS: u64 = 500;
const STILL_KEYS: u64 = 50;
const SHORT_ROWS: u64 = 200;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_test-programs"))
}

/// What the program writes, computed without the engine.
fn expected(rows: u64) -> Vec<String> {
    let changing = (0..rows).map(|number| {
        format!("changing {} {}", number % CHANGING_KEYS, number / CHANGING_KEYS + 1)
    });
    let still = (rows - STILL_KEYS..rows).map(|last| {
        let key = last % STILL_KEYS;
        let of_short: u64 = (0..SHORT_ROWS).filter(|number| number % STILL_KEYS == key).sum();
        format!("still {key} {}", of_short + last)
    });
    let mut lines: Vec<String> = changing.chain(still).collect();
    lines.sort();
    lines
}

fn arguments(folder: &TempDir, rows: u64, rate: &str, parallelism: &str) -> Vec<String> {
    let (rows, output) = (rows.to_string(), folder.path().join("output"));
    let output = output.to_str().unwrap();
    let words = ["parts", "--parallelism", parallelism, "--rows", &rows, "--rate", rate];
    words.iter().chain(&["--output", output]).map(|&word| word.to_owned()).collect()
}

/// Waits until all tasks of the short source have finished.
fn wait_for_the_end_of_the_short_source(cluster: &Cluster, job: &str) {
    wait_until("the short source has finished", || {
        let job = cluster.rest.json(&format!("/jobs/{job}"))?;
        let vertices = job["vertices"].as_array()?;
        let short = vertices.iter().find(|of| of["name"].as_str().unwrap().contains("short"))?;
        (short["status"] == "FINISHED").then_some(())
    });
}

/// Where an operator's runs are in the job's last checkpoint: checkpoint, objects, lengths of runs
/// and objects. None while there's no checkpoint, or the next one is taking its place.
fn runs_of(checkpoints: &Path, job: &str, uid: &str) -> Option<Vec<(String, u64, u64)>> {
    let folders = fs::read_dir(checkpoints.join(job)).ok()?;
    let number = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("chk-")?.parse::<u64>().ok()
    };
    let folders = folders.filter_map(|entry| Some(entry.ok()?.path()));
    let complete = folders.filter(|folder| folder.join("manifest").exists());
    let last = complete.max_by_key(|folder| number(folder))?;
    let text = fs::read_to_string(last.join("manifest")).ok()?;
    let manifest: Value = serde_json::from_str(text.rsplit_once("crc32c:")?.0).ok()?;
    let operators = manifest["operators"].as_array()?;
    let operator = operators.iter().find(|operator| operator["uid"] == uid)?;
    let run = |run: &Value| {
        let object = run["object"].as_str()?.to_owned();
        Some((object, run["length"].as_u64()?, run["object_length"].as_u64()?))
    };
    operator["subtasks"].as_array()?.iter().map(run).collect()
}

#[test]
fn a_small_run_that_is_left_alone_in_a_large_object_is_written_anew_although_nothing_changes() {
    // More than a slow machine needs for some checkpoints; it's stopped when they are there.
    const ROWS: u64 = 90_000;
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = folder.path().join("checkpoints");
    let settings = [
        ("execution.checkpointing.interval", "200 ms"),
        ("execution.checkpointing.dir", checkpoints.to_str().unwrap()),
    ];
    let mut cluster = Cluster::new(program(), &settings);
    cluster.start_task_manager(1);
    cluster.start_job_manager(&arguments(&folder, ROWS, "1500", "1"));
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_the_end_of_the_short_source(&cluster, &job);
    let mut objects = BTreeSet::new();
    wait_until("the run that nobody adds to has left four objects", || {
        let runs = runs_of(&checkpoints, &job, "still")?;
        // Nothing is added to it: no rows come, so its base is all that there is.
        if let [(object, length, object_length)] = &runs[..]
            && length * 2 < *object_length
        {
            objects.insert(object.clone());
        }
        (objects.len() > 4).then_some(())
    });
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    // Those that it has left are gone.
    let there = |object: &&String| checkpoints.join(object).exists();
    wait_until("all but the last ones are deleted", || {
        (objects.iter().filter(there).count() <= 2).then_some(())
    });
    // What was written anew is what it was: the end of the input asks for it.
    let savepoint = stop(&cluster, &folder, &job);
    cluster.wait().succeeded();
    cluster.task_managers.clear();
    cluster.start_task_manager(1);
    let rest = arguments(&folder, ROWS, "1000000", "1");
    cluster.start_job_manager_with(&["--from-savepoint", &savepoint], &rest);
    cluster.wait().succeeded();
    check_output("all rows", &expected(ROWS), &folder.path().join("output"));
    check_store(&checkpoints);
}

/// Stops the job and gives its savepoint.
fn stop(cluster: &Cluster, folder: &TempDir, job: &str) -> String {
    let target = folder.path().join("savepoints").to_str().unwrap().to_owned();
    let stop = ["stop", "--target", cluster.rest.address(), "-p", &target, job];
    let stopped = Process::run("stop", program(), &stop).succeeded();
    stopped.stdout.lines().last().unwrap_or_default().to_owned()
}

/// Everything dies at once.
fn kill_all(cluster: &mut Cluster) {
    cluster.job_manager.as_mut().unwrap().kill();
    cluster.task_managers.drain(..).for_each(|mut process| process.kill());
}

/// Everything dies after two checkpoints, and is started with this parallelism.
fn strike(cluster: &mut Cluster, job: &str, arguments: &[String]) {
    wait_for_checkpoints(&cluster.rest, job, 2);
    assert_eq!(cluster.rest.state(job).as_deref(), Some("RUNNING"), "the input was too short");
    kill_all(cluster);
    cluster.start_task_manager(2);
    cluster.start_job_manager(arguments);
    assert_eq!(cluster.rest.wait_for_job("RUNNING"), job);
    assert!(restored(&cluster.rest, job) >= 2);
}

#[test]
fn what_finished_tasks_have_left_outlives_every_process_at_every_parallelism_and_in_savepoints() {
    const ROWS: u64 = 30_000;
    let folder = tempfile::tempdir().unwrap();
    let storage = |name: &str| folder.path().join(name);
    let arguments = |parallelism| arguments(&folder, ROWS, "1500", parallelism);
    let mut first = high_availability::cluster(program(), &storage("first"), "2 s");
    first.start_task_manager(2);
    first.start_job_manager(&arguments("2"));
    let job = first.rest.wait_for_job("RUNNING");
    wait_for_the_end_of_the_short_source(&first, &job);
    // The checkpoints of the second and third life hold what the first has left.
    strike(&mut first, &job, &arguments("1"));
    strike(&mut first, &job, &arguments("2"));
    wait_for_checkpoints(&first.rest, &job, 2);
    let savepoint = stop(&first, &folder, &job);
    first.wait().succeeded();
    high_availability::check_store(&storage("first"), &job);
    // It goes on elsewhere, and its own checkpoints hold what it began with.
    let mut second = high_availability::cluster(program(), &storage("second"), "2 s");
    second.start_task_manager(2);
    second.start_job_manager_with(&["--from-savepoint", &savepoint], &arguments("1"));
    let job = second.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&second.rest, &job, 2);
    fs::remove_dir_all(storage("savepoints")).unwrap();
    strike(&mut second, &job, &arguments("2"));
    second.wait().succeeded();
    check_output("all rows", &expected(ROWS), &folder.path().join("output"));
    high_availability::check_store(&storage("second"), &job);
}
