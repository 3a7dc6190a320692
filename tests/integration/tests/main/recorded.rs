//! What is recorded of jobs is what the next JobManager goes by: how they ended, what they were
//! asked for, and the last checkpoint, or none at all when that can't be read.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thalweg_integration_tests::{Cluster, Ended, FraudInput, Process, application, wait_until};

use crate::high_availability::{check_store, cluster, restored, running, wait_for_checkpoints};

/// Runs a command of the application against the cluster.
fn command(cluster: &Cluster, words: &[&str]) -> Ended {
    let target = ["--target", cluster.rest.address()];
    let words = [&words[..1], &target, &words[1..]].concat();
    Process::run(words[0], &application("fraud-detection"), &words)
}

/// The last line that a command printed.
fn last_line(ended: &Ended) -> String {
    ended.stdout.lines().last().unwrap_or_default().to_owned()
}

fn folder(input: &FraudInput, name: &str) -> String {
    input.path(name).to_str().unwrap().to_owned()
}

/// The job's JobManager, started once more: the job has ended, and nothing is run.
fn ended_before(cluster: &mut Cluster, arguments: &[String]) -> Ended {
    cluster.start_job_manager(arguments);
    let ended = cluster.job_manager.as_mut().unwrap().wait();
    assert_eq!(ended.stderr.matches("already and isn't run").count(), 1, "{}", ended.stderr);
    ended
}

#[test]
fn a_job_that_was_stopped_has_ended_for_its_next_job_manager_too_and_goes_on_elsewhere() {
    let input = FraudInput::new(12_000, 47);
    for drain in [true, false] {
        let name = if drain { "drained" } else { "stopped" };
        let arguments = input.arguments(name, &["--parallelism", "3", "--rate", "1500"]);
        let storage = input.path(&format!("storage-{name}"));
        let mut first = running(&storage, "2 s", &arguments);
        let job = first.rest.wait_for_job("RUNNING");
        wait_for_checkpoints(&first.rest, &job, 2);
        let target = folder(&input, "savepoints");
        let words = ["stop", "-p", &target, "--drain", &job];
        let words: Vec<&str> = words.into_iter().filter(|w| drain || *w != "--drain").collect();
        let savepoint = last_line(&command(&first, &words).succeeded());
        assert!(Path::new(&savepoint).join("manifest").exists(), "{savepoint}");
        first.wait().succeeded();
        ended_before(&mut first, &arguments).succeeded();
        if drain {
            continue;
        }
        let storage = input.path("storage-elsewhere");
        let mut second = cluster(&application("fraud-detection"), &storage, "2 s");
        let arguments = input.arguments(name, &["--parallelism", "2"]);
        second.start_task_manager(2);
        second.start_job_manager_with(&["--from-savepoint", &savepoint], &arguments);
        let id = second.rest.wait_for_job("RUNNING");
        second.wait().succeeded();
        input.check(name);
        check_store(&storage, &id);
    }
}

/// The file of the last published checkpoint's manifest.
pub(crate) fn last_manifest(storage: &Path, job: &str) -> PathBuf {
    let log = storage.join(job).join("log");
    let mut entries: Vec<PathBuf> =
        fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let manifest = entries.iter().rev().find_map(|entry| {
        let text = fs::read_to_string(entry).unwrap();
        let entry: Value = serde_json::from_str(text.rsplit_once("crc32c:")?.0).ok()?;
        entry["body"]["manifest"].as_str().map(str::to_owned)
    });
    storage.join(manifest.expect("a checkpoint is published"))
}

#[test]
fn a_damaged_manifest_is_named_and_the_job_begins_with_nothing_else() {
    let input = FraudInput::new(24_000, 48);
    let storage = input.path("storage");
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let mut cluster = running(&storage, "2 s", &arguments);
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster.rest, &job, 3);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    cluster.job_manager.as_mut().unwrap().kill();
    let manifest = last_manifest(&storage, &job);
    let whole = fs::read(&manifest).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let named = manifest.strip_prefix(&storage).unwrap().to_str().unwrap().to_owned();
    let damages: [&dyn Fn(); 3] = [
        &|| fs::write(&manifest, &flipped).unwrap(),
        &|| fs::write(&manifest, &whole[..whole.len() / 2]).unwrap(),
        &|| fs::remove_file(&manifest).unwrap(),
    ];
    for damage in damages {
        damage();
        cluster.start_job_manager(&arguments);
        let ended = cluster.job_manager.as_mut().unwrap().wait();
        ended.failed_with(&["error:", &named, storage.to_str().unwrap(), &job]);
    }
    // Those that ran were told to end with the first of them.
    fs::write(&manifest, &whole).unwrap();
    cluster.task_managers.clear();
    cluster.start_task_manager(3);
    cluster.start_job_manager(&arguments);
    assert_eq!(cluster.rest.wait_for_job("RUNNING"), job);
    assert!(restored(&cluster.rest, &job) >= 3);
    cluster.wait().succeeded();
    input.check("run");
    check_store(&storage, &job);
}

