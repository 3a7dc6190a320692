//! Lives of applications, played through.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;
use serde_json::json;

use super::cluster::{Cluster, at, condition, happened, running};
use crate::plan::{Action, Check, Situation};
use crate::resource::tests::application;
use crate::resource::{
    DeletionPolicy, Preflight, Restore, RestoreSource, Rollback, UpgradeMode, UpgradeStrategy,
};

#[test]
fn an_application_is_deployed_and_becomes_stable_and_then_nothing_is_done() {
    let mut cluster = Cluster::new();
    cluster.step();
    assert!(cluster.finalizer);
    assert_eq!(cluster.deployments.len(), 1);
    cluster.until("Running", true);
    assert_eq!(condition(&cluster, "Ready"), Some(("True".into(), "JobRunning".into())));
    assert_eq!(condition(&cluster, "Reconciling"), None);
    let decision = cluster.step();
    let (revision, replicas) = (cluster.wanted(), cluster.spec.job_manager.replicas);
    let quiet = [
        Action::ApplyApplication { leading: Some(revision.clone()), preparing: None },
        Action::KeepRevision { revision, replicas },
    ];
    let rest: Vec<_> = decision
        .actions
        .into_iter()
        .filter(|action| !matches!(action, Action::TakeSavepoint { .. }))
        .collect();
    assert_eq!(rest, quiet);
    assert_eq!(decision.operation, None);
}

#[test]
fn an_upgrade_secures_the_state_and_never_runs_two_revisions() {
    let mut cluster = running();
    let before = cluster.status.checkpoint.clone().expect("a checkpoint").id;
    let old = cluster.wanted();
    cluster.change(|spec| spec.image = "example.com/personalisation:3".to_owned());
    let first = cluster.step();
    assert!(first.actions.iter().any(|action| matches!(action, Action::StartCheck { .. })));
    let second = cluster.step();
    assert!(second.actions.iter().any(|action| matches!(action, Action::TakeCheckpoint { .. })));
    assert!(cluster.deployments.contains_key(&old), "the old one runs until its state is secured");
    cluster.until("Running", true);
    assert!(cluster.status.checkpoint.clone().expect("a checkpoint").id > before);
    assert_eq!(cluster.deployments.keys().collect::<Vec<_>>(), [&cluster.wanted()]);
    assert_eq!(cluster.recorded[&old].cluster_id, cluster.recorded[&cluster.wanted()].cluster_id);
}

#[test]
fn with_mode_savepoint_one_is_taken_first() {
    let mut cluster = running();
    cluster.change(|spec| {
        spec.image = "other".to_owned();
        spec.upgrade.mode = UpgradeMode::Savepoint;
    });
    cluster.until("Running", true);
    let taken = cluster.status.savepoints.iter().any(|each| each.token.starts_with("upgrade-"));
    assert!(taken, "{:?}", cluster.status.savepoints);
}

#[test]
fn an_upgrade_whose_checkpoint_fails_leaves_the_old_revision_alone_and_says_so() {
    let mut cluster = running();
    let old = cluster.wanted();
    cluster.checkpoints = false;
    cluster.change(|spec| spec.image = "other".to_owned());
    cluster.until("Stalled", false);
    assert_eq!(condition(&cluster, "Stalled").expect("stalled").1, "UpgradeStalled");
    assert!(cluster.deployments.contains_key(&old));
    // A newer spec supersedes it.
    cluster.change(|spec| spec.upgrade.mode = UpgradeMode::Stateless);
    cluster.until("Running", false);
    assert!(!cluster.deployments.contains_key(&old));
}

#[test]
fn a_program_that_cannot_read_the_state_is_refused_before_the_old_job_stops() {
    let mut cluster = running();
    let old = cluster.wanted();
    let started = cluster.status.checkpoint.clone();
    cluster.check = Check::Refused("operator alerts: type Long, not Int".to_owned());
    cluster.change(|spec| spec.image = "incompatible".to_owned());
    cluster.until("Stalled", false);
    for _ in 0..700 {
        cluster.step();
    }
    assert!(cluster.deployments.contains_key(&old) && started.is_some());
    assert_eq!(condition(&cluster, "Stalled").expect("stalled").1, "PreflightFailed");
    assert_eq!(condition(&cluster, "UpgradeCompatible").expect("checked").0, "False");
    assert!(happened(&cluster, "PreflightFailed"));
    // Only a warning, if the user says so.
    cluster.change(|spec| spec.upgrade.preflight = Preflight::Warn);
    cluster.until("Running", true);
    assert!(!cluster.deployments.contains_key(&old));
    assert_eq!(cluster.checks, []);
}

