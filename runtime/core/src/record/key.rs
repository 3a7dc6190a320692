//! Keys and their canonical encoding. It decides where a key's rows are processed and how its
//! state is sorted on disk, so **it never changes**: the vectors below are tested.
//!
//! Properties: equal keys give equal bytes and different keys different ones; the order of the
//! bytes is the order of the keys; no encoding is the beginning of another one, whatever follows,
//! so that fields, and in state key and namespace, are simply concatenated; integers don't depend
//! on their width or sign (`5u8`, `5i64` and the columnar side's `5` are one key).
//!
//! | value | bytes |
//! |---|---|
//! | end of a list | `00` |
//! | `None` | `01` |
//! | `Some(x)` | x; if that begins with `01` or `02`, `02` before it |
//! | `()` and structs without fields | `03` |
//! | `false`, `true` | `04`, `05` |
//! | integer 0 | `20` |
//! | integer > 0 of n bytes | `20 + n`, big endian without leading zeros |
//! | integer < 0 of n bytes | `20 - n`, the complement of its magnitude, big endian |
//! | [`FloatKey`](super::FloatKey) | `38`, 8 bytes: bits with the sign inverted, all if negative |
//! | `char` | `40`, 3 bytes, big endian |
//! | string | `41`, UTF-8 with `00` as `01 01` and `01` as `01 02`, `00` |
//! | bytes (`Vec<u8>`, `[u8; N]`) | `42`, escaped and ended like a string |
//! | list (`Vec<T>`, `[T; N]`) | `50`, the elements, `00` |
//! | tuple, struct | its elements |
//! | enum | the variant's number as an integer, then its fields |
//!
//! | key | bytes | xxh3_64 | key group of 128 |
//! |---|---|---|---|
//! | `0` | `20` | `0xfc1537fc103cb7cf` | 10 |
//! | `5` | `2105` | `0x8da62ac9de362018` | 83 |
//! | `-1` | `1ffe` | `0x9f87e5d7ce893d41` | 67 |
//! | `1234567890123` | `26011f71fb04cb` | `0x935c98153afbc2c6` | 46 |
//! | `"user-42"` | `41757365722d343200` | `0x736ad215c316a114` | 53 |
//! | `"a\0b"` | `416101016200` | `0xf73c1d69166836d0` | 30 |
//! | `1.5` | `38bff8000000000000` | `0x683e52d063c5c956` | 31 |
//! | `None` | `01` | `0xe12ef9d2eb86ceeb` | 23 |
//! | `[1, 2]` | `502101210200` | `0x600e4160391e2ac8` | 7 |
//! | `("a", -2)` | `4161001ffd` | `0x3b55c30ba527aabf` | 42 |
//!
//! Not here: which group a hash belongs to, which is `key_group`'s.

use std::cell::Cell;

use xxhash_rust::xxh3::xxh3_64;

use super::{DecodeError, Record};

pub(super) const END: u8 = 0x00;
pub(super) const NONE: u8 = 0x01;
pub(super) const SOME: u8 = 0x02;
pub(super) const UNIT: u8 = 0x03;
pub(super) const FALSE: u8 = 0x04;
pub(super) const TRUE: u8 = 0x05;
pub(super) const ZERO: u8 = 0x20;
pub(super) const FLOAT: u8 = 0x38;
pub(super) const CHAR: u8 = 0x40;
pub(super) const STRING: u8 = 0x41;
pub(super) const BYTES: u8 = 0x42;
pub(super) const LIST: u8 = 0x50;

/// A record that partitions a stream. Derived, or one of the types in the module's table.
pub trait Key: Record + Eq + std::hash::Hash {
    /// Appends the canonical encoding.
    fn encode_key(&self, out: &mut Vec<u8>);

    /// Takes a key from the front of `input`.
    ///
    /// # Errors
    /// The bytes aren't the canonical encoding of a value of this type.
    fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError>;

    /// xxh3_64 with seed 0 of the canonical encoding; doesn't allocate once the thread has
    /// hashed a key as long.
    #[inline]
    fn key_hash(&self) -> u64 {
        hash_in_scratch(|out| self.encode_key(out))
    }

    /// Appends a list of these; u8 makes it bytes.
    #[doc(hidden)]
    fn encode_key_list(items: &[Self], out: &mut Vec<u8>) {
        out.push(LIST);
        items.iter().for_each(|item| item.encode_key(out));
        out.push(END);
    }

    /// Takes a list of these from the front of `input`; u8 reads bytes.
    #[doc(hidden)]
    fn decode_key_list(input: &mut &[u8]) -> Result<Vec<Self>, DecodeError> {
        expect(LIST, input, "list")?;
        let mut items = Vec::new();
        loop {
            if let [END, rest @ ..] = *input {
                *input = rest;
                return Ok(items);
            }
            items.push(Self::decode_key(input)?);
        }
    }
}

/// The hash of a key whose canonical encoding this is: as [`Key::key_hash`].
pub fn encoded_key_hash(encoded: &[u8]) -> u64 {
    xxh3_64(encoded)
}

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Hashes what `encode` appends, in a buffer that the thread keeps.
pub(super) fn hash_in_scratch(encode: impl FnOnce(&mut Vec<u8>)) -> u64 {
    let mut buffer = SCRATCH.take();
    buffer.clear();
    encode(&mut buffer);
    let hash = xxh3_64(&buffer);
    SCRATCH.set(buffer);
    hash
}

/// Takes a type code that must be there.
#[inline]
pub(super) fn expect(
    code: u8,
    input: &mut &[u8],
    type_name: &'static str,
) -> Result<(), DecodeError> {
    match super::varint::take_byte(input)? {
        found if found == code => Ok(()),
        found => Err(DecodeError::InvalidByte { type_name, found }),
    }
}

/// Before an escaped byte; also the highest byte that needs an escape.
pub(super) const ESCAPE: u8 = 0x01;

/// Appends bytes so that the end's 0 stands nowhere within: 0 as 1 1 and 1 as 1 2, which keeps
/// the order; then the end.
pub(super) fn write_escaped(mut bytes: &[u8], out: &mut Vec<u8>) {
    while let Some(position) = bytes.iter().position(|&byte| byte <= ESCAPE) {
        out.extend_from_slice(&bytes[..position]);
        out.extend_from_slice(&[ESCAPE, bytes[position] + 1]);
        bytes = &bytes[position + 1..];
    }
    out.extend_from_slice(bytes);
    out.push(END);
}

/// Takes what [`write_escaped`] wrote.
pub(super) fn read_escaped(
    input: &mut &[u8],
    type_name: &'static str,
) -> Result<Vec<u8>, DecodeError> {
    let Some(end) = input.iter().position(|&byte| byte == END) else {
        return Err(DecodeError::UnexpectedEnd { needed: 1, remaining: 0 });
    };
    let (mut escaped, rest) = (&input[..end], &input[end + 1..]);
    let mut bytes = Vec::with_capacity(end);
    while let Some(position) = escaped.iter().position(|&byte| byte == ESCAPE) {
        bytes.extend_from_slice(&escaped[..position]);
        match escaped.get(position + 1) {
            Some(&code @ 1..=2) => bytes.push(code - 1),
            other => {
                let found = other.copied().unwrap_or(END);
                return Err(DecodeError::InvalidByte { type_name, found });
            }
        }
        escaped = &escaped[position + 2..];
    }
    bytes.extend_from_slice(escaped);
    *input = rest;
    Ok(bytes)
}
