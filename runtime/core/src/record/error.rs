//! What can go wrong between bytes and records: decoding, and matching two versions of a type.
//! Not here: errors of snapshots and wire frames, which wrap these with where they happened.

use thiserror::Error;

/// Bytes that aren't an encoding of the type they were decoded as.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The input ended within a value.
    #[error("the input ended within a value: {needed} more byte(s) needed, {remaining} left")]
    UnexpectedEnd {
        /// Bytes that the value needs at this place.
        needed: usize,
        /// Bytes that were left.
        remaining: usize,
    },
    /// A collection or string claims more than the input can hold.
    #[error("a length of {claimed} was claimed with {remaining} byte(s) left: corrupt input")]
    Length {
        /// Claimed number of elements or bytes.
        claimed: u64,
        /// Bytes that were left.
        remaining: usize,
    },
    /// Bytes follow the value where there should be none.
    #[error("{remaining} byte(s) follow the value: corrupt input, or another type's bytes")]
    TrailingBytes {
        /// Number of bytes that follow.
        remaining: usize,
    },
    /// A number doesn't fit the type it's decoded as.
    #[error("a number doesn't fit {type_name}: corrupt input, or another type's bytes")]
    OutOfRange {
        /// The type that was to be decoded.
        type_name: &'static str,
    },
    /// A byte pattern that the type never encodes to.
    #[error("byte {found:#04x} starts no {type_name}: corrupt input, or another type's bytes")]
    InvalidByte {
        /// The type that was to be decoded.
        type_name: &'static str,
        /// What stood there.
        found: u8,
    },
    /// A string's bytes aren't UTF-8.
    #[error("a string isn't valid UTF-8: corrupt input, or another type's bytes")]
    InvalidUtf8,
    /// An enum's variant number that the writer's schema doesn't have.
    #[error("enum {type_name} has no variant number {index}: corrupt input")]
    UnknownVariant {
        /// The enum.
        type_name: String,
        /// The number read.
        index: u32,
    },
    /// The value was written as a variant that the enum no longer has.
    #[error(
        "the value is {type_name}::{variant}, a variant that {type_name} no longer has: bring it \
         back, or give its successor #[record(rename_from = \"{variant}\")]"
    )]
    RemovedVariant {
        /// The enum.
        type_name: String,
        /// The variant as the writer called it.
        variant: String,
    },
    /// A plan was used for a type that it wasn't resolved for.
    #[error("the decode plan was resolved for another type than {type_name}")]
    PlanMismatch {
        /// The type that was to be decoded.
        type_name: &'static str,
    },
    /// A `#[record(opaque)]` value that serde couldn't read.
    #[error("the opaque value of type {type_name} can't be decoded: {reason}")]
    Opaque {
        /// The value's type.
        type_name: &'static str,
        /// serde's message.
        reason: String,
    },
}

/// Two versions of a type that can't be matched: where, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {reason}")]
pub struct EvolutionError {
    /// Dotted path from the outermost type to the offending place, `Payment.items[].price`.
    pub path: String,
    /// Why the new version can't read the old one's bytes there.
    pub reason: EvolutionRefusal,
}

/// Why a place of a schema can't be read by its new version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvolutionRefusal {
    /// The kinds differ and no widening leads from the one to the other.
    #[error(
        "written as {writer}, read as {reader}; only wider integers, f32 to f64, and T to \
         Option<T> are allowed: keep the old type and add a field for the new one"
    )]
    Kind {
        /// What was written.
        writer: String,
        /// What the reader expects.
        reader: String,
    },
    /// A struct or enum with another name.
    #[error(
        "written as type {writer}, read as type {reader}: if it is the same type renamed, give \
         it #[record(rename_from = \"{writer}\")]"
    )]
    TypeName {
        /// The writer's name.
        writer: String,
        /// The reader's name.
        reader: String,
    },
    /// A new field without a default.
    #[error(
        "the field is new and has no default: add #[record(default)], or if it was renamed \
         #[record(rename_from = \"the old name\")]"
    )]
    NoDefault,
    /// Tuples or arrays of different lengths.
    #[error("written with {writer} element(s), read with {reader}: use a struct to add fields")]
    Arity {
        /// The writer's number of elements.
        writer: usize,
        /// The reader's number of elements.
        reader: usize,
    },
    /// Opaque values never evolve.
    #[error("opaque values never evolve: written as {writer}, read as {reader}")]
    Opaque {
        /// What was written.
        writer: String,
        /// What the reader expects.
        reader: String,
    },
    /// The writer's schema nests deeper than any type does.
    #[error("the writer's schema nests deeper than {limit} levels: corrupt input")]
    TooDeep {
        /// The deepest nesting allowed.
        limit: usize,
    },
}
