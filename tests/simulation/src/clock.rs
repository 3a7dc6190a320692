//! A host's clock: the virtual time of the runtime that it is read in, from a fixed moment on.

use std::time::Duration;

use thalweg_core::Clock;
use tokio::time::Instant;

/// When simulations begin, in ms since 1970.
pub const BEGIN_MS: i64 = 1_900_000_000_000;

/// Read on the host's own runtime only.
#[derive(Debug)]
pub struct SimulatedClock {
    started: Instant,
    /// What had passed in the simulation when the host was started.
    before: Duration,
    /// By how much the host's time of day is wrong.
    skew_ms: i64,
}

impl SimulatedClock {
    /// The clock of the host that this is called on.
    pub fn new(skew_ms: i64) -> Self {
        Self { started: Instant::now(), before: turmoil::sim_elapsed().unwrap_or_default(), skew_ms }
    }
}

impl Clock for SimulatedClock {
    fn wall_ms(&self) -> i64 {
        BEGIN_MS + self.skew_ms + i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.before + self.started.elapsed()
    }
}