/// The parallelism of the job's first vertex.
fn parallelism(cluster: &Cluster, job: &str) -> Option<u64> {
    let job = cluster.rest.json(&format!("/jobs/{job}"))?;
    job["vertices"][0]["parallelism"].as_u64()
}

fn wait_for_parallelism(cluster: &Cluster, job: &str, number: u64) {
    wait_until(&format!("the job runs with parallelism {number}"), || {
        let running = cluster.rest.state(job).as_deref() == Some("RUNNING");
        (running && parallelism(cluster, job) == Some(number)).then_some(())
    });
}

#[test]
fn a_parallelism_that_was_asked_for_outlives_the_job_manager_until_its_program_gives_another() {
    let input = FraudInput::new(24_000, 49);
    let storage = input.path("storage");
    let arguments =
        |parallelism| input.arguments("run", &["--parallelism", parallelism, "--rate", "2000"]);
    let mut cluster = running(&storage, "2 s", &arguments("2"));
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster.rest, &job, 1);
    let _ = command(&cluster, &["rescale", "--parallelism", "3", &job]).succeeded();
    // Killed as soon as it is done: there may be no later checkpoint.
    let mut restart = |arguments: &[String], number| {
        cluster.job_manager.as_mut().unwrap().kill();
        cluster.start_job_manager(arguments);
        assert_eq!(cluster.rest.wait_for_job("RUNNING"), job);
        assert!(restored(&cluster.rest, &job) >= 1);
        wait_for_parallelism(&cluster, &job, number);
    };
    restart(&arguments("2"), 3);
    restart(&arguments("2"), 3);
    // The program is given another one: that was said last.
    restart(&arguments("1"), 1);
    cluster.wait().succeeded();
    input.check("run");
    check_store(&storage, &job);
}

#[test]
fn a_savepoint_to_begin_with_is_left_when_the_job_has_checkpoints_of_its_own_and_that_is_said() {
    let input = FraudInput::new(24_000, 50);
    let storage = input.path("storage");
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let mut cluster = running(&storage, "2 s", &arguments);
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster.rest, &job, 1);
    let target = folder(&input, "savepoints");
    let savepoint = last_line(&command(&cluster, &["savepoint", &job, &target]).succeeded());
    wait_for_checkpoints(&cluster.rest, &job, 2);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    cluster.job_manager.as_mut().unwrap().kill();
    cluster.start_job_manager_with(&["--from-savepoint", &savepoint], &arguments);
    let job_manager = cluster.job_manager.as_mut().unwrap();
    let said = job_manager.wait_for_line("it isn't restored from the savepoint");
    assert!(said.contains(&savepoint) && said.contains("cluster-id"), "{said}");
    cluster.wait().succeeded();
    input.check("run");
    check_store(&storage, &job);
}

#[test]
fn a_job_that_has_failed_stays_so_and_its_next_job_manager_says_what_to_do() {
    let input = FraudInput::new(5_000, 52);
    let storage = input.path("storage");
    let bad = input.path("transactions/part-999.csv");
    let header = "transaction_id,account_id,event_time_ms,amount_cents,merchant,location\n";
    fs::write(&bad, format!("{header}1,one,1000,5,a,b\n")).unwrap();
    let arguments = input.arguments("run", &["--parallelism", "1"]);
    let never = ["-D", "restart-strategy.type=none"];
    let mut failing = cluster(&application("fraud-detection"), &storage, "2 s");
    failing.start_task_manager(1);
    failing.start_job_manager_with(&never, &arguments);
    failing.wait().failed_with(&["account_id"]);
    let ended = ended_before(&mut failing, &arguments);
    ended.failed_with(&["account_id", "recorded", "high-availability.cluster-id"]);
    // As another cluster it runs anew.
    fs::remove_file(&bad).unwrap();
    let another = ["-D", "high-availability.cluster-id=another"];
    failing.task_managers.clear();
    let config = failing.config();
    let words = ["taskmanager", "--config", &config, another[0], another[1]];
    let mut task_manager = Process::start("TaskManager", &application("fraud-detection"), &words);
    failing.start_job_manager_with(&another, &arguments);
    failing.wait().succeeded();
    task_manager.wait().succeeded();
    input.check("run");
}
