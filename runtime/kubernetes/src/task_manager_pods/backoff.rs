//! How long to wait before the next pod is made when the last ones failed. Pure.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Doubles with every failure, from one second to a minute; over with the first success.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    until: Option<Duration>,
}

impl Backoff {
    /// A pod has failed before its TaskManager registered, or couldn't be made.
    pub fn failed(&mut self, now: Duration) {
        let pause = FIRST.saturating_mul(1 << self.failures.min(6)).min(LONGEST);
        self.failures += 1;
        self.until = Some(now + pause);
    }

    /// A TaskManager has registered.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Until when nothing is made.
    pub fn until(&self, now: Duration) -> Option<Duration> {
        self.until.filter(|until| *until > now)
    }
}
