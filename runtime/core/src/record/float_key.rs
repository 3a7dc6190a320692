//! A float that can be a key. Not here: plain floats, which are records but no keys, for NaN
//! isn't equal to itself.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use super::key::{FLOAT, expect};
use super::varint::take_array;
use super::{DecodeError, DecodePlan, Key, Record, Schema};

const SIGN: u64 = 1 << 63;

/// An f64 as a key: all NaNs are one, greater than every number, and -0.0 is 0.0.
/// As a record it's an f64: a field can change from the one to the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct FloatKey(f64);

impl FloatKey {
    /// The key of a number, normalised.
    #[inline]
    pub fn new(value: f64) -> FloatKey {
        if value.is_nan() {
            FloatKey(f64::from_bits(0x7ff8_0000_0000_0000))
        } else {
            // The sum of -0.0 and 0.0 is 0.0; every other value stays.
            FloatKey(value + 0.0)
        }
    }

    /// The number, normalised.
    #[inline]
    pub fn get(self) -> f64 {
        self.0
    }

    /// Bits whose order as an unsigned integer is the numbers' order.
    #[inline]
    fn ordered(self) -> u64 {
        let bits = self.0.to_bits();
        if bits & SIGN == 0 { bits | SIGN } else { !bits }
    }
}

impl From<f64> for FloatKey {
    fn from(value: f64) -> FloatKey {
        FloatKey::new(value)
    }
}

impl From<FloatKey> for f64 {
    fn from(key: FloatKey) -> f64 {
        key.0
    }
}

impl PartialEq for FloatKey {
    fn eq(&self, other: &FloatKey) -> bool {
        self.ordered() == other.ordered()
    }
}

impl Eq for FloatKey {}

impl PartialOrd for FloatKey {
    fn partial_cmp(&self, other: &FloatKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FloatKey {
    fn cmp(&self, other: &FloatKey) -> Ordering {
        self.ordered().cmp(&other.ordered())
    }
}

impl Hash for FloatKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.ordered());
    }
}

impl Record for FloatKey {
    const OWNS_HEAP: bool = false;

    fn schema() -> Schema {
        f64::schema()
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        f64::decode(input).map(FloatKey::new)
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        f64::decode_evolved(plan, input).map(FloatKey::new)
    }

    #[inline]
    fn heap_size(&self) -> usize {
        0
    }
}

impl Key for FloatKey {
    #[inline]
    fn encode_key(&self, out: &mut Vec<u8>) {
        out.push(FLOAT);
        out.extend_from_slice(&self.ordered().to_be_bytes());
    }

    fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError> {
        expect(FLOAT, input, "FloatKey")?;
        let ordered = u64::from_be_bytes(take_array(input)?);
        let bits = if ordered & SIGN == 0 { !ordered } else { ordered & !SIGN };
        let key = FloatKey::new(f64::from_bits(bits));
        match key.ordered() == ordered {
            true => Ok(key),
            false => Err(DecodeError::OutOfRange { type_name: "FloatKey" }),
        }
    }
}
