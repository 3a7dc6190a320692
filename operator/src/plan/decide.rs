//! The decision: from facts and the time to what is to be done. The rules, the first that applies:
//!
//! 1. A resource that is being deleted: its state is secured as its policy says, its pods go, and
//!    it goes; at the latest when its time is over.
//! 2. An invalid spec isn't acted upon: the last valid one goes on.
//! 3. A job that has ended: its pods go; the resource stays with the result until its time to live
//!    is over. A new revision runs it again. One that has failed before its revision proved stable
//!    is rolled back.
//! 4. Suspended: a final checkpoint, then its pods go.
//! 5. Another revision is deployed than the one that is wanted: an upgrade. The old state is
//!    secured, the old pods go, and only when they are gone the new ones come; by the strategy
//!    `Warm` the new ones come first (`warm`).
//! 6. The wanted revision is deployed: it is watched until it is stable, or rolled back; and what
//!    can be changed in place is.
//!
//! Every step has a deadline, is harmless when repeated, and is left as soon as the spec asks for
//! something else. Not here: how any of it is done.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::action::{Action, Decision, Event, Situation};
use super::erase;
use super::facts::{DeploymentFact, Facts, has_ended};
use super::lineage::Lineage;
use super::notice;
use super::preflight;
use super::report::too_old_from;
use super::rollback;
use super::running;
use super::secure::{self, Secured, Wish};
use super::warm;
use crate::resource::{DeletionPolicy, FlinkApplicationSpec, FlinkApplicationStatus, Operation};

/// The steps of an operation: the old state is secured, the old revision goes, the new one comes.
pub(super) const SECURE: &str = "Secure";
const STOP: &str = "Stop";
pub(super) const START: &str = "Start";
/// The operation that makes again what somebody has deleted.
const RECOVER: &str = "Recover";

/// Decides what is to be done. In whole seconds, which is what is left of a moment once it has been
/// written into a resource: what follows from it must be the same before that and after.
pub fn decide(facts: &Facts, now: Time) -> Decision {
    let now = Time(Timestamp::from_second(now.0.as_second()).unwrap_or(now.0));
    let mut decision = rules(facts, &now);
    let notices = notice::notices(facts, &decision, &now);
    decision.actions.extend(notices.into_iter().map(Action::Publish));
    let unsafe_at = unsafe_at(facts).filter(|moment| *moment > now);
    decision.again_at = [decision.again_at, unsafe_at].into_iter().flatten().min();
    // What was due has been done: only a change leads to more.
    decision.again_at = decision.again_at.filter(|moment| *moment > now);
    decision
}

/// When the newest checkpoint is too old, if no other comes.
fn unsafe_at(facts: &Facts) -> Option<Time> {
    let runs = facts.status.job.as_ref().is_some_and(|job| job.state == "RUNNING");
    too_old_from(facts).filter(|_| runs)
}

fn rules(facts: &Facts, now: &Time) -> Decision {
    let given_up = facts.given_up();
    let mut decision = Decision {
        actions: Vec::new(),
        spec: facts.spec.clone(),
        situation: Situation::Deploying,
        operation: None,
        current: facts.deployed().map(|deployed| deployed.revision.clone()),
        stable: facts.status.stable_revision.clone(),
        given_up,
        compatible: None,
        again_at: None,
    };
    if let Some(since) = &facts.deleting_since {
        delete(facts, since, now, &mut decision);
        return decision;
    }
    if !facts.has_finalizer {
        decision.actions.push(Action::AddFinalizer);
    }
    let Some((spec, wanted)) = effective(facts, now, &mut decision) else { return decision };
    if decision.given_up.is_none() && rollback::stable_has_ended(facts, &spec, &wanted) {
        decision.stable = None;
    }
    if ended(facts, &spec, &wanted, now, &mut decision) {
        return decision;
    }
    if spec.suspend {
        suspend(facts, &spec, now, &mut decision);
    } else {
        run(facts, &spec, &wanted, now, &mut decision);
    }
    decision
}

