//! What the simulations of this crate draw their faults with. Not here: the faults.

/// xorshift64*: enough for drawing faults.
pub(crate) struct Dice(u64);

impl Dice {
    /// Those of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(2) + 1)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % n
    }
}
