//! The runs that a manifest refers to, one by one. The only place that knows how manifests name
//! them. Not here: their contents.

use std::sync::Arc;

use thalweg_core::key_group::KeyGroupRange;
use thalweg_state::{RunError, RunReader};
use thalweg_storage::{BlobPath, BlobPathError, CheckpointManifest, OperatorManifest};

use super::error::StateCommandError;
use super::store::{OpenStore, StoredPart};

/// A run of an operator's subtask.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunPlace<'m> {
    pub(super) operator: &'m OperatorManifest,
    pub(super) subtask: u32,
    /// Those that the subtask owned, if the operator is keyed.
    pub(super) key_groups: Option<KeyGroupRange>,
    pub(super) object: &'m str,
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) crc32c: u32,
}

/// All runs of a checkpoint: by operator, then by subtask, a base before its deltas.
pub(super) fn of(manifest: &CheckpointManifest) -> impl Iterator<Item = RunPlace<'_>> {
    manifest.operators.iter().flat_map(of_operator)
}

/// The runs of an operator, by subtask.
pub(super) fn of_operator(operator: &OperatorManifest) -> impl Iterator<Item = RunPlace<'_>> {
    operator.subtasks.iter().map(move |subtask| RunPlace {
        operator,
        subtask: subtask.index,
        key_groups: subtask.key_groups.map(KeyGroupRange::from),
        object: &subtask.object,
        offset: subtask.offset,
        length: subtask.length,
        crc32c: subtask.crc32c,
    })
}

impl RunPlace<'_> {
    /// Its bytes.
    pub(super) fn bytes(&self, store: &OpenStore) -> Result<StoredPart, BlobPathError> {
        Ok(store.part(BlobPath::parse(self.object)?, self.offset, self.length))
    }

    /// Opens it.
    pub(super) fn open(&self, store: &OpenStore) -> Result<RunReader, StateCommandError> {
        RunReader::open(Arc::new(self.bytes(store)?)).map_err(|error| self.error(error))
    }

    /// An error about it.
    pub(super) fn error(&self, source: RunError) -> StateCommandError {
        StateCommandError::Run {
            object: self.object.to_owned(),
            operator: self.operator.name.clone(),
            subtask: self.subtask,
            source: Box::new(source),
        }
    }
}
