//! Status: conditions, phase and the latest failure, from facts and a decision.
//!
//! Ready, Reconciling and Stalled follow kstatus: Ready is True when the spec's goal is reached;
//! Reconciling and Stalled are there only while they are True. Only the operator's fields are made
//! here; the JobManager reports its own.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use super::action::{Decision, Situation};
use super::decide::after;
use super::facts::Facts;
use super::skew;
use crate::resource::{Condition, FlinkApplicationSpec, LastFailure, Operation};
use crate::validate::{Problem, ProblemKind};

/// The longest message in a condition or failure.
const MESSAGE_BYTES_MAX: usize = 2048;

/// The operator's part of the status.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorStatus {
    /// The generation that it is about.
    pub observed_generation: i64,
    /// What is true.
    pub conditions: Vec<Condition>,
    /// The conditions in one word.
    pub phase: String,
    /// The revision whose pods run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_revision: Option<String>,
    /// The revision that the spec asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_revision: Option<String>,
    /// The latest one that has proved stable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_revision: Option<String>,
    /// What is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The latest thing that went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
}

/// What a situation says: phase, whether the goal is reached, and why.
struct Words {
    phase: &'static str,
    ready: bool,
    reconciling: bool,
    stalled: bool,
    reason: String,
    message: String,
}

/// The operator's part of the status. A condition that says the same as before keeps its time.
pub fn report(facts: &Facts, decision: &Decision, now: &Time) -> OperatorStatus {
    let words = words(&decision.situation);
    let mut made = Conditions { facts, now, conditions: Vec::new() };
    made.put("Ready", words.ready, &words.reason, &words.message);
    if words.reconciling {
        made.put("Reconciling", true, &words.reason, &words.message);
    }
    if words.stalled {
        made.put("Stalled", true, &words.reason, &words.message);
    }
    let job = facts.status.job.as_ref().filter(|_| decision.current.is_some());
    let state = job.map_or("", |job| job.state.as_str());
    let state_word = if state.is_empty() { "Unknown" } else { state };
    made.put("JobRunning", state == "RUNNING", state_word, "as the JobManager reports it");
    let (safe, reason, message) = state_safe(facts, now);
    made.put("StateSafe", safe, reason, message);
    let suspended = decision.situation == Situation::Suspended;
    made.put("Suspended", suspended, if suspended { "Suspended" } else { "NotSuspended" }, "");
    let finished = decision.situation == Situation::Finished;
    made.put("Finished", finished, if finished { "JobFinished" } else { "NotFinished" }, "");
    match &decision.compatible {
        Some(Ok(())) => made.put("UpgradeCompatible", true, "CheckPassed", ""),
        Some(Err(message)) => made.put("UpgradeCompatible", false, "CheckFailed", message),
        None => {}
    }
    if let Some(given_up) = &decision.given_up {
        let message = format!("{given_up} was given up; change the spec to try again");
        let back = decision.current.is_some() && decision.current == decision.stable;
        let reason = if back { "NotStable" } else { "NotYetBack" };
        made.put("RolledBack", back, reason, &message);
    }
    about_runtime(facts, decision, &mut made);
    let mut templates: Vec<String> = of_kind(&facts.problems, ProblemKind::InvalidPodTemplate);
    templates.extend(facts.refused.clone().filter(|_| facts.needs_admission()));
    if !templates.is_empty() {
        made.put("InvalidPodTemplate", true, "InvalidPodTemplate", &templates.join("; "));
    }
    OperatorStatus {
        observed_generation: facts.generation,
        conditions: made.conditions,
        phase: words.phase.to_owned(),
        current_revision: decision.current.clone(),
        update_revision: Some(decision.given_up.as_ref().unwrap_or(&facts.wanted).clone()),
        stable_revision: decision.stable.clone(),
        operation: decision.operation.clone(),
        last_failure: last_failure(facts, now),
    }
}

/// What there is to say of the engine that runs.
fn about_runtime(facts: &Facts, decision: &Decision, made: &mut Conditions<'_>) {
    let Some(current) = &decision.current else { return };
    let leading = facts.status.job_manager.as_ref().filter(|_| facts.job_of(current).is_some());
    if let Some(leading) = leading
        && let Some(right) = skew::go_together(facts.version, &leading.version)
    {
        let (reason, advice) = match right {
            true => ("Supported", ""),
            false => ("TooFarApart", ": install an operator, or build an image, of a version near"),
        };
        let message = format!("operator {}, JobManager {}{advice}", facts.version, leading.version);
        made.put("VersionSkew", !right, reason, &message);
    }
    if facts.has_several_jobs(current) {
        let message = "the program calls execute() more than once: a FlinkApplication reports and \
                       upgrades one job. Make an application of each";
        made.put("SeveralJobs", true, "SecondExecute", message);
    }
}

fn of_kind(problems: &[Problem], kind: ProblemKind) -> Vec<String> {
    problems.iter().filter(|each| each.kind == kind).map(ToString::to_string).collect()
}

