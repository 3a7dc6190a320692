//! The names of a struct's fields, asked of its `Deserialize`: for messages, and for CSV without
//! a header.

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};

/// The names of the fields of `T` in their order, as serde knows them. None: `T` isn't a struct
/// with named fields, or is one with a flattened field.
pub(super) fn field_names<T: DeserializeOwned>() -> Option<&'static [&'static str]> {
    let mut names = None;
    // It always fails, but not before it has said what it wants.
    let _ = T::deserialize(Asked { names: &mut names });
    names
}

struct Asked<'a> {
    names: &'a mut Option<&'static [&'static str]>,
}

#[derive(Debug, thiserror::Error)]
#[error("only the names of the fields were asked for")]
struct NoValue;

impl de::Error for NoValue {
    fn custom<M: std::fmt::Display>(_message: M) -> Self {
        NoValue
    }
}

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = NoValue;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, NoValue> {
        Err(NoValue)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, NoValue> {
        *self.names = Some(fields);
        Err(NoValue)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, NoValue> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
