//! An upgrade by the strategy `Warm`: the new revision's pods are ready before the old job stops.
//!
//! 1. `Check`: the new program is asked whether it can read the old one's state.
//! 2. `Prepare`: one JobManager of the new revision comes beside the old ones, and gets as many
//!    TaskManagers ready as the job needs. It can't lead: the Lease names the old revision.
//! 3. `Checkpoint`: the old job's state is secured.
//! 4. `Switch`: the old JobManagers go, but not their Deployment, and the Lease names the new
//!    revision. Once that leads, the old Deployment goes, and the new revision has to prove stable
//!    as after any upgrade.
//!
//! What fails before the new revision leads changes nothing for good: it is given up, and the old
//! one goes on, or comes back to the Lease. So the old revision has to be one that can be gone back
//! to: stable, and with the same state in the same place. Where it isn't, pods go before others
//! come, as by `Recreate`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::action::{Action, Decision, Event, Situation};
use super::decide::{START, after, begin, begun, enter, is_over};
use super::facts::{DeploymentFact, Facts};
use super::lineage::Lineage;
use super::preflight::{self, CHECK};
use super::running;
use super::secure::{self, Secured, Wish};
use crate::pod_template::Role;
use crate::resource::{FlinkApplicationSpec, Operation, UpgradeStrategy};

const PREPARE: &str = "Prepare";
const CHECKPOINT: &str = "Checkpoint";
const SWITCH: &str = "Switch";

/// How long the new revision may take to lead, in seconds: nothing runs meanwhile. Its JobManager
/// runs already and looks at the Lease twice a second.
const LEAD_WITHIN: i64 = 60;
/// How often that time begins anew because the old JobManagers weren't even told to go: whoever
/// decided the switch ended, or the API server refused it.
const SWITCH_ATTEMPTS_MAX: i32 = 5;

/// Whether an upgrade to this revision is one of these: it is under way as one, or can be.
pub(super) fn applies(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    wanted: &str,
    rollback: bool,
) -> bool {
    let Some(old) = facts.deployed().filter(|old| !old.deleting && old.revision != wanted) else {
        return false;
    };
    let location = |spec: &FlinkApplicationSpec| spec.state.checkpoints.location.clone();
    let goes_on = facts.record(&old.revision).is_some_and(|record| {
        record.cluster_id == Lineage::of_revision(facts, spec, wanted).cluster_id
            && location(&record.spec) == location(spec)
    });
    // Without a store there is nothing that keeps two leaders apart.
    let can = !rollback
        && spec.upgrade.strategy == UpgradeStrategy::Warm
        && location(spec).is_some()
        && facts.status.stable_revision.as_ref() == Some(&old.revision)
        && goes_on;
    let under_way = facts.status.operation.as_ref();
    let under_way = under_way.filter(|each| each.target.as_deref() == Some(wanted));
    match under_way {
        Some(operation) => can && is_step(&operation.step),
        None => can && facts.leader_runs() && is_running(facts, &old.revision),
    }
}

/// Whether an operation that has come to this step is a Warm upgrade before the new revision leads.
pub(super) fn is_step(step: &str) -> bool {
    [CHECK, PREPARE, CHECKPOINT, SWITCH].contains(&step)
}

fn is_running(facts: &Facts, revision: &str) -> bool {
    facts.job_of(revision).is_some_and(|job| job.state == "RUNNING")
}

