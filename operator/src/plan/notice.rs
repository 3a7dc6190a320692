//! What users are told of once, besides what the operator does itself: events about the job, its
//! pods, and what has stopped.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::action::{Decision, Event, Situation};
use super::facts::Facts;
use super::report::state_safe;
use crate::pod_template::Role;
use crate::resource::EarlierRun;

/// The events that facts and a decision give cause for. Each has a key of its own, so that it is
/// published once.
pub(super) fn notices(facts: &Facts, decision: &Decision, now: &Time) -> Vec<Event> {
    let found = [
        leader(facts),
        earlier(facts),
        unsafe_state(facts, now),
        checkpoints(facts),
        stalled(facts, decision),
    ];
    let mut events: Vec<Event> = found.into_iter().flatten().collect();
    events.extend(out_of_memory(facts));
    events
}

fn warning(reason: &'static str, message: String, key: String) -> Event {
    Event { reason, warning: true, message, key }
}

fn leader(facts: &Facts) -> Option<Event> {
    let leading = facts.status.job_manager.as_ref()?;
    // What happened before this process came isn't news.
    let known = facts.known_epoch?;
    (leading.epoch > known).then(|| Event {
        reason: "LeaderChanged",
        warning: false,
        message: format!("the JobManager {} leads, in epoch {}", leading.leader, leading.epoch),
        // Epochs begin again under another identity of the state.
        key: match leading.lineage.filter(|lineage| *lineage > 0) {
            Some(lineage) => format!("epoch {lineage} {}", leading.epoch),
            None => format!("epoch {}", leading.epoch),
        },
    })
}

/// What becomes of what an earlier resource of the name has left.
fn earlier(facts: &Facts) -> Option<Event> {
    let job = facts.status.job.as_ref()?;
    let earlier = job.earlier.as_ref()?;
    let EarlierRun { uid, ended, stopped, path, checkpoint_id } = earlier;
    let checkpoint = path.as_ref().map(|path| {
        let id = checkpoint_id.map(|id| format!("checkpoint {id}, ")).unwrap_or_default();
        format!("{id}{path}")
    });
    let (reason, message) = match (ended, job.state.as_str(), checkpoint) {
        (true, "FINISHED", _) if !stopped => (
            "RunAgain",
            format!(
                "the job had finished under an earlier FlinkApplication of this name (uid {uid}): \
                 it runs again, from the beginning"
            ),
        ),
        (true, state, None) => (
            "RunAgain",
            format!(
                "the job was {state} under an earlier FlinkApplication of this name (uid {uid}), \
                 and no checkpoint of it is left: it runs again, from the beginning"
            ),
        ),
        (_, _, Some(checkpoint)) => (
            "StateResumed",
            format!(
                "the job goes on with {checkpoint}, which an earlier FlinkApplication of this \
                 name (uid {uid}) has left; state.restore with from: {{empty: {{}}}} begins anew"
            ),
        ),
        (false, _, None) => return None,
    };
    let key = format!("{uid} {}", job.id);
    Some(Event { reason, warning: false, message, key })
}

fn unsafe_state(facts: &Facts, now: &Time) -> Option<Event> {
    let (safe, reason, message) = state_safe(facts, now);
    let newest = facts.status.checkpoint.as_ref()?;
    (!safe && reason == "CheckpointTooOld").then(|| {
        let message = format!("checkpoint {}: {message}", newest.id);
        warning("StateUnsafe", message, newest.id.to_string())
    })
}

fn checkpoints(facts: &Facts) -> Option<Event> {
    let newest = facts.status.checkpoint.as_ref()?;
    let failed = newest.failed_since_last.filter(|failed| *failed > 0)?;
    let message = format!(
        "{failed} have failed since checkpoint {}: the JobManager's pages and log say why",
        newest.id
    );
    Some(warning("CheckpointError", message, newest.id.to_string()))
}

fn stalled(facts: &Facts, decision: &Decision) -> Option<Event> {
    match &decision.situation {
        Situation::Stalled { reason: "UpgradeStalled", message } => {
            Some(warning("UpgradeStalled", message.clone(), facts.generation.to_string()))
        }
        _ => None,
    }
}

fn out_of_memory(facts: &Facts) -> impl Iterator<Item = Event> {
    let killed = facts.pods.iter().filter(|pod| {
        let trouble = pod.trouble.as_ref();
        let killed = trouble.is_some_and(|trouble| trouble.reason == "OOMKilled");
        killed && pod.role == Some(Role::TaskManager)
    });
    killed.map(|pod| {
        let message = format!(
            "{} has used more memory than its limit and was killed: raise \
             taskManager.resources.limits.memory, or lower what state may use",
            pod.name
        );
        warning("TaskManagerOOMKilled", message, pod.name.clone())
    })
}
