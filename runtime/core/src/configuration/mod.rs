//! Configuration is data with one registry: every option's key, type, default, bounds and
//! description stand in one constant in [`options`], and parsing, `-D`, REST's view, the
//! suggestions for mistyped keys and the reference page (docs/configuration.md) derive from it.
//!
//! Keys are Apache Flink's where the meaning is the same. There is no global configuration: a
//! [`Configuration`] is a value that is passed. Reading files is not here (this crate has no
//! I/O), nor are components such as clocks and stores, which are code and not settings.

mod consistency;
mod duration;
mod error;
mod location;
mod memory;
mod memory_size;
mod named;
mod option;
pub mod options;
mod port_range;
mod redaction;
mod reference;
mod suggestion;
mod value;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

pub use error::{ConfigurationError, InvalidValue, Origin, ValueError};
pub use location::Location;
pub use memory::{MemoryPlan, MemoryPlanError, SlotMemory};
pub use memory_size::MemorySize;
pub use named::Named;
pub use option::{AnyOption, ConfigOption, Provenance};
pub use port_range::PortRange;
pub use redaction::{HIDDEN_CONTENT, is_secret, redacted};
pub use reference::reference_markdown;
pub use suggestion::Advice;
pub use value::ConfigValue;

use yaml::Leaf;

/// The values that were set; every other option has its default.
///
/// Only known keys with valid values get in, so reading can't fail. Values are kept in their
/// canonical form: `60 s` and `1min` are equal. It is serialised as a map from keys to texts,
/// secrets included.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Configuration {
    /// Option key -> canonical text. Invariant: the option's `canonical` accepts the text.
    values: BTreeMap<&'static str, String>,
}

impl Configuration {
    /// The configuration in which nothing is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The configuration that a YAML text describes, with flat dotted keys, nested mappings, or
    /// both. `source_name` (a file's name) is for messages.
    ///
    /// # Errors
    /// When the text isn't a YAML mapping, a key is unknown or stands twice, or a value isn't
    /// accepted: the first such place, with its line where that is known.
    pub fn from_yaml(text: &str, source_name: &str) -> Result<Self, ConfigurationError> {
        let mut configuration = Self::new();
        let mut seen = BTreeSet::new();
        for entry in yaml::entries(text, source_name)? {
            let option = find(&entry.key, &entry.origin)?;
            let (key, origin) = (option.key(), entry.origin);
            let value = match entry.leaf {
                Leaf::Other(found) => {
                    return Err(ConfigurationError::NotOneValue { key: entry.key, origin, found });
                }
                Leaf::Float(_) if !option.is_numeric() => {
                    return Err(ConfigurationError::NeedsQuotes { key, origin });
                }
                Leaf::Float(value) | Leaf::Text(value) => value,
            };
            if !seen.insert(key) {
                return Err(ConfigurationError::SetTwice { key, origin });
            }
            configuration.put(option, &value, origin)?;
        }
        Ok(configuration)
    }

    /// Sets one value from text, as `-D key=value` does; it takes the place of an earlier one.
    ///
    /// # Errors
    /// When the key is unknown or the value isn't accepted; then nothing has changed.
    pub fn set_str(&mut self, key: &str, value: &str) -> Result<(), ConfigurationError> {
        let origin = Origin::named("-D on the command line");
        let option = find(key, &origin)?;
        self.put(option, value, origin)
    }

    /// Sets one value from the text `key=value`: the argument of `-D`.
    ///
    /// # Errors
    /// As [`Self::set_str`], and when there is no `=`.
    pub fn set_definition(&mut self, definition: &str) -> Result<(), ConfigurationError> {
        match definition.split_once('=') {
            Some((key, value)) => self.set_str(key.trim(), value),
            None => Err(ConfigurationError::NotADefinition { argument: definition.to_owned() }),
        }
    }

    /// Sets an option's value; `None` for an option without a default unsets it.
    ///
    /// # Errors
    /// When the value is outside the option's bounds.
    pub fn set<T: ConfigValue>(
        &mut self,
        option: &ConfigOption<T>,
        value: T,
    ) -> Result<(), ConfigurationError> {
        match value.text() {
            Some(text) => {
                let origin = Origin::named("set by the program");
                let option = find(option.key(), &origin)?;
                self.put(option, &text, origin)
            }
            None => {
                self.values.remove(option.key());
                Ok(())
            }
        }
    }

    /// The option's value: the one set, else the default.
    pub fn get<T: ConfigValue>(&self, option: &ConfigOption<T>) -> T {
        self.get_optional(option).unwrap_or_else(|| option.default_value())
    }

    /// The option's value if it was set.
    pub fn get_optional<T: ConfigValue>(&self, option: &ConfigOption<T>) -> Option<T> {
        // By the invariant of `values` the text is accepted.
        self.values.get(option.key()).and_then(|text| option.parse(text).ok())
    }

    /// True when the option was set.
    pub fn is_set<T: ConfigValue>(&self, option: &ConfigOption<T>) -> bool {
        self.values.contains_key(option.key())
    }

    /// Takes over everything that `other` sets, in place of what was set here.
    pub fn extend(&mut self, other: &Self) {
        self.values.extend(other.values.iter().map(|(key, value)| (*key, value.clone())));
    }

    /// What was set, by key, for showing: secrets are hidden.
    pub fn keys_and_values(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.values.iter().map(|(key, value)| (*key, redacted(key, value)))
    }

    /// Checks values that depend on each other. Call it once everything has been set.
    ///
    /// # Errors
    /// The first contradiction, with both keys and values.
    pub fn validate(&self) -> Result<(), ConfigurationError> {
        consistency::check(self)
    }

    fn put(
        &mut self,
        option: &'static dyn AnyOption,
        value: &str,
        origin: Origin,
    ) -> Result<(), ConfigurationError> {
        match option.canonical(value) {
            Ok(text) => {
                self.values.insert(option.key(), text);
                Ok(())
            }
            Err(reason) => Err(ConfigurationError::InvalidValue(Box::new(InvalidValue {
                key: option.key(),
                value: redacted(option.key(), value),
                origin,
                reason,
                expected: option.expected(),
                example: option.example(),
            }))),
        }
    }
}

fn find(key: &str, origin: &Origin) -> Result<&'static dyn AnyOption, ConfigurationError> {
    options::find(key).ok_or_else(|| ConfigurationError::UnknownKey {
        key: key.to_owned(),
        origin: origin.clone(),
        advice: suggestion::advice(key),
    })
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.keys_and_values()).finish()
    }
}

impl<'de> Deserialize<'de> for Configuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut configuration = Self::new();
        for (key, value) in BTreeMap::<String, String>::deserialize(deserializer)? {
            let origin = Origin::named("a received configuration");
            find(&key, &origin)
                .and_then(|option| configuration.put(option, &value, origin))
                .map_err(serde::de::Error::custom)?;
        }
        Ok(configuration)
    }
}
