//! Custom: by a function of the application, whose choices are checked.

use thalweg_core::Batch;
use thalweg_core::batch::RowTypeMismatch;

use crate::error::NetworkError;

/// Chooses channels as the application wants.
pub trait CustomPartitioner: Send {
    /// Appends the channel (below `channels`) of each row left in the batch to `destinations`,
    /// which is empty.
    ///
    /// # Errors
    /// The rows are of another type.
    fn partition(
        &mut self,
        batch: &Batch,
        channels: u32,
        destinations: &mut Vec<u32>,
    ) -> Result<(), RowTypeMismatch>;
}

pub(super) fn partition(
    custom: &mut dyn CustomPartitioner,
    batch: &Batch,
    channels: usize,
    destinations: &mut Vec<u32>,
) -> Result<(), NetworkError> {
    custom.partition(batch, channels as u32, destinations)?;
    let (results, rows) = (destinations.len(), batch.len());
    if results != rows {
        return Err(NetworkError::ResultCount { what: "custom partitioner", results, rows });
    }
    match destinations.iter().copied().max() {
        Some(chosen) if chosen as usize >= channels => {
            Err(NetworkError::NoSuchChannel { chosen, channels })
        }
        _ => Ok(()),
    }
}
