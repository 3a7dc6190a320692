//! The wanted revision is deployed: changes in place, requests, stability, rollback.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::action::{Action, Decision, Event, Situation};
use super::decide::after;
use super::facts::{DeploymentFact, Facts};
use super::rollback;
use crate::pod_template::Role;
use crate::resource::{FlinkApplicationSpec, JobStatus, Rollback};

pub(super) fn watch(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    deployment: &DeploymentFact,
    now: &Time,
    decision: &mut Decision,
) {
    let revision = deployment.revision.as_str();
    let leading = Some(revision.to_owned());
    decision.actions.push(Action::ApplyApplication { leading, preparing: None });
    for (revision, _) in &facts.checks {
        decision.actions.push(Action::EndCheck { revision: revision.clone() });
    }
    let replicas = spec.job_manager.replicas;
    if deployment.replicas != replicas {
        decision.actions.push(Action::SetReplicas { revision: revision.to_owned(), replicas });
    } else if facts.record(revision).is_some() {
        decision.actions.push(Action::KeepRevision { revision: revision.to_owned(), replicas });
    }
    if facts.record(revision).is_some_and(|record| record.image_digest.is_none()) {
        let of_revision = facts
            .pods
            .iter()
            .filter(|pod| pod.revision == revision && pod.role == Some(Role::JobManager));
        decision.actions.extend(
            of_revision
                .filter_map(|pod| pod.image.clone())
                .take(1)
                .map(|image| Action::RecordImage { revision: revision.to_owned(), image }),
        );
    }
    let stable = facts.status.stable_revision.as_deref() == Some(revision);
    let job = facts.job_of(revision).filter(|_| facts.leader_runs());
    if let Some(job) = job.filter(|job| job.state == "RUNNING") {
        requests(facts, spec, job, now, decision);
    }
    if stable {
        decision.situation = match job.is_some_and(|job| job.state == "RUNNING") {
            true => Situation::Running { stable: true },
            false => Situation::Deploying,
        };
        forget(facts, spec, decision);
        return;
    }
    // Until it is stable the operation that started it is under way.
    decision.operation = facts.status.operation.clone();
    let proven = job.map_or(Err(None), |job| is_stable(facts, spec, job, now));
    if proven.is_ok() {
        decision.stable = Some(revision.to_owned());
        decision.operation = None;
        decision.situation = Situation::Running { stable: true };
        return;
    }
    let runs = job.is_some_and(|job| job.state == "RUNNING");
    decision.situation = match (runs, decision.given_up.is_some(), facts.recorded.len()) {
        (true, ..) => Situation::Running { stable: false },
        (_, true, _) => Situation::RollingBack,
        (.., 0 | 1) => Situation::Deploying,
        _ => Situation::Upgrading,
    };
    let deadline = decision.operation.as_ref().and_then(|each| each.deadline.clone());
    let over = deadline.as_ref().is_some_and(|deadline| now >= deadline);
    let soonest = [deadline, proven.err().flatten()].into_iter().flatten();
    decision.again_at = soonest.filter(|moment| moment > now).min();
    if over {
        overdue(facts, spec, revision, decision);
    }
}

/// Rescaling and savepoints.
fn requests(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    job: &JobStatus,
    now: &Time,
    decision: &mut Decision,
) {
    if job.parallelism.is_some_and(|parallelism| parallelism != spec.job.parallelism) {
        let parallelism = spec.job.parallelism;
        let from = job.parallelism.unwrap_or(parallelism);
        decision.actions.push(Action::Rescale { job: job.id.clone(), from, parallelism });
        decision.actions.push(Action::Publish(Event {
            reason: "Scaling",
            warning: false,
            message: format!("the job is rescaled to {parallelism}"),
            key: format!("{} {parallelism}", facts.generation),
        }));
    }
    savepoints(facts, spec, job, now, decision);
}

