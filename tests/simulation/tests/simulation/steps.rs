//! Each step of a process in the store, before and after it is done: there the process dies, or
//! stands still until another one leads. An ordinary run tries some of the steps, with
//! `THALWEG_SEEDS` all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thalweg_simulation::plan::HighAvailability;
use thalweg_simulation::{Plan, Report};

use crate::support::{number, on_all_threads, try_plan};

/// A small job without any other fault, which are possible to its end.
fn calm(high_availability: Option<HighAvailability>) -> Plan {
    let plan = Plan { rows: 60, parallelism: 2, task_managers: 2, ..Plan::of(32) };
    Plan { heal_at: Duration::from_secs(10), high_availability, ..plan }
}

/// Disturbs each `stride`-th step of `steps`, before and after it; in at least half of the runs
/// the disturbance must have shown.
fn try_steps(
    steps: u64,
    stride: u64,
    disturbed: impl Fn(u64, bool) -> Plan + Sync,
    shown: impl Fn(&Report) -> bool + Sync,
) {
    assert!(steps > 20, "there are only {steps} steps");
    let stride = if number("THALWEG_SEEDS").is_some() { 1 } else { stride };
    let next = AtomicU64::new(0);
    let next_step = || {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let (step, done) = (number / 2 * stride, number % 2 == 1);
        (step < steps).then_some((step, done))
    };
    let seen = AtomicU64::new(0);
    let failures = on_all_threads(next_step, |(step, done)| {
        let report = try_plan(disturbed(*step, *done), false);
        seen.fetch_add(u64::from(shown(&report)), Ordering::Relaxed);
        report.failure
    });
    let all: Vec<_> = failures.keys().collect();
    let first = failures.first_key_value();
    assert!(all.is_empty(), "these steps, done or not, fail: {all:?}; the first: {first:#?}");
    let seen = seen.into_inner();
    eprintln!("{steps} steps, each {stride}th, before and after: it showed in {seen} runs");
    assert!(seen * stride > steps, "only {seen} runs were disturbed");
}

#[test]
fn a_task_manager_may_die_at_each_of_its_steps_in_the_store() {
    // All that its tasks have for a checkpoint is one object, mostly.
    let plan = Plan { rows: 400, ..calm(None) };
    let steps = try_plan(plan.clone(), false).steps.0;
    let disturbed = |step, done| Plan { crash_at: Some((step, done)), ..plan.clone() };
    try_steps(steps, 2, disturbed, |report| report.restarts > 0);
}

#[test]
fn a_job_manager_may_die_at_each_of_its_steps_in_the_store() {
    for job_managers in [1, 2] {
        let leaders = HighAvailability::calm(job_managers);
        let plan = calm(Some(leaders.clone()));
        let steps = try_plan(plan.clone(), false).steps.1;
        let disturbed = |step, done| {
            let leaders = HighAvailability { crash_at: Some((step, done)), ..leaders.clone() };
            Plan { high_availability: Some(leaders), ..plan.clone() }
        };
        // One that dies while it campaigns is followed by itself.
        try_steps(steps, 20, disturbed, |report| report.takeovers.0 > 1);
    }
}

#[test]
fn a_leader_may_stand_still_past_its_lease_at_each_of_its_steps_in_the_store() {
    let leaders = HighAvailability::calm(2);
    let plan = calm(Some(leaders.clone()));
    let steps = try_plan(plan.clone(), false).steps.1;
    let disturbed = |step, done| {
        let pause_at = Some((step, done, Duration::from_secs(4)));
        let leaders = HighAvailability { pause_at, ..leaders.clone() };
        Plan { high_availability: Some(leaders), ..plan.clone() }
    };
    try_steps(steps, 16, disturbed, |report| report.takeovers.0 > 1);
}
