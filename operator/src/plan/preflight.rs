//! Before an old job stops: can the new program read its state, or what it is to be restored from?

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::action::{Action, Decision, Event, Situation};
use super::decide::{SECURE, is_over};
use super::facts::{Check, Facts};
use super::lineage::Lineage;
use crate::resource::{FlinkApplicationSpec, Operation, Preflight};

/// The step of an upgrade in which nothing but the check is made.
pub(super) const CHECK: &str = "Check";

/// What is known of whether a revision can go on with what its job begins with.
pub(super) enum Finding {
    /// There is nothing to check: it begins with nothing, or the user wants no check.
    Unneeded,
    /// Not yet.
    UnderWay,
    /// It can.
    Passed,
    /// It can't, or that couldn't be checked: with which checkpoint, and why.
    Refused(String, String),
}

/// Finds out, by a pod of the revision's image.
pub(super) fn find(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    revision: &str,
    operation: &Operation,
    now: &Time,
    decision: &mut Decision,
) -> Finding {
    let Lineage { cluster_id, begin_with } = Lineage::of_revision(facts, spec, revision);
    let newest = facts.checkpoint_of(&cluster_id).map(|checkpoint| checkpoint.path.clone());
    // Under an identity without a checkpoint it begins with what was chosen, or what a job that has
    // failed has left; one that was started before has begun with its own already.
    let begin_with = begin_with.filter(|_| facts.record(revision).is_none());
    let Some(path) = newest.or(begin_with) else { return Finding::Unneeded };
    let begins = [SECURE, CHECK].contains(&operation.step.as_str());
    if spec.upgrade.preflight == Preflight::Off || !begins {
        return Finding::Unneeded;
    }
    let found = facts.checks.iter().find(|(checked, _)| checked == revision);
    let over = is_over(operation, now);
    match found.map(|(_, check)| check) {
        None => {
            let revision = revision.to_owned();
            decision.actions.push(Action::StartCheck { revision, cluster_id, path });
            Finding::UnderWay
        }
        Some(Check::UnderWay) if !over => Finding::UnderWay,
        Some(Check::UnderWay) => Finding::Refused(path, "the check didn't end in time".to_owned()),
        Some(Check::Passed) => Finding::Passed,
        Some(Check::Refused(message)) => Finding::Refused(path, message.clone()),
    }
}

/// Tells the user that a check has failed.
pub(super) fn failed(facts: &Facts, revision: &str, path: &str, refused: &str) -> Action {
    Action::Publish(Event {
        reason: "PreflightFailed",
        warning: true,
        message: format!("{revision} can't go on with {path}: {refused}"),
        key: format!("{revision} {}", facts.generation),
    })
}

/// Whether the old job, which runs, may stop.
pub(super) fn check(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    wanted: &str,
    operation: &Operation,
    now: &Time,
    decision: &mut Decision,
) -> bool {
    let (path, refused) = match find(facts, spec, wanted, operation, now, decision) {
        Finding::Unneeded => return true,
        Finding::UnderWay => return false,
        Finding::Passed => {
            decision.compatible = Some(Ok(()));
            return true;
        }
        Finding::Refused(path, refused) => (path, refused),
    };
    decision.compatible = Some(Err(refused.clone()));
    decision.actions.push(failed(facts, wanted, &path, &refused));
    if spec.upgrade.preflight == Preflight::Warn {
        return true;
    }
    decision.situation = Situation::Stalled {
        reason: "PreflightFailed",
        message: format!(
            "the new program can't go on with {path}; the old one runs on: {refused}. Change the \
             program or the path, or set upgrade.preflight to Warn to try it all the same"
        ),
    };
    false
}
