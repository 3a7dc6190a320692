//! Waiting for something to become true, within a bound.

use std::time::{Duration, Instant};

/// How long anything may take that isn't said to take longer: much longer than it ever does, on a
/// machine that runs other tests at the same time.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How soon it is looked at again, at first and when it takes long: then it comes late by a
/// tenth at most, and looking doesn't take the time of what is waited for.
const POLL_MIN: Duration = Duration::from_millis(15);
const POLL_MAX: Duration = Duration::from_millis(250);
const PART_OF_WAITED: u32 = 10;

/// Asks until there is an answer.
///
/// # Panics
/// There is none within [`DEADLINE`].
pub fn wait_until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    wait_within(DEADLINE, what, ask)
}

/// Asks until there is an answer.
///
/// # Panics
/// There is none within `limit`.
pub fn wait_within<T>(limit: Duration, what: &str, ask: impl FnMut() -> Option<T>) -> T {
    let answer = try_within(limit, ask);
    answer.unwrap_or_else(|| panic!("waited {limit:?} in vain for this: {what}"))
}

/// Asks until there is an answer; none if there is none within `limit`.
pub fn try_within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let started = now();
    loop {
        let answer = ask();
        if answer.is_some() || started.elapsed() >= limit {
            return answer;
        }
        pause((started.elapsed() / PART_OF_WAITED).clamp(POLL_MIN, POLL_MAX));
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock: for deadlines")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place that sleeps: between two looks")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
