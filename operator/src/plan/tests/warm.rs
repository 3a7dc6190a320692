//! Upgrades by `Warm`, played through.

use serde_json::json;

use super::cluster::{Cluster, at, condition, happened};
use crate::plan::Check;
use crate::resource::{Restore, RestoreSource, UpgradeMode, UpgradeStrategy};

/// The steps up to the moment at which the new revision leads.
const STEPS: [&str; 4] = ["Check", "Prepare", "Checkpoint", "Switch"];

/// An application that upgrades by `Warm` and runs; and its revision.
fn running() -> (Cluster, String) {
    let mut cluster = Cluster::new();
    cluster.spec.upgrade.strategy = UpgradeStrategy::Warm;
    cluster.until("Running", true);
    let old = cluster.wanted();
    (cluster, old)
}

fn step_of(cluster: &Cluster) -> String {
    cluster.status.operation.as_ref().map(|each| each.step.clone()).unwrap_or_default()
}

fn leads(cluster: &Cluster) -> String {
    cluster.status.job_manager.as_ref().map(|each| each.leader.clone()).unwrap_or_default()
}

/// An upgrade that stands in this step, and doesn't get out of it by itself; the old revision and
/// the new one.
fn standing_in(step: &str) -> (Cluster, String, String) {
    let (mut cluster, old) = running();
    cluster.change(|spec| spec.image = "new".to_owned());
    let new = cluster.wanted();
    match step {
        "Check" => cluster.check = Check::UnderWay,
        "Prepare" => cluster.prepares = false,
        "Checkpoint" => {}
        _ => cluster.healthy = false,
    }
    for _ in 0..100 {
        // A checkpoint that comes by itself would do.
        if step == "Checkpoint" && step_of(&cluster) == "Prepare" {
            cluster.checkpoints = false;
        }
        cluster.step();
        if step_of(&cluster) == step {
            return (cluster, old, new);
        }
    }
    panic!("it never comes to {step}: {:?}", cluster.status);
}

/// Whatever kept it from going on is over.
fn heal(cluster: &mut Cluster) {
    cluster.healthy = true;
    cluster.prepares = true;
    cluster.checkpoints = true;
    cluster.check = Check::Passed;
    for check in &mut cluster.checks {
        check.1 = Check::Passed;
    }
}

fn only(cluster: &Cluster, revision: &str) {
    assert_eq!(cluster.deployments.keys().collect::<Vec<_>>(), [revision]);
    assert!(cluster.pods.iter().all(|pod| pod.revision == revision), "{:?}", cluster.pods);
    assert!(leads(cluster).starts_with(revision), "{}", leads(cluster));
}

#[test]
fn the_new_pods_are_ready_before_the_old_job_stops_and_its_state_is_secured_last() {
    let (mut cluster, old) = running();
    let (leader, before) = (leads(&cluster), cluster.status.checkpoint.clone().expect("one").id);
    cluster.change(|spec| {
        spec.image = "new".to_owned();
        spec.job_manager.replicas = 2;
    });
    let new = cluster.wanted();
    let mut steps = Vec::new();
    while cluster.deployments.contains_key(&old) {
        cluster.step();
        let step = step_of(&cluster);
        if steps.last() != Some(&step) {
            steps.push(step.clone());
        }
        if step != "Switch" && step != "Start" {
            assert_eq!(leads(&cluster), leader, "the old job runs on in {step}");
            assert_eq!(cluster.turn.0.as_ref(), Some(&old));
        } else {
            let needed = cluster.spec.job.parallelism / cluster.spec.task_manager.slots;
            assert!(cluster.task_managers(&new) >= usize::try_from(needed).expect("a number"));
            let newest = cluster.status.checkpoint.clone().expect("one").id;
            assert!(newest > before, "its state was secured first");
        }
    }
    assert_eq!(steps, ["Check", "Prepare", "Checkpoint", "Switch", "Start"]);
    cluster.until("Running", true);
    only(&cluster, &new);
    assert_eq!(cluster.deployments[&new].replicas, 2, "the others come when it leads");
    assert_eq!(cluster.turn, (Some(new.clone()), None));
    assert_eq!(cluster.recorded[&old].cluster_id, cluster.recorded[&new].cluster_id);
    assert!(cluster.recorded[&new].number > cluster.recorded[&old].number);
    assert!(!happened(&cluster, "Rollback"));
    // And back again by the same way: the record is there already.
    let first = cluster.recorded[&old].spec.image.clone();
    cluster.change(|spec| spec.image = first);
    assert_eq!(cluster.wanted(), old);
    cluster.until("Upgrading", false);
    cluster.until("Running", true);
    only(&cluster, &old);
    assert!(cluster.recorded[&old].number > cluster.recorded[&new].number);
}

