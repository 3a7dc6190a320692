//! When a stream without rows stops holding back event time. Pure: the caller says what time it
//! is. Not here: telling the next operators.

use std::time::Duration;

/// The longest time between two looks that counts in full when nobody had said when the next look
/// would be. What is longer was back pressure, which isn't idleness.
const LONGEST_UNASKED: Duration = Duration::from_millis(100);

/// Time in which somebody looked for rows, or had reason not to: it stands still while the task is
/// held back by others.
#[derive(Debug, Default)]
pub(crate) struct WaitingClock {
    last: Option<Duration>,
    /// How long the next look may take without being late.
    asked: Duration,
    total: Duration,
}

impl WaitingClock {
    /// A look at `now`. Returns the time that counts so far.
    pub(crate) fn look(&mut self, now: Duration) -> Duration {
        if let Some(last) = self.last {
            let since = now.saturating_sub(last);
            self.total += since.min(self.asked.saturating_add(LONGEST_UNASKED));
        }
        self.last = Some(now);
        self.asked = Duration::ZERO;
        self.total
    }

    /// Nothing was there and the next look will be after `wait`.
    pub(crate) fn wait(&mut self, wait: Duration) {
        self.asked = wait;
    }
}

/// Whether one stream is idle.
#[derive(Debug, Default)]
pub(crate) struct Idleness {
    empty_since: Option<Duration>,
    idle: bool,
}

impl Idleness {
    /// Rows came. True: it was idle before.
    pub(crate) fn rows(&mut self) -> bool {
        self.empty_since = None;
        std::mem::take(&mut self.idle)
    }

    /// Nothing is there at this time of the waiting clock.
    pub(crate) fn empty(&mut self, now: Duration, after: Duration) {
        let since = *self.empty_since.get_or_insert(now);
        self.idle |= now.saturating_sub(since) >= after;
    }

    /// Whether it was seen empty and no row came since.
    pub(crate) fn is_empty(&self) -> bool {
        self.empty_since.is_some()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.idle
    }

    /// How long until it becomes idle, if it will.
    pub(crate) fn due(&self, now: Duration, after: Duration) -> Option<Duration> {
        let since = self.empty_since.filter(|_| !self.idle)?;
        Some(after.saturating_sub(now.saturating_sub(since)))
    }
}

/// Milliseconds, rounded up: a timer at the result is never too early.
pub(crate) fn ceil_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros().div_ceil(1000)).unwrap_or(i64::MAX)
}