/// The spec that is acted upon, and its revision: the user's, or the last valid one, or the stable
/// one while the user's was given up.
fn effective(
    facts: &Facts,
    now: &Time,
    decision: &mut Decision,
) -> Option<(FlinkApplicationSpec, String)> {
    let problems: Vec<String> = facts.problems.iter().map(ToString::to_string).collect();
    if !problems.is_empty() {
        invalid(facts, ("InvalidSpec", problems.join("; ")), now, decision);
        return None;
    }
    if let Some(message) = &facts.refused
        && facts.needs_admission()
    {
        invalid(facts, ("InvalidPodTemplate", message.clone()), now, decision);
        return None;
    }
    if let Some((_, stable)) = facts.given_up_for() {
        // What isn't part of a revision is the user's: suspend, parallelism, policies.
        let mut spec = stable.spec.clone();
        spec.suspend = facts.spec.suspend;
        spec.job.parallelism = facts.spec.job.parallelism.min(spec.job.max_parallelism);
        spec.job_manager.replicas = facts.spec.job_manager.replicas;
        spec.upgrade = facts.spec.upgrade.clone();
        spec.deletion = facts.spec.deletion.clone();
        decision.spec = spec.clone();
        let target = rollback::target(facts, stable, &spec);
        return Some((spec, target));
    }
    decision.given_up = None;
    Some((facts.spec.clone(), facts.wanted.clone()))
}

/// A spec that isn't acted upon. The revision that is deployed goes on as it is.
fn invalid(
    facts: &Facts,
    (reason, message): (&'static str, String),
    now: &Time,
    decision: &mut Decision,
) {
    decision.actions.push(Action::Publish(Event {
        reason: "ValidationError",
        warning: true,
        message: message.clone(),
        key: format!("{reason} {}", facts.generation),
    }));
    decision.situation = Situation::Stalled { reason, message };
    decision.operation = facts.status.operation.clone();
    let Some(deployed) = facts.deployed().filter(|deployed| !deployed.deleting) else { return };
    let (revision, replicas) = (deployed.revision.clone(), deployed.replicas);
    if facts.job_of(&revision).is_some_and(|job| has_ended(&job.state)) {
        stop_all(facts, decision);
        return;
    }
    let Some(record) = facts.record(&revision) else { return };
    decision.spec = record.spec.clone();
    let situation = decision.situation.clone();
    if warm::is_switching(facts, &record.spec, &revision, now, decision) {
        decision.situation = situation;
        return;
    }
    others_go(facts, &revision, decision);
    // An upgrade that was being prepared begins anew with a spec that is valid.
    decision.operation = decision.operation.take().filter(|each| !warm::is_step(&each.step));
    let leading = Some(revision.clone());
    decision.actions.push(Action::ApplyApplication { leading, preparing: None });
    if replicas == 0 {
        // It has come back from an upgrade that didn't come about.
        let replicas = record.spec.job_manager.replicas;
        decision.actions.push(Action::SetReplicas { revision, replicas });
        return;
    }
    decision.spec.job_manager.replicas = replicas;
    decision.actions.push(Action::KeepRevision { revision, replicas });
}

/// What doesn't lead and isn't asked for any more goes: it was got ready for an upgrade that isn't
/// to be, or has led before one.
fn others_go(facts: &Facts, revision: &str, decision: &mut Decision) {
    let others = facts.deployments.iter().filter(|each| each.revision != revision);
    for other in others.filter(|each| !each.deleting) {
        decision.actions.push(Action::StopRevision { revision: other.revision.clone() });
    }
}

fn delete(facts: &Facts, since: &Time, now: &Time, decision: &mut Decision) {
    decision.situation = Situation::Deleting;
    if !facts.has_finalizer {
        return;
    }
    let deletion = &facts.spec.deletion;
    let deadline = after(since, deletion.timeout_seconds);
    let operation = begin(facts, "Delete", (None, SECURE), now, &deadline);
    let wish = match deletion.policy {
        DeletionPolicy::Retain => Wish::Checkpoint,
        DeletionPolicy::Savepoint => Wish::LastSavepoint,
        DeletionPolicy::Delete => {
            decision.operation = Some(operation);
            erase::delete(facts, deadline, now, decision);
            return;
        }
    };
    let secured = secure::secure(facts, &facts.spec, wish, &operation, now, decision);
    decision.operation = Some(operation);
    if *now >= deadline {
        if secured != Secured::Yes {
            decision.actions.push(Action::Publish(Event {
                reason: "CleanupFailed",
                warning: true,
                message: format!(
                    "deletion.timeoutSeconds ({}) have passed: the resource goes without {}; what \
                     was published before stays",
                    deletion.timeout_seconds,
                    wish.described()
                ),
                key: facts.identity.uid.clone(),
            }));
        }
        stop_all(facts, decision);
        decision.actions.push(Action::RemoveFinalizer);
        return;
    }
    decision.again_at = Some(deadline);
    if secured == Secured::NotYet {
        return;
    }
    stop_all(facts, decision);
    if facts.deployments.is_empty() && facts.pods.is_empty() {
        decision.actions.push(Action::Publish(Event {
            reason: "Cleanup",
            warning: false,
            message: match secured {
                Secured::NotRunning => "the application was stopped; its job wasn't running, so \
                                        its state is that of the newest checkpoint"
                    .to_owned(),
                _ => format!("the application was stopped, after {}", wish.described()),
            },
            key: facts.identity.uid.clone(),
        }));
        decision.actions.push(Action::RemoveFinalizer);
    }
}

/// Rule 3; whether it applied.
fn ended(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    wanted: &str,
    now: &Time,
    decision: &mut Decision,
) -> bool {
    let given_up = decision.given_up.clone().filter(|each| !rollback::survives(facts, each));
    let candidates = [Some(wanted), given_up.as_deref(), finished_before(facts, spec)];
    let found = candidates.into_iter().flatten().find_map(|revision| {
        let job = facts.job_of(revision).filter(|job| has_ended(&job.state))?;
        Some((revision, job))
    });
    let Some((revision, job)) = found else { return false };
    stop_all(facts, decision);
    decision.current = Some(revision.to_owned());
    let finished = job.state == "FINISHED";
    decision.actions.push(Action::Publish(Event {
        reason: "JobStatusChanged",
        warning: !finished,
        message: format!("the job is {}", job.state),
        key: format!("{} {}", job.id, job.state),
    }));
    if rollback::of_failed_job(facts, spec, revision, decision) {
        return true;
    }
    if !finished {
        decision.situation = Situation::Failed { state: job.state.clone() };
        return true;
    }
    decision.situation = Situation::Finished;
    if let (Some(ttl), Some(end)) = (spec.ttl_seconds_after_finished, &job.ended_at) {
        let over = after(end, ttl);
        if *now >= over {
            decision.actions.push(Action::DeleteResource);
        } else {
            decision.again_at = Some(over);
        }
    }
    true
}

/// The revision whose job has finished before it could be upgraded to the spec.
fn finished_before<'f>(facts: &'f Facts, spec: &FlinkApplicationSpec) -> Option<&'f str> {
    let latest = facts.recorded.iter().max_by_key(|record| record.number)?;
    let finished = facts.job_of(&latest.name).is_some_and(|job| job.state == "FINISHED");
    let next = Lineage::next(facts, spec);
    (finished && next.cluster_id == latest.cluster_id).then_some(latest.name.as_str())
}

