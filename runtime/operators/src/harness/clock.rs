//! A clock that stands still until a test moves it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use thalweg_core::clock::Clock;

/// A clock that stands still until it is moved. Its two times move together.
#[derive(Debug)]
pub struct ManualClock {
    start_ms: i64,
    now_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that shows `now_ms` (ms since 1970).
    pub fn new(now_ms: i64) -> Self {
        Self { start_ms: now_ms, now_ms: AtomicI64::new(now_ms) }
    }

    /// Moves it to `now_ms`; never back.
    pub fn set(&self, now_ms: i64) {
        self.now_ms.fetch_max(now_ms, Ordering::Relaxed);
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.set(self.wall_ms().saturating_add(by));
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> i64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        let since = self.wall_ms().saturating_sub(self.start_ms);
        Duration::from_millis(since.try_into().unwrap_or(0))
    }
}
