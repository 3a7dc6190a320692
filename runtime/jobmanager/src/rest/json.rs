//! JSON as Jackson writes it where serde_json would differ: maps in a given order, doubles that
//! may be NaN.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// An object whose members keep the order in which they were put.
#[derive(Debug)]
pub(crate) struct Entries<'a, V>(pub(crate) Vec<(Cow<'a, str>, V)>);

impl<'a, V> Entries<'a, V> {
    /// The object with these members.
    pub(crate) fn of<K: Into<Cow<'a, str>>>(members: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

impl<V: Serialize> Serialize for Entries<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// A Java double: NaN and the infinities are strings, since JSON has no number for them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Double(pub(crate) f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_str(double_name(self.0))
        }
    }
}

/// What Java calls a double that is no number.
pub(crate) fn double_name(value: f64) -> &'static str {
    match (value.is_nan(), value.is_sign_positive()) {
        (true, _) => "NaN",
        (false, true) => "Infinity",
        (false, false) => "-Infinity",
    }
}
