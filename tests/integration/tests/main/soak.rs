//! Faults at random moments, on `allround` and on both example applications: whatever happens, the
//! output is that of an undisturbed run, and the store then holds what is referenced.
//!
//! `THALWEG_FAULTS=20` brings so many about instead of a few, `THALWEG_SEED=n` other ones; the
//! moments depend on the machine all the same. A fault counts only if the job was RUNNING and had
//! published a checkpoint since the last one: else the test fails, its input being too short.

use std::path::Path;
use std::time::Duration;

use allround::input::scatter;
use serde_json::Value;
use thalweg_integration_tests::{
    Cluster, DEADLINE, FraudInput, PersonalisationInput, Settings, Soak, application, check_store,
    try_within, wait_until,
};

use crate::high_availability;

/// How many faults there are unless it's said otherwise.
const FAULTS: u64 = 3;
/// Rows per second of a source.
const RATE: u64 = 1_200;
/// What all jobs run with.
const PARALLELISM: u64 = 3;
/// A fault comes so long after a checkpoint, at most, and ...
const MOMENT_MS: u64 = 900;
/// ... so much input is enough for one, in s: what isn't read twice.
const SECONDS_PER_FAULT: u64 = 3;

#[expect(clippy::expect_used, reason = "a mistyped number must not pass as none")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn faults() -> u64 {
    number("THALWEG_FAULTS").unwrap_or(FAULTS)
}

/// Rows for so many faults, and some before and after them.
fn rows() -> u64 {
    (faults() * SECONDS_PER_FAULT + 5) * RATE
}

/// A job in a cluster, to which things are done.
pub(crate) struct Run {
    pub(crate) cluster: Cluster,
    pub(crate) job: String,
    arguments: Vec<String>,
}

/// What a job had gone through when something was done to it, and whom it struck.
pub(crate) struct Fault {
    restarts: f64,
    restored: u64,
    /// The processes' ids of TaskManagers that are gone, or count as such.
    struck: Vec<u32>,
}

impl Run {
    /// So many TaskManagers with two slots each, and the job RUNNING. Checkpoints come as often as
    /// possible; time-outs are short.
    pub(crate) fn start(
        binary: &Path,
        checkpoints: &str,
        task_managers: usize,
        arguments: &[String],
        more: Settings<'_>,
    ) -> Self {
        let mut settings = vec![
            ("heartbeat.interval", "200 ms"),
            ("heartbeat.timeout", "2 s"),
            ("execution.checkpointing.interval", "200 ms"),
            ("execution.checkpointing.dir", checkpoints),
            ("execution.checkpointing.tolerable-failed-checkpoints", "1000"),
            ("restart-strategy.type", "fixed-delay"),
            ("restart-strategy.fixed-delay.attempts", "1000"),
            ("restart-strategy.fixed-delay.delay", "50 ms"),
        ];
        settings.retain(|(key, _)| !more.iter().any(|(other, _)| other == key));
        settings.extend(more);
        let mut cluster = Cluster::new(binary, &settings);
        for _ in 0..task_managers {
            cluster.start_task_manager(2);
        }
        cluster.start_job_manager(arguments);
        let job = cluster.rest.wait_for_job("RUNNING");
        Self { cluster, job, arguments: arguments.to_owned() }
    }

    fn restarts(&self) -> Option<f64> {
        self.cluster.rest.job_metric(&self.job, "numRestarts")
    }

    /// How often the job was restored from a checkpoint.
    fn restored(&self) -> Option<u64> {
        let checkpoints = self.cluster.rest.json(&format!("/jobs/{}/checkpoints", self.job))?;
        checkpoints["counts"]["restored"].as_u64()
    }