fn suspend(facts: &Facts, spec: &FlinkApplicationSpec, now: &Time, decision: &mut Decision) {
    if facts.deployments.is_empty() {
        let gone = facts.pods.is_empty();
        decision.situation = if gone { Situation::Suspended } else { Situation::Suspending };
        decision.actions.push(Action::ApplyApplication { leading: None, preparing: None });
        return;
    }
    decision.situation = Situation::Suspending;
    let deadline = after(now, spec.upgrade.progress_deadline_seconds);
    let operation = begin(facts, "Suspend", (None, SECURE), now, &deadline);
    let secured = secure::secure(facts, spec, Wish::Checkpoint, &operation, now, decision);
    let over = is_over(&operation, now);
    decision.again_at = operation.deadline.clone();
    decision.operation = Some(operation);
    if secured != Secured::NotYet || over {
        stop_all(facts, decision);
        decision.actions.push(Action::Publish(Event {
            reason: "Suspended",
            warning: secured == Secured::NotYet,
            message: match secured {
                Secured::NotYet => {
                    "suspended without a final checkpoint, which took too long: it will go on \
                     with the newest one"
                }
                _ => "suspended",
            }
            .to_owned(),
            key: facts.generation.to_string(),
        }));
    }
}

/// Rules 5 and 6.
fn run(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    wanted: &str,
    now: &Time,
    decision: &mut Decision,
) {
    let rollback = decision.given_up.is_some();
    let others: Vec<_> = facts.deployments.iter().filter(|each| each.revision != wanted).collect();
    let is_there = facts.deployments.iter().find(|each| each.revision == wanted && !each.deleting);
    let has_turn = facts.deployed().is_some_and(|deployed| deployed.revision == wanted);
    if (others.is_empty() || has_turn)
        && let Some(deployment) = is_there
    {
        watch(facts, spec, deployment, now, decision);
        return;
    }
    if let Some(current) = facts.deployed() {
        // A newer spec supersedes: what was got ready, or was left, for another one goes.
        let stays = |revision: &str| revision == wanted || revision == current.revision;
        let others = others.iter().filter(|each| !stays(&each.revision) && !each.deleting);
        let stop = others.map(|each| Action::StopRevision { revision: each.revision.clone() });
        decision.actions.extend(stop);
    }
    if warm::applies(facts, spec, wanted, rollback) {
        warm::upgrade(facts, spec, wanted, now, decision);
        return;
    }
    let kind = kind(facts, wanted, rollback);
    decision.situation = match kind {
        "Rollback" => Situation::RollingBack,
        "Upgrade" => Situation::Upgrading,
        _ => Situation::Deploying,
    };
    let deadline = after(now, spec.upgrade.progress_deadline_seconds);
    let mut operation = begin(facts, kind, (Some(wanted), SECURE), now, &deadline);
    if warm::is_step(&operation.step) {
        // It was to be one by `Warm`, and can't be any more.
        operation.step = SECURE.to_owned();
    }
    decision.actions.extend(begun(facts, &operation).into_iter().map(Action::Publish));
    let old_runs = others.iter().any(|old| !old.deleting);
    // What comes back has to be checked even if nothing runs; once it is back it has been.
    let comes_back = rollback && !facts.was_started_last(wanted);
    let asks = old_runs || (comes_back && operation.step == SECURE);
    let may_go = !asks || may_stop(facts, spec, wanted, &operation, now, decision);
    if may_go && operation.step == SECURE {
        operation.step = STOP.to_owned();
    }
    decision.again_at = operation.deadline.clone();
    decision.operation = Some(operation);
    if !may_go {
        return;
    }
    let left: Vec<&str> = facts.pods.iter().map(|pod| pod.revision.as_str()).collect();
    if !facts.deployments.is_empty() || left.iter().any(|revision| *revision != wanted) {
        // Two revisions never run at once: the old one's pods have to be gone.
        stop_all(facts, decision);
        return;
    }
    if let Some(operation) = &mut decision.operation
        && operation.step != START
    {
        // The new revision has all of the time, however long the old one took to go.
        enter(operation, START, now, deadline);
        decision.again_at = operation.deadline.clone();
    }
    start(facts, spec, wanted, decision);
}

