//! What derived code calls. Not for use by hand: it changes with the derive macros.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::schema::DepthGuard;
use super::varint::{read_length, take, write_length, write_u64};
use super::{DecodeError, FieldSchema, Key, Schema, VariantSchema};

pub use super::plan::FieldCursor;

/// Guards against recursive types, whose schema would never end.
#[allow(
    clippy::panic,
    reason = "a recursive type is a mistake in the program; the alternative \
                                 is to overflow the stack"
)]
pub fn nested(type_name: &str, build: impl FnOnce() -> Schema) -> Schema {
    let Some(_guard) = DepthGuard::enter() else {
        panic!("type {type_name} contains itself: give it #[record(opaque)]");
    };
    build()
}

/// A field's schema.
pub fn field(name: &str, aliases: &[&str], schema: Schema, has_default: bool) -> FieldSchema {
    FieldSchema { name: name.to_owned(), aliases: owned(aliases), schema, has_default }
}

/// A variant's schema.
pub fn variant(name: &str, aliases: &[&str], fields: Vec<FieldSchema>) -> VariantSchema {
    VariantSchema { name: name.to_owned(), aliases: owned(aliases), fields }
}

/// A struct's schema.
pub fn structure(name: &str, aliases: &[&str], fields: Vec<FieldSchema>) -> Schema {
    Schema::Struct { name: name.to_owned(), aliases: owned(aliases), fields }
}

/// An enum's schema.
pub fn enumeration(name: &str, aliases: &[&str], variants: Vec<VariantSchema>) -> Schema {
    Schema::Enum { name: name.to_owned(), aliases: owned(aliases), variants }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Writes an enum's variant number.
#[inline]
pub fn write_variant(index: u32, out: &mut Vec<u8>) {
    write_u64(u64::from(index), out);
}

/// Reads an enum's variant number.
#[inline]
pub fn read_variant(input: &mut &[u8]) -> Result<u32, DecodeError> {
    super::plan::read_variant(input)
}

/// Writes an enum's variant number into a key.
#[inline]
pub fn write_key_variant(index: u32, out: &mut Vec<u8>) {
    index.encode_key(out);
}

/// Reads an enum's variant number from a key.
#[inline]
pub fn read_key_variant(input: &mut &[u8]) -> Result<u32, DecodeError> {
    u32::decode_key(input)
}

/// The number read is none of the enum's.
#[cold]
pub fn unknown_variant(type_name: &str, index: u32) -> DecodeError {
    DecodeError::UnknownVariant { type_name: type_name.to_owned(), index }
}

/// The plan isn't this type's.
#[cold]
pub fn plan_mismatch(type_name: &'static str) -> DecodeError {
    DecodeError::PlanMismatch { type_name }
}

/// What a type or field marked `#[record(opaque)]` must be.
#[diagnostic::on_unimplemented(
    message = "an opaque record goes through serde: `{Self}` isn't Clone + Send + Sync + \
               'static + serde::Serialize + serde::Deserialize"
)]
pub trait Opaque: Clone + Send + Sync + Serialize + DeserializeOwned + 'static {}
impl<T: Clone + Send + Sync + Serialize + DeserializeOwned + 'static> Opaque for T {}

/// Writes an opaque value: the length, then postcard's bytes.
#[allow(
    clippy::panic,
    reason = "encoding has no error path: a Serialize that fails is a \
                                 mistake in the program, and the task reports the panic"
)]
pub fn encode_opaque<T: Opaque>(value: &T, out: &mut Vec<u8>) {
    match postcard::to_stdvec(value) {
        Ok(bytes) => {
            write_length(bytes.len(), out);
            out.extend_from_slice(&bytes);
        }
        Err(error) => panic!(
            "the opaque value of type {} can't be serialised: {error}",
            std::any::type_name::<T>()
        ),
    }
}

/// Reads an opaque value.
pub fn decode_opaque<T: Opaque>(input: &mut &[u8]) -> Result<T, DecodeError> {
    let refuse =
        |reason: String| DecodeError::Opaque { type_name: std::any::type_name::<T>(), reason };
    let length = read_length(input)?;
    match postcard::take_from_bytes(take(input, length)?) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(refuse(format!("{} byte(s) too many", rest.len()))),
        Err(error) => Err(refuse(error.to_string())),
    }
}

/// What an opaque value owns can't be known: its encoded size stands for it, if it owns any.
pub fn opaque_heap_size<T: Opaque>(value: &T) -> usize {
    match std::mem::needs_drop::<T>() {
        true => postcard::experimental::serialized_size(value).unwrap_or(0),
        false => 0,
    }
}
