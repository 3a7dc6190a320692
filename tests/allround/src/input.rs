//! The rows, as pure functions of their numbers: any part of them can be made again.

use thalweg::prelude::*;

/// The source's splits, whatever the parallelism: each key's rows are in one of them.
pub const SPLITS: u64 = 4;
/// How far rows come out of order, within their split.
pub const OUT_OF_ORDER_MS: i64 = 500;
/// From one row of a key to the next one.
const STEP_MS: i64 = 100;
/// After so many rows of a key ...
const BURST: u64 = 60;
/// ... there are none for so long: its session ends.
const SILENCE_MS: i64 = 10_000;
/// One rule comes for so many rows.
const ROWS_PER_RULE: u64 = 250;

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Record)]
pub struct Row {
    /// Whose.
    pub key: u64,
    /// 1 for the key's first row, and one more for each further one.
    pub sequence: u64,
    /// Event time in ms since 1970.
    pub time: i64,
    /// What is aggregated.
    pub value: u64,
}

/// How much input there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Rows.
    pub rows: u64,
    /// Keys: a multiple of [`SPLITS`], so that each is in one split.
    keys: u64,
}

impl Input {
    /// So many rows of so many keys, of which there are a few more if it doesn't come out even.
    pub fn new(rows: u64, keys: u64) -> Self {
        Self { rows, keys: keys.max(1).next_multiple_of(SPLITS) }
    }

    /// The row with this number, from 0.
    pub fn row(&self, number: u64) -> Row {
        let (key, before) = (number % self.keys, number / self.keys);
        let jitter = (scatter(number) % OUT_OF_ORDER_MS as u64) as i64;
        let on_time = before as i64 * STEP_MS + (before / BURST) as i64 * SILENCE_MS;
        let value = scatter(number ^ 0xA5A5) % 1_000;
        Row { key, sequence: before + 1, time: on_time + jitter, value }
    }

    /// How many rules there are: their numbers rise from 1.
    pub fn rules(&self) -> u64 {
        self.rows / ROWS_PER_RULE
    }
}

/// What belongs to a key's row with this sequence: as many bytes, which anybody can compute again.
pub fn payload(key: u64, sequence: u64, bytes: usize) -> String {
    let digits = scatter(key << 32 | sequence).to_string();
    digits.chars().cycle().take(bytes).collect()
}

/// A number that looks like a random one (SplitMix64's finaliser).
pub fn scatter(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
