//! Rollback: an upgrade to the stable revision, from the newest published checkpoint.
//!
//! A revision is rolled back when it isn't stable in time, and when its job fails for good before
//! it has proved stable. The stable revision's own image checks first whether it can read the
//! newest checkpoint, which the failed one may have written. Where it can't, nothing goes back by
//! itself: that would lose state, and only the user may decide so, by `state.restore`.
//!
//! What has failed under an identity stays failed. After that the stable revision's spec comes back
//! under an identity of its own, so as a revision of another name, which has to prove stable.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::action::{Action, Decision, Event, Situation};
use super::facts::{Facts, Recorded, has_ended};
use super::lineage::{Lineage, is_of};
use super::preflight::{self, Finding};
use crate::build::{preflight_name, revision_name};
use crate::resource::{FlinkApplicationSpec, Operation, Rollback};

/// The stable revision, if it can be gone back to from this one: with the same state, or with what
/// there was before a restore. Any other identity is that of a new run after an end, and what has
/// ended isn't gone back to.
pub(super) fn way_back<'f>(facts: &'f Facts, failed: &str) -> Option<&'f Recorded> {
    let stable = facts.record(facts.status.stable_revision.as_deref()?)?;
    let failed = facts.record(failed)?;
    let restore = |record: &Recorded| record.spec.state.restore.as_ref().map(|it| it.at.clone());
    let restored = restore(failed).is_some() && restore(failed) != restore(stable);
    let leads = stable.name != failed.name && (stable.cluster_id == failed.cluster_id || restored);
    leads.then_some(stable)
}

/// Whether what the spec asks for goes on with other state than the stable revision's, whose job
/// has ended: that isn't gone back to any more, whatever becomes of what is asked for.
pub(super) fn stable_has_ended(facts: &Facts, spec: &FlinkApplicationSpec, wanted: &str) -> bool {
    let stable = facts.status.stable_revision.as_deref().and_then(|it| facts.record(it));
    let Some(Recorded { cluster_id: identity, .. }) = stable else { return false };
    if Lineage::of_revision(facts, spec, wanted).cluster_id == *identity {
        return false;
    }
    let reported = facts.status.job.as_ref();
    let reported = reported.is_some_and(|job| has_ended(&job.state) && is_of(job, identity));
    // Another leader's report may have taken the place of that.
    let failed = facts.recorded.iter().filter(|each| each.cluster_id == *identity);
    let mut after = failed.map(|failed| {
        Lineage::after_failure(&facts.identity.name, failed, &facts.status).cluster_id
    });
    reported || after.any(|after| facts.recorded.iter().any(|each| each.cluster_id == after))
}

/// A revision isn't tried again before the spec changes; the stable one comes back.
pub(super) fn give_up(failed: &str, stable: &str, why: &str, decision: &mut Decision) {
    decision.given_up = Some(failed.to_owned());
    decision.situation = Situation::RollingBack;
    decision.operation = None;
    decision.actions.push(Action::Publish(Event {
        reason: "Rollback",
        warning: true,
        message: format!(
            "revision {failed} {why}; {stable} comes back with the newest checkpoint. It isn't \
             tried again before the spec changes"
        ),
        key: failed.to_owned(),
    }));
}

/// Whether a rollback goes on though the job of the failed revision has ended: it has failed, and
/// there is a way back with all of its state.
pub(super) fn survives(facts: &Facts, failed: &str) -> bool {
    let way_back = way_back(facts, failed);
    let with_all =
        way_back.is_some_and(|stable| !has_state_of_its_own(facts, &stable.name, failed));
    with_all && has_failed(facts, failed)
}

/// Gives up a revision whose job has failed for good before it proved stable, where the user wants
/// that. Whether it did.
pub(super) fn of_failed_job(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    failed: &str,
    decision: &mut Decision,
) -> bool {
    let wanted = spec.upgrade.rollback == Rollback::Auto && !spec.suspend;
    let Some(stable) = way_back(facts, failed) else { return false };
    if !wanted || decision.given_up.is_some() || !survives(facts, failed) {
        return false;
    }
    give_up(failed, &stable.name, "has a job that FAILED before it proved stable", decision);
    true
}

/// What the stable revision's spec goes on with once the job of the one that was given up has
/// failed for good under the same identity.
pub(super) fn after_failure(facts: &Facts) -> Option<Lineage> {
    let (failed, stable) = facts.given_up_for()?;
    let failed = facts.record(&failed).filter(|it| it.cluster_id == stable.cluster_id)?;
    let lineage = Lineage::after_failure(&facts.identity.name, failed, &facts.status);
    // Its own leader's report takes the place of that of the failure.
    let has_begun = facts.recorded.iter().any(|each| each.cluster_id == lineage.cluster_id);
    (has_begun || has_failed(facts, &failed.name)).then_some(lineage)
}

/// The revision with which the stable one comes back, in this spec.
pub(super) fn target(facts: &Facts, stable: &Recorded, spec: &FlinkApplicationSpec) -> String {
    let own = after_failure(facts).and_then(|Lineage { cluster_id, .. }| {
        let recorded = facts.recorded.iter().find(|each| each.cluster_id == cluster_id);
        let name = recorded.map(|each| each.name.clone());
        name.or_else(|| revision_name(&facts.identity.name, spec, &cluster_id).ok())
    });
    own.unwrap_or_else(|| stable.name.clone())
}

/// Whether the failed revision's pods may go, as the stable one can go on with what there is.
pub(super) fn may_stop(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    target: &str,
    operation: &Operation,
    now: &Time,
    decision: &mut Decision,
) -> bool {
    let failed = decision.given_up.clone().unwrap_or_default();
    let stable = decision.stable.clone().unwrap_or_default();
    let goes_on = match has_failed(facts, &failed) {
        true => "the job has failed",
        false => "the revision that isn't stable goes on",
    };
    if has_state_of_its_own(facts, &stable, &failed) {
        let why = "the failed one has published checkpoints since a restore";
        lost((goes_on, &stable), why, decision);
        return false;
    }
    match preflight::find(facts, spec, target, operation, now, decision) {
        Finding::Unneeded | Finding::Passed => true,
        Finding::UnderWay => false,
        Finding::Refused(path, refused) => {
            decision.actions.push(preflight::failed(facts, target, &path, &refused));
            let why = format!(
                "its program can't go on with {path}, or that couldn't be checked: {refused} \
                 (delete the pod {} to check it again)",
                preflight_name(target)
            );
            lost((goes_on, &stable), &why, decision);
            false
        }
    }
}

fn has_failed(facts: &Facts, revision: &str) -> bool {
    facts.job_of(revision).is_some_and(|job| job.state == "FAILED")
}

/// Whether the failed revision has published checkpoints under an identity that isn't the stable
/// one's: it was to begin with a restore.
fn has_state_of_its_own(facts: &Facts, stable: &str, failed: &str) -> bool {
    let identity = |revision: &str| facts.record(revision).map(|record| &record.cluster_id);
    let published = facts.job_of(failed).is_some() && facts.status.checkpoint.is_some();
    identity(stable) != identity(failed) && published
}

fn lost((goes_on, stable): (&str, &str), why: &str, decision: &mut Decision) {
    decision.situation = Situation::Stalled {
        reason: "RollbackWouldLoseState",
        message: format!(
            "{goes_on}; {stable} doesn't come back by itself: {why}. Mend the program; or go back \
             with another state by the old spec and state.restore"
        ),
    };
}
