//! What a keyed function sees beside its rows: its key's state and timers, and time.

use thalweg_core::Key;
use thalweg_core::element::Watermark;
use thalweg_state::{KeyedState, KeyedStateAccess, StateError, TimerService};

use crate::contract::SubtaskInfo;

/// Which clock a timer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeDomain {
    /// Fires when the watermark reaches it.
    EventTime,
    /// Fires when the time of day reaches it.
    ProcessingTime,
}

/// What a keyed function sees beside the row: its key's state and timers, and time.
pub struct KeyedContext<'a, K: Key> {
    pub(super) state: &'a mut KeyedState<K>,
    pub(super) timers: &'a mut TimerService<K, ()>,
    pub(super) timestamp: Option<i64>,
    pub(super) watermark: Watermark,
    pub(super) processing_time: i64,
}

impl<K: Key> KeyedContext<'_, K> {
    /// The current key.
    pub fn key(&self) -> &K {
        match self.state.current_key() {
            Some(key) => key,
            // A context is only made between setting a key and the next one.
            None => unreachable!("a keyed function is only called with a key"),
        }
    }

    /// Event time in ms since 1970 of the row, or of the timer.
    pub fn timestamp(&self) -> Option<i64> {
        self.timestamp
    }

    /// Event time at this operator.
    pub fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// The time of day in ms since 1970.
    pub fn processing_time(&self) -> i64 {
        self.processing_time
    }

    /// Asks for a call of `on_timer` for this key when the watermark reaches `time`. Asking again
    /// for the same time is one timer.
    ///
    /// # Errors
    /// The memory for state is used up.
    pub fn register_event_time_timer(&mut self, time: i64) -> Result<(), StateError> {
        let (key, hash) = self.key_and_hash();
        self.timers.register_event_time(time, &key, hash, &()).map(drop)
    }

    /// Asks for a call of `on_timer` for this key when the time of day reaches `time`.
    ///
    /// # Errors
    /// The memory for state is used up.
    pub fn register_processing_time_timer(&mut self, time: i64) -> Result<(), StateError> {
        let (key, hash) = self.key_and_hash();
        self.timers.register_processing_time(time, &key, hash, &()).map(drop)
    }

    /// Takes the event-time timer of this key at `time` back, if there is one.
    pub fn delete_event_time_timer(&mut self, time: i64) {
        let (key, hash) = self.key_and_hash();
        self.timers.delete_event_time(time, &key, hash, &());
    }

    /// Takes the processing-time timer of this key at `time` back, if there is one.
    pub fn delete_processing_time_timer(&mut self, time: i64) {
        let (key, hash) = self.key_and_hash();
        self.timers.delete_processing_time(time, &key, hash, &());
    }

    fn key_and_hash(&self) -> (K, u64) {
        (self.key().clone(), self.state.current_hash().unwrap_or_default())
    }
}

impl<K: Key> KeyedStateAccess for KeyedContext<'_, K> {
    type Key = K;
    fn keyed_state(&mut self) -> &mut KeyedState<K> {
        self.state
    }
}

/// Where a keyed function declares its state.
pub struct KeyedOpen<'a, K: Key> {
    /// The operator's state: `value_state`, `list_state`, `map_state` and so on.
    pub state: &'a mut KeyedState<K>,
    /// The subtask.
    pub subtask: SubtaskInfo,
}