#[test]
fn a_check_that_hangs_holds_the_upgrade_up_to_its_deadline_only() {
    let mut cluster = running();
    let old = cluster.wanted();
    cluster.check = Check::UnderWay;
    cluster.change(|spec| spec.image = "slow".to_owned());
    for _ in 0..590 {
        cluster.step();
        assert!(cluster.deployments.contains_key(&old));
    }
    cluster.until("Stalled", false);
    cluster.change(|spec| spec.upgrade.preflight = Preflight::Off);
    cluster.until("Running", true);
}

#[test]
fn a_revision_that_does_not_prove_stable_is_rolled_back_and_not_tried_again() {
    let mut cluster = running();
    let good = cluster.wanted();
    cluster.healthy = false;
    cluster.change(|spec| spec.image = "broken".to_owned());
    let bad = cluster.wanted();
    while !cluster.deployments.contains_key(&bad) {
        cluster.step();
    }
    while cluster.deployments.contains_key(&bad) {
        cluster.step();
    }
    cluster.healthy = true;
    cluster.until("Running", true);
    assert_eq!(cluster.deployments.keys().collect::<Vec<_>>(), [&good]);
    assert!(happened(&cluster, "Rollback"));
    assert_eq!(condition(&cluster, "RolledBack").expect("rolled back").0, "True");
    for _ in 0..700 {
        cluster.step();
        assert!(!cluster.deployments.contains_key(&bad), "tried again");
    }
    assert_eq!(cluster.spec.image, "broken", "the operator never writes the spec");
    cluster.change(|spec| spec.image = "mended".to_owned());
    cluster.until("Running", true);
    assert_eq!(condition(&cluster, "RolledBack"), None);
}

#[test]
fn without_automatic_rollback_a_revision_that_is_not_stable_stalls() {
    let mut cluster = running();
    cluster.healthy = false;
    cluster.change(|spec| {
        spec.image = "broken".to_owned();
        spec.upgrade.rollback = Rollback::Manual;
    });
    cluster.until("Stalled", false);
    assert_eq!(condition(&cluster, "Stalled").expect("stalled").1, "NotStable");
    assert!(cluster.deployments.contains_key(&cluster.wanted()));
}

#[test]
fn an_invalid_spec_changes_nothing_that_runs() {
    let mut cluster = running();
    let deployed = cluster.deployments.clone();
    cluster.change(|spec| {
        spec.image = "other".to_owned();
        spec.configuration.insert("s3.secret-key".to_owned(), "x".to_owned());
    });
    for _ in 0..20 {
        cluster.step();
    }
    assert_eq!(cluster.deployments, deployed);
    assert_eq!(condition(&cluster, "Stalled").expect("stalled").1, "InvalidSpec");
    assert_eq!(cluster.events.iter().filter(|each| each.starts_with("ValidationError")).count(), 1);
    cluster.change(|spec| drop(spec.configuration.remove("s3.secret-key")));
    cluster.until("Running", true);
}

#[test]
fn a_revision_whose_pods_the_api_server_refuses_changes_nothing_that_runs_and_says_why() {
    let mut cluster = running();
    let (deployed, old) = (cluster.deployments.clone(), cluster.wanted());
    cluster.refused = Some("violates PodSecurity".to_owned());
    cluster.change(|spec| spec.image = "other".to_owned());
    let kept = cluster.step().actions;
    let apply = Action::ApplyApplication { leading: Some(old.clone()), preparing: None };
    assert!(kept.contains(&apply), "{kept:?}");
    for _ in 0..20 {
        cluster.step();
    }
    assert_eq!(cluster.deployments, deployed);
    assert_eq!(condition(&cluster, "Stalled").expect("stalled").1, "InvalidPodTemplate");
    assert_eq!(condition(&cluster, "InvalidPodTemplate").expect("invalid").0, "True");
    assert_eq!(cluster.events.iter().filter(|each| each.starts_with("ValidationError")).count(), 1);
    // The one that runs was admitted: going back to it isn't asked about.
    cluster.change(|spec| spec.image = application("personalisation.yaml").spec.image);
    cluster.until("Running", true);
    assert_eq!((cluster.wanted(), condition(&cluster, "InvalidPodTemplate")), (old, None));
    cluster.refused = None;
    cluster.change(|spec| spec.image = "mended".to_owned());
    cluster.until("Running", true);
}

