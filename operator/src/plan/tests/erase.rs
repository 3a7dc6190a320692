//! Deletions with the state.

use super::cluster::{Cluster, happened, running};
use crate::plan::{Check, Trouble};
use crate::resource::DeletionPolicy;

const STATE: &str = "s3://example-bucket/state/shop/a";

fn deleted(mut cluster: Cluster) -> Cluster {
    cluster.change(|spec| spec.deletion.policy = DeletionPolicy::Delete);
    cluster.step();
    let since = cluster.now;
    cluster.deleting_since = Some(since);
    while !cluster.gone {
        assert!(cluster.now <= since + 301, "it doesn't end");
        cluster.step();
    }
    assert!(cluster.deployments.is_empty() && cluster.pods.is_empty());
    cluster
}

#[test]
fn the_state_is_deleted_when_all_pods_are_gone_also_of_a_job_that_does_not_run() {
    let mut suspended = running();
    suspended.change(|spec| spec.suspend = true);
    suspended.until("Suspended", false);
    let mut failed = running();
    failed.status.job.as_mut().expect("a job").state = "FAILED".to_owned();
    failed.until("Failed", false);
    let mut hangs = running();
    hangs.checkpoints = false;
    for cluster in [running(), suspended, failed, hangs] {
        let since = cluster.now;
        let cluster = deleted(cluster);
        assert_eq!(cluster.erased, [STATE]);
        assert!(happened(&cluster, "Cleanup ") && !happened(&cluster, "CleanupFailed"));
        assert!(cluster.now < since + 20, "nothing is waited for");
        assert_eq!(cluster.status.savepoints, []);
    }
}

#[test]
fn state_is_deleted_wherever_it_was_kept() {
    let mut cluster = running();
    cluster.change(|spec| {
        spec.state.checkpoints.location = Some("s3://other/place/".to_owned());
    });
    cluster.until("Running", true);
    let mut places = vec!["s3://other/place/shop/a".to_owned(), STATE.to_owned()];
    places.sort();
    assert_eq!(deleted(cluster).erased, places);
}

#[test]
fn a_resource_that_never_ran_has_nothing_to_delete() {
    let mut cluster = Cluster::new();
    cluster.change(|spec| spec.suspend = true);
    cluster.until("Suspended", false);
    let cluster = deleted(cluster);
    assert_eq!((cluster.erased.len(), cluster.erasure), (0, None));
}

#[test]
fn a_deletion_of_state_that_hangs_or_fails_ends_with_the_deadline_and_says_so() {
    for check in [Check::UnderWay, Check::Refused("no access".to_owned())] {
        let mut cluster = running();
        cluster.erases = check;
        let since = cluster.now;
        let cluster = deleted(cluster);
        assert!(cluster.now >= since + 300);
        assert!(happened(&cluster, "CleanupFailed") && !happened(&cluster, "Cleanup "));
    }
}

#[test]
fn a_pod_that_was_to_delete_the_state_and_was_evicted_is_replaced() {
    let mut cluster = running();
    cluster.erases = Check::Refused("Evicted".to_owned());
    cluster.change(|spec| spec.deletion.policy = DeletionPolicy::Delete);
    cluster.deleting_since = Some(cluster.now);
    while cluster.erasure.is_none() {
        cluster.step();
    }
    cluster.erases = Check::Passed;
    let since = cluster.now;
    while !cluster.gone {
        cluster.step();
    }
    assert_eq!(cluster.erased, [STATE]);
    assert!(cluster.now < since + 20, "the pause is short");
}

#[test]
fn a_pod_that_its_machine_does_not_take_is_not_made_again_and_again_without_a_pause() {
    let mut cluster = running();
    cluster.erases = Check::Refused("OutOfpods".to_owned());
    let seconds = cluster.spec.deletion.timeout_seconds;
    let cluster = deleted(cluster);
    let most = usize::try_from(seconds / 10 + 1).expect("a number");
    assert!((2..=most).contains(&cluster.erasures), "{} pods in {seconds} s", cluster.erasures);
}

#[test]
fn what_keeps_the_state_from_being_deleted_is_the_last_failure() {
    let mut cluster = running();
    cluster.erases = Check::UnderWay;
    cluster.change(|spec| spec.deletion.policy = DeletionPolicy::Delete);
    cluster.deleting_since = Some(cluster.now);
    while cluster.erasure.is_none() {
        cluster.step();
    }
    let trouble = Trouble { reason: "Error".to_owned(), ..Trouble::default() };
    cluster.erasure.as_mut().expect("begun").pod.trouble = Some(trouble);
    let decision = cluster.step();
    let reported = cluster.reported(&decision);
    assert_eq!(reported.last_failure.expect("it is told").reason, "Error");
}
