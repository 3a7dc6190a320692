//! What makes up a checkpoint or savepoint: for each operator where its subtasks' snapshots are.
//! JSON followed by a line with its CRC-32C; described in `docs/checkpoint-format.md`. Not here:
//! publishing a manifest, which decides whether its checkpoint counts.

mod check;
mod hex;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thalweg_core::ids::{CheckpointId, JobId, JobVertexId, OperatorId};
use thalweg_core::key_group::KeyGroupRange;
use thiserror::Error;

pub use self::store::{load, load_from, save, save_to};
use crate::blob::{BlobError, BlobPath, BlobPathError};

/// The version that is written, and the highest that is read.
///
/// Version 1 didn't know the lengths of objects and resource requirements.
pub const FORMAT_VERSION: u32 = 2;

/// A checkpoint that was triggered by the coordinator, or a savepoint by the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointKind {
    /// Taken regularly; the engine deletes it.
    Checkpoint,
    /// Asked for; only the user deletes it.
    Savepoint,
}

/// A complete checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointManifest {
    /// The manifest's format: [`FORMAT_VERSION`], or an older one that was read.
    pub format_version: u32,
    /// The job.
    #[serde(with = "hex::id")]
    pub job_id: JobId,
    /// The checkpoint.
    pub checkpoint_id: CheckpointId,
    /// What it was taken for.
    pub kind: CheckpointKind,
    /// When it was triggered: milliseconds since 1970.
    pub trigger_time_ms: i64,
    /// When the last subtask's snapshot was stored: milliseconds since 1970.
    pub completion_time_ms: i64,
    /// The fingerprint of the JobGraph that it was taken of.
    pub graph_fingerprint: u64,
    /// Set when the job was stopped with a savepoint: the store that holds it, and all objects that
    /// this manifest names. A restart by the engine commits from it and ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_with: Option<String>,
    /// Vertices that the user has given another parallelism while the job ran. A restart by the
    /// engine goes on with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_requirements: Vec<VertexRequirement>,
    /// Data in flight; empty as long as barriers are aligned.
    pub channel_state: Vec<ChannelState>,
    /// The operators, ordered by their ids.
    pub operators: Vec<OperatorManifest>,
}

/// The parallelism that a user has given to a vertex of a running job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VertexRequirement {
    /// The vertex.
    #[serde(with = "hex::id")]
    pub vertex_id: JobVertexId,
    /// The parallelism that the program gives it.
    pub declared: u32,
    /// The one that it has instead.
    pub parallelism: u32,
}

/// Data in flight. There's none of it yet: the section is reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChannelState {}

/// An operator's part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorManifest {
    /// The operator.
    #[serde(with = "hex::id")]
    pub operator_id: OperatorId,
    /// The uid that the user gave it.
    pub uid: Option<String>,
    /// Its name.
    pub name: String,
    /// Its parallelism.
    pub parallelism: u32,
    /// Its max parallelism.
    pub max_parallelism: u32,
    /// Whether all its subtasks had finished: then it isn't run again.
    pub finished: bool,
    /// The subtasks that had finished, ascending, where not all of them had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finished_subtasks: Vec<u32>,
    /// The runs of its subtasks, ordered by the subtasks' indices. Those without state are left
    /// out; those with a base run and deltas on it have an entry for each, in that order.
    pub subtasks: Vec<SubtaskManifest>,
    /// The state of its coordinator, of a source's enumerator for one.
    pub coordinator_state: Option<CoordinatorState>,
}

/// Where a subtask's snapshot is, or one run of it: a part of an object, which it may share with
/// others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubtaskManifest {
    /// The subtask's index.
    pub index: u32,
    /// The key groups that it owned, if the operator is keyed.
    pub key_groups: Option<KeyGroups>,
    /// The object that holds the snapshot.
    pub object: String,
    /// The length of that object in bytes. None if it isn't known: a manifest of version 1 named
    /// it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_length: Option<u64>,
    /// Where the snapshot starts in the object.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// The CRC-32C of these bytes.
    pub crc32c: u32,
}

/// Key groups, `start` included and `end` not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyGroups {
    /// The first.
    pub start: u32,
    /// The one after the last.
    pub end: u32,
}

impl From<KeyGroupRange> for KeyGroups {
    fn from(range: KeyGroupRange) -> KeyGroups {
        KeyGroups { start: range.start, end: range.end }
    }
}

impl From<KeyGroups> for KeyGroupRange {
    fn from(groups: KeyGroups) -> KeyGroupRange {
        KeyGroupRange { start: groups.start, end: groups.end }
    }
}

/// Bytes that only the coordinator understands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoordinatorState(#[serde(with = "hex::bytes")] pub Vec<u8>);

/// A manifest that can't be stored, or isn't one.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] BlobError),
    /// A path that isn't one.
    #[error(transparent)]
    Path(#[from] BlobPathError),
    /// The bytes aren't a whole manifest.
    #[error("the manifest {place} is damaged: {reason}; restore from another checkpoint")]
    Damaged {
        /// Where it was read from.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A later version's manifest.
    #[error(
        "the manifest {place} has format version {found}, this build reads up to {supported}: \
         restore it with the version that wrote it, or a later one"
    )]
    Version {
        /// Where it was read from.
        place: String,
        /// Its version.
        found: u32,
        /// The highest version that this build reads.
        supported: u32,
    },
    /// What it says contradicts itself.
    #[error("the manifest of checkpoint {checkpoint} makes no sense: {reason}")]
    Inconsistent {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What is wrong.
        reason: String,
    },
    /// It's there already: another JobManager wrote it, or this one twice.
    #[error(
        "the manifest {place} exists already and is different: two JobManagers run the same \
         job; stop one of them"
    )]
    Exists {
        /// The manifest.
        place: String,
    },
}

impl CheckpointManifest {
    /// Refuses a manifest that couldn't be restored. Done before it's written and after it's
    /// read.
    ///
    /// # Errors
    /// What contradicts itself.
    pub fn check(&self) -> Result<(), ManifestError> {
        let checked = self.operators.iter().try_for_each(check::operator).and_then(|()| {
            let ordered = self.operators.is_sorted_by(|a, b| a.operator_id < b.operator_id);
            if ordered { Ok(()) } else { Err("its operators aren't ordered by id".to_owned()) }
        });
        let checked = checked.and_then(|()| check::ranges(&self.operators));
        let checkpoint = self.checkpoint_id;
        checked.map_err(|reason| ManifestError::Inconsistent { checkpoint, reason })
    }

    /// The operator's part.
    pub fn operator(&self, id: OperatorId) -> Option<&OperatorManifest> {
        let place = self.operators.binary_search_by_key(&id, |operator| operator.operator_id);
        place.ok().and_then(|place| self.operators.get(place))
    }

    /// All objects that the checkpoint needs besides its manifest, ascending, each once.
    ///
    /// # Errors
    /// An object whose name isn't one.
    pub fn objects(&self) -> Result<Vec<BlobPath>, BlobPathError> {
        let subtasks = self.operators.iter().flat_map(|operator| &operator.subtasks);
        let objects: Result<BTreeSet<_>, _> =
            subtasks.map(|subtask| BlobPath::parse(&subtask.object)).collect();
        Ok(objects?.into_iter().collect())
    }
}
