//! Which state a revision goes on with.
//!
//! The engine keeps a job's state under an identity, and what has ended under one stays ended. So a
//! restore, and a new run after an end, get an identity of their own; everything else goes on with
//! that of the revision that was started last.
//!
//! A resource that is made again under the name of an earlier one begins with the name as identity.
//! Its first JobManager reports what the earlier one has left: nothing, or state that it goes on
//! with; state under another identity, with which the resource goes on then; or a job that has
//! ended, which is run again: one that has finished from the beginning, one that was stopped with
//! its savepoint, any other one with its newest checkpoint.

use thalweg_core::ids::job_id;

use super::effect::forming_part;
use super::facts::{Facts, Recorded, checkpoint_of, has_ended};
use super::rollback;
use crate::build::{BuildError, revision_name};
use crate::resource::{EarlierRun, FlinkApplicationSpec, FlinkApplicationStatus, JobStatus};

/// How many jobs of a program are known by their ids.
const JOBS_MAX: u32 = 16;

/// What a revision goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The identity of its state.
    pub cluster_id: String,
    /// What its job begins with if there is no checkpoint under the identity.
    pub begin_with: Option<String>,
}

impl Lineage {
    /// That of a spec which is to be run now, of the application of this name and the resource's
    /// generation.
    pub fn of(
        name: &str,
        (generation, spec): (i64, &FlinkApplicationSpec),
        recorded: &[Recorded],
        status: &FlinkApplicationStatus,
    ) -> Lineage {
        let latest = recorded.iter().max_by_key(|record| record.number);
        let before = latest.map_or(name, |latest| latest.cluster_id.as_str());
        let restore = spec.state.restore.as_ref();
        let restored = latest.and_then(|latest| latest.spec.state.restore.as_ref());
        if let Some(restore) = restore
            && restored.is_none_or(|restored| restored.at != restore.at)
        {
            let cause = format!("{before} {}", restore.at.0);
            let begin_with = restore.from.path.clone();
            return Lineage { cluster_id: own_identity(name, &cause), begin_with };
        }
        if let Some(elsewhere) = elsewhere(name, before, latest, status) {
            return Lineage { cluster_id: elsewhere.to_owned(), begin_with: None };
        }
        // The report of the revision before may still stand there: it says nothing of this state.
        let job = status.job.as_ref();
        let job = job.filter(|job| has_ended(&job.state) && is_of(job, before));
        if let (Some(job), Some(latest)) = (job, latest) {
            let earlier = ended_earlier(job, before);
            // What has failed goes on with its newest checkpoint; what has finished begins anew.
            let newest = checkpoint_of(status, before).map(|checkpoint| checkpoint.path.clone());
            // One that had none of its own has lost nothing of what it was to begin with.
            let newest = newest.or_else(|| latest.begin_with.clone());
            let newest = earlier.map_or(newest, |earlier| earlier.path.clone());
            let stopped = earlier.is_some_and(|earlier| earlier.stopped);
            let begin_with = newest.filter(|_| job.state != "FINISHED" || stopped);
            let cause = match earlier {
                Some(earlier) => Some(format!("{before} after {}", earlier.uid)),
                None if form(&latest.spec) != form(spec)
                    && !came_too_late(name, (generation, spec), before, job, status) =>
                {
                    Some(format!("{before} {}", form(spec)))
                }
                None => None,
            };
            if let Some(cause) = cause {
                return Lineage { cluster_id: own_identity(name, &cause), begin_with };
            }
        }
        let begin_with = match latest {
            // It counts as long as there is no checkpoint under the identity.
            Some(latest) => latest.begin_with.clone(),
            None => restore.and_then(|restore| restore.from.path.clone()),
        };
        Lineage { cluster_id: before.to_owned(), begin_with }
    }

    /// That of a spec which is to be run now.
    pub(super) fn next(facts: &Facts, spec: &FlinkApplicationSpec) -> Lineage {
        let asked_for = (facts.generation, spec);
        Lineage::of(&facts.identity.name, asked_for, &facts.recorded, &facts.status)
    }

