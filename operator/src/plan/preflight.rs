//! Before an old job stops: can the new program read its state?

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::action::{Action, Decision, Event, Situation};
use super::decide::SECURE;
use super::facts::{Check, Facts};
use super::lineage::Lineage;
use crate::resource::{FlinkApplicationSpec, Operation, Preflight};

/// Whether the old job, which runs, may stop. Without a checkpoint there is nothing to check.
pub(super) fn check(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    wanted: &str,
    operation: &Operation,
    now: &Time,
    decision: &mut Decision,
) -> bool {
    let newest = facts.status.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone());
    let cluster_id = Lineage::of_revision(facts, spec, wanted).cluster_id;
    // With a new identity the job begins with something else, or with nothing.
    let same_state = facts.recorded.iter().any(|record| record.cluster_id == cluster_id);
    let Some(path) = newest.filter(|_| same_state) else { return true };
    if spec.upgrade.preflight == Preflight::Off || operation.step != SECURE {
        return true;
    }
    let found = facts.checks.iter().find(|(revision, _)| revision == wanted);
    let over = operation.deadline.as_ref().is_some_and(|deadline| now >= deadline);
    let refused = match found.map(|(_, check)| check) {
        None => {
            let revision = wanted.to_owned();
            decision.actions.push(Action::StartCheck { revision, cluster_id, path });
            return false;
        }
        Some(Check::UnderWay) if !over => return false,
        Some(Check::UnderWay) => "the check didn't end in time",
        Some(Check::Passed) => {
            decision.compatible = Some(Ok(()));
            return true;
        }
        Some(Check::Refused(message)) => message,
    };
    decision.compatible = Some(Err(refused.to_owned()));
    decision.actions.push(Action::Publish(Event {
        reason: "PreflightFailed",
        warning: true,
        message: format!("{wanted} can't go on with {path}: {refused}"),
        key: format!("{wanted} {}", facts.generation),
    }));
    if spec.upgrade.preflight == Preflight::Warn {
        return true;
    }
    decision.situation = Situation::Stalled {
        reason: "PreflightFailed",
        message: format!(
            "the new program can't go on with the old one's state, which runs on: {refused}. \
             Change the program, or set upgrade.preflight to Warn to try it all the same"
        ),
    };
    false
}
