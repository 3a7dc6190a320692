//! A stream of length-delimited frames that does to whole frames what a bad network, a lost
//! connection in between, or a slow peer does to messages. The handshake before them passes.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;
use turmoil::net::TcpStream;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use xxhash_rust::xxh3::xxh3_64;

use super::one_way::{Way, host_of};
use super::rpc::Conditions;

/// A hello of `thalweg_rpc`'s handshake.
const HELLO_BYTES: usize = 22;
/// What the accepting side says after its hello: a status, and the length of a reason.
const ANSWER_BYTES: usize = 3;

/// Which end of the connection it is: their handshakes have different lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Connecting,
    Accepting,
}

struct State {
    /// Written, and not yet a whole frame.
    partial: Vec<u8>,
    greeted: bool,
    /// Frames on their way, by when they leave.
    leaving: BTreeMap<(Instant, u64), Vec<u8>>,
    number: u64,
    closed: bool,
    broken: bool,
    reader: Option<Waker>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
    side: Side,
    conditions: Conditions,
}

/// The stream.
pub(super) struct FaultyStream {
    read: OwnedReadHalf,
    shared: Arc<Shared>,
}

impl FaultyStream {
    pub(super) fn new(stream: TcpStream, side: Side, peer: &str, conditions: Conditions) -> Self {
        let way = conditions.one_way.way(&conditions.host, &host_of(peer));
        let (read, write) = stream.into_split();
        let state = State {
            partial: Vec::new(),
            greeted: false,
            leaving: BTreeMap::new(),
            number: 0,
            closed: false,
            broken: false,
            reader: None,
        };
        let (state, changed) = (Mutex::new(state), Notify::new());
        let shared = Arc::new(Shared { state, changed, side, conditions });
        tokio::spawn(pump(Arc::clone(&shared), write, way));
        Self { read, shared }
    }
}

impl Drop for FaultyStream {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

/// Writes what is due.
async fn pump(shared: Arc<Shared>, mut write: OwnedWriteHalf, mut way: Way) {
    loop {
        let (due, next, broken) = {
            let mut state = shared.state.lock();
            let now = Instant::now();
            let due = state.leaving.first_entry().filter(|first| first.key().0 <= now);
            let due = due.map(|first| first.remove());
            let next = state.leaving.first_key_value().map(|(key, _)| key.0);
            let over = state.closed && due.is_none() && next.is_none();
            (due, next, state.broken || over)
        };
        if let Some(frame) = due {
            way.open().await;
            if write.write_all(&frame).await.is_err() {
                return;
            }
            continue;
        }
        if broken {
            // Dropping it says goodbye.
            return;
        }
        match next {
            None => shared.changed.notified().await,
            Some(at) => tokio::select! {
                biased;
                () = shared.changed.notified() => {}
                () = tokio::time::sleep_until(at) => {}
            },
        }
    }
}

impl Shared {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        state.partial.extend_from_slice(bytes);
        while let Some(length) = self.next_length(&state) {
            let frame: Vec<u8> = state.partial.drain(..length).collect();
            if state.greeted {
                self.decide(&mut state, frame);
            } else {
                state.greeted = true;
                leave(&mut state, Instant::now(), frame);
            }
        }
        self.changed.notify_one();
        Ok(())
    }

    /// Length of the handshake or frame at the front, if it is whole.
    fn next_length(&self, state: &State) -> Option<usize> {
        let bytes = &state.partial;
        let length = if state.greeted {
            let length = bytes.first_chunk::<4>()?;
            4 + u32::from_be_bytes(*length) as usize
        } else if self.side == Side::Connecting {
            HELLO_BYTES
        } else {
            let reason = bytes.get(HELLO_BYTES + 1..HELLO_BYTES + ANSWER_BYTES)?;
            HELLO_BYTES + ANSWER_BYTES + usize::from(u16::from_le_bytes([reason[0], reason[1]]))
        };
        (bytes.len() >= length).then_some(length)
    }

    fn decide(&self, state: &mut State, mut frame: Vec<u8>) {
        let Conditions { host, faults, heal_at, dice, trace, .. } = &self.conditions;
        let (length, hash) = (frame.len(), xxh3_64(&frame));
        let now = Instant::now();
        let mut fate = String::new();
        if turmoil::sim_elapsed().unwrap_or_default() < *heal_at {
            let mut dice = dice.lock();
            let (drop, duplicate) = (dice.chance(faults.drop), dice.chance(faults.duplicate));
            let delay = dice.chance(faults.delay).then(|| dice.millis(1..faults.delay_ms + 1));
            if dice.chance(faults.flip) {
                fate.push_str(" damaged");
                let at = dice.within(4..length as u64) as usize;
                frame[at] ^= 1 << dice.within(0..8);
            }
            if duplicate {
                fate.push_str(" twice");
                leave(state, now + dice.millis(0..faults.delay_ms + 1), frame.clone());
            }
            if let Some(delay) = delay {
                fate.push_str(" late");
                leave(state, now + delay, frame);
            } else if drop {
                fate.push_str(" lost");
            } else {
                leave(state, now, frame);
            }
            if dice.chance(faults.cut) {
                fate.push_str(" cut");
                state.broken = true;
                if let Some(reader) = state.reader.take() {
                    reader.wake();
                }
            }
        } else {
            leave(state, now, frame);
        }
        trace.event(host, format_args!("rpc says {hash:016x} ({length} bytes){fate}"));
    }
}

fn leave(state: &mut State, at: Instant, frame: Vec<u8>) {
    state.number += 1;
    let number = state.number;
    state.leaving.insert((at, number), frame);
}

impl AsyncRead for FaultyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        {
            let mut state = self.shared.state.lock();
            if state.broken {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            state.reader = Some(context.waker().clone());
        }
        Pin::new(&mut self.read).poll_read(context, buffer)
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.shared.write(bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_one();
        Poll::Ready(Ok(()))
    }
}
