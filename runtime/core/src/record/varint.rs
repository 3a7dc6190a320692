//! Variable-length integers, lengths and raw bytes: the smallest parts of a record's encoding.
//! Seven bits a byte, least significant first; signed integers are zigzagged. Not here: keys,
//! whose encoding preserves order.

use super::DecodeError;

/// The top bit of each byte: more follow.
const MORE: u64 = 0x8080_8080_8080_8080;

#[inline]
pub(super) fn write_u64(value: u64, out: &mut Vec<u8>) {
    if value < 0x80 {
        out.push(value as u8);
    } else if value < 1 << 56 {
        // Up to 8 bytes at once, without a loop: a timestamp takes 6.
        let length = (64 - value.leading_zeros()).div_ceil(7);
        let bytes = spread(value) | (MORE >> (72 - 8 * length));
        let start = out.len();
        out.extend_from_slice(&bytes.to_le_bytes());
        out.truncate(start + length as usize);
    } else {
        write_u128(u128::from(value), out);
    }
}

/// Moves each 7 of the lower 56 bits into a byte of its own.
#[inline]
fn spread(value: u64) -> u64 {
    let halves = (value & 0x0fff_ffff) | ((value << 4) & 0x0fff_ffff_0000_0000);
    let quarters = (halves & 0x3fff_0000_3fff) | ((halves << 2) & 0x3fff_0000_3fff_0000);
    (quarters & 0x007f_007f_007f_007f) | ((quarters << 1) & 0x7f00_7f00_7f00_7f00)
}

/// Undoes [`spread`]; ignores the top bits of the bytes.
#[inline]
fn gather(bytes: u64) -> u64 {
    let quarters = (bytes & 0x007f_007f_007f_007f) | ((bytes & 0x7f00_7f00_7f00_7f00) >> 1);
    let halves = (quarters & 0x3fff_0000_3fff) | ((quarters & 0x3fff_0000_3fff_0000) >> 2);
    (halves & 0x0fff_ffff) | ((halves & 0x0fff_ffff_0000_0000) >> 4)
}

pub(super) fn write_u128(mut value: u128, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
pub(super) fn read_u64(input: &mut &[u8], type_name: &'static str) -> Result<u64, DecodeError> {
    if let [first, rest @ ..] = *input
        && *first < 0x80
    {
        *input = rest;
        return Ok(u64::from(*first));
    }
    if let Some((chunk, _)) = input.split_first_chunk::<8>() {
        let bytes = u64::from_le_bytes(*chunk);
        let last = !bytes & MORE;
        if last != 0 {
            let bits = last.trailing_zeros() + 1;
            *input = &input[bits as usize / 8..];
            return Ok(gather(bytes & (u64::MAX >> (64 - bits))));
        }
    }
    read_long_u64(input, type_name)
}

/// Nine or ten bytes, or close to the end of the input.
fn read_long_u64(input: &mut &[u8], type_name: &'static str) -> Result<u64, DecodeError> {
    let mut value = 0u64;
    for (position, &byte) in input.iter().enumerate().take(10) {
        if position == 9 && byte > 1 {
            return Err(DecodeError::OutOfRange { type_name });
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            *input = &input[position + 1..];
            return Ok(value);
        }
    }
    Err(DecodeError::UnexpectedEnd { needed: 1, remaining: 0 })
}

pub(super) fn read_u128(input: &mut &[u8], type_name: &'static str) -> Result<u128, DecodeError> {
    let mut value = 0u128;
    for (position, &byte) in input.iter().enumerate().take(19) {
        if position == 18 && byte > 3 {
            return Err(DecodeError::OutOfRange { type_name });
        }
        value |= u128::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            *input = &input[position + 1..];
            return Ok(value);
        }
    }
    Err(DecodeError::UnexpectedEnd { needed: 1, remaining: 0 })
}

#[inline]
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[inline]
pub(super) fn zigzag_wide(value: i128) -> u128 {
    ((value << 1) ^ (value >> 127)) as u128
}

#[inline]
pub(super) fn unzigzag_wide(value: u128) -> i128 {
    (value >> 1) as i128 ^ -((value & 1) as i128)
}

/// Takes the next byte.
#[inline]
pub(super) fn take_byte(input: &mut &[u8]) -> Result<u8, DecodeError> {
    match *input {
        [first, rest @ ..] => {
            *input = rest;
            Ok(*first)
        }
        [] => Err(DecodeError::UnexpectedEnd { needed: 1, remaining: 0 }),
    }
}

/// Takes the next `length` bytes.
#[inline]
pub(super) fn take<'a>(input: &mut &'a [u8], length: usize) -> Result<&'a [u8], DecodeError> {
    match input.split_at_checked(length) {
        Some((taken, rest)) => {
            *input = rest;
            Ok(taken)
        }
        None => Err(DecodeError::UnexpectedEnd { needed: length, remaining: input.len() }),
    }
}

/// Takes the next `N` bytes as an array.
#[inline]
pub(super) fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    match input.split_first_chunk::<N>() {
        Some((taken, rest)) => {
            *input = rest;
            Ok(*taken)
        }
        None => Err(DecodeError::UnexpectedEnd { needed: N, remaining: input.len() }),
    }
}

#[inline]
pub(super) fn write_length(length: usize, out: &mut Vec<u8>) {
    write_u64(length as u64, out);
}

/// Reads a number of elements or bytes; never more than there are bytes left, so that nothing
/// is allocated on a corrupt length's word. See [`pad`] for elements that take no bytes.
#[inline]
pub(super) fn read_length(input: &mut &[u8]) -> Result<usize, DecodeError> {
    let claimed = read_u64(input, "length")?;
    if claimed > input.len() as u64 {
        return Err(DecodeError::Length { claimed, remaining: input.len() });
    }
    Ok(claimed as usize)
}

/// Elements of a collection take at least a byte each on average: a collection of elements
/// that encode to nothing, `Vec<()>`, is padded, so that [`read_length`]'s bound holds.
/// `start` is where the elements began in `out`.
#[inline]
pub(super) fn pad(start: usize, length: usize, out: &mut Vec<u8>) {
    if out.len() - start < length {
        out.resize(start + length, 0);
    }
}

/// Skips what [`pad`] wrote. `before` is how many bytes were left when the elements began.
#[inline]
pub(super) fn skip_padding(
    before: usize,
    length: usize,
    input: &mut &[u8],
) -> Result<(), DecodeError> {
    let consumed = before - input.len();
    if consumed < length {
        take(input, length - consumed)?;
    }
    Ok(())
}

/// How many elements to allocate at once for a claimed `length`: no more memory than there is
/// input left; beyond that the collection grows as elements really arrive.
#[inline]
pub(super) fn first_capacity<T>(length: usize, input: &[u8]) -> usize {
    length.min(input.len() / size_of::<T>().max(1) + 1)
}
