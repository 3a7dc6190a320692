//! One direction of a connection: the queue of frames that wait to be sent, and their sender.
//!
//! The queue has no bound of its own: each channel's frames are bounded by its credit, and credit
//! frames by the data they answer.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

use super::frame::Frame;
pub(crate) use super::frame::Rejection;

/// What is gathered for one write.
const GATHER_BYTES: usize = 256 * 1024;
/// Payloads below this are copied behind each other: cheaper than another part of the write.
const COPY_BYTES: usize = 8 * 1024;

/// Frames on their way to one peer.
pub(super) struct Link {
    frames: Mutex<Frames>,
    notify: Notify,
}

#[derive(Default)]
struct Frames {
    waiting: VecDeque<Frame>,
    closed: bool,
}

impl Link {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { frames: Mutex::new(Frames::default()), notify: Notify::new() })
    }

    /// Sends a frame behind the others. Drops it when the connection has ended: whom that concerns
    /// is told on another way.
    pub(super) fn send(&self, frame: Frame) {
        let first = {
            let mut frames = self.frames.lock();
            if frames.closed {
                return;
            }
            frames.waiting.push_back(frame);
            frames.waiting.len() == 1
        };
        if first {
            self.notify.notify_one();
        }
    }

    /// Nothing will be sent any more.
    pub(super) fn close(&self) {
        let mut frames = self.frames.lock();
        frames.closed = true;
        frames.waiting = VecDeque::new();
    }

    /// Writes frames as they come, until writing fails or the link is dropped.
    pub(super) async fn drive<W: AsyncWrite + Unpin>(&self, mut writer: W) -> std::io::Result<()> {
        loop {
            let mut gathered = self.gather();
            if gathered.remaining() == 0 {
                writer.flush().await?;
                // A frame that came before this has left a permit.
                self.notify.notified().await;
                continue;
            }
            writer.write_all_buf(&mut gathered).await?;
        }
    }

    fn gather(&self) -> Gathered {
        let mut gathered = Gathered::default();
        let mut small = BytesMut::new();
        let mut bytes = 0;
        let mut frames = self.frames.lock();
        while bytes < GATHER_BYTES
            && let Some(frame) = frames.waiting.pop_front()
        {
            bytes += frame.len();
            small.extend_from_slice(&frame.header);
            if frame.payload.len() < COPY_BYTES {
                small.extend_from_slice(&frame.payload);
            } else {
                gathered.push(small.split().freeze());
                gathered.push(frame.payload);
            }
        }
        drop(frames);
        gathered.push(small.freeze());
        gathered
    }
}

/// Parts that are written as if they were one.
#[derive(Default)]
struct Gathered {
    parts: VecDeque<Bytes>,
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.bytes += part.len();
            self.parts.push_back(part);
        }
    }
}

impl Buf for Gathered {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part.as_ref())
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.parts);
        filled.map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }

    fn advance(&mut self, mut count: usize) {
        self.bytes -= count.min(self.bytes);
        while count > 0
            && let Some(part) = self.parts.front_mut()
        {
            if count < part.len() {
                part.advance(count);
                return;
            }
            count -= part.len();
            self.parts.pop_front();
        }
    }
}

/// The way back to the sender of one channel.
#[derive(Clone)]
pub(crate) struct CreditReturn {
    link: Arc<Link>,
    channel: u32,
}

impl CreditReturn {
    pub(super) fn new(link: Arc<Link>, channel: u32) -> Self {
        Self { link, channel }
    }

    /// Lets the sender send this many bytes more.
    pub(crate) fn grant(&self, bytes: usize) {
        self.link.send(Frame::credit(self.channel, bytes));
    }

    /// Tells the sender that nothing is taken.
    pub(crate) fn reject(&self, why: Rejection) {
        self.link.send(Frame::reject(self.channel, &why));
    }
}
