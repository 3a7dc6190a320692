//! Unsigned integers of 7 bits a byte, least significant first, as rows and index use them.

/// Appends `value`.
#[inline]
pub(super) fn write(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes an integer from the front of `input`; `None` when it's cut off or too long.
#[inline]
pub(super) fn read(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (position, &byte) in input.iter().enumerate().take(10) {
        if position == 9 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte < 0x80 {
            *input = &input[position + 1..];
            return Some(value);
        }
    }
    None
}

/// Takes a length that `input` must still be able to satisfy, and the bytes of that length.
#[inline]
pub(super) fn read_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(read(input)?).ok()?;
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}
