//! What states with and without a time to live have in common, for the code that serves both.

use crate::run::RowOperation;
use crate::ttl::Expiries;

/// Whether the values of a state expire: [`Forever`] or [`TimeToLive`](crate::TimeToLive).
pub trait Lifetime: Life {}

impl<L: Life> Lifetime for L {}

/// Values live until they're removed.
#[derive(Debug, Clone, Copy)]
pub struct Forever;

/// How a state's values expire. One is kept beside each state's table.
pub trait Life: Copy + Send + 'static {
    /// What is kept beside a value.
    type Expiry: Clone + Send;
    /// What is kept beside the elements of a list.
    type Expiries: Expiries<Self::Expiry>;

    /// Whether values expire at all.
    const EXPIRES: bool;

    /// The time to live, as runs declare it.
    fn time_to_live_ms(&self) -> Option<i64>;

    /// What follows a state's types in messages.
    fn description(&self) -> String;

    /// It's so late now: ms since 1970. Never goes back.
    fn set_now(&mut self, now_ms: i64);

    /// How late it is; without a time to live nobody says.
    fn now_ms(&self) -> i64;

    /// How many entries may be looked at for each row.
    fn cleanup_entries(&self) -> usize;

    /// The expiry of what is written now.
    fn written(&self) -> Self::Expiry;

    /// Whether the value has expired.
    fn is_expired(&self, expiry: &Self::Expiry) -> bool;

    /// Whether expired values aren't to be seen.
    fn hides_expired(&self) -> bool;

    /// Whether reads make values live on.
    fn updates_on_read(&self) -> bool;

    /// A value is read: it lives on, if reads make it. True if its row is to count as changed by
    /// that: then nothing was done yet, and it's to be given [`written`](Self::written).
    fn read(&self, expiry: &Self::Expiry) -> bool;

    /// The expiry as rows have it.
    fn stored(&self, expiry: &Self::Expiry) -> Option<i64>;

    /// Whether a row that is about to be written has expired.
    fn is_over(&self, row: &RowOperation<'_>) -> bool;

    /// The expiry of a row's value that is restored, when the run that holds the row declares
    /// `time_to_live_ms`. `now_ms` if anyone has said.
    fn restored(
        &self,
        expiry: Option<i64>,
        time_to_live_ms: Option<i64>,
        now_ms: Option<i64>,
    ) -> Restored<Self::Expiry>;
}

/// What becomes of a row's value that is restored.
pub enum Restored<E> {
    /// It lives, or nobody knows.
    Live(E),
    /// It has expired.
    Expired(E),
}

/// What a row says about its value.
pub(crate) fn operation<'a, L: Life>(
    life: &L,
    value: &'a [u8],
    expiry: &L::Expiry,
) -> RowOperation<'a> {
    expiring(value, life.stored(expiry))
}

/// A row's value, with its expiry if there is one.
pub(crate) fn expiring(value: &[u8], expiry: Option<i64>) -> RowOperation<'_> {
    match expiry {
        Some(expiry) => RowOperation::Expiring { value, expiry },
        None => RowOperation::Value(value),
    }
}

impl Life for Forever {
    type Expiry = ();
    type Expiries = ();
    const EXPIRES: bool = false;

    fn time_to_live_ms(&self) -> Option<i64> {
        None
    }

    fn description(&self) -> String {
        String::new()
    }

    fn set_now(&mut self, _now_ms: i64) {}

    fn now_ms(&self) -> i64 {
        0
    }

    fn cleanup_entries(&self) -> usize {
        0
    }

    #[inline]
    fn written(&self) {}

    #[inline]
    fn is_expired(&self, (): &()) -> bool {
        false
    }

    #[inline]
    fn hides_expired(&self) -> bool {
        false
    }

    #[inline]
    fn updates_on_read(&self) -> bool {
        false
    }

    #[inline]
    fn read(&self, (): &()) -> bool {
        false
    }

    #[inline]
    fn stored(&self, (): &()) -> Option<i64> {
        None
    }

    #[inline]
    fn is_over(&self, _row: &RowOperation<'_>) -> bool {
        false
    }

    /// A time to live was taken away: what had expired by then stays away.
    fn restored(
        &self,
        expiry: Option<i64>,
        _time_to_live_ms: Option<i64>,
        now_ms: Option<i64>,
    ) -> Restored<()> {
        match (expiry, now_ms) {
            (Some(expiry), Some(now_ms)) if expiry <= now_ms => Restored::Expired(()),
            _ => Restored::Live(()),
        }
    }
}
