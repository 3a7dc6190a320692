//! The receiving end of a channel: a queue of elements, bounded by bytes.
//!
//! The writer's side and the reader's side come and go in any order. A writer is unavailable until
//! the reader is there, then whenever the queue holds its bound, until the queue has fallen below
//! half of it: so a slow reader wakes its writer once per half a queue, not once per batch. What
//! is pushed beyond the bound is taken all the same; the writer's task looks before it goes on.
//!
//! Locks are taken in the order queue, then signal or link; wakers are called without any.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::Batch;
use thalweg_core::element::Control;

use super::{ChannelId, GateSignal, WriterSignal};
use crate::error::NetworkError;
use crate::remote::{CreditReturn, Rejection};

/// What waits in a queue.
#[derive(Debug)]
pub(crate) enum Item {
    Control(Control),
    Batch(Batch),
    /// A batch of another process, as the payload of its frame, decoded by the gate.
    Encoded {
        rows: usize,
        payload: Vec<u8>,
    },
}

impl Item {
    fn rows(&self) -> Option<usize> {
        match self {
            Self::Control(_) => None,
            Self::Batch(batch) => Some(batch.len()),
            Self::Encoded { rows, .. } => Some(*rows),
        }
    }
}

/// An item and the bytes that it counts as.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) item: Item,
    pub(crate) bytes: usize,
}

/// The writer's side.
pub(crate) enum Upstream {
    Absent,
    Local {
        signal: Arc<WriterSignal>,
        blocked: bool,
    },
    /// `freed`: bytes taken from the queue that the sender hasn't been told of.
    Remote {
        credits: CreditReturn,
        freed: usize,
    },
    /// It has gone. What it had sent stays.
    Closed,
}

enum Reader {
    Absent,
    /// `listed`: the gate knows that there is something, it needn't be told.
    Attached {
        signal: Arc<GateSignal>,
        index: u32,
        listed: bool,
    },
    Gone,
}

/// Which side of a channel hasn't come yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missing {
    Nothing,
    Reader,
    Writer,
}

struct State {
    items: VecDeque<Queued>,
    bytes: usize,
    upstream: Upstream,
    reader: Reader,
    /// The end of input was pushed: nothing that happens to the connection matters any more.
    ended: bool,
    failure: Option<NetworkError>,
}

pub(crate) struct InputQueue {
    id: ChannelId,
    capacity: usize,
    state: Mutex<State>,
}

/// What is left to do when the queue's lock has been released.
enum After {
    Nothing,
    Unblock(Arc<WriterSignal>),
    Grant(CreditReturn, usize),
    Reject(CreditReturn, Rejection),
    FailWriter(Arc<WriterSignal>, NetworkError),
}

impl After {
    fn run(self) {
        match self {
            Self::Nothing => {}
            Self::Unblock(signal) => signal.unblock(),
            Self::Grant(credits, bytes) => credits.grant(bytes),
            Self::Reject(credits, why) => credits.reject(why),
            Self::FailWriter(signal, error) => signal.fail(error),
        }
    }
}

impl InputQueue {
    pub(crate) fn new(id: ChannelId, capacity: usize) -> Self {
        let state = State {
            items: VecDeque::new(),
            bytes: 0,
            upstream: Upstream::Absent,
            reader: Reader::Absent,
            ended: false,
            failure: None,
        };
        Self { id, capacity: capacity.max(1), state: Mutex::new(state) }
    }

    pub(crate) fn id(&self) -> ChannelId {
        self.id
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Which side hasn't come yet.
    pub(crate) fn missing(&self) -> Missing {
        let state = self.state.lock();
        match (&state.reader, &state.upstream) {
            (Reader::Absent, _) => Missing::Reader,
            (Reader::Attached { .. }, Upstream::Absent) => Missing::Writer,
            _ => Missing::Nothing,
        }
    }

    /// Whether the reader has nothing to do.
    pub(crate) fn reader_waiting(&self) -> bool {
        matches!(&self.state.lock().reader, Reader::Attached { signal, .. } if signal.is_waiting())
    }

    /// The gate takes the reader's side.
    pub(crate) fn attach_reader(
        &self,
        signal: Arc<GateSignal>,
        index: u32,
    ) -> Result<(), NetworkError> {
        let (ready, failure, after) = {
            let mut state = self.state.lock();
            if !matches!(state.reader, Reader::Absent) {
                return Err(NetworkError::Occupied { channel: self.id, end: "consumer" });
            }
            let ready = !state.items.is_empty();
            state.reader = Reader::Attached { signal: Arc::clone(&signal), index, listed: ready };
            let full = state.bytes >= self.capacity;
            let after = match &mut state.upstream {
                Upstream::Local { signal, blocked } if *blocked && !full => {
                    *blocked = false;
                    After::Unblock(Arc::clone(signal))
                }
                Upstream::Remote { credits, .. } => After::Grant(credits.clone(), self.capacity),
                _ => After::Nothing,
            };
            (ready, state.failure.clone(), after)
        };
        after.run();
        if ready {
            signal.ready(index);
        }
        if let Some(failure) = failure {
            signal.fail(failure);
        }
        Ok(())
    }

    /// A writer takes the writer's side.
    pub(crate) fn attach_upstream(&self, mut upstream: Upstream) -> Result<(), NetworkError> {
        let mut state = self.state.lock();
        if !matches!(state.upstream, Upstream::Absent) {
            return Err(NetworkError::Occupied { channel: self.id, end: "producer" });
        }
        let attached = matches!(state.reader, Reader::Attached { .. });
        let after = match &mut upstream {
            Upstream::Local { signal, blocked } if !attached => {
                *blocked = true;
                signal.block();
                After::Nothing
            }
            Upstream::Remote { credits, .. } if attached => {
                After::Grant(credits.clone(), self.capacity)
            }
            _ => After::Nothing,
        };
        state.upstream = upstream;
        drop(state);
        after.run();
        Ok(())
    }

    /// Puts an item behind the others; drops it when the reader has gone.
    pub(crate) fn push(&self, item: Item, bytes: usize) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if matches!(state.reader, Reader::Gone) || state.failure.is_some() {
            return;
        }
        state.ended |= matches!(item, Item::Control(Control::EndOfInput));
        state.items.push_back(Queued { item, bytes });
        state.bytes += bytes;
        if let Upstream::Local { signal, blocked } = &mut state.upstream
            && !*blocked
            && state.bytes >= self.capacity
        {
            *blocked = true;
            signal.block();
        }
        if let Reader::Attached { signal, index, listed } = &mut state.reader
            && !*listed
        {
            *listed = true;
            let (signal, index) = (Arc::clone(signal), *index);
            drop(guard);
            signal.ready(index);
        }
    }