/// Carries the upgrade on, up to the step in which the Lease names the new revision.
pub(super) fn upgrade(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    wanted: &str,
    now: &Time,
    decision: &mut Decision,
) {
    let Some(old) = facts.deployed() else { return };
    decision.situation = Situation::Upgrading;
    let deadline = after(now, spec.upgrade.progress_deadline_seconds);
    let mut operation = begin(facts, "Upgrade", (Some(wanted), CHECK), now, &deadline);
    decision.actions.extend(begun(facts, &operation).into_iter().map(Action::Publish));
    let next = |operation: &mut Operation, step: &str| {
        let seconds = spec.upgrade.progress_deadline_seconds;
        let within = if step == SWITCH { LEAD_WITHIN.min(seconds) } else { seconds };
        enter(operation, step, now, after(now, within));
    };
    keep_old(facts, spec, old, now, decision);
    if operation.step == CHECK && preflight::check(facts, spec, wanted, &operation, now, decision) {
        next(&mut operation, PREPARE);
    }
    let mut failed = None;
    if operation.step == PREPARE {
        let missing = missing(facts, spec, wanted);
        if missing == 0 {
            next(&mut operation, CHECKPOINT);
        } else if is_over(&operation, now) {
            failed = Some(format!("{missing} of its TaskManagers weren't ready in time"));
        }
    }
    if operation.step == CHECKPOINT {
        let wish = Wish::before_upgrade(spec);
        match secure::secure(facts, spec, wish, &operation, now, decision) {
            Secured::Yes | Secured::NotRunning => next(&mut operation, SWITCH),
            Secured::NotYet if is_over(&operation, now) => {
                failed = Some(format!("{} didn't come about in time", wish.described()));
            }
            Secured::NotYet => {}
        }
    }
    if let Some(why) = failed {
        give_up(wanted, &old.revision, &why, decision);
        decision.situation = match is_running(facts, &old.revision) {
            true => Situation::Running { stable: true },
            false => Situation::RollingBack,
        };
        return;
    }
    turn(facts, &operation.step, (&old.revision, wanted), decision);
    match operation.step.as_str() {
        PREPARE | CHECKPOINT => prepare(facts, spec, wanted, decision),
        SWITCH => switch(facts, spec, wanted, decision),
        _ => {}
    }
    decision.again_at =
        [decision.again_at.take(), operation.deadline.clone()].into_iter().flatten().min();
    decision.operation = Some(operation);
}

/// Who may lead in this step, and who gets ready.
fn turn(facts: &Facts, step: &str, (old, wanted): (&str, &str), decision: &mut Decision) {
    let (leading, preparing) = match step {
        PREPARE | CHECKPOINT => (old, Some(wanted)),
        SWITCH => (wanted, None),
        _ => (old, None),
    };
    // The JobManagers that led go first: at no time could they and the next one both be told to.
    let others = facts.deployments.iter().filter(|each| each.revision != leading);
    let others = others.filter(|each| step == SWITCH && each.replicas != 0 && !each.deleting);
    decision.actions.extend(
        others.map(|each| Action::SetReplicas { revision: each.revision.clone(), replicas: 0 }),
    );
    decision.actions.push(Action::ApplyApplication {
        leading: Some(leading.to_owned()),
        preparing: preparing.map(str::to_owned),
    });
}

/// The old revision stays as it is, and savepoints of its job are taken.
fn keep_old(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    old: &DeploymentFact,
    now: &Time,
    decision: &mut Decision,
) {
    let (revision, replicas) = (old.revision.clone(), old.replicas);
    let job = facts.job_of(&revision).filter(|_| facts.leader_runs());
    if let Some(job) = job.filter(|job| job.state == "RUNNING") {
        running::savepoints(facts, spec, job, now, decision);
    }
    decision.actions.push(Action::KeepRevision { revision, replicas });
}

/// The new revision comes, or stays, with one JobManager: two would each get TaskManagers ready.
fn prepare(facts: &Facts, spec: &FlinkApplicationSpec, wanted: &str, decision: &mut Decision) {
    let (revision, replicas) = (wanted.to_owned(), 1);
    if facts.deployments.iter().any(|each| each.revision == wanted) {
        decision.actions.push(Action::KeepRevision { revision, replicas });
        return;
    }
    let Lineage { cluster_id, begin_with } = Lineage::of_revision(facts, spec, wanted);
    let prepare = Action::PrepareRevision { revision, cluster_id, replicas, begin_with };
    decision.actions.push(prepare);
}

