//! Resources that are made again under the name of an earlier one.

use thalweg_core::ids::job_id;

use super::cluster::{Cluster, at, condition, happened};
use crate::resource::EarlierRun;

/// A new resource whose first JobManager has found the job as an earlier one has left it.
fn found(state: &str, ended: bool, path: Option<&str>) -> Cluster {
    let mut cluster = first_one_leads();
    let job = cluster.status.job.as_mut().expect("a job");
    job.state = state.to_owned();
    job.ended_at = ended.then(|| at(1));
    let (path, checkpoint_id) = (path.map(str::to_owned), path.map(|_| 7));
    let uid = "uid-1".to_owned();
    job.earlier = Some(EarlierRun { uid, ended, stopped: false, path, checkpoint_id });
    cluster.healthy = true;
    cluster
}

fn first_one_leads() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.healthy = false;
    cluster.step();
    let revision = cluster.wanted();
    cluster.job_runs(&revision);
    cluster
}

fn identity(cluster: &Cluster) -> String {
    cluster.recorded[&cluster.wanted()].cluster_id.clone()
}

#[test]
fn what_had_finished_under_an_earlier_resource_runs_again_and_only_once() {
    let mut cluster = found("FINISHED", true, Some("s3://b/7"));
    cluster.change(|spec| spec.ttl_seconds_after_finished = Some(0));
    cluster.until("Running", true);
    assert_ne!(identity(&cluster), "a", "what has ended under an identity stays ended");
    assert_eq!(cluster.begun_with, None);
    assert!(happened(&cluster, "RunAgain"));
    assert!(!happened(&cluster, "SpecChanged") && !happened(&cluster, "StateResumed"));
    assert_eq!(cluster.deleting_since, None, "the old result's time to live isn't this one's");
    cluster.change(|spec| spec.ttl_seconds_after_finished = None);
    let before = identity(&cluster);
    cluster.status.job.as_mut().expect("a job").state = "FINISHED".to_owned();
    cluster.until("Finished", false);
    for _ in 0..20 {
        cluster.step();
        assert!(cluster.deployments.is_empty(), "its own result stands");
    }
    assert_eq!(identity(&cluster), before);
}

#[test]
fn what_had_failed_under_an_earlier_resource_goes_on_with_its_newest_checkpoint() {
    for (state, path, event) in [
        ("FAILED", Some("s3://b/7"), "StateResumed"),
        ("CANCELED", Some("s3://b/7"), "StateResumed"),
        ("FAILED", None, "RunAgain"),
    ] {
        let mut cluster = found(state, true, path);
        cluster.until("Running", true);
        assert_ne!(identity(&cluster), "a");
        assert_eq!(cluster.begun_with.as_deref(), path, "{state}");
        assert!(happened(&cluster, event), "{state}: {:?}", cluster.events);
        assert_eq!(condition(&cluster, "Ready").expect("ready").0, "True");
    }
}

#[test]
fn what_was_stopped_with_a_savepoint_under_an_earlier_resource_goes_on_with_that() {
    let mut cluster = found("FINISHED", true, Some("s3://b/7"));
    let job = cluster.status.job.as_mut().expect("a job");
    job.earlier.as_mut().expect("an earlier one").stopped = true;
    cluster.until("Running", true);
    assert_eq!(cluster.begun_with.as_deref(), Some("s3://b/7"));
    assert!(happened(&cluster, "StateResumed") && !happened(&cluster, "RunAgain"));
}

#[test]
fn what_ran_under_an_earlier_resource_goes_on_where_it_is() {
    let mut cluster = found("RUNNING", false, Some("s3://b/7"));
    let before = cluster.pods.clone();
    cluster.until("Running", true);
    assert_eq!((identity(&cluster).as_str(), &cluster.pods), ("a", &before));
    let told = cluster.events.iter().filter(|event| event.starts_with("StateResumed")).count();
    assert_eq!(told, 1);
    // It ends: that is this resource's result, though an earlier one's state went into it.
    cluster.status.job.as_mut().expect("a job").state = "FINISHED".to_owned();
    cluster.until("Finished", false);
    assert_eq!(cluster.recorded.len(), 1);
    assert!(!happened(&cluster, "RunAgain"));
}

#[test]
fn state_that_lies_under_another_identity_is_gone_on_with_there() {
    let mut cluster = first_one_leads();
    cluster.status.job = None;
    let leading = cluster.status.job_manager.as_mut().expect("a leader");
    leading.state_elsewhere = Some("a-x".to_owned());
    cluster.step();
    assert!(!cluster.deployments.contains_key(&cluster.wanted()), "the first one goes before");
    cluster.healthy = true;
    cluster.until("Running", true);
    assert_eq!(identity(&cluster), "a-x");
    assert_eq!(cluster.status.job.as_ref().expect("a job").id, job_id("a-x", 0).to_string());
    assert!(!happened(&cluster, "SpecChanged"));
    // And what the user changes later goes on there, too.
    cluster.change(|spec| spec.image = "other".to_owned());
    cluster.until("Running", true);
    assert_eq!(identity(&cluster), "a-x");
}
