//! Puts small batches together: after a shuffle over many channels each is a fraction of what the
//! producer had, and an operator's fixed cost per batch would be paid as many times as often.

use thalweg_core::Batch;

use super::Channel;
use crate::channel::{Item, Queued};
use crate::error::NetworkError;
use crate::remote::ROWS_BYTES;

/// Channels in a row that have nothing to add before the gate stops asking.
pub(super) const REFUSALS_MAX: usize = 16;

/// A batch that is being put together.
pub(super) struct Merge {
    batch: Option<Batch>,
    rows_max: usize,
    rows: usize,
    bytes: usize,
    batches: usize,
}

impl Merge {
    pub(super) fn new(rows_max: usize) -> Self {
        Self { batch: None, rows_max, rows: 0, bytes: 0, batches: 0 }
    }

    /// Rows that it still takes.
    pub(super) fn room(&self) -> usize {
        self.rows_max.saturating_sub(self.rows)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn batches(&self) -> usize {
        self.batches
    }

    /// Adds batches taken from a channel, and decodes those that came from another process.
    pub(super) fn add(
        &mut self,
        channel: &Channel,
        taken: &mut Vec<Queued>,
    ) -> Result<(), NetworkError> {
        for Queued { item, bytes } in taken.drain(..) {
            let more = match item {
                Item::Batch(batch) => batch,
                Item::Encoded { payload, .. } => {
                    let channel_id = channel.queue.id();
                    channel
                        .row_type
                        .decode(&payload[ROWS_BYTES..])
                        .map_err(|source| NetworkError::Decode { channel: channel_id, source })?
                }
                Item::Control(_) => continue,
            };
            self.rows += more.len();
            self.bytes += bytes;
            self.batches += 1;
            match &mut self.batch {
                Some(batch) => batch.append(more)?,
                None => self.batch = Some(more),
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Option<Batch> {
        self.batch
    }
}