    /// Takes the first item, whatever it is, and as many batches behind it as fit: see
    /// [`Self::take_batches`]. Returns whether there is more.
    pub(crate) fn take(&self, rows_max: usize, out: &mut Vec<Queued>) -> bool {
        self.take_items(rows_max, true, out)
    }

    /// Takes batches off the front until `rows_max` rows are reached or something else comes.
    /// Returns whether there is more.
    pub(crate) fn take_batches(&self, rows_max: usize, out: &mut Vec<Queued>) -> bool {
        self.take_items(rows_max, false, out)
    }

    fn take_items(&self, rows_max: usize, any_first: bool, out: &mut Vec<Queued>) -> bool {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let (mut rows, mut freed, mut first) = (0, 0, any_first);
        while let Some(front) = state.items.front() {
            match front.item.rows() {
                Some(more) if first || rows + more <= rows_max => rows += more,
                None if first => rows = rows_max,
                _ => break,
            }
            let control = front.item.rows().is_none();
            first = false;
            freed += front.bytes;
            out.extend(state.items.pop_front());
            if control {
                break;
            }
        }
        state.bytes -= freed;
        let more = !state.items.is_empty();
        if let Reader::Attached { listed, .. } = &mut state.reader {
            *listed = more;
        }
        let after = if freed > 0 { self.freed(state, freed) } else { After::Nothing };
        drop(guard);
        after.run();
        more
    }

    /// Tells the writer of the space, when there is enough of it.
    fn freed(&self, state: &mut State, bytes: usize) -> After {
        match &mut state.upstream {
            Upstream::Local { signal, blocked } if *blocked && state.bytes <= self.capacity / 2 => {
                *blocked = false;
                After::Unblock(Arc::clone(signal))
            }
            Upstream::Remote { credits, freed } => {
                *freed += bytes;
                if *freed < self.capacity / 4 && !state.items.is_empty() {
                    return After::Nothing;
                }
                After::Grant(credits.clone(), std::mem::take(freed))
            }
            _ => After::Nothing,
        }
    }

    /// The connection has broken. Without meaning when the end of input had come.
    pub(crate) fn fail(&self, error: NetworkError) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.upstream = Upstream::Closed;
        if state.ended || matches!(state.reader, Reader::Gone) {
            return;
        }
        state.failure.get_or_insert_with(|| error.clone());
        if let Reader::Attached { signal, .. } = &state.reader {
            let signal = Arc::clone(signal);
            drop(guard);
            signal.fail(error);
        }
    }

    /// The writer goes. What it sent stays; a reader that waits for more is left waiting, for it
    /// will be cancelled, and an error here would hide why.
    pub(crate) fn close_upstream(&self) {
        let previous = std::mem::replace(&mut self.state.lock().upstream, Upstream::Closed);
        if let Upstream::Local { signal, blocked: true } = previous {
            signal.unblock();
        }
    }

    /// The reader goes: what waits is dropped, and so is what still comes. The writer isn't kept.
    pub(crate) fn detach_reader(&self) {
        let after = {
            let mut state = self.state.lock();
            state.reader = Reader::Gone;
            state.items = VecDeque::new();
            state.bytes = 0;
            match &mut state.upstream {
                Upstream::Local { signal, blocked } if *blocked => {
                    *blocked = false;
                    After::Unblock(Arc::clone(signal))
                }
                Upstream::Remote { credits, .. } => After::Reject(credits.clone(), Rejection::Gone),
                _ => After::Nothing,
            }
        };
        after.run();
    }

    /// The side that is missing hasn't come in time: the other one fails.
    pub(crate) fn expire(&self, waited: Duration) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        match (&state.reader, &state.upstream) {
            (Reader::Attached { signal, .. }, Upstream::Absent) => {
                let error = NetworkError::ProducerMissing { channel: self.id, waited };
                let signal = Arc::clone(signal);
                drop(guard);
                signal.fail(error);
            }
            (Reader::Absent, upstream) => {
                let error = NetworkError::ConsumerMissing { channel: self.id, waited };
                let after = match upstream {
                    Upstream::Local { signal, .. } => After::FailWriter(Arc::clone(signal), error),
                    Upstream::Remote { credits, .. } => {
                        After::Reject(credits.clone(), Rejection::ConsumerMissing { waited })
                    }
                    _ => After::Nothing,
                };
                state.reader = Reader::Gone;
                state.items = VecDeque::new();
                drop(guard);
                after.run();
            }
            _ => {}
        }
    }
}
