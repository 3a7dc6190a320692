//! What a type's encoding looks like, as plain data: stored beside the bytes in snapshots and
//! compared between builds. Not here: matching two schemas, which is the decode plan's.

use std::cell::Cell;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use super::varint::{write_length, write_u64};

/// Deepest nesting of a schema. No real type comes near; it bounds what corrupt bytes can do.
pub(super) const MAX_DEPTH: usize = 128;

/// The shape of a record type's encoding, with what evolution needs to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "snake_case")]
pub enum Schema {
    /// One byte, 0 or 1.
    Bool,
    /// One byte for 8 bits, else a variable-length integer, zigzagged if signed.
    Integer {
        /// 8, 16, 32, 64 or 128.
        bits: u8,
        /// Whether it can be negative.
        signed: bool,
    },
    /// IEEE 754, little endian.
    Float {
        /// 32 or 64.
        bits: u8,
    },
    /// A Unicode scalar value as a variable-length integer.
    Char,
    /// Length in bytes, then UTF-8.
    String,
    /// Length, then the bytes; the encoding of a list of u8.
    Bytes,
    /// A byte 0, or a byte 1 and the value.
    Option(Box<Schema>),
    /// Number of elements, then the elements.
    List(Box<Schema>),
    /// A list without duplicates.
    Set(Box<Schema>),
    /// Number of entries, then each key followed by its value.
    Map {
        /// The keys' schema.
        key: Box<Schema>,
        /// The values' schema.
        value: Box<Schema>,
    },
    /// Always `length` elements, without a count.
    Array {
        /// The elements' schema.
        element: Box<Schema>,
        /// How many there are.
        length: usize,
    },
    /// One after the other; the empty one is `()`.
    Tuple(Vec<Schema>),
    /// The fields one after the other.
    Struct {
        /// The type's name, without path and type parameters.
        name: String,
        /// Names that the type had before.
        aliases: Vec<String>,
        /// In order of declaration; those of a tuple struct are called `0`, `1`, ...
        fields: Vec<FieldSchema>,
    },
    /// The variant's number, then its fields.
    Enum {
        /// The type's name, without path and type parameters.
        name: String,
        /// Names that the type had before.
        aliases: Vec<String>,
        /// In order of declaration.
        variants: Vec<VariantSchema>,
    },
    /// Length in bytes, then what serde made of the value. Holds the type's name.
    Opaque(String),
}

/// A field of a struct or of an enum's variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSchema {
    /// Its name; matched between versions.
    pub name: String,
    /// Names that it had before.
    pub aliases: Vec<String>,
    /// Its type.
    pub schema: Schema,
    /// Whether it may be missing in what an older version wrote.
    pub has_default: bool,
}

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantSchema {
    /// Its name; matched between versions.
    pub name: String,
    /// Names that it had before.
    pub aliases: Vec<String>,
    /// In order of declaration.
    pub fields: Vec<FieldSchema>,
}

impl Schema {
    /// A 64-bit hash of the whole schema, names and evolution attributes included: the same on
    /// every machine and in every build.
    pub fn fingerprint(&self) -> u64 {
        let mut bytes = Vec::with_capacity(256);
        self.write_canonical(&mut bytes);
        xxh3_64(&bytes)
    }

