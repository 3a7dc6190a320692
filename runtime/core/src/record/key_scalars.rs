//! `Key` for booleans, integers, characters, strings and `()`.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::key::{
    CHAR, ESCAPE, FALSE, STRING, TRUE, UNIT, ZERO, expect, hash_in_scratch, read_escaped,
    write_escaped,
};
use super::varint::{take, take_array, take_byte};
use super::{DecodeError, Key};

/// The encoding of an integer of up to 64 bits: the buffer and how much of it is used.
#[inline]
fn encode_small(negative: bool, magnitude: u64) -> ([u8; 9], usize) {
    let length = (u64::BITS - magnitude.leading_zeros()).div_ceil(8) as usize;
    // For length 0 the shift is by 64: the digits are 0 anyway and unused.
    let digits = magnitude.wrapping_shl(64 - 8 * length as u32);
    let (code, digits) = match negative {
        false => (ZERO + length as u8, digits),
        true => (ZERO - length as u8, !digits),
    };
    let mut buffer = [code; 9];
    buffer[1..].copy_from_slice(&digits.to_be_bytes());
    (buffer, length + 1)
}

#[inline]
fn encode_wide(negative: bool, magnitude: u128) -> ([u8; 17], usize) {
    let length = (u128::BITS - magnitude.leading_zeros()).div_ceil(8) as usize;
    let digits = magnitude.wrapping_shl(128 - 8 * length as u32);
    let (code, digits) = match negative {
        false => (ZERO + length as u8, digits),
        true => (ZERO - length as u8, !digits),
    };
    let mut buffer = [code; 17];
    buffer[1..].copy_from_slice(&digits.to_be_bytes());
    (buffer, length + 1)
}

/// Takes an integer's sign and magnitude; refuses what isn't the shortest form.
#[inline]
fn decode_integer(input: &mut &[u8], type_name: &'static str) -> Result<(bool, u128), DecodeError> {
    let code = take_byte(input)?;
    let length = usize::from(code.abs_diff(ZERO));
    if length > 16 {
        return Err(DecodeError::InvalidByte { type_name, found: code });
    }
    let negative = code < ZERO;
    let mask = if negative { 0xff } else { 0 };
    let digits = take(input, length)?;
    if let Some(&first) = digits.first()
        && first == mask
    {
        return Err(DecodeError::InvalidByte { type_name, found: first });
    }
    let magnitude =
        digits.iter().fold(0u128, |value, &digit| value << 8 | u128::from(digit ^ mask));
    Ok((negative, magnitude))
}

macro_rules! integer_key {
    ($encode:ident: $($type:ident $wide:ident),*) => {$(
        impl Key for $type {
            #[inline]
            fn encode_key(&self, out: &mut Vec<u8>) {
                let (bytes, length) = integer_key!(@parts $encode, *self, $wide);
                // Copying all and cutting is faster than copying a length that varies.
                let start = out.len();
                out.extend_from_slice(&bytes);
                out.truncate(start + length);
            }

            #[inline]
            fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError> {
                let out_of_range = DecodeError::OutOfRange { type_name: stringify!($type) };
                match decode_integer(input, stringify!($type))? {
                    (false, magnitude) => Self::try_from(magnitude).map_err(|_| out_of_range),
                    (true, magnitude) => match 0i128.checked_sub_unsigned(magnitude) {
                        Some(value) => Self::try_from(value).map_err(|_| out_of_range),
                        None => Err(out_of_range),
                    },
                }
            }

            #[inline]
            fn key_hash(&self) -> u64 {
                let (bytes, length) = integer_key!(@parts $encode, *self, $wide);
                xxh3_64(&bytes[..length])
            }

            integer_key!(@list $type);
        }
    )*};
    (@parts $encode:ident, $value:expr, u64) => { $encode(false, $value as u64) };
    (@parts $encode:ident, $value:expr, u128) => { $encode(false, $value) };
    (@parts $encode:ident, $value:expr, $wide:ident) => {
        $encode($value < 0, ($value as $wide).unsigned_abs())
    };
    (@list u8) => {
        fn encode_key_list(items: &[u8], out: &mut Vec<u8>) {
            out.push(super::key::BYTES);
            write_escaped(items, out);
        }

        fn decode_key_list(input: &mut &[u8]) -> Result<Vec<u8>, DecodeError> {
            expect(super::key::BYTES, input, "bytes")?;
            read_escaped(input, "bytes")
        }
    };
    (@list $type:ident) => {};
}

integer_key!(encode_small: u8 u64, u16 u64, u32 u64, u64 u64, usize u64);
integer_key!(encode_small: i8 i64, i16 i64, i32 i64, i64 i64, isize i64);
integer_key!(encode_wide: u128 u128, i128 i128);

impl Key for bool {
    #[inline]
    fn encode_key(&self, out: &mut Vec<u8>) {
        out.push(if *self { TRUE } else { FALSE });
    }

    #[inline]
    fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError> {
        match take_byte(input)? {
            FALSE => Ok(false),
            TRUE => Ok(true),
            found => Err(DecodeError::InvalidByte { type_name: "bool", found }),
        }
    }
}

impl Key for () {
    #[inline]
    fn encode_key(&self, out: &mut Vec<u8>) {
        out.push(UNIT);
    }

    #[inline]
    fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError> {
        expect(UNIT, input, "()")
    }
}

impl Key for char {
    #[inline]
    fn encode_key(&self, out: &mut Vec<u8>) {
        let [_, high, middle, low] = u32::from(*self).to_be_bytes();
        out.extend_from_slice(&[CHAR, high, middle, low]);
    }

    #[inline]
    fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError> {
        expect(CHAR, input, "char")?;
        let [high, middle, low] = take_array(input)?;
        char::from_u32(u32::from_be_bytes([0, high, middle, low]))
            .ok_or(DecodeError::OutOfRange { type_name: "char" })
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(STRING);
    write_escaped(text.as_bytes(), out);
}

fn read_text(input: &mut &[u8]) -> Result<String, DecodeError> {
    expect(STRING, input, "string")?;
    String::from_utf8(read_escaped(input, "string")?).map_err(|_| DecodeError::InvalidUtf8)
}

/// Names are short and need no escapes: those are hashed on the stack.
#[inline]
fn hash_text(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut buffer = [0u8; 64];
    // Looking at every byte, without an early end, is what the compiler can vectorise.
    let escapes = |bytes: &[u8]| bytes.iter().fold(false, |any, &byte| any | (byte <= ESCAPE));
    if bytes.len() > buffer.len() - 2 || escapes(bytes) {
        return hash_in_scratch(|out| write_text(text, out));
    }
    buffer[0] = STRING;
    buffer[1..=bytes.len()].copy_from_slice(bytes);
    xxh3_64(&buffer[..bytes.len() + 2])
}

macro_rules! text_key {
    ($($type:ty),*) => {$(
        impl Key for $type {
            fn encode_key(&self, out: &mut Vec<u8>) {
                write_text(self, out);
            }

            fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError> {
                read_text(input).map(Self::from)
            }

            #[inline]
            fn key_hash(&self) -> u64 {
                hash_text(self)
            }
        }
    )*};
}

text_key!(String, Arc<str>);
