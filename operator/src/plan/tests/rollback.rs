//! Rollbacks, played through.

use thalweg_core::ids::job_id;

use super::cluster::{Cluster, at, condition, happened, running};
use crate::plan::{Action, Check, Situation};
use crate::resource::tests::application;
use crate::resource::{Restore, RestoreSource, Rollback};

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
fn a_savepoint_that_cannot_be_read_is_refused_before_the_running_job_stops_for_it() {
    let mut cluster = running();
    let deployed = cluster.deployments.clone();
    cluster.check = Check::Refused("s3://b/savepoint: no such object".to_owned());
    cluster.change(|spec| spec.state.restore = restore(5));
    let first = cluster.step().actions;
    let is_asked = |action: &Action| matches!(action, Action::StartCheck { path, .. } if path == "s3://b/savepoint");
    assert!(first.iter().any(is_asked), "{first:?}");
    cluster.until("Stalled", false);
    for _ in 0..700 {
        cluster.step();
        assert_eq!(cluster.deployments, deployed);
    }
    assert_eq!(condition(&cluster, "Stalled").expect("stalled").1, "PreflightFailed");
    // Another one, and what begins with nothing, needs no more than that.
    cluster.change(|spec| {
        let from = RestoreSource { path: None, empty: Some(Default::default()) };
        spec.state.restore = Some(Restore { from, at: at(6) });
    });
    cluster.until("Running", true);
    assert_eq!(cluster.begun_with, None);
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

/// The new revision runs, has published one more checkpoint, and its job fails for good.
fn failed(cluster: &mut Cluster) -> (String, String) {
    let (good, bad) = given_up(cluster);
    cluster.status.job.as_mut().expect("a job").restarts = Some(0);
    cluster.checkpoint();
    cluster.ends("FAILED");
    cluster.healthy = true;
    (good, bad)
}

fn times(cluster: &Cluster, reason: &str) -> usize {
    cluster.events.iter().filter(|event| event.starts_with(reason)).count()
}

#[test]
fn a_revision_whose_job_fails_for_good_before_it_is_stable_is_rolled_back_with_what_it_has_left() {
    let mut cluster = running();
    let image = cluster.spec.image.clone();
    let (good, bad) = failed(&mut cluster);
    let newest = cluster.status.checkpoint.clone().expect("a checkpoint").path;
    let ended = cluster.recorded[&bad].cluster_id.clone();
    let decision = cluster.step();
    assert_eq!(decision.situation, Situation::RollingBack);
    assert!(cluster.deployments.is_empty(), "its pods go at once");
    assert_eq!(condition(&cluster, "RolledBack").expect("under way").0, "False");
    cluster.until("Running", true);
    let back = cluster.status.current_revision.clone().expect("a revision");
    let record = &cluster.recorded[&back];
    assert_eq!((&record.spec.image, &record.begin_with), (&image, &Some(newest)));
    assert_ne!(record.cluster_id, ended, "what has failed under an identity stays failed");
    assert!(back != good && cluster.status.stable_revision.as_ref() == Some(&back));
    assert_eq!(condition(&cluster, "RolledBack").expect("rolled back").0, "True");
    assert_eq!((times(&cluster, "Rollback"), happened(&cluster, "PreflightFailed")), (1, false));
    // What isn't tried again isn't asked about, either.
    cluster.refused = Some("violates PodSecurity".to_owned());
    let identity = record.cluster_id.clone();
    for _ in 0..700 {
        cluster.step();
        assert_eq!(cluster.deployments.keys().collect::<Vec<_>>(), [&back]);
        assert_eq!(condition(&cluster, "Stalled"), None);
    }
    cluster.refused = None;
    cluster.change(|spec| spec.image = "mended".to_owned());
    cluster.until("Running", true);
    assert_eq!(condition(&cluster, "RolledBack"), None);
    assert_eq!(cluster.recorded[&cluster.wanted()].cluster_id, identity, "it goes on from there");
}

#[test]
fn an_operator_that_ends_anywhere_carries_the_rollback_of_a_failed_job_through() {
    for decisions in 0..6 {
        for actions in 0..6 {
            let mut cluster = running();
            let image = cluster.spec.image.clone();
            failed(&mut cluster);
            for _ in 0..decisions {
                cluster.step();
            }
            cluster.step_partly(actions);
            cluster.until("Running", true);
            let current = cluster.status.current_revision.clone().expect("a revision");
            assert_eq!(cluster.recorded[&current].spec.image, image, "{decisions} {actions}");
            assert!(times(&cluster, "Rollback") <= 1, "{decisions} {actions}");
            assert_eq!(condition(&cluster, "RolledBack").expect("it is said").0, "True");
            assert_eq!(cluster.deployments.len(), 1, "{decisions} {actions}");
        }
    }
}

#[test]
fn the_stable_program_is_asked_first_whether_it_can_read_what_a_failed_job_has_left() {
    let mut cluster = running();
    let (good, _) = failed(&mut cluster);
    cluster.check = Check::Refused("operator alerts: type Long, not Int".to_owned());
    cluster.until("Stalled", false);
    let operation = cluster.status.operation.clone().expect("a rollback");
    assert_eq!(condition(&cluster, "Stalled").expect("stalled").1, "RollbackWouldLoseState");
    assert_eq!(cluster.checks.first().map(|check| &check.0), operation.target.as_ref());
    for _ in 0..700 {
        cluster.step();
        assert!(cluster.deployments.is_empty() && cluster.recorded.len() == 2);
    }
    assert!(happened(&cluster, "PreflightFailed"));
    // The check is made again when its pod is deleted.
    cluster.check = Check::Passed;
    cluster.checks.clear();
    cluster.until("Running", true);
    let back = cluster.status.current_revision.clone().expect("a revision");
    assert_eq!(cluster.recorded[&back].spec.image, cluster.recorded[&good].spec.image);
}

#[test]
fn a_failed_job_is_rolled_back_only_where_the_user_wants_that_and_only_once() {
    let mut cluster = running();
    cluster.change(|spec| spec.upgrade.rollback = Rollback::Manual);
    failed(&mut cluster);
    for _ in 0..50 {
        assert_eq!(cluster.step().situation, Situation::Failed { state: "FAILED".to_owned() });
    }
    assert!(!happened(&cluster, "Rollback"));
    cluster.change(|spec| spec.upgrade.rollback = Rollback::Auto);
    cluster.until("RollingBack", false);
    cluster.until("Running", false);
    // The stable program fails, too, before it proves stable.
    cluster.checkpoint();
    cluster.ends("FAILED");
    cluster.until("Failed", false);
    for _ in 0..50 {
        cluster.step();
        assert!(cluster.deployments.is_empty(), "{:?}", cluster.deployments);
    }
    assert_eq!(times(&cluster, "Rollback"), 1);
    let newest = cluster.status.checkpoint.clone().map(|checkpoint| checkpoint.path);
    cluster.change(|spec| spec.image = "mended".to_owned());
    cluster.until("Running", true);
    assert!(newest.is_some() && cluster.begun_with == newest);
}

#[test]
fn what_had_ended_before_an_upgrade_is_not_gone_back_to() {
    for state in ["FINISHED", "FAILED"] {
        let mut cluster = running();
        cluster.ends(state);
        cluster.step();
        // The next run fails; or it never comes to anything.
        given_up(&mut cluster);
        let mut hangs = cluster;
        hangs.until("Stalled", false);
        assert_eq!(condition(&hangs, "Stalled").expect("stalled").1, "NotStable", "{state}");

        let mut cluster = running();
        cluster.ends(state);
        cluster.step();
        failed(&mut cluster);
        cluster.until("Failed", false);
        assert!(!happened(&cluster, "Rollback"), "{state}");
    }
}

/// What the stable revision's state is kept under has ended, in one of the ways in which it may.
fn has_ended(way: &str) -> Cluster {
    let mut cluster = running();
    match way {
        "stable" => cluster.ends("FAILED"),
        "finished" => cluster.ends("FINISHED"),
        "not yet stable" => {
            cluster.change(|spec| spec.image = "brief".to_owned());
            cluster.until("Running", false);
            assert_ne!(cluster.status.stable_revision, cluster.status.current_revision);
            cluster.ends("FINISHED");
        }
        "as the upgrade begins" => {
            cluster.checkpoints = false;
            cluster.change(|spec| spec.state.restore = restore(5));
            cluster.step();
            assert_eq!(cluster.deployments.len(), 1, "its state is to be secured");
            cluster.checkpoints = true;
            cluster.ends("FINISHED");
            return cluster;
        }
        "back, and not yet stable" | "back" => {
            failed(&mut cluster);
            cluster.until("Running", way == "back");
            let stable = cluster.status.stable_revision == cluster.status.current_revision;
            assert_eq!(stable, way == "back");
            cluster.ends("FAILED");
        }
        _ => panic!("{way}"),
    }
    cluster.step();
    assert!(["Failed", "Finished"].contains(&cluster.status.phase.as_deref().expect("a phase")));
    cluster
}

#[test]
fn a_restore_that_fails_is_not_gone_back_from_to_what_had_ended_before_it() {
    let ways = [
        "stable",
        "finished",
        "not yet stable",
        "as the upgrade begins",
        "back, and not yet stable",
        "back",
    ];
    for way in ways {
        for hangs in [false, true] {
            let mut cluster = has_ended(way);
            let rollbacks = times(&cluster, "Rollback");
            cluster.spec.state.restore = restore(5);
            given_up(&mut cluster);
            cluster.status.checkpoint = None;
            if hangs {
                cluster.until("Stalled", false);
                assert_eq!(
                    condition(&cluster, "Stalled").expect("stalled").1,
                    "NotStable",
                    "{way}"
                );
            } else {
                cluster.ends("FAILED");
                cluster.healthy = true;
            }
            let deployed = cluster.deployments.clone();
            for _ in 0..700 {
                let situation = cluster.step().situation;
                let failed = situation == Situation::Failed { state: "FAILED".to_owned() };
                assert!(
                    failed != hangs && situation != Situation::Finished,
                    "{way}: {situation:?}"
                );
                assert!(if hangs {
                    cluster.deployments == deployed
                } else {
                    cluster.deployments.is_empty()
                });
            }
            assert_eq!(times(&cluster, "Rollback"), rollbacks, "{way}, hangs: {hangs}");
            // What mends it goes on with what was to be restored.
            cluster.healthy = true;
            cluster.change(|spec| spec.image = "mended".to_owned());
            cluster.until("Running", true);
            assert_eq!(cluster.begun_with.as_deref(), Some("s3://b/savepoint"), "{way}");
        }
    }
}

#[test]
fn a_failed_job_of_the_stable_spec_runs_again_by_a_restart_and_not_by_undoing_the_change() {
    let mut cluster = running();
    let earlier = cluster.spec.clone();
    failed(&mut cluster);
    cluster.until("Running", true);
    cluster.ends("FAILED");
    cluster.until("Failed", false);
    cluster.change(|spec| *spec = earlier);
    for _ in 0..20 {
        assert_eq!(cluster.step().situation, Situation::Failed { state: "FAILED".to_owned() });
    }
    let newest = cluster.status.checkpoint.clone().map(|checkpoint| checkpoint.path);
    let now = at(cluster.now);
    cluster.change(|spec| spec.restarted_at = Some(now));
    cluster.until("Running", true);
    assert!(newest.is_some() && cluster.begun_with == newest);
}

#[test]
fn the_stable_revision_comes_back_after_a_suspension_or_a_loss_without_another_check() {
    for lost in [false, true] {
        for failed_for_good in [false, true] {
            let mut cluster = running();
            match failed_for_good {
                true => drop(failed(&mut cluster)),
                false => drop(given_up(&mut cluster)),
            }
            while !happened(&cluster, "Rollback") {
                cluster.step();
            }
            cluster.healthy = true;
            cluster.until("Running", true);
            cluster.step();
            assert_eq!(condition(&cluster, "RolledBack").expect("rolled back").0, "True");
            let back = cluster.status.current_revision.clone().expect("a revision");
            cluster.check = Check::Refused("a bucket that doesn't answer".to_owned());
            if lost {
                cluster.deployments.clear();
                cluster.pods.clear();
            } else {
                cluster.change(|spec| spec.suspend = true);
                cluster.until("Suspended", false);
                cluster.change(|spec| spec.suspend = false);
            }
            let since = cluster.now;
            while !cluster.deployments.contains_key(&back) {
                assert!(
                    cluster.now < since + 10 && cluster.checks.is_empty(),
                    "{:?}",
                    cluster.status
                );
                cluster.step();
            }
            cluster.until("Running", true);
            assert!(!happened(&cluster, "PreflightFailed"));
        }
    }
}

#[test]
fn a_restore_that_fails_for_good_is_rolled_back_as_long_as_nothing_is_lost_by_that() {
    for published in [false, true] {
        let mut cluster = running();
        let newest = cluster.status.checkpoint.clone().expect("a checkpoint");
        let good = cluster.wanted();
        cluster.change(|spec| spec.state.restore = restore(5));
        given_up(&mut cluster);
        cluster.status.checkpoint = None;
        if published {
            cluster.checkpoint();
        }
        cluster.ends("FAILED");
        cluster.healthy = true;
        cluster.until(if published { "Failed" } else { "Running" }, !published);
        assert_eq!(happened(&cluster, "Rollback"), !published);
        let current = cluster.status.current_revision.clone().expect("a revision");
        if !published {
            // Its own identity hasn't ended: the log under it has the newest checkpoint.
            let identity = &cluster.recorded[&good].cluster_id;
            assert!(newest.path.contains(&job_id(identity, 0).to_string()));
        }
        assert_eq!(current == good, !published);
    }
}

#[test]
fn a_job_that_fails_while_its_rollback_is_checked_is_rolled_back_all_the_same() {
    let mut cluster = running();
    let (good, bad) = given_up(&mut cluster);
    cluster.check = Check::UnderWay;
    while cluster.checks.is_empty() {
        cluster.step();
    }
    cluster.ends("FAILED");
    cluster.healthy = true;
    cluster.check = Check::Passed;
    cluster.until("Running", true);
    let back = cluster.status.current_revision.clone().expect("a revision");
    let [back, good, bad] = [&back, &good, &bad].map(|name| &cluster.recorded[name]);
    assert_eq!(back.spec.image, good.spec.image);
    assert_ne!(back.cluster_id, bad.cluster_id);
    assert_eq!(times(&cluster, "Rollback"), 1);
}