#[test]
fn with_mode_savepoint_one_is_taken_when_the_new_pods_are_ready() {
    let (mut cluster, _) = running();
    cluster.change(|spec| {
        spec.image = "new".to_owned();
        spec.upgrade.mode = UpgradeMode::Savepoint;
    });
    let new = cluster.wanted();
    cluster.until("Running", true);
    let taken = cluster.status.savepoints.iter().find(|each| each.token.starts_with("upgrade-"));
    assert!(taken.is_some(), "{:?}", cluster.status.savepoints);
    only(&cluster, &new);
}

#[test]
fn what_fails_before_the_new_revision_leads_is_given_up_and_the_old_one_goes_on() {
    for (step, within) in [("Prepare", 600), ("Checkpoint", 600), ("Switch", 60)] {
        let (mut cluster, old, new) = standing_in(step);
        let (since, leader) = (cluster.now, leads(&cluster));
        while cluster.deployments.contains_key(&new) {
            assert!(cluster.now <= since + within + 5, "{step}");
            cluster.step();
        }
        assert!(cluster.now >= since + within - 5, "{step}: it had its time");
        heal(&mut cluster);
        if step == "Switch" {
            // Its JobManagers were gone, and nothing was healthy when they came back.
            cluster.lose_job_managers(&old);
        }
        cluster.until("Running", true);
        only(&cluster, &old);
        assert_eq!(leads(&cluster) == leader, step != "Switch", "{step}: nothing was stopped");
        assert_eq!(cluster.turn, (Some(old.clone()), None), "{step}");
        assert!(happened(&cluster, "Rollback"), "{step}");
        assert_eq!(condition(&cluster, "RolledBack").expect("it is said").0, "True", "{step}");
        for _ in 0..700 {
            cluster.step();
            assert!(!cluster.deployments.contains_key(&new), "{step}: tried again");
        }
        cluster.change(|spec| spec.image = "mended".to_owned());
        cluster.until("Running", true);
        only(&cluster, &cluster.wanted());
        assert_eq!(condition(&cluster, "RolledBack"), None);
    }
}

#[test]
fn while_the_new_pods_come_the_old_leader_is_the_one_that_it_was() {
    let (mut cluster, old, _) = standing_in("Prepare");
    let leader = leads(&cluster);
    cluster.token = Some("meanwhile".to_owned());
    for _ in 0..500 {
        cluster.step();
        assert_eq!((leads(&cluster), &cluster.turn.0), (leader.clone(), &Some(old.clone())));
    }
    assert!(cluster.status.savepoints.iter().any(|each| each.token == "meanwhile"));
}

#[test]
fn an_operator_that_ends_anywhere_and_is_started_again_carries_it_through() {
    // After which decision, and after how many of its actions.
    for decisions in 0..12 {
        for actions in 0..6 {
            let (mut cluster, _) = running();
            cluster.change(|spec| spec.image = "new".to_owned());
            let new = cluster.wanted();
            for _ in 0..decisions {
                cluster.step();
            }
            cluster.step_partly(actions);
            cluster.until("Running", true);
            only(&cluster, &new);
        }
    }
}

#[test]
fn a_switch_that_was_decided_and_not_performed_in_time_is_performed_and_not_given_up() {
    let mut tried = 0;
    for decisions in 0..20 {
        let (mut cluster, old) = running();
        cluster.change(|spec| spec.image = "new".to_owned());
        let new = cluster.wanted();
        for _ in 0..decisions {
            cluster.step();
        }
        cluster.step_partly(0);
        let replicas = cluster.deployments.get(&old).map_or(0, |each| each.replicas);
        if step_of(&cluster) == "Switch" && replicas != 0 {
            tried += 1;
            cluster.now += 600;
            cluster.until("Running", true);
            only(&cluster, &new);
            assert!(!happened(&cluster, "Rollback "), "{:?}", cluster.events);
        }
    }
    assert!(tried > 0, "it never stood there");
}

