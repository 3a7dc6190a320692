//! Values and keys of types that this program doesn't have, shown by the schema that wrote them:
//! what tools print of a snapshot. Serialisable, so that the caller chooses format and bounds; as
//! JSON they look as serde's own: structs are objects, tuples arrays, a variant its name or an
//! object of one entry. Bytes are hexadecimal digits, 128-bit integers and floats that aren't
//! finite are text, and so is what serde made of an opaque value, for only its type can read it.
//! Not here: values of types that the program has; those are decoded.

use std::cell::Cell;
use std::fmt;

use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::key::{BYTES, END, LIST, NONE, SOME, UNIT, expect, read_escaped};
use super::plan::read_variant;
use super::varint::{read_length, skip_padding, take, take_byte};
use super::{DecodeError, FieldSchema, FloatKey, Key, Record, Schema, VariantSchema};

/// A value's bytes and the schema that they were written with. Serialising fails, after a part
/// may have been written, if the bytes aren't exactly one such value.
#[derive(Debug, Clone, Copy)]
pub struct StoredValue<'a> {
    /// The writer's schema.
    pub schema: &'a Schema,
    /// The value.
    pub bytes: &'a [u8],
}

/// A key in the canonical encoding, of a type with this schema. Serialises as [`StoredValue`].
#[derive(Debug, Clone, Copy)]
pub struct StoredKey<'a> {
    /// The writer's schema.
    pub schema: &'a Schema,
    /// The key.
    pub bytes: &'a [u8],
}

impl Serialize for StoredValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        whole(self.schema, self.bytes, false, serializer)
    }
}

impl Serialize for StoredKey<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        whole(self.schema, self.bytes, true, serializer)
    }
}

fn whole<S: Serializer>(
    schema: &Schema,
    bytes: &[u8],
    is_key: bool,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let input = Cell::new(bytes);
    let done = Part { schema, input: &input, is_key }.serialize(serializer)?;
    match input.get().len() {
        0 => Ok(done),
        remaining => Err(S::Error::custom(DecodeError::TrailingBytes { remaining })),
    }
}

/// A part of a value: takes its bytes from the shared input when it's serialised.
#[derive(Clone, Copy)]
struct Part<'a, 'i> {
    schema: &'a Schema,
    input: &'i Cell<&'a [u8]>,
    is_key: bool,
}

