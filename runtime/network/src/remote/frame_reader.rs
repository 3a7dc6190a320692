//! Reads frames off a stream of bytes.
//!
//! A payload gets memory of its own, so that a small frame that waits long in a slow channel's
//! queue holds no large buffer; and only as its bytes come in, whatever its header says.

use tokio::io::{AsyncRead, AsyncReadExt};

use super::frame::{FrameError, HEADER_BYTES, Header};

const BUFFER_BYTES: usize = 64 * 1024;
/// What a payload gets before any of its bytes are there.
const FIRST_BYTES: usize = 256 * 1024;

pub(super) struct FrameReader<R> {
    reader: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    limit: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self { reader, buffer, start: 0, end: 0, limit }
    }

    /// The next frame, checked. None when the stream ends before it.
    pub(super) async fn next(&mut self) -> Result<Option<(Header, Vec<u8>)>, FrameError> {
        while self.end - self.start < HEADER_BYTES {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            match self.reader.read(&mut self.buffer[self.end..]).await? {
                0 if self.end == 0 => return Ok(None),
                0 => return Err(FrameError::Truncated),
                read => self.end += read,
            }
        }
        let mut bytes = [0; HEADER_BYTES];
        bytes.copy_from_slice(&self.buffer[self.start..self.start + HEADER_BYTES]);
        let header = Header::parse(&bytes, self.limit)?;
        self.start += HEADER_BYTES;
        let payload = self.payload(header.length).await?;
        header.verify(&payload)?;
        Ok(Some((header, payload)))
    }

    async fn payload(&mut self, length: usize) -> Result<Vec<u8>, FrameError> {
        let here = length.min(self.end - self.start);
        let mut payload = Vec::with_capacity(length.min(here.max(FIRST_BYTES)));
        payload.extend_from_slice(&self.buffer[self.start..self.start + here]);
        self.start += here;
        while payload.len() < length {
            let left = length - payload.len();
            if payload.capacity() == payload.len() {
                payload.reserve_exact(left.min(payload.len()));
            }
            let room = left.min(payload.capacity() - payload.len());
            if room < BUFFER_BYTES / 2 && room == left {
                // The rest is short: read what follows it too, with one call.
                let read = self.reader.read(&mut self.buffer).await?;
                (self.start, self.end) = (read.min(left), read);
                payload.extend_from_slice(&self.buffer[..self.start]);
                if read == 0 {
                    return Err(FrameError::Truncated);
                }
                continue;
            }
            if (&mut self.reader).take(room as u64).read_buf(&mut payload).await? == 0 {
                return Err(FrameError::Truncated);
            }
        }
        Ok(payload)
    }
}