    /// That of a revision: as it was recorded, if it was started before.
    pub(super) fn of_revision(
        facts: &Facts,
        spec: &FlinkApplicationSpec,
        revision: &str,
    ) -> Lineage {
        let lineage = Lineage::next(facts, spec);
        match facts.record(revision) {
            Some(record) => Lineage { cluster_id: record.cluster_id.clone(), ..lineage },
            None => {
                let is_this = |it: &Lineage| {
                    let name = revision_name(&facts.identity.name, spec, &it.cluster_id);
                    name.is_ok_and(|name| name == revision)
                };
                rollback::after_failure(facts).filter(is_this).unwrap_or(lineage)
            }
        }
    }

    /// That of a stable revision's spec after the job of a revision has failed which wasn't stable.
    pub(super) fn after_failure(
        name: &str,
        failed: &Recorded,
        status: &FlinkApplicationStatus,
    ) -> Lineage {
        let Recorded { name: revision, cluster_id: before, begin_with, .. } = failed;
        let newest = checkpoint_of(status, before).map(|checkpoint| checkpoint.path.clone());
        Lineage {
            cluster_id: own_identity(name, &format!("{before} without {revision}")),
            begin_with: newest.or_else(|| begin_with.clone()),
        }
    }
}

/// Whether a job is one whose state has this identity: a program may have several.
pub(super) fn is_of(job: &JobStatus, cluster_id: &str) -> bool {
    (0..JOBS_MAX).any(|ordinal| job.id == job_id(cluster_id, ordinal).to_string())
}

/// Whether a job had finished before it could be upgraded to this spec, which asked for a change of
/// that run: not for another one, whose output would be there twice. Either the leader has seen
/// this generation when it reported the end; or the operator has seen while the job ran which
/// revision was asked for, and that is in the status since then. So it stays when a later
/// generation changes what forms no revision.
fn came_too_late(
    name: &str,
    (generation, spec): (i64, &FlinkApplicationSpec),
    cluster_id: &str,
    job: &JobStatus,
    status: &FlinkApplicationStatus,
) -> bool {
    let asked_for = status.update_revision.as_ref();
    let upgrade = revision_name(name, spec, cluster_id);
    let seen_by_leader = job.ended_generation.is_some_and(|ended| generation <= ended);
    let seen_by_operator = upgrade.is_ok_and(|upgrade| asked_for == Some(&upgrade));
    job.state == "FINISHED" && (seen_by_leader || seen_by_operator)
}

/// The identity under which an earlier resource has left its state, as long as the revision that
/// was started last has the one that a new resource begins with.
fn elsewhere<'s>(
    name: &str,
    before: &str,
    latest: Option<&Recorded>,
    status: &'s FlinkApplicationStatus,
) -> Option<&'s str> {
    let leading = status.job_manager.as_ref().filter(|_| latest.is_some() && before == name)?;
    leading.state_elsewhere.as_deref()
}

/// What an earlier resource has left of a job that has ended then, if it is the one whose state has
/// this identity: the report of another one's leader may still stand there.
fn ended_earlier<'s>(job: &'s JobStatus, cluster_id: &str) -> Option<&'s EarlierRun> {
    let earlier = job.earlier.as_ref().filter(|earlier| earlier.ended)?;
    is_of(job, cluster_id).then_some(earlier)
}

/// The name of the revision that the spec of this generation asks for now.
///
/// # Errors
/// When the spec can't be written as JSON.
pub fn wanted_revision(
    name: &str,
    (generation, spec): (i64, &FlinkApplicationSpec),
    recorded: &[Recorded],
    status: &FlinkApplicationStatus,
) -> Result<String, BuildError> {
    let lineage = Lineage::of(name, (generation, spec), recorded, status);
    revision_name(name, spec, &lineage.cluster_id)
}

/// The part of a spec that forms a revision, as text; empty for one that can't be written.
pub(super) fn form(spec: &FlinkApplicationSpec) -> String {
    serde_json::to_value(spec).map(|spec| forming_part(&spec).to_string()).unwrap_or_default()
}

/// The identity with which a resource begins that is made under the name of one whose state was
/// deleted: what has ended under an identity stays ended.
pub(super) fn after_deletion(name: &str, uid: &str) -> String {
    own_identity(name, &format!("{name} deleted {uid}"))
}

/// At most 54 characters, the same for the same cause.
fn own_identity(name: &str, cause: &str) -> String {
    format!("{name}-{:08x}", xxhash_rust::xxh3::xxh3_64(cause.as_bytes()) & 0xffff_ffff)
}
