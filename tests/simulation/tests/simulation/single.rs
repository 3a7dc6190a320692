//! Single faults that end in a refusal, not in an output.

use std::time::Duration;

use thalweg_simulation::Plan;
use thalweg_simulation::plan::{HighAvailability, Mode};

use crate::support::try_plan;

#[test]
fn a_store_that_ignores_conditions_is_refused_and_runs_no_job() {
    let leaders = HighAvailability { ignores_conditions: true, ..HighAvailability::calm(2) };
    let plan = Plan { high_availability: Some(leaders), ..Plan::of(16) };
    let report = try_plan(plan, false);
    let failure = report.failure.unwrap_or_default();
    assert!(failure.contains("honours conditional writes"), "{failure}");
    assert_eq!((report.takeovers.0, report.checkpoints), (0, 0));
}

/// Whoever leads then: nothing begins without what is gone, or with less.
#[test]
fn an_object_of_the_last_checkpoint_that_vanished_is_missed_and_nothing_begins_without_it() {
    for job_managers in [1, 2] {
        let leaders = HighAvailability::calm(job_managers);
        let mut plan = Plan { high_availability: Some(leaders), ..Plan::of(16) };
        plan.rate = 40.0;
        plan.rows = 200;
        plan.parallelism = 2;
        plan.checkpoint_interval = Duration::from_millis(300);
        plan.vanish_at = Some(Duration::from_secs(2));
        plan.heal_at = Duration::from_secs(10);
        plan.mode = Mode::Safety;
        let report = try_plan(plan.clone(), false);
        assert_eq!(report.failure, None, "what was output until then is right");
        assert!(report.lost.is_some(), "nothing was lost: no checkpoint had been published");
        plan.mode = Mode::Heal;
        let failure = try_plan(plan, false).failure.unwrap_or_default();
        let lost = report.lost.unwrap_or_default();
        assert!(failure.contains(&lost), "{failure} doesn't name {lost}");
        assert!(!failure.contains("lines too many"), "{failure}");
    }
}
