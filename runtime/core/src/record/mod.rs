//! The type contract: what a type must offer to travel between tasks and to live in state.
//! `#[derive(Record)]` gives a type a schema, an encoder and decoder, its heap size and
//! evolution; `#[derive(Key)]` adds the canonical key encoding (see [`Key`]).
//! Not here: batches of records, wire frames, and snapshot files.
//!
//! # Encoding
//! Positional: fields one after the other, without names or tags. Integers take 7 bits a byte
//! (one byte for u8 and i8), signed ones zigzagged; floats are fixed; strings and collections
//! are preceded by their length; an option by 0 or 1; an enum by its variant's number. Hash maps
//! and sets are written in the order of their encoded keys, so equal values give equal bytes
//! whatever their history.
//!
//! # Evolution
//! [`DecodePlan::resolve`] matches the schema that wrote the bytes with the reader's own:
//!
//! - struct fields by name; removed ones are skipped, new ones need `#[record(default)]`
//!   (`Default::default()`) or `#[record(default = "path::to::function")]`;
//! - enum variants by name; new ones are free; a value of a removed one is a [`DecodeError`];
//! - a renamed field, variant or type names its old name: `#[record(rename_from = "old")]`,
//!   as often as it was renamed;
//! - u8 to u16 to u32 to u64 to u128, the same for signed ones, unsigned to wider signed, f32 to
//!   f64, and T to `Option<T>`;
//! - everything else is refused with the path of the place and the reason.
//!
//! A `#[record(opaque)]` type or field goes through serde (postcard) and never evolves: its
//! schema is only its name, so a change inside it can't be noticed. Recursive types must be
//! opaque.
//!
//! # Attributes
//! On a type: `opaque`, `rename_from = "Old"`, `crate = "path"` (the crate whose `record` module
//! this is; for the engine's own crates). On a variant: `rename_from`. On a field: `default`,
//! `rename_from`, `opaque`.

mod collections;
mod described;
mod error;
mod float_key;
mod key;
mod key_collections;
mod key_scalars;
#[expect(
    clippy::disallowed_types,
    reason = "std's hash tables are records too; they are written in the order of their keys"
)]
mod maps;
mod plan;
mod scalars;
mod schema;
#[doc(hidden)]
pub mod support;
#[cfg(test)]
#[expect(
    clippy::disallowed_types,
    reason = "std's hash tables are records too; they are written in the order of their keys"
)]
mod tests;
mod tuples;
mod varint;

pub use thalweg_record_derive::{Key, Record};

pub use self::described::{StoredKey, StoredValue};
pub use self::error::{DecodeError, EvolutionError, EvolutionRefusal};
pub use self::float_key::FloatKey;
pub use self::key::{Key, encoded_key_hash};
pub use self::plan::DecodePlan;
pub use self::schema::{FieldSchema, Schema, VariantSchema};
use self::varint::{first_capacity, pad, skip_padding};

/// A type whose values travel between tasks and live in state. Derived, see the module.
pub trait Record: Clone + Send + Sync + 'static {
    /// Whether values can own heap memory. If not, `heap_size` is 0 and loops over it are
    /// skipped.
    const OWNS_HEAP: bool;

    /// The shape of the encoding, with what evolution needs to know.
    fn schema() -> Schema;

    /// Appends the value's bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes a value that was written with this type's own schema from the front of `input`.
    ///
    /// # Errors
    /// The bytes aren't an encoding of this type; then `input` is somewhere within the value.
    /// Never allocates much more than `input` is long, whatever it holds.
    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError>;

    /// Takes a value that was written with the schema that `plan` was resolved from.
    ///
    /// # Errors
    /// As for `decode`; also a value whose enum variant no longer exists.
    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError>;

    /// Bytes that the value owns on the heap, by capacity, approximately.
    fn heap_size(&self) -> usize;

    /// Where what it owns on the heap begins, for asking the processor for that before the value
    /// is encoded; nothing is read from there. None where nobody knows.
    #[doc(hidden)]
    #[inline]
    fn heap_address(&self) -> Option<*const u8> {
        None
    }

    /// The schema of a list of these; u8 makes it bytes.
    #[doc(hidden)]
    fn list_schema() -> Schema {
        Schema::List(Box::new(Self::schema()))
    }

    /// Appends the values, without a length; u8 copies them at once.
    #[doc(hidden)]
    #[inline]
    fn encode_items(items: &[Self], out: &mut Vec<u8>) {
        let start = out.len();
        items.iter().for_each(|item| item.encode(out));
        pad(start, items.len(), out);
    }

    /// Takes `length` values, at most as many as `input` has bytes; u8 copies them at once.
    #[doc(hidden)]
    #[inline]
    fn decode_items(length: usize, input: &mut &[u8]) -> Result<Vec<Self>, DecodeError> {
        let before = input.len();
        let mut items = Vec::with_capacity(first_capacity::<Self>(length, input));
        for _ in 0..length {
            items.push(Self::decode(input)?);
        }
        skip_padding(before, length, input)?;
        Ok(items)
    }
}

/// The value's bytes.
pub fn to_bytes<T: Record>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

/// The value that exactly these bytes hold, written with the type's own schema.
///
/// # Errors
/// The bytes aren't an encoding of this type, or something follows it.
pub fn from_bytes<T: Record>(mut bytes: &[u8]) -> Result<T, DecodeError> {
    let value = T::decode(&mut bytes)?;
    match bytes.len() {
        0 => Ok(value),
        remaining => Err(DecodeError::TrailingBytes { remaining }),
    }
}
