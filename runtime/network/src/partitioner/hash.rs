//! Hash: by the key group of the row's key, so that equal keys meet in one subtask.

use thalweg_core::Batch;
use thalweg_core::batch::RowTypeMismatch;
use thalweg_core::key_group::{key_group, subtask_of};

use crate::error::NetworkError;

/// Computes the hash of each row's key; the typed API has the key selector and gives this.
pub trait KeyHasher: Send {
    /// One hash per row left in the batch, in order: `Key::key_hash` of the row's key.
    ///
    /// # Errors
    /// The rows are of another type.
    fn hash(&self, batch: &Batch) -> Result<Vec<u64>, RowTypeMismatch>;
}

/// Sends each row to the subtask that owns its key group.
pub struct HashPartitioner {
    hasher: Box<dyn KeyHasher>,
    /// The channel of each key group.
    channels: Vec<u32>,
    parallelism: u32,
}

impl HashPartitioner {
    /// For consumers of `max_parallelism` key groups and `parallelism` subtasks, each with its
    /// channel, in order.
    pub fn new(hasher: Box<dyn KeyHasher>, max_parallelism: u32, parallelism: u32) -> Self {
        let owner = |group| subtask_of(group, max_parallelism, parallelism);
        Self { hasher, channels: (0..max_parallelism).map(owner).collect(), parallelism }
    }

    pub(super) fn fits(&self, channels: usize) -> bool {
        channels == self.parallelism as usize && !self.channels.is_empty()
    }

    /// Sets the rows' hashes on the batch, in place of those that an earlier exchange may have
    /// left there for another key.
    pub(super) fn partition(
        &self,
        batch: &mut Batch,
        destinations: Option<&mut Vec<u32>>,
    ) -> Result<(), NetworkError> {
        let hashes = self.hasher.hash(batch)?;
        if hashes.len() != batch.len() {
            let (results, rows) = (hashes.len(), batch.len());
            return Err(NetworkError::ResultCount { what: "key hasher", results, rows });
        }
        if let Some(destinations) = destinations {
            let groups = self.channels.len() as u32;
            let channels = self.channels.as_slice();
            // A key group is below their number, so that the index is always in range.
            destinations.extend(hashes.iter().map(|h| channels[key_group(*h, groups) as usize]));
        }
        batch.set_hashes(hashes);
        Ok(())
    }
}

impl std::fmt::Debug for HashPartitioner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashPartitioner")
            .field("max_parallelism", &self.channels.len())
            .field("parallelism", &self.parallelism)
            .finish_non_exhaustive()
    }
}
