//! What leaders that are gone have left in the status isn't taken for what is so now.

use super::cluster::{Cluster, at, condition, happened, running};
use crate::plan::{Check, Trouble};
use crate::resource::{Restore, RestoreSource};

#[test]
fn what_a_failed_job_was_to_go_on_with_is_not_forgotten_when_it_fails_before_its_own_checkpoint() {
    let mut cluster = running();
    let newest = cluster.status.checkpoint.clone().expect("a checkpoint").path;
    cluster.checkpoints = false;
    for image in ["a", "b", "c"] {
        cluster.status.job.as_mut().expect("a job").state = "FAILED".to_owned();
        cluster.until("Failed", false);
        cluster.change(|spec| spec.image = image.to_owned());
        cluster.until("Running", false);
        assert_eq!(cluster.begun_with.as_deref(), Some(newest.as_str()), "{image}");
    }
    // Nor when it is changed while it doesn't run.
    cluster.healthy = false;
    cluster.status.job.as_mut().expect("a job").state = "RESTARTING".to_owned();
    cluster.change(|spec| spec.image = "d".to_owned());
    let wanted = cluster.wanted();
    while !cluster.deployments.contains_key(&wanted) {
        cluster.step();
    }
    assert_eq!(cluster.begun_with.as_deref(), Some(newest.as_str()));
}

#[test]
fn a_program_that_begins_anew_is_not_held_to_the_state_that_was_before() {
    let mut cluster = running();
    cluster.check = Check::Refused("operator alerts: type Long, not Int".to_owned());
    cluster.healthy = false;
    cluster.change(|spec| {
        spec.image = "misspelt".to_owned();
        let from = RestoreSource { path: None, empty: Some(Default::default()) };
        spec.state.restore = Some(Restore { from, at: at(1) });
    });
    let misspelt = cluster.wanted();
    while !cluster.deployments.contains_key(&misspelt) {
        cluster.step();
    }
    // No leader of it has ever reported: the newest checkpoint in the status is the old job's.
    assert!(cluster.status.checkpoint.is_some());
    cluster.healthy = true;
    cluster.change(|spec| spec.image = "corrected".to_owned());
    cluster.until("Running", true);
    assert!(!happened(&cluster, "PreflightFailed"));
}

#[test]
fn a_dead_leaders_report_does_not_hold_up_the_upgrade_that_mends_it() {
    // Its pod is gone and no other one runs; or it is there, and crashes again and again.
    for gone in [true, false] {
        let mut cluster = running();
        let old = cluster.wanted();
        let pod = cluster.pods.last_mut().expect("a pod");
        pod.image = None;
        pod.trouble = Some(Trouble { reason: "Error".to_owned(), ..Trouble::default() });
        if gone {
            pod.name = format!("{old}-5d8f-another");
        }
        cluster.checkpoints = false;
        assert_eq!(cluster.status.job.as_ref().expect("its report stands").state, "RUNNING");
        cluster.change(|spec| spec.image = "mended".to_owned());
        let since = cluster.now;
        cluster.until("Running", false);
        assert!(!cluster.deployments.contains_key(&old));
        assert!(cluster.now < since + 60, "gone: {gone}");
    }
}

#[test]
fn a_leader_that_comes_back_takes_the_final_checkpoint_and_one_that_does_not_is_given_up() {
    let mut cluster = running();
    let old = cluster.wanted();
    // Another pod of the revision runs; it doesn't lead yet.
    cluster.pods.last_mut().expect("a pod").name = format!("{old}-5d8f-another");
    cluster.checkpoints = false;
    cluster.change(|spec| spec.image = "other".to_owned());
    for _ in 0..100 {
        cluster.step();
        assert!(cluster.deployments.contains_key(&old), "it may come back");
    }
    let mut comes_back = cluster;
    comes_back.job_runs(&old);
    let before = comes_back.status.checkpoint.clone().expect("a checkpoint").id;
    comes_back.checkpoints = true;
    comes_back.until("Running", true);
    assert!(comes_back.status.checkpoint.clone().expect("a checkpoint").id > before);

    let mut stays_away = running();
    let old = stays_away.wanted();
    stays_away.pods.last_mut().expect("a pod").name = format!("{old}-5d8f-another");
    stays_away.checkpoints = false;
    stays_away.change(|spec| spec.image = "other".to_owned());
    let since = stays_away.now;
    stays_away.until("Running", false);
    assert!(!stays_away.deployments.contains_key(&old));
    assert!(stays_away.now >= since + stays_away.spec.upgrade.progress_deadline_seconds);
}

#[test]
fn a_leader_that_crashes_makes_no_revision_stable() {
    let mut cluster = Cluster::new();
    cluster.step();
    cluster.pass(5);
    let pod = cluster.pods.last_mut().expect("a pod");
    pod.image = None;
    pod.trouble = Some(Trouble { reason: "Error".to_owned(), ..Trouble::default() });
    for _ in 0..200 {
        cluster.step();
        assert_eq!(cluster.status.stable_revision, None);
        assert_eq!(condition(&cluster, "Ready").expect("a condition").0, "False");
    }
}