    /// The processes' ids of the TaskManagers.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.cluster.task_managers.iter().map(|process| process.id()).collect()
    }

    /// The places of the TaskManagers that the job has slots of.
    fn busy(&self) -> Vec<usize> {
        let registered = self.cluster.rest.task_managers();
        let is_busy = |id: &u32| {
            registered.iter().any(|task_manager| {
                is_of(task_manager, *id) && task_manager["freeSlots"] != task_manager["slotsNumber"]
            })
        };
        let processes = self.processes();
        (0..processes.len()).filter(|&place| is_busy(&processes[place])).collect()
    }

    /// Waits for so many more checkpoints.
    pub(crate) fn wait_for_checkpoints(&self, more: u64) {
        let completed = || self.cluster.rest.completed_checkpoints(&self.job);
        let before = wait_until("checkpoints are counted", completed);
        wait_until(&format!("{more} more checkpoints than {before} are complete"), || {
            completed().filter(|&now| now >= before + more)
        });
    }

    /// A fault that comes now. Makes sure that it counts.
    pub(crate) fn fault(&self) -> Fault {
        let restarts = wait_until("restarts are counted", || self.restarts());
        let restored = wait_until("restores are counted", || self.restored());
        self.is_running();
        Fault { restarts, restored, struck: Vec::new() }
    }

    /// Makes sure that the job runs.
    pub(crate) fn is_running(&self) {
        let state = self.cluster.rest.state(&self.job);
        assert_eq!(state.as_deref(), Some("RUNNING"), "the input was too short");
    }

    /// Waits until the job runs again after this fault, from a checkpoint: whoever was struck is
    /// known to be gone, so that no second restart comes from it.
    pub(crate) fn wait_for_recovery(&self, fault: &Fault) {
        wait_until("those who were struck are known to be gone", || {
            let registered = self.cluster.rest.json("/taskmanagers")?;
            let mut registered = registered["taskmanagers"].as_array()?.iter();
            let is_struck = |task_manager| fault.struck.iter().any(|id| is_of(task_manager, *id));
            (!registered.any(is_struck)).then_some(())
        });
        wait_until("the job has restarted from a checkpoint", || {
            let again = self.restarts()? > fault.restarts && self.restored()? > fault.restored;
            let runs = self.cluster.rest.state(&self.job)? == "RUNNING";
            (again && runs).then_some(())
        });
    }

    /// Kills a TaskManager and starts another one.
    pub(crate) fn replace(&mut self, fault: &mut Fault, index: usize) {
        let mut killed = self.cluster.task_managers.remove(index);
        fault.struck.push(killed.id());
        killed.kill();
        self.cluster.start_task_manager(2);
    }

    /// Makes a TaskManager stand still; it counts as lost after a while.
    pub(crate) fn pause(&mut self, fault: &mut Fault, index: usize) {
        let paused = &mut self.cluster.task_managers[index];
        fault.struck.push(paused.id());
        paused.pause();
    }

    /// Kills the JobManager and starts another one.
    fn replace_job_manager(&mut self, fault: &mut Fault) {
        self.cluster.job_manager.as_mut().expect("it was started").kill();
        self.cluster.start_job_manager(&self.arguments);
        // Its own restarts are counted from none; the first start is what is waited for.
        (fault.restarts, fault.restored) = (-1.0, 0);
    }

    /// Waits until the job has finished.
    pub(crate) fn finish(mut self) {
        let job_manager = self.cluster.job_manager.as_mut().expect("it was started");
        job_manager.wait_within(DEADLINE * 4).succeeded();
        self.cluster.wait().succeeded();
    }
}

/// Whether a TaskManager, as REST shows it, is this process.
fn is_of(task_manager: &Value, process: u32) -> bool {
    let id = task_manager["id"].as_str().expect("a TaskManager has an id");
    id.contains(&format!("-{process}-"))
}

/// What can happen.
#[derive(Debug, Clone, Copy)]
enum Strike {
    /// One is killed.
    Kill,
    /// All are killed.
    KillAll,
    /// One stands still until it counts as lost, and then goes on.
    Pause,
    /// The JobManager is killed, and another one is started.
    JobManager,
}

