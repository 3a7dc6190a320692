//! Which state a revision goes on with.
//!
//! The engine keeps a job's state under an identity, and what has ended under one stays ended. So a
//! restore, and a new run after an end, get an identity of their own; everything else goes on with
//! that of the revision that was started last.

use super::effect::forming_part;
use super::facts::{Facts, Recorded, has_ended};
use crate::build::{BuildError, revision_name};
use crate::resource::{FlinkApplicationSpec, FlinkApplicationStatus};

/// What a revision goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The identity of its state.
    pub cluster_id: String,
    /// What its job begins with if there is no checkpoint under the identity.
    pub begin_with: Option<String>,
}

impl Lineage {
    /// That of a spec which is to be run now, of the application of this name.
    pub fn of(
        name: &str,
        spec: &FlinkApplicationSpec,
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
        let job = status.job.as_ref().filter(|job| has_ended(&job.state));
        if let (Some(job), Some(latest)) = (job, latest)
            && form(&latest.spec) != form(spec)
        {
            // What has failed goes on with its newest checkpoint; what has finished begins anew.
            let newest = status.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone());
            let begin_with = newest.filter(|_| job.state != "FINISHED");
            let cluster_id = own_identity(name, &format!("{before} {}", form(spec)));
            return Lineage { cluster_id, begin_with };
        }
        let begin_with = restore.and_then(|restore| restore.from.path.clone());
        Lineage { cluster_id: before.to_owned(), begin_with }
    }

    /// That of a revision: as it was recorded, if it was started before.
    pub(super) fn of_revision(
        facts: &Facts,
        spec: &FlinkApplicationSpec,
        revision: &str,
    ) -> Lineage {
        let lineage = Lineage::of(&facts.identity.name, spec, &facts.recorded, &facts.status);
        match facts.record(revision) {
            Some(record) => Lineage { cluster_id: record.cluster_id.clone(), ..lineage },
            None => lineage,
        }
    }
}

/// The name of the revision that a spec asks for now.
///
/// # Errors
/// When the spec can't be written as JSON.
pub fn wanted_revision(
    name: &str,
    spec: &FlinkApplicationSpec,
    recorded: &[Recorded],
    status: &FlinkApplicationStatus,
) -> Result<String, BuildError> {
    revision_name(name, spec, &Lineage::of(name, spec, recorded, status).cluster_id)
}

/// The part of a spec that forms a revision, as text; empty for one that can't be written.
pub(super) fn form(spec: &FlinkApplicationSpec) -> String {
    serde_json::to_value(spec).map(|spec| forming_part(&spec).to_string()).unwrap_or_default()
}

/// At most 54 characters, the same for the same cause.
fn own_identity(name: &str, cause: &str) -> String {
    format!("{name}-{:08x}", xxhash_rust::xxh3::xxh3_64(cause.as_bytes()) & 0xffff_ffff)
}
