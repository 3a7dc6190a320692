//! Deletion with the state: all pods go, then a pod deletes the state, then the resource goes; at
//! the latest when its time is over. Savepoints stay. Not here: how state is deleted.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::action::{Action, Decision, Event};
use super::decide::{after, stop_all};
use super::facts::{Check, Erasure, Facts};
use super::lineage::after_deletion;
use crate::build::state_location;

/// At least so long after a pod was made another one takes its place.
const PAUSE_SECONDS: i64 = 10;

pub(super) fn delete(facts: &Facts, deadline: Time, now: &Time, decision: &mut Decision) {
    stop_all(facts, decision);
    let places = places(facts);
    let newest = facts.recorded.iter().max_by_key(|record| record.number);
    let done = places.is_empty()
        || facts.erasure.as_ref().is_some_and(|erasure| erasure.check == Check::Passed);
    let (gone, over) = (facts.deployments.is_empty() && facts.pods.is_empty(), *now >= deadline);
    let seconds = deadline.0.as_second().saturating_sub(now.0.as_second()).max(1);
    decision.again_at = Some(deadline);
    match newest {
        Some(newest) if !done && !over => {
            match &facts.erasure {
                None if gone => decision.actions.push(Action::StartErasure {
                    revision: newest.name.clone(),
                    places,
                    successor: after_deletion(&facts.identity.name, &facts.identity.uid),
                    seconds,
                }),
                // A pod whose container ends is started anew where it is; one that has failed was
                // evicted, or its machine went.
                Some(Erasure { check: Check::Refused(_), made_at, .. }) => {
                    // One that its machine doesn't take has failed as soon as it is made.
                    let due = made_at.as_ref().map(|made_at| after(made_at, PAUSE_SECONDS));
                    match due.filter(|due| now < due) {
                        Some(due) => decision.again_at = decision.again_at.take().min(Some(due)),
                        None => decision.actions.push(Action::EndErasure),
                    }
                }
                _ => {}
            }
            return;
        }
        _ if !gone && !over => return,
        Some(_) if !done => decision.actions.push(Action::Publish(failed(facts, &places))),
        _ => decision.actions.push(Action::Publish(Event {
            reason: "Cleanup",
            warning: false,
            message: "the application was stopped and its state deleted; savepoints stay"
                .to_owned(),
            key: facts.identity.uid.clone(),
        })),
    }
    decision.actions.push(Action::RemoveFinalizer);
}

/// Where the application has kept state, as far as its revisions are on record.
fn places(facts: &Facts) -> Vec<String> {
    let specs = facts.recorded.iter().map(|record| &record.spec);
    let places: BTreeSet<String> =
        specs.filter_map(|spec| state_location(&facts.identity, spec)).collect();
    places.into_iter().collect()
}

fn failed(facts: &Facts, places: &[String]) -> Event {
    let why = match &facts.erasure {
        Some(Erasure { check: Check::Refused(why), .. }) => format!(": {why}"),
        Some(Erasure { pod, .. }) => {
            let trouble = pod.trouble.as_ref();
            trouble.map_or_else(String::new, |it| format!(": {}: {}", it.reason, it.message))
        }
        None => String::new(),
    };
    Event {
        reason: "CleanupFailed",
        warning: true,
        message: format!(
            "deletion.timeoutSeconds ({}) have passed: the resource goes, and state may be left at \
             {}; `thalweg state delete` deletes it{why}",
            facts.spec.deletion.timeout_seconds,
            places.join(", ")
        ),
        key: facts.identity.uid.clone(),
    }
}
