//! Values that live for some time.

use std::cell::Cell;

use super::config::{StateTtlConfig, StateVisibility, UpdateType};
use super::lifetime::{Life, Restored};
use crate::error::StateError;
use crate::run::RowOperation;

/// Where reads make values live on, a row counts as changed by a read only so often while its time
/// to live passes once: by as much of it may a value that was read live shorter after a restore.
const READS_NOTED: i64 = 16;

/// Values expire after some time, as a [`StateTtlConfig`] says: `ValueState<V, TimeToLive>`.
#[derive(Debug, Clone, Copy)]
pub struct TimeToLive {
    config: StateTtlConfig,
    time_to_live_ms: i64,
    /// A read whose expiry is in the same of these stretches of time changes no row.
    unit_ms: i64,
    now_ms: i64,
}

impl TimeToLive {
    /// For the state of this name, from `now_ms` on.
    pub(crate) fn new(
        state: &str,
        config: StateTtlConfig,
        now_ms: i64,
    ) -> Result<TimeToLive, StateError> {
        let time_to_live_ms = i64::try_from(config.time_to_live.as_millis()).unwrap_or(i64::MAX);
        if time_to_live_ms == 0 {
            return Err(StateError::TimeToLive { state: state.to_owned() });
        }
        let unit_ms = (time_to_live_ms / READS_NOTED).max(1);
        Ok(TimeToLive { config, time_to_live_ms, unit_ms, now_ms })
    }

    fn is_past(&self, expiry_ms: i64) -> bool {
        expiry_ms <= self.now_ms
    }
}

impl Life for TimeToLive {
    type Expiry = Cell<i64>;
    type Expiries = Vec<Cell<i64>>;
    const EXPIRES: bool = true;

    fn time_to_live_ms(&self) -> Option<i64> {
        Some(self.time_to_live_ms)
    }

    fn description(&self) -> String {
        let StateTtlConfig { update_type, visibility, cleanup_entries, .. } = self.config;
        format!(
            " with a time to live of {} ms ({update_type:?}, {visibility:?}, {cleanup_entries} \
             entries cleaned up a row)",
            self.time_to_live_ms
        )
    }

    fn set_now(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    fn now_ms(&self) -> i64 {
        self.now_ms
    }

    fn cleanup_entries(&self) -> usize {
        self.config.cleanup_entries as usize
    }

    #[inline]
    fn written(&self) -> Cell<i64> {
        Cell::new(self.now_ms.saturating_add(self.time_to_live_ms))
    }

    #[inline]
    fn is_expired(&self, expiry: &Cell<i64>) -> bool {
        self.is_past(expiry.get())
    }

    #[inline]
    fn hides_expired(&self) -> bool {
        self.config.visibility == StateVisibility::NeverReturnExpired
    }

    #[inline]
    fn updates_on_read(&self) -> bool {
        self.config.update_type == UpdateType::OnReadAndWrite
    }

    #[inline]
    fn read(&self, expiry: &Cell<i64>) -> bool {
        let longer = self.written();
        if !self.updates_on_read() || self.is_expired(expiry) || longer <= *expiry {
            return false;
        }
        let changes =
            longer.get().div_euclid(self.unit_ms) != expiry.get().div_euclid(self.unit_ms);
        if !changes {
            expiry.set(longer.get());
        }
        changes
    }

    fn stored(&self, expiry: &Cell<i64>) -> Option<i64> {
        Some(expiry.get())
    }

    fn is_over(&self, row: &RowOperation<'_>) -> bool {
        matches!(row, RowOperation::Expiring { expiry, .. } if self.is_past(*expiry))
    }

    /// A value that had no expiry lives as if it were written now. Another time to live counts
    /// from when the value was written, not from now.
    fn restored(
        &self,
        expiry: Option<i64>,
        time_to_live_ms: Option<i64>,
        _now_ms: Option<i64>,
    ) -> Restored<Cell<i64>> {
        let Some(expiry) = expiry else { return Restored::Live(self.written()) };
        let longer =
            time_to_live_ms.map_or(0, |before| self.time_to_live_ms.saturating_sub(before));
        let expiry = expiry.saturating_add(longer);
        match self.is_past(expiry) {
            true => Restored::Expired(Cell::new(expiry)),
            false => Restored::Live(Cell::new(expiry)),
        }
    }
}
