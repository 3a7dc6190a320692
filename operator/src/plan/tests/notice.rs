//! What users are told of while applications live.

use thalweg_core::ids::job_id;

use super::cluster::{Cluster, at, condition, happened, running};
use crate::plan::{PodFact, Trouble};
use crate::pod_template::Role;

#[test]
fn what_goes_wrong_while_a_job_runs_is_told_of_once() {
    let mut cluster = running();
    let image = cluster.recorded[&cluster.wanted()].image_digest.clone();
    assert_eq!(image, Some(format!("{}@sha256:1", cluster.spec.image)));
    cluster.known_epoch = Some(3);
    cluster.status.job_manager.as_mut().expect("a leader").epoch = 3;
    cluster.step();
    assert!(!happened(&cluster, "LeaderChanged"));
    cluster.status.job_manager.as_mut().expect("a leader").epoch = 4;
    let killed = Trouble { reason: "OOMKilled".to_owned(), ..Trouble::default() };
    cluster.pods.push(PodFact {
        ready: false,
        name: "a-taskmanager-1".to_owned(),
        revision: cluster.wanted(),
        role: Some(Role::TaskManager),
        image: None,
        trouble: Some(killed),
    });
    cluster.status.checkpoint.as_mut().expect("a checkpoint").failed_since_last = Some(2);
    cluster.checkpoints = false;
    let completed = cluster.status.checkpoint.clone().expect("one").completed_at.expect("a time");
    let interval = cluster.spec.state.checkpoints.interval_seconds;
    // A JobManager says so up to ten seconds later.
    let old = completed.0.as_second() + 2 * interval + 15;
    assert!(cluster.step().again_at.is_some_and(|moment| moment <= at(old)), "it is looked again");
    assert!(!happened(&cluster, "StateUnsafe"));
    while cluster.now <= old + 50 {
        cluster.step();
    }
    assert_eq!(condition(&cluster, "StateSafe").expect("known").0, "False");
    for reason in ["LeaderChanged", "TaskManagerOOMKilled", "CheckpointError", "StateUnsafe"] {
        let told = cluster.events.iter().filter(|event| event.starts_with(reason)).count();
        assert_eq!(told, 1, "{reason}: {:?}", cluster.events);
    }
}

#[test]
fn a_deployment_that_somebody_deletes_is_made_again_and_told_of() {
    let mut cluster = running();
    let revision = cluster.wanted();
    cluster.deployments.clear();
    cluster.pods.clear();
    cluster.until("Running", true);
    assert_eq!(cluster.deployments.keys().collect::<Vec<_>>(), [&revision]);
    for reason in ["Missing", "RecoverDeployment"] {
        let told = cluster.events.iter().filter(|event| event.starts_with(reason)).count();
        assert_eq!(told, 1, "{reason}: {:?}", cluster.events);
    }
    assert!(!happened(&cluster, "SpecChanged"));
}

#[test]
fn an_engine_that_is_too_far_away_and_a_second_execute_are_reported() {
    let mut cluster = running();
    let skew = |cluster: &Cluster| condition(cluster, "VersionSkew").map(|(status, _)| status);
    cluster.status.job_manager.as_mut().expect("a leader").version = "0.2.0".to_owned();
    cluster.step();
    assert_eq!(skew(&cluster).as_deref(), Some("False"));
    assert_eq!(condition(&cluster, "SeveralJobs"), None);
    cluster.status.job_manager.as_mut().expect("a leader").version = "0.3.0".to_owned();
    let identity = cluster.recorded[&cluster.wanted()].cluster_id.clone();
    cluster.status.job.as_mut().expect("a job").id = job_id(&identity, 1).to_string();
    cluster.step();
    assert_eq!(skew(&cluster).as_deref(), Some("True"));
    assert_eq!(condition(&cluster, "SeveralJobs").expect("told").0, "True");
}
