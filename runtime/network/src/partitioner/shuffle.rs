//! Shuffle: by a hash of the row's place in the producer's stream and of a seed.
//!
//! Evenly in the long run and without a period, and the same in every run of the program.

/// Where the sequence of choices stands.
#[derive(Debug, Clone)]
pub struct ShufflePartitioner {
    state: u64,
}

/// SplitMix64's increment: odd, so that the state takes every value once.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

impl ShufflePartitioner {
    /// A sequence of choices of its own for each producing subtask.
    pub fn new(seed: u64, subtask: u32) -> Self {
        Self { state: mix(seed ^ mix(u64::from(subtask) + 1)) }
    }

    pub(super) fn partition(&mut self, rows: usize, channels: usize, destinations: &mut Vec<u32>) {
        let channels = channels as u64;
        destinations.extend((0..rows).map(|_| {
            self.state = self.state.wrapping_add(INCREMENT);
            (((mix(self.state) >> 32) * channels) >> 32) as u32
        }));
    }
}

/// SplitMix64's finaliser.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
