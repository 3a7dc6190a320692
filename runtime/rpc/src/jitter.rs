//! Pauses that differ from process to process, so that not all do the same at the same time. The
//! same seed gives the same pauses.

use std::time::Duration;

/// Gives pauses.
#[derive(Debug, Clone)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// That long, a quarter more or less.
    pub(crate) fn about(&mut self, pause: Duration) -> Duration {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.0;
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let thousandths = ((drawn ^ (drawn >> 31)) >> 32) % 501 + 750;
        pause * u32::try_from(thousandths).unwrap_or(1000) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_a_quarter_more_or_less_and_another_seed_gives_other_ones() {
        let pauses = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..100).map(|_| jitter.about(Duration::from_secs(1))).collect::<Vec<_>>()
        };
        let some = pauses(1);
        let allowed = Duration::from_millis(750)..=Duration::from_millis(1250);
        assert!(some.iter().all(|pause| allowed.contains(pause)), "{some:?}");
        assert!(some == pauses(1) && some != pauses(2));
    }
}
