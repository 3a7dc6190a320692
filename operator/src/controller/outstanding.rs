//! What of a decision isn't done yet, as far as is remembered and seen. Pure.

use std::time::Duration;

use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::ReconcileError;
use super::cache::{Items, Kind};
use super::memory::{Memory, Need};
use crate::build::{self, References, Revision, Turn, superfluous};
use crate::plan::{Action, Decision, Facts, OperatorStatus};
use crate::resource::FlinkApplicationSpec;

/// The operator's fields of the status.
const STATUS_FIELDS: [&str; 8] = [
    "observedGeneration",
    "conditions",
    "phase",
    "currentRevision",
    "updateRevision",
    "stableRevision",
    "operation",
    "lastFailure",
];

/// Whether anything of a decision is left to be done, from the most urgent.
pub(super) fn need(
    facts: &Facts,
    decision: &Decision,
    items: &Items,
    memory: &Memory,
    now: Duration,
) -> Result<Need, ReconcileError> {
    let needs = decision.actions.iter();
    let mut needs = needs.map(|each| need_of(facts, &decision.spec, each, items, memory, now));
    needs.try_fold(Need::No, |sooner, need| Ok(sooner.min(need?)))
}

fn need_of(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    action: &Action,
    items: &Items,
    memory: &Memory,
    now: Duration,
) -> Result<Need, ReconcileError> {
    Ok(match action {
        Action::ApplyApplication { leading, preparing } => {
            let extra = superfluous(&facts.identity, spec);
            if extra.iter().any(|(kind, name)| is_there(items, kind, name)) {
                return Ok(Need::Now);
            }
            let turn = Turn { leading: leading.as_deref(), preparing: preparing.as_deref() };
            let objects = application_objects(facts, spec, turn)?;
            let needs = objects.iter().map(|object| {
                let (kind, name) = kind_and_name(object);
                memory.needs((kind, name), content(object), seen(items, kind, name), now)
            });
            needs.fold(Need::No, Ord::min)
        }
        Action::KeepRevision { revision, replicas } => {
            need_of_revision(items, revision, *replicas, memory, now)
        }
        Action::TakeCheckpoint { .. }
        | Action::TakeSavepoint { .. }
        | Action::StopWithSavepoint { .. }
        | Action::Rescale { .. } => memory.needs_request(&request(action), now),
        Action::Publish(event) if memory.is_published(&event.name(&facts.identity)) => Need::No,
        // These show in what is observed next.
        _ => Need::Now,
    })
}

/// What tells a request to a JobManager from others.
pub(super) fn request(action: &Action) -> String {
    format!("{action:?}")
}

/// What an application has whatever its revision.
pub(super) fn application_objects(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    turn: Turn<'_>,
) -> Result<Vec<Value>, ReconcileError> {
    let mut revisions: Vec<&str> =
        facts.deployments.iter().map(|each| each.revision.as_str()).collect();
    for revision in [turn.leading, turn.preparing].into_iter().flatten() {
        if !revisions.contains(&revision) {
            revisions.push(revision);
        }
    }
    let identity = &facts.identity;
    let mut references = References::default();
    let comes = |revision: &str| turn.leading == Some(revision) || turn.preparing == Some(revision);
    for revision in &revisions {
        match facts.record(revision) {
            Some(record) => references.extend(record.references.clone()),
            // It is recorded when it is started, which comes next.
            None if comes(revision) => {
                let [_, task_manager] = Revision::templates(identity, revision, spec)?;
                references.extend(References::of(&task_manager));
            }
            None => {}
        }
    }
    Ok(build::application_objects(identity, spec, turn, &revisions, &references)?)
}

/// Whether a revision's objects are to be applied.
pub(super) fn need_of_revision(
    items: &Items,
    revision: &str,
    replicas: i32,
    memory: &Memory,
    now: Duration,
) -> Need {
    let content = revision_content(revision, replicas);
    let needs = ["ConfigMap", "Deployment"]
        .map(|kind| memory.needs((kind, revision), content, seen(items, kind, revision), now));
    needs.into_iter().fold(Need::No, Ord::min)
}

/// What stands for the content of a revision's objects: it was rendered once, and is recorded.
pub(super) fn revision_content(revision: &str, replicas: i32) -> u64 {
    xxh3_64(format!("{revision} {replicas}").as_bytes())
}

/// The hash of an object as it is applied.
pub(super) fn content(object: &Value) -> u64 {
    xxh3_64(object.to_string().as_bytes())
}

pub(super) fn kind_and_name(object: &Value) -> (&str, &str) {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    (object["kind"].as_str().unwrap_or_default(), name)
}

/// Whether a kind is watched, and the fingerprint of an object of it that was seen.
pub(super) fn seen(items: &Items, kind: &str, name: &str) -> (bool, Option<u64>) {
    let Some(kind) = Kind::named(kind) else { return (false, None) };
    (true, items.get(&(kind, name.to_owned())).map(|item| item.fingerprint))
}

/// Whether an object was seen.
pub(super) fn is_there(items: &Items, kind: &str, name: &str) -> bool {
    seen(items, kind, name).1.is_some()
}

/// Whether the operator's part of the status says something new.
pub(super) fn is_news(facts: &Facts, status: &OperatorStatus) -> Result<bool, ReconcileError> {
    let new = serde_json::to_value(status)?;
    let old = serde_json::to_value(&facts.status)?;
    Ok(STATUS_FIELDS.iter().any(|field| old[*field] != new[*field]))
}