impl<'a> Part<'a, '_> {
    fn of(self, schema: &'a Schema) -> Self {
        Part { schema, ..self }
    }

    fn take<T, E: serde::ser::Error>(
        self,
        take: impl FnOnce(&mut &'a [u8]) -> Result<T, DecodeError>,
    ) -> Result<T, E> {
        let mut rest = self.input.get();
        let taken = take(&mut rest).map_err(E::custom)?;
        self.input.set(rest);
        Ok(taken)
    }

    /// A single value, by the decoder of its type.
    fn single<T: Key, E: serde::ser::Error>(self) -> Result<T, E> {
        self.take(if self.is_key { T::decode_key } else { T::decode })
    }

    fn not_a_key<E: serde::ser::Error>(self) -> E {
        E::custom(format_args!("{} can't be a key's part: corrupt schema", self.schema))
    }

    fn integer<S: Serializer>(
        self,
        bits: u8,
        signed: bool,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match (bits, signed) {
            (8, false) => serializer.serialize_u8(self.single()?),
            (16, false) => serializer.serialize_u16(self.single()?),
            (32, false) => serializer.serialize_u32(self.single()?),
            (64, false) => serializer.serialize_u64(self.single()?),
            (8, true) => serializer.serialize_i8(self.single()?),
            (16, true) => serializer.serialize_i16(self.single()?),
            (32, true) => serializer.serialize_i32(self.single()?),
            (64, true) => serializer.serialize_i64(self.single()?),
            (128, false) => serializer.collect_str(&self.single::<u128, _>()?),
            (128, true) => serializer.collect_str(&self.single::<i128, _>()?),
            _ => Err(S::Error::custom(format_args!("no integer has {bits} bits: corrupt schema"))),
        }
    }

    fn float<S: Serializer>(self, bits: u8, serializer: S) -> Result<S::Ok, S::Error> {
        let value = match (bits, self.is_key) {
            (32, false) => {
                let value: f32 = self.take(f32::decode)?;
                // As itself, so that it's printed with its own digits.
                if value.is_finite() {
                    return serializer.serialize_f32(value);
                }
                f64::from(value)
            }
            (64, false) => self.take(f64::decode)?,
            (64, true) => self.take(FloatKey::decode_key)?.get(),
            _ => return Err(S::Error::custom(format_args!("no f{bits} here: corrupt schema"))),
        };
        match value.is_finite() {
            true => serializer.serialize_f64(value),
            false => serializer.collect_str(&value),
        }
    }

    fn bytes<S: Serializer>(self, length: Option<usize>, to: S) -> Result<S::Ok, S::Error> {
        if self.is_key {
            let bytes = self.take(|input| {
                expect(BYTES, input, "bytes")?;
                read_escaped(input, "bytes")
            })?;
            return match length.is_none_or(|length| length == bytes.len()) {
                true => to.collect_str(&Hex(&bytes)),
                false => Err(S::Error::custom(DecodeError::OutOfRange { type_name: "array" })),
            };
        }
        let bytes = self.take(|input| {
            let length = length.map_or_else(|| read_length(input), Ok)?;
            take(input, length)
        })?;
        to.collect_str(&Hex(bytes))
    }

    fn option<S: Serializer>(self, inner: &'a Schema, to: S) -> Result<S::Ok, S::Error> {
        let invalid = |found| Err(DecodeError::InvalidByte { type_name: "Option", found });
        let some = self.take(|input| match (self.is_key, *input) {
            (false, _) => match take_byte(input)? {
                code @ 0..=1 => Ok(code == 1),
                found => invalid(found),
            },
            (true, [NONE, rest @ ..]) => {
                *input = rest;
                Ok(false)
            }
            (true, [SOME, NONE | SOME, ..]) => {
                *input = &input[1..];
                Ok(true)
            }
            (true, [SOME, ..]) => invalid(SOME),
            (true, _) => Ok(true),
        })?;
        match (some, inner) {
            (false, _) => to.serialize_none(),
            // Else `Some(None)` would look like `None`.
            (true, Schema::Option(_)) => to.collect_map([("some", self.of(inner))]),
            (true, _) => self.of(inner).serialize(to),
        }
    }

    fn list<S: Serializer>(self, element: &'a Schema, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(None)?;
        if self.is_key {
            self.take(|input| expect(LIST, input, "list"))?;
            while self.input.get().first() != Some(&END) {
                list.serialize_element(&self.of(element))?;
            }
            self.take(take_byte)?;
        } else {
            let length = self.take(read_length)?;
            let before = self.input.get().len();
            for _ in 0..length {
                list.serialize_element(&self.of(element))?;
            }
            self.take(|input| skip_padding(before, length, input))?;
        }
        list.end()
    }

    fn array<S: Serializer>(
        self,
        element: &'a Schema,
        length: usize,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        // Nothing bounds how many there are, and there's nothing to see.
        if !self.is_key && element.is_empty() {
            return to.collect_map([("length", length)]);
        }
        let mut array = to.serialize_seq(Some(length))?;
        if self.is_key {
            self.take(|input| expect(LIST, input, "array"))?;
        }
        for _ in 0..length {
            array.serialize_element(&self.of(element))?;
        }
        if self.is_key {
            self.take(|input| expect(END, input, "array"))?;
        }
        array.end()
    }

    /// With texts as keys an object, else a list of pairs.
    fn map<S: Serializer>(
        self,
        key: &'a Schema,
        value: &'a Schema,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        if self.is_key {
            return Err(self.not_a_key());
        }
        let length = self.take(read_length)?;
        let before = self.input.get().len();
        let padding = || self.take(|input| skip_padding(before, length, input));
        if matches!(key, Schema::String) {
            let mut map = to.serialize_map(Some(length))?;
            for _ in 0..length {
                map.serialize_entry(&self.of(key), &self.of(value))?;
            }
            padding()?;
            return map.end();
        }
        let mut list = to.serialize_seq(Some(length))?;
        for _ in 0..length {
            list.serialize_element(&(self.of(key), self.of(value)))?;
        }
        padding()?;
        list.end()
    }

    fn tuple<S: Serializer>(self, elements: &'a [Schema], to: S) -> Result<S::Ok, S::Error> {
        if elements.is_empty() {
            self.nothing()?;
            return to.serialize_unit();
        }
        to.collect_seq(elements.iter().map(|element| self.of(element)))
    }

    /// What has no parts takes a byte in a key.
    fn nothing<E: serde::ser::Error>(self) -> Result<(), E> {
        match self.is_key {
            true => self.take(|input| expect(UNIT, input, "()")),
            false => Ok(()),
        }
    }

    fn variant<S: Serializer>(
        self,
        name: &str,
        variants: &'a [VariantSchema],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let read = if self.is_key { u32::decode_key } else { read_variant };
        let index: u32 = self.take(read)?;
        let Some(variant) = variants.get(index as usize) else {
            let type_name = name.to_owned();
            return Err(S::Error::custom(DecodeError::UnknownVariant { type_name, index }));
        };
        match variant.fields.as_slice() {
            [] => to.serialize_str(&variant.name),
            fields => to.collect_map([(&variant.name, Fields { part: self, fields })]),
        }
    }

    fn opaque<S: Serializer>(self, type_name: &str, to: S) -> Result<S::Ok, S::Error> {
        if self.is_key {
            return Err(self.not_a_key());
        }
        let bytes = self.take(|input| {
            let length = read_length(input)?;
            take(input, length)
        })?;
        let mut map = to.serialize_map(Some(2))?;
        map.serialize_entry("opaque", type_name)?;
        map.serialize_entry("bytes", &format_args!("{}", Hex(bytes)))?;
        map.end()
    }
}