#[test]
fn suspending_takes_a_checkpoint_and_resuming_goes_on_with_the_same_state() {
    let mut cluster = running();
    let before = cluster.status.checkpoint.clone().expect("a checkpoint").id;
    cluster.change(|spec| spec.suspend = true);
    cluster.until("Suspended", false);
    assert!(cluster.deployments.is_empty() && cluster.pods.is_empty());
    assert!(cluster.status.checkpoint.clone().expect("a checkpoint").id > before);
    assert_eq!(condition(&cluster, "Ready").expect("ready").0, "True");
    cluster.change(|spec| {
        spec.suspend = false;
        spec.job.parallelism = 8;
    });
    cluster.until("Running", true);
    assert_eq!(cluster.recorded.len(), 1, "the same revision");
    assert_eq!(cluster.status.job.as_ref().and_then(|job| job.parallelism), Some(8));
}

#[test]
fn what_a_leader_reported_before_its_pod_went_makes_no_application_ready() {
    let mut cluster = running();
    cluster.change(|spec| spec.suspend = true);
    cluster.until("Suspended", false);
    // The report stays in the status; the new JobManager doesn't come to anything.
    cluster.healthy = false;
    cluster.change(|spec| spec.suspend = false);
    for _ in 0..20 {
        cluster.step();
        assert_eq!(condition(&cluster, "Ready").expect("a condition").0, "False");
    }
    let revision = cluster.deployments.keys().next().expect("a Deployment").clone();
    cluster.job_runs(&revision);
    cluster.until("Running", true);
}

#[test]
fn suspending_a_job_whose_checkpoint_hangs_ends_with_the_deadline() {
    let mut cluster = running();
    cluster.checkpoints = false;
    cluster.change(|spec| spec.suspend = true);
    let begun = cluster.now;
    cluster.until("Suspended", false);
    assert!(cluster.now - begun >= cluster.spec.upgrade.progress_deadline_seconds);
}

#[test]
fn scaling_rescales_the_running_job_and_touches_no_pod() {
    let mut cluster = running();
    let pods = cluster.pods.clone();
    cluster.change(|spec| spec.job.parallelism = 7);
    cluster.step();
    assert_eq!(cluster.status.job.as_ref().and_then(|job| job.parallelism), Some(7));
    cluster.step();
    assert_eq!(cluster.pods, pods);
    assert!(happened(&cluster, "Scaling"));
    cluster.change(|spec| spec.job_manager.replicas = 3);
    cluster.step();
    assert!(cluster.deployments.values().all(|deployment| deployment.replicas == 3));
}

#[test]
fn a_finished_job_loses_its_pods_keeps_its_resource_and_goes_after_its_time_to_live() {
    let mut cluster = running();
    cluster.change(|spec| spec.ttl_seconds_after_finished = Some(100));
    cluster.until("Running", true);
    let end = cluster.now;
    let job = cluster.status.job.as_mut().expect("a job");
    job.state = "FINISHED".to_owned();
    job.ended_at = Some(at(end));
    let decision = cluster.step();
    assert_eq!(decision.situation, Situation::Finished);
    assert_eq!(decision.again_at, Some(at(end + 100)));
    assert!(cluster.deployments.is_empty());
    cluster.step();
    assert!(cluster.deployments.is_empty(), "it isn't run again");
    assert_eq!(condition(&cluster, "Ready"), Some(("True".into(), "JobFinished".into())));
    cluster.now = end + 100;
    cluster.step();
    assert!(cluster.deleting_since.is_some());
    cluster.step();
    assert!(cluster.gone);
}

#[test]
fn a_failed_job_stays_until_a_restart_goes_on_with_its_newest_checkpoint() {
    let mut cluster = running();
    cluster.status.job.as_mut().expect("a job").state = "FAILED".to_owned();
    let newest = cluster.status.checkpoint.clone().expect("a checkpoint").path;
    cluster.until("Failed", false);
    assert_eq!(condition(&cluster, "Ready").expect("ready").0, "False");
    assert_eq!(condition(&cluster, "Stalled").expect("stalled").1, "JobFailed");
    for _ in 0..50 {
        cluster.step();
        assert!(cluster.deployments.is_empty());
    }
    let restart: Time = at(cluster.now);
    cluster.change(|spec| spec.restarted_at = Some(restart));
    cluster.until("Running", true);
    assert_eq!(cluster.begun_with.as_deref(), Some(newest.as_str()));
    let identities: Vec<&String> =
        cluster.recorded.values().map(|record| &record.cluster_id).collect();
    assert_ne!(identities[0], identities[1], "what has ended under an identity stays ended");
}

