//! The sending end of a channel, wherever its consumer is.

use thalweg_core::element::Control;
use thalweg_core::{Batch, RowType};

use super::LocalOutput;
use crate::error::NetworkError;
use crate::remote::{EncodedBatch, RemoteOutput};

/// The sending end of a channel.
pub(crate) enum OutputChannel {
    Local(LocalOutput),
    Remote(RemoteOutput),
}

impl OutputChannel {
    /// Sends a batch. Gives the bytes that it takes.
    pub(crate) fn push_batch(
        &mut self,
        batch: Batch,
        row_type: &RowType,
    ) -> Result<usize, NetworkError> {
        match self {
            Self::Local(local) => Ok(local.push_batch(batch)),
            Self::Remote(remote) => {
                let encoded = remote.encode(batch, row_type)?;
                Ok(encoded.iter().map(|part| remote.push_encoded(part)).sum())
            }
        }
    }

    /// Sends a batch that other channels get too: `encoded` keeps its bytes for the next one.
    pub(crate) fn push_shared(
        &mut self,
        batch: &Batch,
        row_type: &RowType,
        encoded: &mut Option<Vec<EncodedBatch>>,
    ) -> Result<usize, NetworkError> {
        match self {
            Self::Local(local) => Ok(local.push_batch(batch.clone())),
            Self::Remote(remote) => {
                let parts = match encoded.take() {
                    Some(parts) => parts,
                    None => remote.encode(batch.clone(), row_type)?,
                };
                let bytes = parts.iter().map(|part| remote.push_encoded(part)).sum();
                *encoded = Some(parts);
                Ok(bytes)
            }
        }
    }

    /// Sends a control element.
    pub(crate) fn push_control(&mut self, control: Control) {
        match self {
            Self::Local(local) => local.push_control(control),
            Self::Remote(remote) => remote.push_control(control),
        }
    }

    /// Whether the consumer has nothing to do, so that waiting for a fuller batch only costs time.
    pub(crate) fn reader_waiting(&self) -> bool {
        match self {
            Self::Local(local) => local.reader_waiting(),
            Self::Remote(remote) => remote.reader_waiting(),
        }
    }

    /// Bytes sent that the consumer hasn't taken yet.
    pub(crate) fn queued_bytes(&self) -> usize {
        match self {
            Self::Local(local) => local.queued_bytes(),
            Self::Remote(remote) => remote.queued_bytes(),
        }
    }
}
