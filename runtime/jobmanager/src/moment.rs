//! The present, as it is passed into every decision. Not here: a clock.

use std::time::Duration;

use thalweg_core::Clock;

/// A moment, by both of a clock's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// For time-outs: never goes back.
    pub elapsed: Duration,
    /// For people: ms since 1970-01-01T00:00:00Z.
    pub wall_ms: i64,
}

impl Moment {
    /// The moment that the clock shows.
    pub fn of(clock: &dyn Clock) -> Self {
        Self { elapsed: clock.elapsed(), wall_ms: clock.wall_ms() }
    }
}

/// The earlier of two deadlines, of which either may be absent.
pub(crate) fn earlier(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