/// Brings faults about, each at a random moment after a checkpoint.
fn strike(run: &mut Run, of: &[Strike]) {
    let seed = number("THALWEG_SEED").unwrap_or(0);
    for number in 0..faults() {
        let dice = scatter(seed * 1_000 + number);
        let strike = of[(dice % of.len() as u64) as usize];
        let moment = Duration::from_millis((dice >> 16) % MOMENT_MS);
        run.wait_for_checkpoints(1);
        // Nothing is waited for: a moment that the job knows nothing of.
        try_within(moment, || None::<()>);
        let mut fault = run.fault();
        let busy = run.busy();
        assert!(!busy.is_empty(), "no TaskManager has anything of the job");
        let victim = busy[(dice >> 8) as usize % busy.len()];
        eprintln!("seed {seed}, fault {number}: {strike:?} of TaskManager {victim}");
        match strike {
            Strike::Kill => run.replace(&mut fault, victim),
            Strike::KillAll => {
                (0..run.cluster.task_managers.len()).for_each(|_| run.replace(&mut fault, 0));
            }
            Strike::Pause => run.pause(&mut fault, victim),
            Strike::JobManager => run.replace_job_manager(&mut fault),
        }
        run.wait_for_recovery(&fault);
        if matches!(strike, Strike::Pause) {
            run.cluster.task_managers[victim].resume();
        }
    }
}

fn rate(arguments: &[&str]) -> Vec<String> {
    let (parallelism, rate) = (PARALLELISM.to_string(), RATE.to_string());
    let own = ["--parallelism", &parallelism, "--rate", &rate];
    own.iter().chain(arguments).map(|&argument| argument.to_owned()).collect()
}

#[test]
fn allround_is_exactly_once_whatever_happens_to_task_managers_at_random_moments() {
    let soak = Soak::new(rows());
    let (output, checkpoints) = (soak.path("output"), soak.path("checkpoints"));
    let more = rate(&["--payload", "200"]);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let arguments = soak.arguments(&output, &more);
    let place = checkpoints.to_str().unwrap();
    // A third TaskManager: one may stand still.
    let mut run = Run::start(&application("allround"), place, 3, &arguments, &[]);
    strike(&mut run, &[Strike::Kill, Strike::KillAll, Strike::Pause]);
    run.finish();
    soak.check(&output);
    check_store(&checkpoints);
}

#[test]
fn allround_is_exactly_once_whatever_happens_to_any_process_at_random_moments() {
    let soak = Soak::new(rows());
    let (output, storage) = (soak.path("output"), soak.path("storage"));
    let more = rate(&["--payload", "200"]);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let arguments = soak.arguments(&output, &more);
    let place = storage.to_str().unwrap();
    let recorded = [
        ("high-availability.storageDir", place),
        ("high-availability.cluster-id", "soak"),
        ("high-availability.leader-election.lease-duration", "2 s"),
        ("high-availability.leader-election.retry-period", "200 ms"),
    ];
    let mut run = Run::start(&application("allround"), place, 3, &arguments, &recorded);
    strike(&mut run, &[Strike::JobManager, Strike::Kill, Strike::Pause, Strike::KillAll]);
    let job = run.job.clone();
    run.finish();
    soak.check(&output);
    high_availability::check_store(&storage, &job);
}

#[test]
fn fraud_detection_killed_at_random_moments_outputs_what_it_does_undisturbed() {
    let input = FraudInput::new(rows(), 31);
    let more = rate(&[]);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let checkpoints = input.path("checkpoints");
    let arguments = input.arguments("run", &more);
    let place = checkpoints.to_str().unwrap();
    let mut run = Run::start(&application("fraud-detection"), place, 2, &arguments, &[]);
    strike(&mut run, &[Strike::Kill]);
    run.finish();
    input.check("run");
    check_store(&checkpoints);
}

#[test]
fn personalisation_killed_at_random_moments_outputs_what_it_does_undisturbed() {
    // Seven of eight of its rows are those of one source.
    let input = PersonalisationInput::new(rows() * 8 / 7, 32);
    let more = rate(&[]);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let checkpoints = input.path("checkpoints");
    let arguments = input.arguments("run", &more);
    let place = checkpoints.to_str().unwrap();
    let mut run = Run::start(&application("personalisation"), place, 2, &arguments, &[]);
    strike(&mut run, &[Strike::Kill]);
    run.finish();
    input.check("run");
    check_store(&checkpoints);
}
