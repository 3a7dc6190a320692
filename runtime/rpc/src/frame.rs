//! A message as bytes: a CRC-32C of the rest, then the message in postcard. The length before it
//! is the codec's. Not here: the handshake, whose layout never changes.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest message, in bytes. What is longer isn't sent, and a peer that announces a longer
/// one is disconnected before anything is allocated for it.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

const CHECKSUM_BYTES: usize = 4;

/// Why bytes aren't a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a message of {0} bytes is over the limit of {MESSAGE_BYTES_MAX}")]
    TooLarge(usize),
    #[error("a message can't be encoded: {0}")]
    Encode(postcard::Error),
    #[error("a frame of {0} bytes is too short to be a message")]
    TooShort(usize),
    #[error("a message's checksum is wrong")]
    Checksum,
    #[error("a frame isn't a message of this protocol: {0}")]
    Decode(postcard::Error),
}

/// The frame's payload for a message.
pub(crate) fn encode<M: Serialize>(message: &M) -> Result<Bytes, FrameError> {
    let body = postcard::to_stdvec(message).map_err(FrameError::Encode)?;
    let length = body.len() + CHECKSUM_BYTES;
    if length > MESSAGE_BYTES_MAX {
        return Err(FrameError::TooLarge(length));
    }
    let mut frame = BytesMut::with_capacity(length);
    frame.put_u32_le(crc32c::crc32c(&body));
    frame.put_slice(&body);
    Ok(frame.freeze())
}

/// The message in a frame's payload. All of it must be used.
pub(crate) fn decode<M: DeserializeOwned>(frame: &[u8]) -> Result<M, FrameError> {
    let Some((checksum, body)) = frame.split_first_chunk::<CHECKSUM_BYTES>() else {
        return Err(FrameError::TooShort(frame.len()));
    };
    if u32::from_le_bytes(*checksum) != crc32c::crc32c(body) {
        return Err(FrameError::Checksum);
    }
    match postcard::take_from_bytes(body).map_err(FrameError::Decode)? {
        (message, []) => Ok(message),
        _ => Err(FrameError::Decode(postcard::Error::DeserializeBadEncoding)),
    }
}
