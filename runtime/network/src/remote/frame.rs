//! The layout of a frame.
//!
//! ```text
//! magic u16 | version u8 | kind u8 | channel u32 | sequence u64 | length u32
//!     | payload's crc32c u32 | crc32c of the header up to here u32 | payload
//! ```
//!
//! Little-endian. The channel is the number that its `Open` gave it on this connection; the
//! sequence counts a channel's frames with data from 0. The header has a checksum of its own, since
//! its length is believed before the payload is there: with a wrong one both sides would wait, one
//! for bytes that never come and one for credit. The payload's is computed once where several
//! channels get it.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thalweg_core::element::Control;

use crate::channel::ChannelId;

const MAGIC: u16 = 0x5754;
/// The version of everything that follows the hello. Raise it with any change.
pub(super) const VERSION: u8 = 1;
/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 28;
/// Those that its own checksum covers.
const COVERED_BYTES: usize = HEADER_BYTES - 4;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum FrameKind {
    /// Sender: the channel with this number is the one with this [`ChannelId`].
    Open = 1,
    /// Sender: rows (u32), then a batch as `Batch::encode` writes it.
    Batch = 2,
    /// Sender: a [`Control`].
    Control = 3,
    /// Sender: nothing more will come for this channel.
    Close = 4,
    /// Receiver: this many more bytes (u64) may be sent.
    Credit = 5,
    /// Receiver: nothing will be taken from this channel, for this reason: [`Rejection`].
    Reject = 6,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Open, Self::Batch, Self::Control, Self::Close, Self::Credit, Self::Reject]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Why a receiver takes nothing from a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Rejection {
    /// The consumer has ended or was cancelled: no reason to fail.
    Gone,
    /// It hasn't come within this time.
    ConsumerMissing { waited: Duration },
    /// The channel has a producer already.
    Occupied,
}

/// Bytes that aren't a frame that the peer should send.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("bytes that are not a frame (magic {0:#06x})")]
    Magic(u16),
    #[error("a frame of version {0}, this process speaks version {VERSION}")]
    Version(u8),
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    #[error("a frame of {length} bytes, the limit is {limit}")]
    TooLong { length: usize, limit: usize },
    #[error("a frame's checksum is {actual:#010x}, the frame itself says {expected:#010x}")]
    Checksum { expected: u32, actual: u32 },
    #[error("the connection ended within a frame")]
    Truncated,
    #[error("frame {actual} of channel {channel} came in place of frame {expected}")]
    Sequence { channel: u32, expected: u64, actual: u64 },
    #[error("a frame for channel {0}, which was not opened")]
    UnknownChannel(u32),
    #[error("channel {0} was opened twice")]
    OpenedTwice(u32),
    #[error("more than {0} channels on one connection")]
    TooManyChannels(usize),
    #[error("channel {channel} has {bytes} bytes waiting, {limit} were granted")]
    BeyondCredit { channel: u32, bytes: usize, limit: usize },
    #[error("the payload of a {0:?} frame cannot be read")]
    Payload(FrameKind),
    #[error("a {0:?} frame came from the wrong side")]
    Unexpected(FrameKind),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A frame's header, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: FrameKind,
    pub(super) channel: u32,
    pub(super) sequence: u64,
    pub(super) length: usize,
    payload_checksum: u32,
}