#[test]
fn a_restore_happens_once_for_each_new_time() {
    let mut cluster = running();
    let at_first = cluster.recorded[&cluster.wanted()].cluster_id.clone();
    let restore = |second: i64, path: Option<&str>| Restore {
        from: RestoreSource {
            path: path.map(str::to_owned),
            empty: path.is_none().then(Default::default),
        },
        at: at(second),
    };
    cluster.change(|spec| spec.state.restore = Some(restore(1, Some("s3://b/savepoint"))));
    cluster.until("Running", true);
    let restored = cluster.recorded[&cluster.wanted()].cluster_id.clone();
    assert_ne!(restored, at_first);
    assert_eq!(cluster.begun_with.as_deref(), Some("s3://b/savepoint"));
    // Another change with the same restore goes on with what was restored.
    cluster.change(|spec| spec.image = "other".to_owned());
    cluster.until("Running", true);
    assert_eq!(cluster.recorded[&cluster.wanted()].cluster_id, restored);
    // So does one that takes the restore out.
    cluster.change(|spec| spec.state.restore = None);
    cluster.until("Running", true);
    assert_eq!(cluster.recorded[&cluster.wanted()].cluster_id, restored);
    // A standing Stateless isn't consent to lose state; a new time with empty is.
    cluster.change(|spec| spec.state.restore = Some(restore(2, None)));
    cluster.until("Running", true);
    assert_ne!(cluster.recorded[&cluster.wanted()].cluster_id, restored);
    assert_eq!(cluster.begun_with, None);
}

#[test]
fn a_spec_that_comes_back_after_a_restore_goes_on_with_what_was_restored() {
    let mut cluster = running();
    let earlier = cluster.spec.clone();
    let before = cluster.wanted();
    cluster.change(|spec| {
        spec.image = "other".to_owned();
        let from = RestoreSource { path: Some("s3://b/savepoint".to_owned()), empty: None };
        spec.state.restore = Some(Restore { from, at: at(1) });
    });
    cluster.until("Running", true);
    let restored = cluster.recorded[&cluster.wanted()].cluster_id.clone();
    cluster.change(|spec| *spec = earlier);
    cluster.until("Running", true);
    assert_ne!(cluster.wanted(), before, "its pods would go on with what was before the restore");
    assert_eq!(cluster.recorded[&cluster.wanted()].cluster_id, restored);
}

#[test]
fn each_new_run_of_a_failed_job_has_an_identity_of_its_own_whatever_the_spec_was_before() {
    let mut cluster = running();
    let mut identities = vec![cluster.recorded[&cluster.wanted()].cluster_id.clone()];
    for image in ["b", "c", "b", "c"] {
        cluster.status.job.as_mut().expect("a job").state = "FAILED".to_owned();
        cluster.until("Failed", false);
        cluster.change(|spec| spec.image = image.to_owned());
        cluster.until("Running", true);
        identities.push(cluster.recorded[&cluster.wanted()].cluster_id.clone());
    }
    let different: std::collections::BTreeSet<&String> = identities.iter().collect();
    assert_eq!(different.len(), identities.len(), "{identities:?}");
}

#[test]
fn deletion_secures_the_state_and_always_ends() {
    for (policy, checkpoints, deadline) in [
        (DeletionPolicy::Retain, true, false),
        (DeletionPolicy::Savepoint, true, false),
        (DeletionPolicy::Savepoint, false, true),
        (DeletionPolicy::Retain, false, true),
    ] {
        let mut cluster = running();
        cluster.change(|spec| spec.deletion.policy = policy);
        cluster.until("Running", true);
        cluster.checkpoints = checkpoints;
        let since = cluster.now;
        cluster.deleting_since = Some(since);
        while !cluster.gone {
            assert!(cluster.now <= since + 301, "{policy:?} doesn't end");
            cluster.step();
        }
        assert_eq!(cluster.now >= since + 300, deadline, "{policy:?}");
        assert_eq!(happened(&cluster, "CleanupFailed"), deadline, "{policy:?}");
        assert!(cluster.deployments.is_empty());
        let taken = cluster.status.savepoints.iter().any(|each| each.token.starts_with("delete-"));
        assert_eq!(taken, policy == DeletionPolicy::Savepoint && checkpoints);
        assert!(cluster.asked_in_vain.len() <= 1, "{:?}", cluster.asked_in_vain);
    }
}

