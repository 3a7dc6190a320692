//! Securing a job's state before its pods go: by a checkpoint or a savepoint that is newer than the
//! operation's beginning.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::action::{Action, Decision};
use super::decide::is_over;
use super::facts::{Facts, has_ended};
use crate::resource::{FlinkApplicationSpec, Operation, UpgradeMode};

/// What is wanted before pods go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wish {
    /// What was published up to now is enough.
    Nothing,
    /// A final checkpoint.
    Checkpoint,
    /// A savepoint.
    Savepoint,
    /// A savepoint with which the job ends: nothing is committed after it that whoever begins with
    /// it would write again.
    LastSavepoint,
}

impl Wish {
    /// What is wanted before an upgrade.
    pub(super) fn before_upgrade(spec: &FlinkApplicationSpec) -> Wish {
        match spec.upgrade.mode {
            UpgradeMode::Savepoint => Wish::Savepoint,
            UpgradeMode::LastState => Wish::Checkpoint,
            UpgradeMode::Stateless => Wish::Nothing,
        }
    }

    /// For messages.
    pub(super) fn described(self) -> &'static str {
        match self {
            Wish::Nothing => "nothing",
            Wish::Checkpoint => "a final checkpoint",
            Wish::Savepoint | Wish::LastSavepoint => "a savepoint",
        }
    }
}

/// Whether the wish has come true.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Secured {
    /// It has.
    Yes,
    /// It can't: the job doesn't run, or its leader is gone and no other one comes. Its newest
    /// checkpoint counts.
    NotRunning,
    /// Not yet.
    NotYet,
}

/// Whether the state is secured; asks for what is missing.
pub(super) fn secure(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    wish: Wish,
    operation: &Operation,
    now: &Time,
    decision: &mut Decision,
) -> Secured {
    if wish == Wish::Nothing || spec.state.checkpoints.location.is_none() {
        return Secured::Yes;
    }
    let token = token(operation);
    let done = match wish {
        Wish::Savepoint | Wish::LastSavepoint => facts.has_savepoint(&token),
        _ => facts.checkpoint_since(&operation.started_at),
    };
    if done {
        return Secured::Yes;
    }
    let deployed = facts.deployed().filter(|deployed| !deployed.deleting);
    let Some(revision) = deployed.map(|deployed| deployed.revision.as_str()) else {
        return Secured::NotRunning;
    };
    let over = is_over(operation, now);
    let may_come = facts.a_job_manager_runs(revision) && !over;
    let reported = facts.job_of(revision);
    let Some(job) = reported.filter(|job| job.state == "RUNNING") else {
        // A savepoint is worth waiting for while the job restarts.
        let restarts = reported.is_some_and(|job| !has_ended(&job.state));
        let waits = wish != Wish::Checkpoint && restarts && may_come;
        return if waits { Secured::NotYet } else { Secured::NotRunning };
    };
    if !facts.leader_runs() {
        // What it has reported says nothing of now. One that comes is waited for, up to a point.
        return if may_come { Secured::NotYet } else { Secured::NotRunning };
    }
    let job = job.id.clone();
    decision.actions.push(match (wish, &spec.state.savepoints.location) {
        (Wish::LastSavepoint, Some(location)) => {
            Action::StopWithSavepoint { job, token, location: location.clone() }
        }
        (Wish::Savepoint, Some(location)) => {
            Action::TakeSavepoint { job, token, location: location.clone() }
        }
        _ => Action::TakeCheckpoint { job, token },
    });
    Secured::NotYet
}

/// What makes repeats of an operation's request the same: it lasts as long as the operation.
fn token(operation: &Operation) -> String {
    format!("{}-{}", operation.r#type.to_lowercase(), operation.started_at.0.as_millisecond())
}