#[test]
fn an_operator_that_ends_anywhere_on_the_way_back_carries_that_through() {
    for decisions in 55..66 {
        for actions in 0..6 {
            let (mut cluster, old, new) = standing_in("Switch");
            for _ in 0..decisions {
                cluster.step();
            }
            cluster.step_partly(actions);
            for _ in 0..10 {
                cluster.step();
            }
            heal(&mut cluster);
            cluster.lose_job_managers(&old);
            cluster.until("Running", true);
            only(&cluster, &old);
            assert!(!cluster.deployments.contains_key(&new));
        }
    }
}

#[test]
fn a_newer_spec_supersedes_it_in_every_step() {
    for step in STEPS {
        let (mut cluster, _, new) = standing_in(step);
        heal(&mut cluster);
        cluster.change(|spec| spec.image = "newer".to_owned());
        cluster.until("Running", true);
        only(&cluster, &cluster.wanted());
        assert!(!cluster.deployments.contains_key(&new), "{step}");
        assert!(!happened(&cluster, "Rollback"), "{step}");
    }
}

#[test]
fn asked_for_the_old_spec_again_it_goes_back_in_every_step() {
    for step in STEPS {
        let (mut cluster, old, _) = standing_in(step);
        let leader = leads(&cluster);
        heal(&mut cluster);
        let image = cluster.recorded[&old].spec.image.clone();
        cluster.change(|spec| spec.image = image);
        cluster.until("Running", true);
        only(&cluster, &old);
        assert_eq!(leads(&cluster) == leader, step != "Switch", "{step}: nothing was stopped");
    }
}

#[test]
fn another_strategy_midway_upgrades_by_that() {
    for step in ["Check", "Prepare", "Checkpoint"] {
        let (mut cluster, _, new) = standing_in(step);
        heal(&mut cluster);
        cluster.change(|spec| spec.upgrade.strategy = UpgradeStrategy::Recreate);
        let mut alone = false;
        while step_of(&cluster) != "Start" {
            cluster.step();
            alone |= cluster.deployments.is_empty();
        }
        assert!(alone, "{step}: the old pods go first");
        cluster.until("Running", true);
        only(&cluster, &new);
    }
}

#[test]
fn the_old_job_manager_may_be_lost_in_every_step() {
    for step in ["Check", "Prepare", "Checkpoint"] {
        let (mut cluster, old, new) = standing_in(step);
        let leader = leads(&cluster);
        cluster.lose_job_managers(&old);
        assert!(leads(&cluster) != leader && leads(&cluster).starts_with(&old), "{step}");
        heal(&mut cluster);
        cluster.until("Running", true);
        only(&cluster, &new);
    }
}

#[test]
fn suspending_and_deleting_end_everything_in_every_step() {
    for step in STEPS {
        let (mut cluster, _, _) = standing_in(step);
        heal(&mut cluster);
        cluster.change(|spec| spec.suspend = true);
        cluster.until("Suspended", false);
        assert!(cluster.deployments.is_empty() && cluster.pods.is_empty(), "{step}");
        cluster.change(|spec| spec.suspend = false);
        cluster.until("Running", true);
        only(&cluster, &cluster.wanted());

        let (mut cluster, _, _) = standing_in(step);
        heal(&mut cluster);
        cluster.deleting_since = Some(cluster.now);
        for _ in 0..301 {
            cluster.step();
        }
        assert!(cluster.gone && cluster.deployments.is_empty(), "{step}");
        assert!(!happened(&cluster, "CleanupFailed"), "{step}");
    }
}

