//! What comes in on one accepted connection: the channels that its peer has opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::element::Control;

use super::frame::{Frame, FrameError, FrameKind, HEADER_BYTES, Header, Rejection, decode};
use super::link::{CreditReturn, Link};
use super::output::ROWS_BYTES;
use crate::channel::{CONTROL_BYTES, ChannelId, InputQueue, Item};
use crate::error::NetworkError;
use crate::registry::PartitionRegistry;

/// Bounds on what a peer may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct InboundLimits {
    pub(super) channels: usize,
    pub(super) frame_bytes: usize,
}

struct Channel {
    /// None: it was rejected, and what still comes for it is dropped.
    queue: Option<Arc<InputQueue>>,
    next_sequence: u64,
}

/// Fails its channels when it is dropped.
pub(super) struct Inbound {
    peer: String,
    registry: Arc<PartitionRegistry>,
    link: Arc<Link>,
    limits: InboundLimits,
    channels: BTreeMap<u32, Channel>,
    reason: String,
}

impl Inbound {
    pub(super) fn new(
        peer: String,
        registry: Arc<PartitionRegistry>,
        link: Arc<Link>,
        limits: InboundLimits,
    ) -> Self {
        let reason = String::from("it was ended here");
        Self { peer, registry, link, limits, channels: BTreeMap::new(), reason }
    }

    /// The connection ends for this reason.
    pub(super) fn ended(&mut self, reason: &str) {
        reason.clone_into(&mut self.reason);
    }

    /// Whether channels are open that have not ended.
    pub(super) fn has_channels(&self) -> bool {
        !self.channels.is_empty()
    }

    /// Takes a frame that has passed its checksum.
    pub(super) fn received(&mut self, header: &Header, payload: Vec<u8>) -> Result<(), FrameError> {
        let number = header.channel;
        match header.kind {
            FrameKind::Open => self.open(number, decode(header.kind, &payload)?),
            FrameKind::Close => {
                // Nothing to close when it was opened and rejected meanwhile, or never: harmless.
                if let Some(Channel { queue: Some(queue), .. }) = self.channels.remove(&number) {
                    queue.close_upstream();
                }
                Ok(())
            }
            FrameKind::Batch => {
                let bytes = HEADER_BYTES + payload.len();
                let item = encoded_batch(payload)?;
                self.data(number, header.sequence, item, bytes)
            }
            FrameKind::Control => {
                let control: Control = decode(header.kind, &payload)?;
                self.data(number, header.sequence, Item::Control(control), CONTROL_BYTES)
            }
            FrameKind::Credit | FrameKind::Reject => Err(FrameError::Unexpected(header.kind)),
        }
    }

    fn open(&mut self, number: u32, id: ChannelId) -> Result<(), FrameError> {
        if self.channels.contains_key(&number) {
            return Err(FrameError::OpenedTwice(number));
        }
        if self.channels.len() >= self.limits.channels {
            return Err(FrameError::TooManyChannels(self.limits.channels));
        }
        let credits = CreditReturn::new(Arc::clone(&self.link), number);
        let queue = self.registry.connect_remote(id, credits).ok();
        if queue.is_none() {
            tracing::warn!(peer = %self.peer, channel = %id, "a second producer of it is refused");
            self.link.send(Frame::reject(number, &Rejection::Occupied));
        }
        self.channels.insert(number, Channel { queue, next_sequence: 0 });
        Ok(())
    }

    fn data(
        &mut self,
        number: u32,
        sequence: u64,
        item: Item,
        bytes: usize,
    ) -> Result<(), FrameError> {
        let unknown = FrameError::UnknownChannel(number);
        let channel = self.channels.get_mut(&number).ok_or(unknown)?;
        let expected = channel.next_sequence;
        if sequence != expected {
            return Err(FrameError::Sequence { channel: number, expected, actual: sequence });
        }
        channel.next_sequence += 1;
        let Some(queue) = &channel.queue else { return Ok(()) };
        // A sender overdraws by what one step of its task writes; more is not our protocol.
        let limit = queue.capacity() + 4 * self.limits.frame_bytes;
        let waiting = queue.bytes();
        if waiting > limit {
            return Err(FrameError::BeyondCredit { channel: number, bytes: waiting, limit });
        }
        queue.push(item, bytes);
        Ok(())
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        self.link.close();
        let (peer, reason) = (self.peer.clone(), self.reason.as_str().into());
        let error = NetworkError::PartitionConnectionLost { peer, reason };
        for channel in std::mem::take(&mut self.channels).into_values() {
            if let Some(queue) = channel.queue {
                queue.fail(error.clone());
            }
        }
    }
}

fn encoded_batch(payload: Vec<u8>) -> Result<Item, FrameError> {
    let Some(rows) = payload.first_chunk::<ROWS_BYTES>() else {
        return Err(FrameError::Payload(FrameKind::Batch));
    };
    let rows = u32::from_le_bytes(*rows) as usize;
    Ok(Item::Encoded { rows, payload })
}
