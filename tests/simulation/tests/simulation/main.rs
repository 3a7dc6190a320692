//! Seeds. `THALWEG_SEED=n` runs exactly that one and prints what happens; `THALWEG_SEEDS=N` runs
//! that many instead of a thousand. Each step of a process: `steps`; single faults: `single`.

mod single;
mod steps;
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use support::{number, on_all_threads, try_plan};
use thalweg_simulation::plan::HighAvailability;
use thalweg_simulation::{Plan, Report};

/// How many seeds an ordinary test run tries.
const SEEDS: u64 = 1_000;
/// What has found something once: a seed, what is special about its plan (so that it stays when the
/// drawing of plans changes), and what it was.
type Regression = (u64, fn(&mut Plan), &'static str);
const REGRESSIONS: &[Regression] = &[
    (
        411,
        |plan| {
            plan.heal_at = Duration::from_secs(6);
            plan.data_flip = 20;
            plan.parallelism = 4;
            plan.high_availability = None;
        },
        "a flipped bit in a frame's length made both ends of a data connection wait for ever",
    ),
    (
        32,
        |plan| {
            // No listing shows anything while the job runs, so nothing is collected before its end.
            plan.heal_at = Duration::from_secs(10);
            let leaders = HighAvailability::calm(1);
            plan.high_availability = Some(HighAvailability { stale_lists: 1_000, ..leaders });
        },
        "superseded checkpoints stayed for ever when their deletion had failed before the job's end",
    ),
    (
        184,
        |_| {},
        "a manifest that couldn't be deleted lost its objects with the next checkpoint's",
    ),
    (
        9_227,
        |_| {},
        "a TaskManager that was told to end said that its tasks were ending, and was gone before \
         they had ended: nobody restarted them",
    ),
    (
        17_518,
        |_| {},
        "a JobManager that wasn't the leader any more claimed a job after the one that was, which \
         ran it from the beginning at the same time",
    ),
];

fn verdict(seed: u64, report: &Report) -> Option<String> {
    let failure = report.failure.as_ref()?;
    Some(format!(
        "seed {seed} fails: {failure}\nrepeat it with\n  THALWEG_SEED={seed} cargo test -p \
         thalweg-simulation --test simulation seeds -- --nocapture\n"
    ))
}

/// What happened in all runs together.
#[derive(Debug, Default)]
struct Totals {
    restarts: u64,
    checkpoints: u64,
    /// Claims of a job that another JobManager had led before.
    takeovers: u64,
    /// Leaders that found that another one leads.
    fenced: u64,
    events: u64,
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.restarts += report.restarts;
        self.checkpoints += report.checkpoints;
        self.takeovers += report.takeovers.1.saturating_sub(1);
        self.fenced += report.takeovers.2;
        self.events += report.events;
    }
}

#[test]
fn seeds_end_with_the_oracles_output_under_all_faults() {
    if let Some(seed) = number("THALWEG_SEED") {
        let level = tracing_subscriber::filter::LevelFilter::DEBUG;
        tracing_subscriber::fmt().without_time().with_max_level(level).with_test_writer().init();
        let report = try_plan(Plan::of(seed), true);
        eprintln!("seed {seed}: {report:#?}");
        assert!(report.failure.is_none(), "seed {seed} fails");
        return;
    }
    let first = number("THALWEG_FIRST_SEED").unwrap_or(0);
    let seeds = number("THALWEG_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(first);
    let totals = parking_lot::Mutex::new(Totals::default());
    let next_seed = || {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        (seed < first + seeds).then_some(seed)
    };
    let failures = on_all_threads(next_seed, |seed| {
        let report = try_plan(Plan::of(*seed), false);
        totals.lock().add(&report);
        verdict(*seed, &report)
    });
    let totals = totals.into_inner();
    eprintln!("{seeds} seeds from {first}: {totals:?}");
    for failure in failures.values().take(3) {
        eprintln!("{failure}");
    }
    let failed: Vec<&u64> = failures.keys().collect();
    assert!(failed.is_empty(), "these seeds fail: {failed:?}");
    // Faults that touch nothing would show nothing.
    let Totals { restarts, checkpoints, takeovers, fenced, .. } = totals;
    let tame = 2 * restarts < seeds || checkpoints < seeds || takeovers < seeds / 4;
    assert!(!tame && fenced > seeds / 100, "the faults of these seeds are too tame");
}

#[test]
fn a_sink_that_shows_rows_before_their_commit_is_found_out() {
    let mut plan = Plan { careless_sink: true, high_availability: None, ..Plan::of(16) };
    let report = try_plan(plan.clone(), false);
    assert_eq!(report.failure, None, "without faults nobody sees a difference");
    plan.heal_at = Duration::from_secs(3);
    plan.hosts.kill_all = Some(800);
    let failure = try_plan(plan, false).failure.unwrap_or_default();
    assert!(failure.contains("lines too many"), "{failure}");
}

#[test]
fn a_seed_repeats_its_run_exactly() {
    if number("THALWEG_SEED").is_some() {
        return;
    }
    for seed in 1_000..1_010 {
        let (first, second) = (try_plan(Plan::of(seed), false), try_plan(Plan::of(seed), false));
        assert_eq!(first.events, second.events, "seed {seed} takes another way the second time");
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed} takes another way");
    }
}

#[test]
fn what_seeds_have_found_stays_fixed() {
    for (seed, change, what) in REGRESSIONS {
        let mut plan = Plan::of(*seed);
        change(&mut plan);
        let failure = try_plan(plan, false).failure.unwrap_or_default();
        assert!(failure.is_empty(), "{what}; again with seed {seed}: {failure}");
    }
}