impl Header {
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES], limit: usize) -> Result<Self, FrameError> {
        let [m0, m1, version, kind, rest @ .., h0, h1, h2, h3] = *bytes;
        let magic = u16::from_le_bytes([m0, m1]);
        if magic != MAGIC {
            return Err(FrameError::Magic(magic));
        }
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        check(u32::from_le_bytes([h0, h1, h2, h3]), &bytes[..COVERED_BYTES])?;
        let kind = FrameKind::from_byte(kind).ok_or(FrameError::Kind(kind))?;
        let [c0, c1, c2, c3, rest @ ..] = rest;
        let [s0, s1, s2, s3, s4, s5, s6, s7, rest @ ..] = rest;
        let [l0, l1, l2, l3, x0, x1, x2, x3] = rest;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > limit {
            return Err(FrameError::TooLong { length, limit });
        }
        Ok(Self {
            kind,
            channel: u32::from_le_bytes([c0, c1, c2, c3]),
            sequence: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            length,
            payload_checksum: u32::from_le_bytes([x0, x1, x2, x3]),
        })
    }

    /// Checks the payload against its checksum.
    pub(super) fn verify(&self, payload: &[u8]) -> Result<(), FrameError> {
        check(self.payload_checksum, payload)
    }
}

fn check(expected: u32, bytes: &[u8]) -> Result<(), FrameError> {
    let actual = crc32c::crc32c(bytes);
    if actual == expected { Ok(()) } else { Err(FrameError::Checksum { expected, actual }) }
}

/// A frame to be sent.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) header: [u8; HEADER_BYTES],
    pub(super) payload: Bytes,
}

impl Frame {
    pub(super) fn new(kind: FrameKind, channel: u32, sequence: u64, payload: Bytes) -> Self {
        let checksum = crc32c::crc32c(&payload);
        Self::with_checksum(kind, channel, sequence, payload, checksum)
    }

    /// As `new`, with the payload's checksum.
    pub(super) fn with_checksum(
        kind: FrameKind,
        channel: u32,
        sequence: u64,
        payload: Bytes,
        checksum: u32,
    ) -> Self {
        let mut header = [0; HEADER_BYTES];
        header[..2].copy_from_slice(&MAGIC.to_le_bytes());
        header[2] = VERSION;
        header[3] = kind as u8;
        header[4..8].copy_from_slice(&channel.to_le_bytes());
        header[8..16].copy_from_slice(&sequence.to_le_bytes());
        // Payloads are cut to the frame limit, far below 4 GiB, before they get here.
        header[16..20].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[20..24].copy_from_slice(&checksum.to_le_bytes());
        let own = crc32c::crc32c(&header[..COVERED_BYTES]);
        header[COVERED_BYTES..].copy_from_slice(&own.to_le_bytes());
        Self { header, payload }
    }

    pub(super) fn open(channel: u32, id: &ChannelId) -> Self {
        Self::new(FrameKind::Open, channel, 0, encode(id))
    }

    pub(super) fn control(channel: u32, sequence: u64, control: &Control) -> Self {
        Self::new(FrameKind::Control, channel, sequence, encode(control))
    }

    pub(super) fn close(channel: u32) -> Self {
        Self::new(FrameKind::Close, channel, 0, Bytes::new())
    }

    pub(super) fn credit(channel: u32, bytes: usize) -> Self {
        let payload = Bytes::copy_from_slice(&(bytes as u64).to_le_bytes());
        Self::new(FrameKind::Credit, channel, 0, payload)
    }

    pub(super) fn reject(channel: u32, why: &Rejection) -> Self {
        Self::new(FrameKind::Reject, channel, 0, encode(why))
    }

    /// Its bytes on the wire.
    pub(super) fn len(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }
}

/// The number of bytes that a credit frame grants.
pub(super) fn credit_of(payload: &[u8]) -> Result<u64, FrameError> {
    let bytes = payload.try_into().map_err(|_| FrameError::Payload(FrameKind::Credit))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Reads what `encode` wrote.
pub(super) fn decode<'a, T: Deserialize<'a>>(
    kind: FrameKind,
    payload: &'a [u8],
) -> Result<T, FrameError> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Ok(value),
        _ => Err(FrameError::Payload(kind)),
    }
}

fn encode<T: Serialize>(value: &T) -> Bytes {
    // Plain data into memory: this can't fail, and an empty payload would be refused by the peer.
    postcard::to_stdvec(value).map(Bytes::from).unwrap_or_default()
}