fn words(situation: &Situation) -> Words {
    let say = |phase, ready, reconciling, stalled, reason: &str, message: &str| Words {
        phase,
        ready,
        reconciling,
        stalled,
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    match situation {
        Situation::Deploying => {
            say("Deploying", false, true, false, "Deploying", "waiting for the job to run")
        }
        Situation::Running { stable: true } => {
            say("Running", true, false, false, "JobRunning", "the job runs")
        }
        Situation::Running { stable: false } => {
            let message = "the job runs; its revision has still to prove stable";
            say("Running", true, true, false, "ProvingStable", message)
        }
        Situation::Upgrading => {
            say("Upgrading", false, true, false, "Upgrading", "a new revision comes")
        }
        Situation::RollingBack => {
            say("RollingBack", false, true, false, "RollingBack", "the stable revision comes back")
        }
        Situation::Suspending => say("Suspending", false, true, false, "Suspending", "pods go"),
        Situation::Suspended => {
            say("Suspended", true, false, false, "Suspended", "no pods, as spec.suspend asks")
        }
        Situation::Finished => {
            say("Finished", true, false, false, "JobFinished", "the job has ended by itself")
        }
        Situation::Failed { state } => {
            let message = format!(
                "the job is {state}: see lastFailure; a new restartedAt, or a spec that differs \
                 from that of the revision that has failed, goes on with its newest checkpoint"
            );
            say("Failed", false, false, true, "JobFailed", &message)
        }
        Situation::Stalled { reason, message } => {
            say("Stalled", false, false, true, reason, message)
        }
        Situation::Deleting => {
            say("Deleting", false, true, false, "Deleting", "state is secured, then pods go")
        }
    }
}

/// JobManagers report completed checkpoints every ten seconds, and that takes a moment.
const REPORTED_WITHIN_SECONDS: i64 = 15;

/// When the newest checkpoint is older than twice the interval, and a newer one would be known.
pub(super) fn too_old_from(facts: &Facts) -> Option<Time> {
    let completed = facts.status.checkpoint.as_ref()?.completed_at.as_ref()?;
    let interval = facts.spec.state.checkpoints.interval_seconds;
    Some(after(completed, 2 * interval + REPORTED_WITHIN_SECONDS))
}

/// Whether what the job has done could be restored: a checkpoint younger than twice the interval.
pub(super) fn state_safe(facts: &Facts, now: &Time) -> (bool, &'static str, &'static str) {
    let FlinkApplicationSpec { state, .. } = &facts.spec;
    if state.checkpoints.location.is_none() {
        return (false, "NoLocation", "state.checkpoints.location isn't set: nothing is kept");
    }
    let Some(too_old_from) = too_old_from(facts) else {
        return (false, "NoCheckpoint", "no checkpoint was completed yet");
    };
    let runs = facts.status.job.as_ref().is_some_and(|job| job.state == "RUNNING");
    match (runs, *now >= too_old_from) {
        (true, true) => (false, "CheckpointTooOld", "the newest is older than twice the interval"),
        _ => (true, "CheckpointCompleted", "a restorable checkpoint is there"),
    }
}

struct Conditions<'a> {
    facts: &'a Facts,
    now: &'a Time,
    conditions: Vec<Condition>,
}

impl Conditions<'_> {
    fn put(&mut self, kind: &str, is_true: bool, reason: &str, message: &str) {
        let status = if is_true { "True" } else { "False" };
        let before = self.facts.status.conditions.iter();
        let before = before.clone().find(|each| each.r#type == kind && each.status == status);
        self.conditions.push(Condition {
            r#type: kind.to_owned(),
            status: status.to_owned(),
            observed_generation: Some(self.facts.generation),
            last_transition_time: before
                .map_or(self.now, |before| &before.last_transition_time)
                .clone(),
            reason: reason.to_owned(),
            message: bounded(message),
        });
    }
}

/// The pod's own word of what went wrong; else what was known before.
fn last_failure(facts: &Facts, now: &Time) -> Option<LastFailure> {
    let erasing = facts.erasure.iter().map(|erasure| &erasure.pod);
    let troubled =
        facts.pods.iter().chain(erasing).find_map(|pod| Some((pod, pod.trouble.as_ref()?)));
    let before = facts.status.last_failure.clone();
    let Some((pod, trouble)) = troubled else { return before };
    let failure = LastFailure {
        at: now.clone(),
        reason: trouble.reason.chars().take(63).collect(),
        message: bounded(&trouble.message),
        // A pod is replaced whatever has ended it; a spec that can't be right isn't.
        retryable: !matches!(
            trouble.reason.as_str(),
            "InvalidImageName" | "CreateContainerConfigError" | "ErrImageNeverPull"
        ),
        exit_code: trouble.exit_code,
        pod: Some(pod.name.clone()),
    };
    match before {
        Some(before) if (LastFailure { at: failure.at.clone(), ..before.clone() }) == failure => {
            Some(before)
        }
        _ => Some(failure),
    }
}

/// At most 2 KiB, cut at a character.
fn bounded(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}
