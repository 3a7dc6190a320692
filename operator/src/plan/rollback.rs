//! Rollback: an upgrade to the stable revision, from the newest published checkpoint.
//!
//! The stable revision's own image checks first whether it can read that, which the failed one may
//! have written. Where it can't, nothing goes back by itself: that would lose state, and only the
//! user may decide so, by `state.restore`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::action::{Decision, Situation};
use super::facts::Facts;
use super::preflight::{self, Finding};
use crate::build::preflight_name;
use crate::resource::{FlinkApplicationSpec, Operation};

/// Whether the failed revision's pods may go, as the stable one can go on with what there is.
pub(super) fn may_stop(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    stable: &str,
    operation: &Operation,
    now: &Time,
    decision: &mut Decision,
) -> bool {
    let failed = decision.given_up.clone().unwrap_or_default();
    if has_state_of_its_own(facts, stable, &failed) {
        lost(stable, "the failed one has published checkpoints since a restore", decision);
        return false;
    }
    match preflight::find(facts, spec, stable, operation, now, decision) {
        Finding::Unneeded | Finding::Passed => true,
        Finding::UnderWay => false,
        Finding::Refused(path, refused) => {
            decision.actions.push(preflight::failed(facts, stable, &path, &refused));
            let why = format!(
                "its program can't go on with {path}, or that couldn't be checked: {refused} \
                 (delete the pod {} to check it again)",
                preflight_name(stable)
            );
            lost(stable, &why, decision);
            false
        }
    }
}

/// Whether the failed revision has published checkpoints under an identity that isn't the stable
/// one's: it was to begin with a restore.
fn has_state_of_its_own(facts: &Facts, stable: &str, failed: &str) -> bool {
    let identity = |revision: &str| facts.record(revision).map(|record| &record.cluster_id);
    let published = facts.job_of(failed).is_some() && facts.status.checkpoint.is_some();
    identity(stable) != identity(failed) && published
}

fn lost(stable: &str, why: &str, decision: &mut Decision) {
    decision.situation = Situation::Stalled {
        reason: "RollbackWouldLoseState",
        message: format!(
            "the revision that isn't stable goes on; {stable} doesn't come back by itself: {why}. \
             Mend the program; or go back with another state by the old spec and state.restore"
        ),
    };
}