/// Savepoints that are asked for, and those that come periodically.
pub(super) fn savepoints(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    job: &JobStatus,
    now: &Time,
    decision: &mut Decision,
) {
    let Some(location) = &spec.state.savepoints.location else {
        if let Some(token) = &facts.savepoint_token {
            decision.actions.push(Action::Publish(Event {
                reason: "SavepointError",
                warning: true,
                message: "a savepoint is asked for and state.savepoints.location isn't set: set it"
                    .to_owned(),
                key: token.clone(),
            }));
        }
        return;
    };
    let take = |token: String| Action::TakeSavepoint {
        job: job.id.clone(),
        token,
        location: location.clone(),
    };
    if let Some(token) = facts.savepoint_token.as_ref().filter(|each| !facts.has_savepoint(each)) {
        decision.actions.push(take(token.clone()));
    }
    if let Some(interval) = spec.state.savepoints.interval_seconds {
        // Counted from a fixed moment, so that a restarted operator keeps to the same times.
        let Some(start) = &job.started_at else { return };
        let passed = now.0.as_second().saturating_sub(start.0.as_second());
        let ordinal = passed / interval.max(1);
        let token = format!("periodic-{}", after(start, ordinal * interval).0.as_second());
        if ordinal > 0 && !facts.has_savepoint(&token) {
            decision.actions.push(take(token));
        }
        decision.again_at = Some(after(start, (ordinal + 1) * interval));
    }
}

/// Whether the revision has proved stable; else when it may have, if only time is missing.
fn is_stable(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    job: &JobStatus,
    now: &Time,
) -> Result<(), Option<Time>> {
    let stability = &spec.upgrade.stability;
    let restarts = job.restarts.unwrap_or(0);
    if job.state != "RUNNING" || restarts > i64::from(stability.max_restarts) {
        return Err(None);
    }
    let checkpoints = match (&spec.state.checkpoints.location, &facts.status.checkpoint) {
        (None, _) => i64::from(stability.min_checkpoints),
        (Some(_), None) => 0,
        (Some(_), Some(newest)) => {
            let before = job.restored_from.as_ref().and_then(|from| from.checkpoint_id);
            newest.id - before.unwrap_or(0)
        }
    };
    if checkpoints < i64::from(stability.min_checkpoints) {
        return Err(None);
    }
    let Some(start) = &job.started_at else { return Err(None) };
    let from = after(start, stability.min_running_seconds);
    if *now >= from { Ok(()) } else { Err(Some(from)) }
}

/// The revision isn't stable in time.
fn overdue(facts: &Facts, spec: &FlinkApplicationSpec, revision: &str, decision: &mut Decision) {
    let way_back = rollback::way_back(facts, revision).filter(|_| decision.given_up.is_none());
    match (spec.upgrade.rollback, way_back) {
        (Rollback::Auto, Some(stable)) => {
            rollback::give_up(revision, &stable.name, "wasn't stable in time", decision);
        }
        (Rollback::Off, _) => {}
        (Rollback::Auto | Rollback::Manual, _) => {
            decision.situation = Situation::Stalled {
                reason: "NotStable",
                message: format!(
                    "revision {revision} wasn't stable within upgrade.progressDeadlineSeconds, and \
                     there is none to go back to by itself: see lastFailure and change the spec"
                ),
            };
        }
    }
}

/// Old revisions beyond the limit go.
fn forget(facts: &Facts, spec: &FlinkApplicationSpec, decision: &mut Decision) {
    let limit = usize::try_from(spec.upgrade.revision_history_limit).unwrap_or(1);
    let mut old: Vec<_> = facts
        .recorded
        .iter()
        .filter(|record| {
            let name = Some(&record.name);
            // By its record the one that was given up is known not to be tried again.
            let kept = [&decision.current, &decision.stable, &decision.given_up];
            kept.iter().all(|each| each.as_ref() != name)
        })
        .collect();
    old.sort_by_key(|record| -record.number);
    for record in old.into_iter().skip(limit) {
        decision.actions.push(Action::ForgetRevision { revision: record.name.clone() });
    }
}
