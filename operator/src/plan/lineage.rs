//! Which state a revision goes on with.
//!
//! The engine keeps a job's state under an identity, and what has ended under one stays ended. So a
//! restore, and a new run after an end, get an identity of their own; everything else goes on with
//! that of the revision before.

use super::facts::{Facts, Recorded, has_ended};
use crate::resource::{FlinkApplicationSpec, Restore};

/// The identity of a revision's state, and what its job begins with if there is nothing under it.
pub(super) fn lineage(
    facts: &Facts,
    spec: &FlinkApplicationSpec,
    wanted: &str,
) -> (String, Option<String>) {
    let name = &facts.identity.name;
    // The identities that there were, by the number of their revision.
    let latest: Option<&Recorded> = facts.recorded.iter().max_by_key(|record| record.number);
    let restore = spec.state.restore.as_ref();
    let restored_before = latest.and_then(|latest| latest.spec.state.restore.as_ref());
    if let Some(restore) = restore
        && restored_before.is_none_or(|before| before.at != restore.at)
    {
        let path = restore.from.path.clone();
        return (own_identity(name, &at(restore)), path);
    }
    let Some(latest) = latest else { return (name.clone(), None) };
    let path = restore.and_then(|restore| restore.from.path.clone());
    let job = facts.status.job.as_ref();
    match job.filter(|job| has_ended(&job.state) && latest.name != wanted) {
        // What has failed goes on with its newest checkpoint; what has finished begins anew.
        Some(job) => {
            let newest = facts.status.checkpoint.as_ref().map(|checkpoint| checkpoint.path.clone());
            let begin_with = newest.filter(|_| job.state != "FINISHED");
            (own_identity(name, wanted), begin_with)
        }
        None => (latest.cluster_id.clone(), path),
    }
}

fn at(restore: &Restore) -> String {
    restore.at.0.to_string()
}

/// At most 54 characters, the same for the same cause.
fn own_identity(name: &str, cause: &str) -> String {
    format!("{name}-{:08x}", xxhash_rust::xxh3::xxh3_64(cause.as_bytes()) & 0xffff_ffff)
}