/// Rule 6. What else is deployed was ready for it before, or was to replace it and didn't come
/// about.
fn watch(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    deployment: &DeploymentFact,
    now: &Time,
    decision: &mut Decision,
) {
    let revision = deployment.revision.as_str();
    if warm::is_switching(facts, spec, revision, now, decision) {
        return;
    }
    others_go(facts, revision, decision);
    if facts.record(revision).is_some() && !facts.was_started_last(revision) {
        // What comes after it goes on with its state.
        let Lineage { cluster_id, begin_with } = Lineage::of_revision(facts, spec, revision);
        decision.actions.push(Action::StartRevision {
            revision: revision.to_owned(),
            cluster_id,
            replicas: spec.job_manager.replicas,
            begin_with,
        });
    }
    running::watch(facts, spec, deployment, now, decision);
}

/// What kind of operation leads to the wanted revision.
fn kind(facts: &Facts, wanted: &str, rollback: bool) -> &'static str {
    let FlinkApplicationStatus { operation, current_revision, stable_revision, .. } = &facts.status;
    let settled = operation.is_none() && current_revision.as_deref() == Some(wanted);
    let vanished = settled && current_revision == stable_revision && facts.deployments.is_empty();
    let recovers = operation
        .as_ref()
        .is_some_and(|each| each.r#type == RECOVER && each.target.as_deref() == Some(wanted));
    match (rollback, facts.recorded.is_empty()) {
        (true, _) => "Rollback",
        (false, true) => "Deploy",
        (false, false) if vanished || recovers => RECOVER,
        // Its first JobManager has found what an earlier resource has left.
        (false, false) if facts.is_the_first_spec() => "Deploy",
        (false, false) => "Upgrade",
    }
}

