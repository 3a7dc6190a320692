//! Rollbacks, played through.

use super::cluster::{Cluster, at, condition, happened, running};
use crate::plan::Check;
use crate::resource::tests::application;
use crate::resource::{Restore, RestoreSource};

/// The revision of a broken image, deployed and not stable in time; the one before.
fn given_up(cluster: &mut Cluster) -> (String, String) {
    let good = cluster.wanted();
    cluster.change(|spec| spec.image = "broken".to_owned());
    let bad = cluster.wanted();
    cluster.healthy = false;
    while !cluster.deployments.contains_key(&bad) {
        cluster.step();
    }
    // It writes checkpoints, and doesn't become stable.
    cluster.job_runs(&bad);
    cluster.status.job.as_mut().expect("a job").restarts = Some(7);
    (good, bad)
}

fn restore(second: i64) -> Option<Restore> {
    let from = RestoreSource { path: Some("s3://b/savepoint".to_owned()), empty: None };
    Some(Restore { from, at: at(second) })
}

#[test]
fn a_rollback_is_checked_by_the_stable_image_before_anything_goes() {
    let mut cluster = running();
    let (good, bad) = given_up(&mut cluster);
    cluster.check = Check::UnderWay;
    while cluster.checks.is_empty() {
        cluster.step();
    }
    assert_eq!(cluster.checks, [(good.clone(), Check::UnderWay)]);
    assert_eq!(condition(&cluster, "RolledBack").expect("under way").0, "False");
    assert!(cluster.deployments.contains_key(&bad), "it runs until that is known");
    cluster.checks[0].1 = Check::Passed;
    cluster.healthy = true;
    cluster.until("Running", true);
    assert_eq!(cluster.deployments.keys().collect::<Vec<_>>(), [&good]);
    assert_eq!(condition(&cluster, "RolledBack").expect("rolled back").0, "True");
    // Nor is the failed one tried again when the job ends.
    cluster.status.job.as_mut().expect("a job").state = "FAILED".to_owned();
    cluster.until("Failed", false);
    for _ in 0..50 {
        cluster.step();
        assert!(cluster.deployments.is_empty(), "{:?}", cluster.deployments);
    }
}

#[test]
fn a_rollback_that_would_lose_state_waits_for_the_users_restore() {
    let mut cluster = running();
    let (good, bad) = given_up(&mut cluster);
    cluster.check = Check::Refused("operator alerts: type Long, not Int".to_owned());
    cluster.until("Stalled", false);
    for _ in 0..700 {
        cluster.step();
        assert!(cluster.deployments.contains_key(&bad) && cluster.deployments.len() == 1);
    }
    assert_eq!(condition(&cluster, "Stalled").expect("stalled").1, "RollbackWouldLoseState");
    assert_eq!(condition(&cluster, "RolledBack").expect("not yet").0, "False");
    assert!(happened(&cluster, "PreflightFailed"));
    // Not even by suspending and resuming.
    cluster.change(|spec| spec.suspend = true);
    cluster.until("Suspended", false);
    cluster.change(|spec| spec.suspend = false);
    cluster.until("Stalled", false);
    assert!(cluster.deployments.is_empty());
    let identity = cluster.recorded[&good].cluster_id.clone();
    cluster.healthy = true;
    cluster.change(|spec| {
        spec.image = application("personalisation.yaml").spec.image;
        spec.state.restore = restore(5);
    });
    cluster.until("Running", true);
    assert_eq!(cluster.begun_with.as_deref(), Some("s3://b/savepoint"));
    assert_ne!(cluster.recorded[&cluster.wanted()].cluster_id, identity);
    assert_eq!(condition(&cluster, "RolledBack"), None);
}

#[test]
fn what_was_published_since_a_restore_is_not_left_behind_by_a_rollback() {
    let mut cluster = running();
    cluster.change(|spec| spec.state.restore = restore(5));
    let (_, bad) = given_up(&mut cluster);
    cluster.until("Stalled", false);
    assert_eq!(condition(&cluster, "Stalled").expect("stalled").1, "RollbackWouldLoseState");
    assert!(cluster.deployments.contains_key(&bad) && cluster.checks.is_empty());
}
