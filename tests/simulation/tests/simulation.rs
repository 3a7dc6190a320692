//! Seeds. `THALWEG_SEED=n` runs exactly that one and prints what happens; `THALWEG_SEEDS=N` runs
//! that many instead of a thousand.

use std::collections::BTreeMap;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thalweg_simulation::run::run_plan;
use thalweg_simulation::{Plan, Report, run};

/// How many seeds an ordinary test run tries.
const SEEDS: u64 = 1_000;
/// The seeds are shared by so many threads.
const THREADS: u64 = 2;
/// What has found something once: a seed, what is special about its plan (so that it stays when the
/// drawing of plans changes), and what it was.
type Regression = (u64, fn(&mut Plan), &'static str);
const REGRESSIONS: &[Regression] = &[(
    411,
    |plan| {
        plan.heal_at = Duration::from_secs(6);
        plan.data_flip = 20;
        plan.parallelism = 4;
    },
    "a flipped bit in a frame's length made both ends of a data connection wait for ever",
)];

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Panics that the workload was told to have are part of the plan; any other one is a finding,
/// wherever it was caught.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let injected =
                info.payload().downcast_ref::<&str>().is_some_and(|m| m.starts_with("injected"));
            if !injected {
                PANICS.fetch_add(1, Ordering::Relaxed);
                usual(info);
            }
        }));
    });
}

#[expect(clippy::expect_used, reason = "a mistyped seed must not pass as none")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a seed, or a number of seeds"))
}

fn try_seed(seed: u64, print: bool) -> Report {
    count_panics();
    let before = PANICS.load(Ordering::Relaxed);
    let mut report = run(seed, print);
    if report.failure.is_none() && PANICS.load(Ordering::Relaxed) != before {
        report.failure = Some("the engine panicked".to_owned());
    }
    report
}

/// Tries what `next` gives on several threads; the failures by what they are of.
fn on_all_threads<T: Ord + Send>(
    next: impl Fn() -> Option<T> + Sync,
    attempt: impl Fn(&T) -> Option<String> + Sync,
) -> BTreeMap<T, String> {
    let failures = parking_lot::Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(what) = next() {
                    if let Some(failure) = attempt(&what) {
                        failures.lock().insert(what, failure);
                    }
                }
            });
        }
    });
    failures.into_inner()
}

fn verdict(seed: u64, report: &Report) -> Option<String> {
    let failure = report.failure.as_ref()?;
    Some(format!(
        "seed {seed} fails: {failure}\nrepeat it with\n  THALWEG_SEED={seed} cargo test -p \
         thalweg-simulation --test simulation seeds -- --nocapture\n"
    ))
}

#[test]
fn seeds_end_with_the_oracles_output_under_all_faults() {
    if let Some(seed) = number("THALWEG_SEED") {
        let level = tracing_subscriber::filter::LevelFilter::DEBUG;
        tracing_subscriber::fmt().without_time().with_max_level(level).with_test_writer().init();
        let report = try_seed(seed, true);
        eprintln!("seed {seed}: {report:#?}");
        assert!(report.failure.is_none(), "seed {seed} fails");
        return;
    }
    let first = number("THALWEG_FIRST_SEED").unwrap_or(0);
    let seeds = number("THALWEG_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(first);
    let totals = parking_lot::Mutex::new((0, 0, 0));
    let next_seed = || {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        (seed < first + seeds).then_some(seed)
    };
    let failures = on_all_threads(next_seed, |seed| {
        let report = try_seed(*seed, false);
        let mut totals = totals.lock();
        totals.0 += report.restarts;
        totals.1 += report.checkpoints;
        totals.2 += report.events;
        verdict(*seed, &report)
    });
    let (restarts, checkpoints, events) = *totals.lock();
    eprintln!(
        "{seeds} seeds from {first}: {restarts} restarts, {checkpoints} checkpoints, {events} events"
    );
    for failure in failures.values().take(3) {
        eprintln!("{failure}");
    }
    let failed: Vec<&u64> = failures.keys().collect();
    assert!(failed.is_empty(), "these seeds fail: {failed:?}");
    // Faults that touch nothing would show nothing.
    assert!(2 * restarts > seeds && checkpoints > seeds, "the faults of these seeds are too tame");
}

#[test]
fn a_sink_that_shows_rows_before_their_commit_is_found_out() {
    let mut plan = Plan { careless_sink: true, ..Plan::of(16) };
    let report = run_plan(plan.clone(), false);
    assert_eq!(report.failure, None, "without faults nobody sees a difference");
    plan.heal_at = Duration::from_secs(3);
    plan.hosts.kill_all = Some(800);
    let failure = run_plan(plan, false).failure.unwrap_or_default();
    assert!(failure.contains("lines too many"), "{failure}");
}

#[test]
fn a_task_manager_may_die_at_each_of_its_steps_in_the_store() {
    let plan = Plan { rows: 60, parallelism: 2, task_managers: 2, ..Plan::of(32) };
    // Nothing else goes wrong, and the end is that of the job.
    let plan = Plan { heal_at: Duration::from_secs(30), ..plan };
    let steps = run_plan(plan.clone(), false).steps;
    assert!(steps > 20, "it has only {steps} steps");
    // An ordinary run tries every third step; the others are as good, and for longer runs.
    let stride = if number("THALWEG_SEEDS").is_some() { 1 } else { 3 };
    let next = AtomicU64::new(0);
    let next_crash = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let (step, done) = (number / 2 * stride, number % 2 == 1);
        (step < steps).then_some((step, done))
    };
    let tried = parking_lot::Mutex::new(0);
    let failures = on_all_threads(next_crash, |crash| {
        let report = run_plan(Plan { crash_at: Some(*crash), ..plan.clone() }, false);
        *tried.lock() += u64::from(report.restarts > 0);
        report.failure
    });
    assert!(failures.is_empty(), "{failures:#?}");
    let tried = *tried.lock();
    eprintln!("{steps} steps, {tried} runs in which one died");
    assert!(tried * stride > steps, "only {tried} runs of {steps} steps were disturbed");
}

#[test]
fn a_seed_repeats_its_run_exactly() {
    if number("THALWEG_SEED").is_some() {
        return;
    }
    for seed in 1_000..1_010 {
        let (first, second) = (try_seed(seed, false), try_seed(seed, false));
        assert_eq!(first.events, second.events, "seed {seed} takes another way the second time");
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed} takes another way");
    }
}

#[test]
fn what_seeds_have_found_stays_fixed() {
    for (seed, change, what) in REGRESSIONS {
        let mut plan = Plan::of(*seed);
        change(&mut plan);
        let failure = run_plan(plan, false).failure.unwrap_or_default();
        assert!(failure.is_empty(), "{what}; again with seed {seed}: {failure}");
    }
}
