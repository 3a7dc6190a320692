//! The sending end of a channel to another process, on the producer's thread.

use std::sync::Arc;

use bytes::Bytes;
use thalweg_core::element::Control;
use thalweg_core::{Batch, RowType};

use super::client::ClientLink;
use super::flow::Flow;
use super::frame::{Frame, FrameKind, HEADER_BYTES};
use crate::channel::{CONTROL_BYTES, ChannelId};
use crate::error::NetworkError;

/// Bytes before the batch in a payload: its number of rows.
pub(crate) const ROWS_BYTES: usize = 4;

/// A batch as it goes over the wire, to any number of channels.
pub(crate) struct EncodedBatch {
    payload: Bytes,
    checksum: u32,
}

/// Closes its channel when it is dropped.
pub(crate) struct RemoteOutput {
    id: ChannelId,
    number: u32,
    link: Arc<ClientLink>,
    flow: Arc<Flow>,
    sequence: u64,
    frame_limit: usize,
    /// Size of the last payload: the next one's is probably like it.
    last_bytes: usize,
}

impl RemoteOutput {
    pub(super) fn new(
        id: ChannelId,
        number: u32,
        link: Arc<ClientLink>,
        flow: Arc<Flow>,
        frame_limit: usize,
    ) -> Self {
        Self { id, number, link, flow, sequence: 0, frame_limit, last_bytes: 0 }
    }

    /// Encodes a batch, in as many parts as the frame limit asks for.
    ///
    /// # Errors
    /// A single row exceeds the limit.
    pub(crate) fn encode(
        &mut self,
        batch: Batch,
        row_type: &RowType,
    ) -> Result<Vec<EncodedBatch>, NetworkError> {
        let mut parts = Vec::with_capacity(1);
        let mut left = vec![batch];
        while let Some(batch) = left.pop() {
            let mut payload = Vec::with_capacity(self.last_bytes + self.last_bytes / 16 + 64);
            // A batch is bounded to far fewer rows than 2^32 by whoever builds it.
            payload.extend_from_slice(&(batch.len() as u32).to_le_bytes());
            batch.encode(&mut payload);
            let (bytes, limit) = (payload.len(), self.frame_limit);
            if bytes <= limit {
                self.last_bytes = bytes;
                let checksum = crc32c::crc32c(&payload);
                parts.push(EncodedBatch { payload: Bytes::from(payload), checksum });
                continue;
            }
            let rows = batch.len();
            if rows <= 1 {
                return Err(NetworkError::RowTooLarge { channel: self.id, bytes, limit });
            }
            // As many equal runs of rows as the size asks for; a run that is still too large is
            // cut again.
            let runs = bytes.div_ceil(limit).clamp(2, rows);
            let run_of: Vec<u32> = (0..rows).map(|row| (row * runs / rows) as u32).collect();
            let mut buffers = row_type.scatter(runs);
            batch.scatter(buffers.as_mut(), &run_of)?;
            left.extend((0..runs).rev().filter_map(|run| buffers.take(run)));
        }
        Ok(parts)
    }

    /// Sends one part. Gives the bytes that it takes.
    pub(crate) fn push_encoded(&mut self, part: &EncodedBatch) -> usize {
        let bytes = HEADER_BYTES + part.payload.len();
        if self.flow.send(bytes) {
            let payload = part.payload.clone();
            self.link.send(Frame::with_checksum(
                FrameKind::Batch,
                self.number,
                self.sequence,
                payload,
                part.checksum,
            ));
            self.sequence += 1;
        }
        bytes
    }

    pub(crate) fn push_control(&mut self, control: Control) {
        if self.flow.send(CONTROL_BYTES) {
            self.link.send(Frame::control(self.number, self.sequence, &control));
            self.sequence += 1;
        }
    }

    pub(crate) fn reader_waiting(&self) -> bool {
        self.flow.reader_waiting()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.flow.under_way()
    }
}

impl Drop for RemoteOutput {
    fn drop(&mut self) {
        self.link.close_channel(self.number);
    }
}
