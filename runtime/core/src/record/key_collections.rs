//! `Key` for options, lists, arrays and boxes. Not here: maps and sets, which are no keys.

use super::key::{NONE, SOME};
use super::{DecodeError, Key};

impl<T: Key> Key for Option<T> {
    fn encode_key(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(NONE),
            Some(value) => {
                let start = out.len();
                value.encode_key(out);
                // Only options within options: `Some(None)` must differ from `None`.
                if out.get(start).is_some_and(|&first| first <= SOME) {
                    out.insert(start, SOME);
                }
            }
        }
    }

    fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError> {
        match *input {
            [NONE, rest @ ..] => {
                *input = rest;
                Ok(None)
            }
            [SOME, rest @ ..] => match rest {
                [NONE | SOME, ..] => {
                    *input = rest;
                    T::decode_key(input).map(Some)
                }
                _ => Err(DecodeError::InvalidByte { type_name: "Option", found: SOME }),
            },
            _ => T::decode_key(input).map(Some),
        }
    }
}

impl<T: Key> Key for Vec<T> {
    fn encode_key(&self, out: &mut Vec<u8>) {
        T::encode_key_list(self, out);
    }

    fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError> {
        T::decode_key_list(input)
    }
}

impl<T: Key, const N: usize> Key for [T; N] {
    fn encode_key(&self, out: &mut Vec<u8>) {
        T::encode_key_list(self, out);
    }

    fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let items = T::decode_key_list(input)?;
        items.try_into().map_err(|_| DecodeError::OutOfRange { type_name: "array" })
    }
}

impl<T: Key> Key for Box<T> {
    #[inline]
    fn encode_key(&self, out: &mut Vec<u8>) {
        T::encode_key(self, out);
    }

    #[inline]
    fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError> {
        T::decode_key(input).map(Box::new)
    }

    #[inline]
    fn key_hash(&self) -> u64 {
        T::key_hash(self)
    }
}
