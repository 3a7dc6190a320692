//! The credit of one channel, on its sender's side.

use std::sync::Arc;

use parking_lot::Mutex;

use super::frame::Rejection;
use crate::channel::{ChannelId, WriterSignal};
use crate::error::NetworkError;

/// How much of a channel is under way. Unavailable until the consumer is there and has granted the
/// window, then whenever the window is full, until half of it has been taken.
pub(super) struct Flow {
    id: ChannelId,
    signal: Arc<WriterSignal>,
    state: Mutex<State>,
}

struct State {
    window: usize,
    /// Bytes sent that the consumer hasn't taken.
    under_way: usize,
    blocked: bool,
    gone: bool,
}

impl Flow {
    pub(super) fn new(id: ChannelId, signal: Arc<WriterSignal>) -> Self {
        signal.block();
        let state = State { window: 0, under_way: 0, blocked: true, gone: false };
        Self { id, signal, state: Mutex::new(state) }
    }

    /// Counts a frame that is sent; false when the consumer has gone and it shouldn't be.
    pub(super) fn send(&self, bytes: usize) -> bool {
        let mut state = self.state.lock();
        if state.gone {
            return false;
        }
        state.under_way += bytes;
        if !state.blocked && state.under_way >= state.window {
            state.blocked = true;
            self.signal.block();
        }
        true
    }

    /// The first grant is the window, those after it are what the consumer has taken.
    pub(super) fn granted(&self, bytes: usize) {
        let mut state = self.state.lock();
        if state.window == 0 {
            state.window = bytes;
        } else {
            state.under_way = state.under_way.saturating_sub(bytes);
        }
        if state.blocked && state.under_way <= state.window / 2 {
            state.blocked = false;
            drop(state);
            self.signal.unblock();
        }
    }

    pub(super) fn rejected(&self, why: Rejection) {
        match why {
            Rejection::Gone => {}
            Rejection::ConsumerMissing { waited } => {
                self.signal.fail(NetworkError::ConsumerMissing { channel: self.id, waited });
            }
            Rejection::Occupied => {
                self.signal.fail(NetworkError::Occupied { channel: self.id, end: "producer" });
            }
        }
        let mut state = self.state.lock();
        state.gone = true;
        state.under_way = 0;
        if std::mem::take(&mut state.blocked) {
            drop(state);
            self.signal.unblock();
        }
    }

    /// The connection has ended. Without meaning when the consumer had gone before: it may have
    /// finished, and its TaskManager with it, while the producer waits for its last commit.
    pub(super) fn fail(&self, error: NetworkError) {
        if !self.state.lock().gone {
            self.signal.fail(error);
        }
    }

    /// Whether the consumer is there and has taken everything.
    pub(super) fn reader_waiting(&self) -> bool {
        let state = self.state.lock();
        state.window > 0 && state.under_way == 0
    }

    pub(super) fn under_way(&self) -> usize {
        self.state.lock().under_way
    }
}
