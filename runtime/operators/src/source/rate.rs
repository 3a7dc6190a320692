//! How many rows a source may read now. A token bucket, pure: the caller passes the time.

use std::time::Duration;

/// At most this much of a second's rows is given at once, so that a rate looks even downstream.
const GRANT: f64 = 0.010;
/// What wasn't used is kept this long: a task that the machine holds up for some milliseconds
/// still keeps its rate on average, and a long stall isn't followed by a flood.
const KEPT: f64 = 0.100;

/// A limit in rows per second.
#[derive(Debug)]
pub(super) struct RateLimit {
    per_second: f64,
    tokens: f64,
    last: Option<Duration>,
}

impl RateLimit {
    /// None: `per_second` isn't a positive number, so that there is no limit.
    pub(super) fn new(per_second: f64) -> Option<Self> {
        let valid = per_second.is_finite() && per_second > 0.0;
        valid.then_some(Self { per_second, tokens: 0.0, last: None })
    }

    /// The most rows at once.
    fn grant(&self) -> f64 {
        (self.per_second * GRANT).max(1.0)
    }

    /// Rows that may be read at `now`.
    pub(super) fn available(&mut self, now: Duration) -> usize {
        match self.last.replace(now) {
            None => self.tokens = 1.0,
            Some(last) => {
                let gained = now.saturating_sub(last).as_secs_f64() * self.per_second;
                self.tokens = (self.tokens + gained).min((self.per_second * KEPT).max(1.0));
            }
        }
        // Below 2^53 and not negative: the conversion is exact up to the fraction.
        self.tokens.min(self.grant()) as usize
    }

    /// So many rows were read, at most as many as were available.
    pub(super) fn take(&mut self, rows: usize) {
        self.tokens -= rows as f64;
    }

    /// How long until as many rows may be read as are given at once: a task that woke for each
    /// row would be awake all the time.
    pub(super) fn wait(&self) -> Duration {
        let missing = (self.grant() - self.tokens).max(0.0) / self.per_second;
        Duration::try_from_secs_f64(missing).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows in all, the most at once, and how often it waited.
    fn run(rate: f64, step: Duration, seconds: u64) -> (usize, usize, usize) {
        let mut limit = RateLimit::new(rate).unwrap();
        let (mut total, mut largest, mut waits) = (0, 0, 0);
        let mut now = Duration::from_secs(7);
        let end = now + Duration::from_secs(seconds);
        while now < end {
            let rows = limit.available(now);
            limit.take(rows);
            total += rows;
            largest = largest.max(rows);
            waits += usize::from(rows == 0);
            now += if rows == 0 { limit.wait().max(step) } else { step };
        }
        (total, largest, waits)
    }

    #[test]
    fn the_rate_is_kept_on_average_and_bursts_stay_small() {
        for (rate, step_us) in
            [(1.0, 1000), (3.5, 10), (1000.0, 100), (100_000.0, 1000), (5e6, 300), (2e5, 9000)]
        {
            let (total, largest, _) = run(rate, Duration::from_micros(step_us), 20);
            let expected = rate * 20.0;
            assert!((total as f64 - expected).abs() <= expected * 0.01 + 2.0, "{rate}: {total}");
            assert!(largest as f64 <= (rate / 100.0).max(1.0), "{rate}: {largest}");
        }
    }

    #[test]
    fn a_task_that_waits_for_its_rate_wakes_a_hundred_times_a_second_at_most() {
        for rate in [50.0, 600.0, 20_000.0] {
            let (_, _, waits) = run(rate, Duration::from_micros(10), 20);
            assert!(waits <= 20 * 100 + 1, "{rate}: {waits}");
        }
    }

    #[test]
    fn a_long_stall_is_not_followed_by_a_flood() {
        let mut limit = RateLimit::new(1000.0).unwrap();
        limit.available(Duration::ZERO);
        let now = Duration::from_secs(60);
        let mut total = 0;
        while limit.available(now) > 0 {
            let rows = limit.available(now);
            limit.take(rows);
            total += rows;
        }
        assert_eq!(total, 100);
    }

    #[test]
    fn what_is_no_rate_is_no_limit() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(RateLimit::new(rate).is_none(), "{rate}");
        }
    }
}
