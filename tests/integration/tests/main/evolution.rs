//! One application in several versions: state that one has written is read by another one, both
//! ways, or refused with the state's name. The output of a run that changed its version in the
//! middle is that of a single run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use thalweg_integration_tests::{Ended, Process, Rest, check_output, wait_until};

const ROWS: u64 = 9_000;
const KEYS: u64 = 40;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_test-programs"))
}

/// What each row writes: its account, all movements of that, and the latest ones by digit.
fn expected() -> Vec<String> {
    let mut accounts: BTreeMap<u64, (u64, BTreeMap<u64, u64>)> = BTreeMap::new();
    (0..ROWS)
        .map(|number| {
            let key = number % KEYS;
            let (cents, by_digit) = accounts.entry(key).or_default();
            *cents += number;
            by_digit.insert(number / KEYS % 10, number);
            let latest: u64 = by_digit.values().sum();
            format!("{key} \"owner {key}\" {cents} {cents} {latest}")
        })
        .collect()
}

/// Runs of the application in one folder.
struct Runs {
    folder: TempDir,
}

impl Runs {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Starts a version, with what a savepoint holds if there is one.
    fn start(&self, version: &str, savepoint: Option<&str>, own: &[&str]) -> Process {
        let (checkpoints, output) = (self.path("checkpoints"), self.path("output"));
        let checkpoints = format!("execution.checkpointing.dir={checkpoints}");
        let mut words = vec!["local"];
        words.extend(savepoint.iter().flat_map(|path| ["--from-savepoint", path]));
        for setting in [
            "rest.port=0",
            "metrics.port=0",
            "execution.checkpointing.interval=200 ms",
            "restart-strategy.type=none",
            &checkpoints,
        ] {
            words.extend(["-D", setting]);
        }
        let rows = ROWS.to_string();
        words.extend(["--", "accounts", "--version", version, "--rows", &rows]);
        words.extend(["--output", &output]);
        words.extend(own);
        Process::start(version, program(), &words)
    }

    /// Runs a version until some rows are written, and stops it; gives its savepoint.
    fn begin(&self, version: &str, savepoint: Option<&str>, own: &[&str]) -> String {
        let own = [&["--parallelism", "2", "--rate", "1500"], own].concat();
        let mut process = self.start(version, savepoint, &own);
        let served = process.wait_for_line("REST is served at http://");
        let rest = Rest::new(served.rsplit_once("//").unwrap().1);
        let job = rest.wait_for_job("RUNNING");
        wait_until("1000 rows were read", || {
            let job = rest.json(&format!("/jobs/{job}"))?;
            let read = job["vertices"].as_array()?.first()?["metrics"]["write-records"].as_u64();
            read.filter(|rows| *rows >= 1_000)
        });
        let savepoints = self.path("savepoints");
        let stop = ["stop", "--target", rest.address(), "-p", &savepoints, &job];
        let stopped = Process::run("stop", program(), &stop).succeeded();
        process.wait().succeeded();
        let savepoint = stopped.stdout.lines().last().unwrap_or_default().to_owned();
        assert!(Path::new(&savepoint).join("manifest").exists(), "{savepoint}");
        let verified = Process::run("verify", program(), &["state", "verify", &savepoint]);
        assert!(verified.succeeded().stdout.contains("all sound"), "{savepoint}");
        savepoint
    }

    /// Runs a version from a savepoint to the end of the input.
    fn end(&self, version: &str, savepoint: &str) -> Ended {
        self.start(version, Some(savepoint), &["--parallelism", "3"]).wait()
    }

    fn check(&self) {
        check_output("accounts", &expected(), Path::new(&self.path("output")));
    }
}

#[test]
fn state_is_read_by_the_next_version_and_by_the_one_before() {
    for (from, to) in [("first", "second"), ("second", "first")] {
        let runs = Runs::new();
        let savepoint = runs.begin(from, None, &[]);
        runs.end(to, &savepoint).succeeded();
        runs.check();
    }
}

#[test]
fn state_that_went_through_several_versions_is_what_it_was() {
    let runs = Runs::new();
    let mut savepoint = runs.begin("first", None, &[]);
    for version in ["second", "first"] {
        savepoint = runs.begin(version, Some(&savepoint), &[]);
    }
    runs.end("second", &savepoint).succeeded();
    runs.check();
}

#[test]
fn a_value_that_the_version_before_does_not_know_is_refused_with_the_states_name() {
    let runs = Runs::new();
    let savepoint = runs.begin("second", None, &["--novel-from", "500"]);
    let refused = runs.end("first", &savepoint);
    refused.failed_with(&["keep accounts", "\"account\"", "Closed"]);
}

#[test]
fn what_the_types_do_not_allow_is_refused_with_operator_state_and_place() {
    let runs = Runs::new();
    let savepoint = runs.begin("first", None, &[]);
    let before = thalweg_oracle::read_output(runs.path("output")).unwrap();
    for (version, parts) in [
        ("without-default", ["\"account\"", "Account.branch", "#[record(default)]"]),
        ("retyped", ["\"account\"", "Account.cents", "written as u64, read as String"]),
        ("rekeyed", ["the key of state", "written as u32, read as String", "must stay the same"]),
    ] {
        let refused = runs.end(version, &savepoint);
        refused.failed_with(&[&["keep accounts"][..], &parts].concat());
    }
    // Nothing was changed: the first version goes on.
    assert_eq!(thalweg_oracle::read_output(runs.path("output")).unwrap(), before);
    assert!(fs::exists(Path::new(&savepoint).join("manifest")).unwrap());
    runs.end("first", &savepoint).succeeded();
    runs.check();
}