/// The new revision counts as the current one from now on.
fn switch(facts: &Facts, spec: &FlinkApplicationSpec, wanted: &str, decision: &mut Decision) {
    let Lineage { cluster_id, begin_with } = Lineage::of_revision(facts, spec, wanted);
    let revision = wanted.to_owned();
    let start = Action::StartRevision { revision, cluster_id, replicas: 1, begin_with };
    decision.actions.push(start);
    decision.actions.push(Action::Publish(Event {
        reason: "Submit",
        warning: false,
        message: format!("revision {wanted} is ready and takes over"),
        key: format!("{wanted} {}", facts.generation),
    }));
    decision.current = Some(wanted.to_owned());
}

/// How many TaskManagers of a revision are missing that its job needs, or are to be spare. By its
/// record: that is what its JobManager is set to.
fn missing(facts: &Facts, spec: &FlinkApplicationSpec, revision: &str) -> usize {
    let spec = facts.record(revision).map_or(spec, |record| &record.spec);
    let count = |number: i32| usize::try_from(number).unwrap_or(0);
    let of_job = count(spec.job.parallelism).div_ceil(count(spec.task_manager.slots).max(1));
    let needed = of_job + count(spec.task_manager.standby);
    let ready = facts
        .pods
        .iter()
        .filter(|pod| pod.ready && pod.revision == revision && pod.role == Some(Role::TaskManager));
    needed.saturating_sub(ready.count())
}

/// The Lease names the new revision, which doesn't lead yet, or has just begun to: carries that on.
/// Whether it was so.
pub(super) fn is_switching(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    current: &str,
    now: &Time,
    decision: &mut Decision,
) -> bool {
    let Some(operation) = &facts.status.operation else { return false };
    if operation.step != SWITCH || operation.target.as_deref() != Some(current) {
        return false;
    }
    let mut operation = operation.clone();
    decision.situation = Situation::Upgrading;
    let old = facts.deployments.iter().find(|each| {
        each.revision != current
            && !each.deleting
            && facts.status.stable_revision.as_ref() == Some(&each.revision)
    });
    // Without one to go back to it is like any revision that was started.
    if facts.leads(current) || old.is_none() {
        let deadline = after(now, spec.upgrade.progress_deadline_seconds);
        enter(&mut operation, START, now, deadline);
        for other in facts.deployments.iter().filter(|each| each.revision != current) {
            decision.actions.push(Action::StopRevision { revision: other.revision.clone() });
        }
    } else if let Some(old) = old
        && is_over(&operation, now)
        && (old.replicas == 0 || operation.attempt >= SWITCH_ATTEMPTS_MAX)
    {
        give_up(current, &old.revision, "it didn't lead in time", decision);
        decision.current = Some(old.revision.clone());
        decision.situation = Situation::RollingBack;
        return true;
    }
    if operation.step == SWITCH && is_over(&operation, now) {
        // It wasn't performed: the Lease never named the new revision.
        operation.attempt += 1;
        let within = LEAD_WITHIN.min(spec.upgrade.progress_deadline_seconds);
        enter(&mut operation, SWITCH, now, after(now, within));
    }
    if !facts.was_started_last(current) {
        switch(facts, spec, current, decision);
    }
    let old = old.map_or("", |old| old.revision.as_str());
    if operation.step == SWITCH {
        turn(facts, SWITCH, (old, current), decision);
    } else {
        let leading = Some(current.to_owned());
        decision.actions.push(Action::ApplyApplication { leading, preparing: None });
    }
    decision.again_at = operation.deadline.clone();
    decision.operation = Some(operation);
    true
}

/// The new revision isn't tried again before the spec changes.
fn give_up(wanted: &str, old: &str, why: &str, decision: &mut Decision) {
    decision.given_up = Some(wanted.to_owned());
    decision.operation = None;
    decision.actions.push(Action::Publish(Event {
        reason: "Rollback",
        warning: true,
        message: format!(
            "revision {wanted} is given up before its job ran: {why}; {old} goes on. It isn't \
             tried again before the spec changes"
        ),
        key: wanted.to_owned(),
    }));
}