/// What is told of an operation that begins.
pub(super) fn begun(facts: &Facts, operation: &Operation) -> Vec<Event> {
    if facts.status.operation.as_ref().is_some_and(|each| each.started_at == operation.started_at) {
        return Vec::new();
    }
    let target = operation.target.as_deref().unwrap_or_default();
    let key = operation.started_at.0.as_millisecond().to_string();
    let event =
        |reason, warning, message: String| Event { reason, warning, message, key: key.clone() };
    match operation.r#type.as_str() {
        RECOVER => vec![
            event("Missing", true, format!("somebody has deleted the Deployment {target}")),
            event("RecoverDeployment", false, format!("{target} is made again, as recorded")),
        ],
        "Upgrade" => vec![event(
            "SpecChanged",
            false,
            format!("generation {} asks for revision {target}", facts.generation),
        )],
        _ => Vec::new(),
    }
}

/// Whether the old revision's pods may go: the new program can read its state, and that is secured.
fn may_stop(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    wanted: &str,
    operation: &Operation,
    now: &Time,
    decision: &mut Decision,
) -> bool {
    if decision.given_up.is_some() {
        // A revision that failed takes no more checkpoints: the newest one counts.
        return rollback::may_stop(facts, spec, wanted, operation, now, decision);
    }
    let wish = Wish::before_upgrade(spec);
    if !preflight::check(facts, spec, wanted, operation, now, decision) {
        return false;
    }
    if secure::secure(facts, spec, wish, operation, now, decision) != Secured::NotYet {
        return true;
    }
    if is_over(operation, now) {
        decision.situation = Situation::Stalled {
            reason: "UpgradeStalled",
            message: format!(
                "{} didn't come about in time; the old revision goes on: see lastFailure, or set \
                 upgrade.mode to Stateless to go on with the newest checkpoint",
                wish.described()
            ),
        };
    }
    false
}

fn start(facts: &Facts, spec: &FlinkApplicationSpec, wanted: &str, decision: &mut Decision) {
    let Lineage { cluster_id, begin_with } = Lineage::of_revision(facts, spec, wanted);
    let leading = Some(wanted.to_owned());
    decision.actions.push(Action::ApplyApplication { leading, preparing: None });
    decision.actions.push(Action::StartRevision {
        revision: wanted.to_owned(),
        cluster_id,
        replicas: spec.job_manager.replicas,
        begin_with,
    });
    decision.actions.push(Action::Publish(Event {
        reason: "Submit",
        warning: false,
        message: format!("revision {wanted} is started"),
        key: format!("{wanted} {}", facts.generation),
    }));
    decision.current = Some(wanted.to_owned());
}

/// All pods go.
pub(super) fn stop_all(facts: &Facts, decision: &mut Decision) {
    for (revision, _) in &facts.checks {
        decision.actions.push(Action::EndCheck { revision: revision.clone() });
    }
    for deployment in facts.deployments.iter().filter(|deployment| !deployment.deleting) {
        let revision = deployment.revision.clone();
        decision.actions.push(Action::StopRevision { revision });
    }
}

/// The operation's next step. Every one has all of its time, however long those before it took.
pub(super) fn enter(operation: &mut Operation, step: &str, now: &Time, deadline: Time) {
    operation.step = step.to_owned();
    operation.started_at = now.clone();
    operation.deadline = Some(deadline);
}

/// Whether the time of an operation's step is over.
pub(super) fn is_over(operation: &Operation, now: &Time) -> bool {
    operation.deadline.as_ref().is_some_and(|deadline| now >= deadline)
}

/// The operation that is under way, if it is this one; else its beginning.
pub(super) fn begin(
    facts: &Facts,
    kind: &str,
    (target, first_step): (Option<&str>, &str),
    now: &Time,
    deadline: &Time,
) -> Operation {
    let under_way = facts.status.operation.as_ref();
    let same = under_way.filter(|each| each.r#type == kind && each.target.as_deref() == target);
    same.cloned().unwrap_or_else(|| Operation {
        r#type: kind.to_owned(),
        step: first_step.to_owned(),
        attempt: 0,
        started_at: now.clone(),
        deadline: Some(deadline.clone()),
        target: target.map(str::to_owned),
        message: None,
    })
}

/// So many seconds later; the end of time if there is no such moment.
pub(super) fn after(then: &Time, seconds: i64) -> Time {
    let second = then.0.as_second().saturating_add(seconds);
    Time(Timestamp::from_second(second).unwrap_or(Timestamp::MAX))
}
