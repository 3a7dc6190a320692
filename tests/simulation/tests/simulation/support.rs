//! Running plans, many at once, with an eye on panics.

use std::collections::BTreeMap;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use thalweg_simulation::run::run_plan;
use thalweg_simulation::{Plan, Report};

/// The runs are shared by so many threads.
const THREADS: u64 = 2;

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

/// What a variable of the environment says.
#[expect(clippy::expect_used, reason = "a mistyped seed must not pass as none")]
pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a seed, or a number of seeds"))
}

/// Runs a plan; a panic that wasn't injected is a failure, too.
pub(crate) fn try_plan(plan: Plan, print: bool) -> Report {
    count_panics();
    let before = PANICS.load(Ordering::Relaxed);
    let mut report = run_plan(plan, print);
    if report.failure.is_none() && PANICS.load(Ordering::Relaxed) != before {
        report.failure = Some("the engine panicked".to_owned());
    }
    report
}

/// Tries what `next` gives on several threads; the failures by what they are of.
pub(crate) fn on_all_threads<T: Ord + Send>(
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