impl Serialize for Part<'_, '_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.schema {
            Schema::Bool => to.serialize_bool(self.single()?),
            Schema::Integer { bits, signed } => self.integer(*bits, *signed, to),
            Schema::Float { bits } => self.float(*bits, to),
            Schema::Char => to.serialize_char(self.single()?),
            Schema::String => to.serialize_str(&self.single::<String, _>()?),
            Schema::Bytes => self.bytes(None, to),
            Schema::Option(inner) => self.option(inner, to),
            Schema::List(element) => self.list(element, to),
            Schema::Set(element) if !self.is_key => self.list(element, to),
            Schema::Set(_) => Err(self.not_a_key()),
            Schema::Map { key, value } => self.map(key, value, to),
            Schema::Array { element, length } => match **element {
                Schema::Integer { bits: 8, signed: false } => self.bytes(Some(*length), to),
                _ => self.array(element, *length, to),
            },
            Schema::Tuple(elements) => self.tuple(elements, to),
            Schema::Struct { fields, .. } => {
                if fields.is_empty() {
                    self.nothing()?;
                }
                Fields { part: *self, fields }.serialize(to)
            }
            Schema::Enum { name, variants, .. } => self.variant(name, variants, to),
            Schema::Opaque(name) => self.opaque(name, to),
        }
    }
}

/// The fields of a struct or of a variant.
struct Fields<'a, 'i> {
    part: Part<'a, 'i>,
    fields: &'a [FieldSchema],
}

impl Serialize for Fields<'_, '_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut numbers = (0u32..).zip(self.fields);
        let numbered = numbers.all(|(number, field)| field.name.parse() == Ok(number));
        let fields = self.fields.iter().map(|field| (&field.name, self.part.of(&field.schema)));
        match self.fields {
            [] => to.serialize_unit(),
            [one] if numbered => self.part.of(&one.schema).serialize(to),
            _ if numbered => to.collect_seq(fields.map(|(_, value)| value)),
            _ => to.collect_map(fields),
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
