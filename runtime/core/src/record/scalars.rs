//! `Record` for single values: booleans, numbers, characters, strings, and `Box`.

use std::sync::Arc;

use super::varint::{
    read_length, read_u64, read_u128, take, take_array, take_byte, unzigzag, unzigzag_wide,
    write_length, write_u64, write_u128, zigzag, zigzag_wide,
};
use super::{DecodeError, DecodePlan, Record, Schema};

/// The items that every integer shares: schema, widening, no heap.
macro_rules! integer_items {
    ($type:ty, $bits:expr, $signed:expr) => {
        const OWNS_HEAP: bool = false;

        fn schema() -> Schema {
            Schema::Integer { bits: $bits, signed: $signed }
        }

        fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
            if plan.is_identity() {
                return Self::decode(input);
            }
            let value = plan.read_integer(input, stringify!($type))?;
            fit(value, stringify!($type))
        }

        #[inline]
        fn heap_size(&self) -> usize {
            0
        }
    };
}

macro_rules! unsigned {
    ($($type:ident $bits:literal),*) => {$(
        impl Record for $type {
            integer_items!($type, $bits, false);

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                write_u64(*self as u64, out);
            }

            #[inline]
            fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
                fit(read_u64(input, stringify!($type))?, stringify!($type))
            }
        }
    )*};
}

macro_rules! signed {
    ($($type:ident $bits:literal),*) => {$(
        impl Record for $type {
            integer_items!($type, $bits, true);

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                write_u64(zigzag(*self as i64), out);
            }

            #[inline]
            fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
                fit(unzigzag(read_u64(input, stringify!($type))?), stringify!($type))
            }
        }
    )*};
}

unsigned!(u16 16, u32 32, u64 64, usize 64);
signed!(i16 16, i32 32, i64 64, isize 64);

#[inline]
fn fit<Wide, T: TryFrom<Wide>>(value: Wide, type_name: &'static str) -> Result<T, DecodeError> {
    T::try_from(value).map_err(|_| DecodeError::OutOfRange { type_name })
}

impl Record for u8 {
    integer_items!(u8, 8, false);

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        take_byte(input)
    }

    fn list_schema() -> Schema {
        Schema::Bytes
    }

    #[inline]
    fn encode_items(items: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(items);
    }

    #[inline]
    fn decode_items(length: usize, input: &mut &[u8]) -> Result<Vec<u8>, DecodeError> {
        take(input, length).map(<[u8]>::to_vec)
    }
}

impl Record for i8 {
    integer_items!(i8, 8, true);

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        take_byte(input).map(|byte| byte as i8)
    }
}

impl Record for u128 {
    integer_items!(u128, 128, false);

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        write_u128(*self, out);
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        read_u128(input, "u128")
    }
}

impl Record for i128 {
    integer_items!(i128, 128, true);

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        write_u128(zigzag_wide(*self), out);
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        read_u128(input, "i128").map(unzigzag_wide)
    }
}

/// The items of types that don't evolve by themselves and own no heap memory.
macro_rules! plain_items {
    () => {
        const OWNS_HEAP: bool = false;

        #[inline]
        fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
            match plan.is_identity() {
                true => Self::decode(input),
                false => {
                    Err(DecodeError::PlanMismatch { type_name: std::any::type_name::<Self>() })
                }
            }
        }

        #[inline]
        fn heap_size(&self) -> usize {
            0
        }
    };
}

impl Record for bool {
    plain_items!();

    fn schema() -> Schema {
        Schema::Bool
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        match take_byte(input)? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(DecodeError::InvalidByte { type_name: "bool", found }),
        }
    }
}

impl Record for () {
    plain_items!();

    fn schema() -> Schema {
        Schema::Tuple(Vec::new())
    }

    #[inline]
    fn encode(&self, _out: &mut Vec<u8>) {}

    #[inline]
    fn decode(_input: &mut &[u8]) -> Result<Self, DecodeError> {
        Ok(())
    }
}

impl Record for char {
    plain_items!();

    fn schema() -> Schema {
        Schema::Char
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        write_u64(u64::from(u32::from(*self)), out);
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let code: u32 = fit(read_u64(input, "char")?, "char")?;
        fit(code, "char")
    }
}

impl Record for f32 {
    plain_items!();

    fn schema() -> Schema {
        Schema::Float { bits: 32 }
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        take_array(input).map(f32::from_le_bytes)
    }
}

impl Record for f64 {
    const OWNS_HEAP: bool = false;

    fn schema() -> Schema {
        Schema::Float { bits: 64 }
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        take_array(input).map(f64::from_le_bytes)
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        if plan.is_identity() {
            Self::decode(input)
        } else if plan.is_float() {
            f32::decode(input).map(f64::from)
        } else {
            Err(DecodeError::PlanMismatch { type_name: "f64" })
        }
    }

    #[inline]
    fn heap_size(&self) -> usize {
        0
    }
}

/// Takes a string's length and text.
#[inline]
fn take_text<'a>(input: &mut &'a [u8]) -> Result<&'a str, DecodeError> {
    let length = read_length(input)?;
    std::str::from_utf8(take(input, length)?).map_err(|_| DecodeError::InvalidUtf8)
}

macro_rules! text {
    ($type:ty, $self:ident => $heap_size:expr) => {
        impl Record for $type {
            const OWNS_HEAP: bool = true;

            fn schema() -> Schema {
                Schema::String
            }

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                write_length(self.len(), out);
                out.extend_from_slice(self.as_bytes());
            }

            #[inline]
            fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
                take_text(input).map(Self::from)
            }

            fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
                match plan.is_identity() {
                    true => Self::decode(input),
                    false => Err(DecodeError::PlanMismatch { type_name: stringify!($type) }),
                }
            }

            #[inline]
            fn heap_size(&$self) -> usize {
                $heap_size
            }

            #[inline]
            fn heap_address(&self) -> Option<*const u8> {
                Some(self.as_bytes().as_ptr())
            }
        }
    };
}

text!(String, self => self.capacity());
// Every holder counts the whole text and the two reference counts: who shares it isn't known.
text!(Arc<str>, self => self.len() + 2 * size_of::<usize>());

impl<T: Record> Record for Box<T> {
    const OWNS_HEAP: bool = true;

    fn schema() -> Schema {
        T::schema()
    }

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        T::encode(self, out);
    }

    #[inline]
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        T::decode(input).map(Box::new)
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        T::decode_evolved(plan, input).map(Box::new)
    }

    #[inline]
    fn heap_size(&self) -> usize {
        size_of::<T>() + T::heap_size(self)
    }

    #[inline]
    fn heap_address(&self) -> Option<*const u8> {
        Some(std::ptr::from_ref::<T>(self).cast())
    }
}
