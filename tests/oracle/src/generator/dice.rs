//! Numbers that look random and depend on nothing but the seed, the place and the draw.

/// One step of the mixing function known as splitmix64.
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A sequence of numbers, the same for the same seed, purpose and index.
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    /// The dice of the `index`-th thing of a kind; each kind has its own `purpose`.
    pub(super) fn new(seed: u64, purpose: u64, index: u64) -> Dice {
        Dice { state: mix(mix(mix(seed) ^ purpose) ^ index) }
    }

    /// A number below `bound`, which must not be 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(1);
        let scaled = u128::from(mix(self.state)) * u128::from(bound);
        (scaled >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// A number below `bound`, which must not be 0; the lower, the more often.
    pub(super) fn low_below(&mut self, bound: u64) -> u64 {
        let limit = self.below(bound) + 1;
        self.below(limit)
    }

    /// Whether something of this many in a thousand happens.
    pub(super) fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1_000) < chance
    }

    /// One of the items, of which there must be at least one.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix64_gives_its_published_numbers() {
        // The first outputs of the generator with seed 1234567.
        let step = 0x9e37_79b9_7f4a_7c15_u64;
        assert_eq!(mix(1_234_567), 6_457_827_717_110_365_317);
        assert_eq!(mix(1_234_567_u64.wrapping_add(step)), 3_203_168_211_198_807_973);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_of_it() {
        let mut dice = Dice::new(1, 2, 3);
        let mut seen = [0; 6];
        (0..600).for_each(|_| seen[dice.below(6) as usize] += 1);
        assert!(seen.iter().all(|count| (50..150).contains(count)), "{seen:?}");
        assert!((0..100).all(|_| (4..=5).contains(&dice.between(4, 5))));
    }
}
