//! A window of time: what a windowed result belongs to.

use thalweg_core::{Key, Record};

/// From `start` to `end`, `end` not included: ms since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record, Key)]
#[record(crate = "thalweg_core")]
pub struct TimeWindow {
    /// The first millisecond in it.
    pub start: i64,
    /// The first millisecond behind it.
    pub end: i64,
}

impl TimeWindow {
    /// The last millisecond in it: the timestamp of its results.
    pub fn max_timestamp(self) -> i64 {
        self.end.saturating_sub(1)
    }

    /// Whether the two overlap or touch: then they are one session.
    pub fn touches(self, other: TimeWindow) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// The smallest window that holds both.
    #[must_use]
    pub fn cover(self, other: TimeWindow) -> TimeWindow {
        TimeWindow { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl std::fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}