#[test]
fn an_invalid_spec_midway_stops_nothing_that_runs() {
    for step in STEPS {
        let (mut cluster, old, new) = standing_in(step);
        let leader = leads(&cluster);
        cluster.change(|spec| drop(spec.configuration.insert("a.password".into(), "x".into())));
        for _ in 0..100 {
            cluster.step();
            assert_eq!(condition(&cluster, "Stalled").expect("it is said").1, "InvalidSpec");
        }
        // What was only being got ready has gone; what didn't lead in time has given the turn back.
        assert_eq!(cluster.deployments.keys().collect::<Vec<_>>(), [&old], "{step}");
        assert!(step == "Switch" || leads(&cluster) == leader, "{step}");
        heal(&mut cluster);
        cluster.lose_job_managers(&old);
        assert!(leads(&cluster).starts_with(&old), "{step}");
        cluster.change(|spec| drop(spec.configuration.remove("a.password")));
        cluster.until("Running", true);
        let wanted = if step == "Switch" { &old } else { &new };
        only(&cluster, wanted);
    }
}

#[test]
fn a_revision_that_leads_and_does_not_prove_stable_is_rolled_back_like_any_other() {
    let (mut cluster, old) = running();
    cluster.change(|spec| spec.image = "flaky".to_owned());
    let bad = cluster.wanted();
    while !leads(&cluster).starts_with(&bad) {
        cluster.step();
    }
    cluster.status.job.as_mut().expect("a job").restarts = Some(9);
    cluster.until("RollingBack", false);
    assert!(!cluster.deployments.contains_key(&old), "it had gone");
    cluster.until("Running", true);
    only(&cluster, &old);
    assert_eq!(condition(&cluster, "RolledBack").expect("it is said").0, "True");
}

#[test]
fn a_job_that_has_ended_meanwhile_is_run_again_as_after_any_end() {
    for step in ["Check", "Prepare", "Checkpoint"] {
        let (mut cluster, old, new) = standing_in(step);
        cluster.status.job.as_mut().expect("a job").state = "FAILED".to_owned();
        heal(&mut cluster);
        assert_ne!(cluster.wanted(), new, "what has ended under an identity stays ended");
        cluster.until("Running", true);
        only(&cluster, &cluster.wanted());
        let [before, after] = [&old, &cluster.wanted()].map(|name| &cluster.recorded[name]);
        assert_ne!(before.cluster_id, after.cluster_id, "{step}");
    }
}

/// Whether the pods of two revisions were there at once, until the wanted one is stable.
fn were_beside_each_other(cluster: &mut Cluster) -> bool {
    let mut both = false;
    for _ in 0..2_000 {
        cluster.step();
        both |= cluster.deployments.len() > 1;
        if cluster.status.stable_revision.as_ref() == Some(&cluster.wanted()) {
            return both;
        }
    }
    panic!("never stable: {:?}", cluster.status);
}

#[test]
fn where_there_would_be_no_way_back_the_old_pods_go_first() {
    let (mut cluster, _) = running();
    cluster.change(|spec| spec.image = "new".to_owned());
    assert!(were_beside_each_other(&mut cluster), "the ordinary case");

    // Another state, which the old revision can't go on with.
    let from = RestoreSource { path: Some("s3://b/savepoint".to_owned()), empty: None };
    cluster.change(|spec| spec.state.restore = Some(Restore { from, at: at(1) }));
    assert!(!were_beside_each_other(&mut cluster));
    // Another place, where nothing keeps the old leader out.
    cluster.change(|spec| spec.state.checkpoints.location = Some("s3://other/b".to_owned()));
    assert!(!were_beside_each_other(&mut cluster));
    // A job that doesn't run has nothing to lose.
    cluster.change(|spec| spec.image = "newer".to_owned());
    cluster.status.job.as_mut().expect("a job").state = "RESTARTING".to_owned();
    assert!(!were_beside_each_other(&mut cluster));
    // Nor has a revision that hasn't proved stable.
    cluster.change(|spec| spec.image = "first".to_owned());
    cluster.until("Running", false);
    cluster.change(|spec| spec.image = "second".to_owned());
    while step_of(&cluster) != "Start" {
        cluster.step();
    }
    assert_eq!(json!(cluster.deployments.len()), json!(1));
    cluster.change(|spec| spec.image = "third".to_owned());
    assert!(!were_beside_each_other(&mut cluster));
}
