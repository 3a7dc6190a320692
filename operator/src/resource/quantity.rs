//! Kubernetes' quantities (`2Gi`, `500m`, `1.5`), as far as memory, CPU and storage need them.
//!
//! Not here: exponents (`1e3`), which the schema refuses.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// An amount of a resource, as it was written. A number in YAML is taken as its text.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

/// A text that isn't a quantity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} isn't a quantity: write a number with a unit, such as 500m, 2 or 2Gi")]
pub struct QuantityError(String);

/// The pattern of the texts that are accepted.
const PATTERN: &str = r"^[0-9]{1,15}(\.[0-9]{1,9})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$";

impl Quantity {
    /// The amount in thousandths of the unit, rounded up.
    ///
    /// # Errors
    /// When the text isn't a quantity.
    pub fn thousandths(&self) -> Result<u128, QuantityError> {
        let error = || QuantityError(self.0.clone());
        let end = self.0.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(self.0.len());
        let (number, unit) = self.0.split_at(end);
        let unit: u128 = match unit {
            "m" => 1,
            "" => 1_000,
            "k" => 1_000_000,
            "M" => 1_000_000_000,
            "G" => 1_000_000_000_000,
            "T" => 1_000_000_000_000_000,
            "P" => 1_000_000_000_000_000_000,
            "Ki" => 1_000 << 10,
            "Mi" => 1_000 << 20,
            "Gi" => 1_000 << 30,
            "Ti" => 1_000 << 40,
            "Pi" => 1_000 << 50,
            _ => return Err(error()),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let dot_without_digits = number.ends_with('.');
        if whole.is_empty() || whole.len() > 15 || fraction.len() > 9 || dot_without_digits {
            return Err(error());
        }
        if !digits(whole) || !digits(fraction) {
            return Err(error());
        }
        let whole: u128 = whole.parse().map_err(|_| error())?;
        let billionths: u128 = format!("{fraction:0<9}").parse().map_err(|_| error())?;
        Ok(whole * unit + (billionths * unit).div_ceil(1_000_000_000))
    }

    /// The amount in whole units, rounded down: bytes, for memory.
    ///
    /// # Errors
    /// When the text isn't a quantity, or more than 2^64.
    pub fn units(&self) -> Result<u64, QuantityError> {
        u64::try_from(self.thousandths()? / 1_000).map_err(|_| QuantityError(self.0.clone()))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum IntegerOrText {
    Integer(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Quantity(match IntegerOrText::deserialize(deserializer)? {
            IntegerOrText::Integer(number) => number.to_string(),
            IntegerOrText::Text(text) => text,
        }))
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "minimum": 0,
            "maxLength": 32,
            "pattern": PATTERN,
        })
    }
}
