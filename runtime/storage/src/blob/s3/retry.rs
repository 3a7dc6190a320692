//! When a request that failed is repeated. Pure.

use std::time::Duration;

use super::settings::RetrySettings;

/// Random numbers for pauses: a seed gives the same ones each time (splitmix64).
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The pause before a request is tried again, after `tries` of them and `elapsed` since the first
/// one began; none: it isn't. The pause is a random part, by `random`, of a time that doubles with
/// each try: so that many that failed at once don't all come back at once.
pub(super) fn pause(
    settings: &RetrySettings,
    tries: u32,
    elapsed: Duration,
    random: u64,
) -> Option<Duration> {
    let doublings = tries.saturating_sub(1).min(30);
    let longest = settings.initial_backoff.saturating_mul(1 << doublings);
    let longest = longest.min(settings.max_backoff);
    // At least half of it: a server that is overloaded isn't asked again at once.
    let part = 0.5 + (random >> 11) as f64 / (1u64 << 54) as f64;
    let pause = longest.mul_f64(part);
    (elapsed.saturating_add(pause) < settings.timeout).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: RetrySettings = RetrySettings {
        timeout: Duration::from_secs(60),
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(5),
    };

    #[test]
    fn pauses_double_up_to_a_bound_with_a_random_part() {
        let mut jitter = Jitter::new(7);
        for tries in 1..100 {
            let longest = 0.1 * 2f64.powi(tries - 1);
            let longest = longest.min(5.0);
            let tries = u32::try_from(tries).unwrap();
            let pause = pause(&SETTINGS, tries, Duration::ZERO, jitter.next()).unwrap();
            let seconds = pause.as_secs_f64();
            assert!((longest * 0.5..=longest).contains(&seconds), "try {tries}: {seconds}");
        }
        assert_eq!(pause(&SETTINGS, 1, Duration::ZERO, 0), Some(Duration::from_millis(50)));
        let longest = pause(&SETTINGS, 1, Duration::ZERO, u64::MAX).unwrap();
        assert!(longest > Duration::from_millis(99), "{longest:?}");
    }

    #[test]
    fn nothing_is_repeated_after_the_time_is_over() {
        let late = Duration::from_millis(59_960);
        assert_eq!(pause(&SETTINGS, 1, late, 0), None);
        assert!(pause(&SETTINGS, 1, Duration::from_secs(59), 0).is_some());
        let never = RetrySettings { timeout: Duration::ZERO, ..SETTINGS };
        assert_eq!(pause(&never, 1, Duration::ZERO, 0), None);
    }
}
