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
    /// By how much the host's time of day is wrong, ...
    skew_ms: i64,
    /// ... and, from some moment on, by how much more.
    jump: (Duration, i64),
}

impl SimulatedClock {
    /// The clock of the host that this is called on. It is `skew_ms` fast, and jumps once.
    pub fn new(skew_ms: i64, jump: (Duration, i64)) -> Self {
        let before = turmoil::sim_elapsed().unwrap_or_default();
        Self { started: Instant::now(), before, skew_ms, jump }
    }
}

impl Clock for SimulatedClock {
    fn wall_ms(&self) -> i64 {
        let elapsed = self.elapsed();
        let jumped = if elapsed >= self.jump.0 { self.jump.1 } else { 0 };
        let elapsed = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        BEGIN_MS + self.skew_ms + jumped + elapsed
    }

    fn elapsed(&self) -> Duration {
        self.before + self.started.elapsed()
    }
}
