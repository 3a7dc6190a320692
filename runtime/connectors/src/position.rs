//! Positions and splits that are a few numbers, as bytes.

/// A position or a split isn't what this version of the source writes.
#[derive(Debug, thiserror::Error)]
#[error(
    "the position in the checkpoint isn't one of this source: the source was replaced by another \
     one under the same uid; give it another uid"
)]
pub(crate) struct BadPosition;

pub(crate) fn encode_numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

pub(crate) fn decode_numbers<const N: usize>(bytes: &[u8]) -> Result<[u64; N], BadPosition> {
    let (numbers, rest) = bytes.as_chunks::<8>();
    if numbers.len() != N || !rest.is_empty() {
        return Err(BadPosition);
    }
    Ok(std::array::from_fn(|n| u64::from_le_bytes(numbers[n])))
}
