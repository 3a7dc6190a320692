//! Time to live while no process lives: what expires meanwhile is gone after a restart, and what
//! doesn't has what is left of its life. Nothing waits for a time to pass but for the moment at
//! which what a checkpoint holds has expired, which the checkpoint itself says.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use thalweg_integration_tests::{Cluster, Process, check_output, wait_until};

use crate::high_availability::{check_store, cluster, wait_for_checkpoints};

const KEYS: u64 = 40;
const ROWS: u64 = 3_000;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_test-programs"))
}

#[expect(clippy::disallowed_methods, reason = "compared with the times that a checkpoint holds")]
fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// When the rows of a state expire, by key, as the last checkpoint has it; none while there's no
/// checkpoint or the next one takes its place.
fn expiries(storage: &Path, job: &str, state: &str) -> Option<BTreeMap<String, i64>> {
    let place = storage.join(job);
    let words = ["state", "show", place.to_str().unwrap(), "--state", state, "--json"];
    let shown = Process::run("show", program(), &words);
    if shown.code != Some(0) {
        return None;
    }
    let rows = shown.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let expiry = |row: Value| (row["key"].to_string(), row["expiry"].as_i64().unwrap());
    Some(rows.map(expiry).collect())
}

fn expiries_of_all_keys(storage: &Path, job: &str, state: &str) -> BTreeMap<String, i64> {
    wait_until(&format!("a checkpoint holds {state} of all keys"), || {
        expiries(storage, job, state).filter(|rows| rows.len() as u64 == KEYS)
    })
}

/// Everything dies at once.
fn kill_all(cluster: &mut Cluster) {
    cluster.job_manager.as_mut().unwrap().kill();
    cluster.task_managers.drain(..).for_each(|mut process| process.kill());
}

fn start(cluster: &mut Cluster, arguments: &[String]) -> String {
    cluster.start_task_manager(2);
    cluster.start_job_manager(arguments);
    cluster.rest.wait_for_job("RUNNING")
}

#[test]
fn what_expires_while_no_process_lives_is_gone_and_the_rest_lives_on_as_long_as_it_would_have() {
    for (short, expires) in [(Duration::from_secs(8), true), (Duration::from_secs(3_600), false)] {
        let folder = tempfile::tempdir().unwrap();
        let (storage, output) = (folder.path().join("storage"), folder.path().join("output"));
        let (short_ms, rows) = (short.as_millis().to_string(), ROWS.to_string());
        let arguments = [
            &["remembered", "--parallelism", "2", "--rows", &rows, "--rate", "600"][..],
            &["--short-ms", &short_ms, "--output", output.to_str().unwrap()],
        ];
        let arguments: Vec<String> = arguments.concat().into_iter().map(str::to_owned).collect();
        let mut cluster = cluster(program(), &storage, "2 s");
        let job = start(&mut cluster, &arguments);
        let short_lived = expiries_of_all_keys(&storage, &job, "short value");
        let long_lived = expiries_of_all_keys(&storage, &job, "long value");
        assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
        kill_all(&mut cluster);
        let last = short_lived.values().max().unwrap();
        if expires {
            let what = "what the checkpoint holds of the short state has expired";
            wait_until(what, || (now_ms() > *last).then_some(()));
        }
        assert_eq!(start(&mut cluster, &arguments), job);
        // A restore doesn't make anything live longer: what is written since says the same.
        wait_for_checkpoints(&cluster.rest, &job, 2);
        assert_eq!(expiries_of_all_keys(&storage, &job, "long value"), long_lived);
        if !expires {
            assert_eq!(expiries_of_all_keys(&storage, &job, "short value"), short_lived);
        }
        cluster.wait().succeeded();
        let left = if expires { 0 } else { 3 };
        let mut expected: Vec<String> =
            (0..KEYS).map(|key| format!("{key} short {left} long 3")).collect();
        expected.sort();
        check_output("what was there at the end", &expected, &output);
        // What has expired isn't in the last checkpoint either.
        let kept = expiries(&storage, &job, "short list").unwrap();
        assert_eq!(kept.len() as u64, if expires { 0 } else { KEYS }, "{kept:?}");
        check_store(&storage, &job);
    }
}