#[test]
fn a_savepoint_is_taken_once_for_each_token_and_each_interval() {
    let mut cluster = running();
    cluster.change(|spec| spec.state.savepoints.interval_seconds = Some(60));
    cluster.until("Running", true);
    cluster.token = Some("before-the-sale".to_owned());
    for _ in 0..185 {
        cluster.step();
    }
    let tokens: Vec<&str> =
        cluster.status.savepoints.iter().map(|each| each.token.as_str()).collect();
    let mine = tokens.iter().filter(|token| **token == "before-the-sale").count();
    assert_eq!(mine, 1, "{tokens:?}");
    let mut periodic: Vec<&&str> =
        tokens.iter().filter(|token| token.starts_with("periodic-")).collect();
    let all = periodic.len();
    periodic.dedup();
    assert!(all >= 3 && periodic.len() == all, "{tokens:?}");
}

#[derive(Clone, Debug)]
enum Happening {
    Image(u8),
    Suspend(bool),
    Scale(i32),
    Healthy(bool),
    Warm(bool),
    Prepares(bool),
    LeaderDies,
    CrashesAfter(u8),
    Checkpoints(bool),
    Ends(bool),
    Invalid(bool),
    Steps(u16),
    Loses,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        (0u8..4).prop_map(Happening::Image),
        any::<bool>().prop_map(Happening::Suspend),
        (1i32..9).prop_map(Happening::Scale),
        any::<bool>().prop_map(Happening::Healthy),
        any::<bool>().prop_map(Happening::Warm),
        any::<bool>().prop_map(Happening::Prepares),
        Just(Happening::LeaderDies),
        (0u8..6).prop_map(Happening::CrashesAfter),
        any::<bool>().prop_map(Happening::Checkpoints),
        any::<bool>().prop_map(Happening::Ends),
        any::<bool>().prop_map(Happening::Invalid),
        (1u16..400).prop_map(Happening::Steps),
        Just(Happening::Loses),
    ];
    prop::collection::vec(one, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 64,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_no_two_revisions_run_at_once_and_a_good_spec_gets_to_run(
        happenings in happenings(),
    ) {
        let mut cluster = Cluster::new();
        for happening in happenings {
            match happening {
                Happening::Image(number) => cluster.change(|spec| spec.image = number.to_string()),
                Happening::Suspend(suspend) => cluster.change(|spec| spec.suspend = suspend),
                Happening::Scale(to) => cluster.change(|spec| spec.job.parallelism = to),
                Happening::Healthy(healthy) => cluster.healthy = healthy,
                Happening::Warm(warm) => cluster.change(|spec| {
                    spec.upgrade.strategy =
                        if warm { UpgradeStrategy::Warm } else { UpgradeStrategy::Recreate };
                }),
                Happening::Prepares(prepares) => cluster.prepares = prepares,
                Happening::LeaderDies => {
                    if let Some(revision) = cluster.turn.0.clone() {
                        cluster.lose_job_managers(&revision);
                    }
                }
                Happening::CrashesAfter(actions) => {
                    cluster.step_partly(actions.into());
                }
                Happening::Checkpoints(taken) => cluster.checkpoints = taken,
                Happening::Ends(finished) => {
                    if cluster.status.job.is_some() {
                        cluster.ends(if finished { "FINISHED" } else { "FAILED" });
                    }
                }
                Happening::Invalid(invalid) => cluster.change(|spec| {
                    spec.configuration.clear();
                    if invalid {
                        spec.configuration.insert("a.password".to_owned(), "x".to_owned());
                    }
                }),
                Happening::Steps(steps) => {
                    for _ in 0..steps {
                        cluster.step();
                    }
                }
                // The operator is started anew; what it has written is all that it knows.
                Happening::Loses => cluster.last = None,
            }
        }
        cluster.healthy = true;
        cluster.prepares = true;
        cluster.checkpoints = true;
        cluster.change(|spec| {
            spec.suspend = false;
            spec.configuration.clear();
            spec.image = "good".to_owned();
        });
        // The job of a revision that came up while nothing was healthy.
        if let Some(revision) = cluster.turn.0.clone() {
            cluster.lose_job_managers(&revision);
        }
        cluster.until("Running", true);
        let deployed: Vec<String> = cluster.deployments.keys().cloned().collect();
        prop_assert_eq!(deployed, vec![cluster.wanted()]);
        prop_assert_eq!(json!(cluster.status.phase), json!("Running"));
    }
}
