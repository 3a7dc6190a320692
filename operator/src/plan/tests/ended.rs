//! Jobs that have ended, and changes of the spec before and after that.

use super::cluster::{Cluster, at, condition, happened, running};
use crate::plan::{Check, Situation};
use crate::resource::{Restore, RestoreSource};

#[test]
fn a_job_that_finishes_before_its_upgrade_is_not_run_once_more_for_that() {
    let mut cluster = running();
    cluster.check = Check::Refused("another program".to_owned());
    cluster.change(|spec| spec.image = "example.com/another:1".to_owned());
    cluster.until("Stalled", false);
    let ran = cluster.status.current_revision.clone();
    cluster.status.job.as_mut().expect("a job").state = "FINISHED".to_owned();
    cluster.until("Finished", false);
    for _ in 0..20 {
        cluster.step();
        assert_eq!((cluster.recorded.len(), cluster.deployments.len()), (1, 0));
    }
    assert_eq!(cluster.status.current_revision, ran);
    assert_eq!(condition(&cluster, "Ready"), Some(("True".into(), "JobFinished".into())));
    // Nor does it help to suspend and resume it.
    cluster.change(|spec| spec.suspend = true);
    cluster.step();
    cluster.change(|spec| spec.suspend = false);
    cluster.step();
    assert_eq!((cluster.recorded.len(), cluster.deployments.len()), (1, 0));
    // Another change asks for another run.
    cluster.change(|spec| spec.image = "example.com/another:2".to_owned());
    cluster.until("Running", true);
    assert_eq!(cluster.begun_with, None);
}

#[test]
fn a_change_from_before_the_reported_end_is_not_run_once_more_though_the_operator_saw_it_later() {
    let mut cluster = running();
    let ran = cluster.status.current_revision.clone();
    // The operator doesn't look in between.
    cluster.change(|spec| spec.image = "example.com/another:1".to_owned());
    cluster.ends("FINISHED");
    cluster.until("Finished", false);
    let stays = |cluster: &mut Cluster| {
        for _ in 0..20 {
            let decision = cluster.step();
            assert_eq!(decision.situation, Situation::Finished);
            assert_eq!((cluster.recorded.len(), cluster.deployments.len()), (1, 0));
        }
    };
    stays(&mut cluster);
    assert_eq!(cluster.status.current_revision, ran);
    // Nor for a later change of what forms no revision.
    cluster.change(|spec| spec.ttl_seconds_after_finished = Some(86_400));
    stays(&mut cluster);
    // One from after the end asks for another run, and so does a restore whenever it was asked for.
    cluster.change(|spec| spec.image = "example.com/another:2".to_owned());
    cluster.until("Running", true);
    assert_eq!((cluster.recorded.len(), &cluster.begun_with), (2, &None));
    cluster.change(|spec| {
        let from = RestoreSource { path: Some("s3://b/savepoint".to_owned()), empty: None };
        spec.state.restore = Some(Restore { from, at: at(7) });
    });
    cluster.ends("FINISHED");
    cluster.until("Running", true);
    assert_eq!(cluster.begun_with.as_deref(), Some("s3://b/savepoint"));
}

#[test]
fn a_change_from_before_a_failure_is_what_mends_it() {
    let mut cluster = running();
    let newest = cluster.status.checkpoint.clone().expect("a checkpoint").path;
    cluster.change(|spec| spec.image = "example.com/mended:1".to_owned());
    cluster.ends("FAILED");
    cluster.until("Running", true);
    assert_eq!(cluster.begun_with.as_deref(), Some(newest.as_str()));
}

#[test]
fn a_job_that_finishes_under_a_revision_that_was_given_up_has_finished() {
    let mut cluster = running();
    cluster.healthy = false;
    cluster.change(|spec| spec.image = "example.com/another:1".to_owned());
    let failed = cluster.wanted();
    while !happened(&cluster, "Rollback") {
        cluster.step();
        if cluster.deployments.contains_key(&failed) {
            cluster.job_runs(&failed);
            cluster.status.job.as_mut().expect("a job").restarts = Some(9);
        }
    }
    cluster.status.job.as_mut().expect("a job").state = "FINISHED".to_owned();
    cluster.until("Finished", false);
    let (recorded, events) = (cluster.recorded.len(), cluster.events.len());
    for _ in 0..20 {
        let decision = cluster.step();
        assert_eq!(decision.situation, Situation::Finished);
        assert!(cluster.deployments.is_empty());
    }
    assert_eq!((cluster.recorded.len(), cluster.events.len()), (recorded, events));
}

#[test]
fn a_finished_jobs_report_says_nothing_of_a_restore_that_has_not_begun() {
    let mut cluster = running();
    cluster.status.job.as_mut().expect("a job").state = "FINISHED".to_owned();
    cluster.until("Finished", false);
    cluster.healthy = false;
    let savepoint = Some("s3://b/savepoint".to_owned());
    cluster.change(|spec| {
        spec.image = "example.com/mistyped:1".to_owned();
        let from = RestoreSource { path: savepoint.clone(), empty: None };
        spec.state.restore = Some(Restore { from, at: at(7) });
    });
    cluster.step();
    cluster.step();
    assert_eq!(cluster.begun_with, savepoint);
    cluster.healthy = true;
    cluster.change(|spec| spec.image = "example.com/right:1".to_owned());
    cluster.until("Running", true);
    assert_eq!(cluster.begun_with, savepoint, "not with nothing");
}