    /// Whether every value encodes to no bytes at all.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Schema::Float { bits } => *bits < 8,
            Schema::Array { element, length } => *length == 0 || element.is_empty(),
            Schema::Tuple(elements) => elements.iter().all(Schema::is_empty),
            Schema::Struct { fields, .. } => fields.iter().all(|field| field.schema.is_empty()),
            _ => false,
        }
    }

    fn write_canonical(&self, out: &mut Vec<u8>) {
        match self {
            Schema::Bool => out.push(1),
            Schema::Integer { bits, signed } => out.extend([2, *bits, u8::from(*signed)]),
            Schema::Float { bits } => out.extend([3, *bits]),
            Schema::Char => out.push(4),
            Schema::String => out.push(5),
            Schema::Bytes => out.push(6),
            Schema::Option(inner) => write_nested(7, [inner], out),
            Schema::List(element) => write_nested(8, [element], out),
            Schema::Set(element) => write_nested(9, [element], out),
            Schema::Map { key, value } => write_nested(10, [key, value], out),
            Schema::Array { element, length } => {
                write_nested(11, [element], out);
                write_length(*length, out);
            }
            Schema::Tuple(elements) => {
                out.push(12);
                write_length(elements.len(), out);
                elements.iter().for_each(|element| element.write_canonical(out));
            }
            Schema::Struct { name, aliases, fields } => {
                out.push(13);
                write_names(name, aliases, out);
                write_fields(fields, out);
            }
            Schema::Enum { name, aliases, variants } => {
                out.push(14);
                write_names(name, aliases, out);
                write_length(variants.len(), out);
                for variant in variants {
                    write_names(&variant.name, &variant.aliases, out);
                    write_fields(&variant.fields, out);
                }
            }
            Schema::Opaque(name) => {
                out.push(15);
                write_text(name, out);
            }
        }
    }
}

fn write_nested<const N: usize>(code: u8, parts: [&Schema; N], out: &mut Vec<u8>) {
    out.push(code);
    parts.into_iter().for_each(|part| part.write_canonical(out));
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    write_u64(text.len() as u64, out);
    out.extend_from_slice(text.as_bytes());
}

fn write_names(name: &str, aliases: &[String], out: &mut Vec<u8>) {
    write_text(name, out);
    write_length(aliases.len(), out);
    aliases.iter().for_each(|alias| write_text(alias, out));
}

fn write_fields(fields: &[FieldSchema], out: &mut Vec<u8>) {
    write_length(fields.len(), out);
    for field in fields {
        write_names(&field.name, &field.aliases, out);
        field.schema.write_canonical(out);
        out.push(u8::from(field.has_default));
    }
}

/// As a Rust type, one level deep for structs and enums.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schema::Bool => f.write_str("bool"),
            Schema::Integer { bits, signed } => {
                write!(f, "{}{bits}", if *signed { 'i' } else { 'u' })
            }
            Schema::Float { bits } => write!(f, "f{bits}"),
            Schema::Char => f.write_str("char"),
            Schema::String => f.write_str("String"),
            Schema::Bytes => f.write_str("Vec<u8>"),
            Schema::Option(inner) => write!(f, "Option<{inner}>"),
            Schema::List(element) => write!(f, "Vec<{element}>"),
            Schema::Set(element) => write!(f, "Set<{element}>"),
            Schema::Map { key, value } => write!(f, "Map<{key}, {value}>"),
            Schema::Array { element, length } => write!(f, "[{element}; {length}]"),
            Schema::Tuple(elements) => {
                f.write_str("(")?;
                for (position, element) in elements.iter().enumerate() {
                    let separator = if position == 0 { "" } else { ", " };
                    write!(f, "{separator}{element}")?;
                }
                f.write_str(")")
            }
            Schema::Struct { name, .. } => write!(f, "struct {name}"),
            Schema::Enum { name, .. } => write!(f, "enum {name}"),
            Schema::Opaque(name) => write!(f, "opaque {name}"),
        }
    }
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Counts how deep this thread is inside nested schemas.
pub(super) struct DepthGuard;

impl DepthGuard {
    /// One level deeper; `None` when that is too deep.
    pub(super) fn enter() -> Option<DepthGuard> {
        let depth = DEPTH.get();
        if depth >= MAX_DEPTH {
            return None;
        }
        DEPTH.set(depth + 1);
        Some(DepthGuard)
    }
}

impl Drop for DepthGuard {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Schema::serialize(self, serializer)
    }
}

/// Refuses schemas that nest too deep: corrupt bytes must not overflow the stack.
impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Schema, D::Error> {
        let Some(_guard) = DepthGuard::enter() else {
            return Err(serde::de::Error::custom(format_args!(
                "a schema nests deeper than {MAX_DEPTH} levels: corrupt input"
            )));
        };
        Schema::deserialize(deserializer)
    }
}
