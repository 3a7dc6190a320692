//! What the benchmarks measure with.

pub(crate) mod checkpoints;
pub(crate) mod cluster;
pub(crate) mod histogram;
pub(crate) mod processes;
pub(crate) mod slope;

/// A number that looks random, of a number; so that every run reads the same records.
#[inline]
pub(crate) fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// One of `keys` keys, each as likely as the others.
#[inline]
pub(crate) fn key(n: u64, keys: u64) -> u64 {
    // The upper bits of a product and not a remainder: a division costs as much as the whole row.
    ((u128::from(mix(n)) * u128::from(keys)) >> 64) as u64
}
