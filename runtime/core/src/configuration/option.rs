//! One configuration option: key, type, default, bounds and description, in one constant.

use super::error::ValueError;
use super::value::ConfigValue;

/// How an option relates to Apache Flink's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// Flink has the key, with this meaning and this default.
    Flink,
    /// Flink has the key, with this meaning and the default named here.
    FlinkWithDefault(&'static str),
    /// Flink has no such key.
    Thalweg,
}

/// Bounds of an option's value beyond its type.
#[derive(Debug)]
struct Constraint<T> {
    description: &'static str,
    holds: fn(&T) -> bool,
}

/// An option of type `T`; `Option<X>` for one that has no default.
#[derive(Debug)]
pub struct ConfigOption<T: 'static> {
    key: &'static str,
    other_key: Option<&'static str>,
    default: fn() -> T,
    description: &'static str,
    provenance: Provenance,
    constraint: Option<Constraint<T>>,
    example: Option<&'static str>,
}

impl<T: ConfigValue> ConfigOption<T> {
    /// An option that Flink has too, with the same default.
    pub(super) const fn new(
        key: &'static str,
        default: fn() -> T,
        description: &'static str,
    ) -> Self {
        let provenance = Provenance::Flink;
        let (other_key, constraint, example) = (None, None, None);
        Self { key, other_key, default, description, provenance, constraint, example }
    }

    /// Marks an option that Flink doesn't have.
    pub(super) const fn ours(mut self) -> Self {
        self.provenance = Provenance::Thalweg;
        self
    }

    /// Marks a default that isn't Flink's, which is `default`.
    pub(super) const fn flink_default(mut self, default: &'static str) -> Self {
        self.provenance = Provenance::FlinkWithDefault(default);
        self
    }

    /// Accepts a second key: an older or other name that Flink gives the same thing.
    pub(super) const fn also(mut self, key: &'static str) -> Self {
        self.other_key = Some(key);
        self
    }

    /// Refuses the values for which `holds` is false; `description` completes "it must be ...".
    pub(super) const fn must_be(
        mut self,
        description: &'static str,
        holds: fn(&T) -> bool,
    ) -> Self {
        self.constraint = Some(Constraint { description, holds });
        self
    }

    /// Names a value that is accepted, where the type's own example isn't.
    pub(super) const fn for_example(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }

    /// The key.
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// The value when nothing is set.
    pub fn default_value(&self) -> T {
        (self.default)()
    }

    /// The value that `text` stands for, within the option's bounds.
    pub(super) fn parse(&self, text: &str) -> Result<T, ValueError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ValueError::Empty);
        }
        let value = T::parse(text)?;
        match &self.constraint {
            Some(constraint) if !(constraint.holds)(&value) => {
                Err(ValueError::OutOfBounds { constraint: constraint.description })
            }
            _ => Ok(value),
        }
    }
}

/// An option of any type: what the registry, the parser and the reference page need of it.
pub trait AnyOption: Sync {
    /// The key.
    fn key(&self) -> &'static str;
    /// A second key that is accepted for the same option.
    fn other_key(&self) -> Option<&'static str>;
    /// What it does, in Markdown.
    fn description(&self) -> &'static str;
    /// How it relates to Flink's.
    fn provenance(&self) -> Provenance;
    /// The default's canonical text; none when it has no default.
    fn default_text(&self) -> Option<String>;
    /// The type and the bounds: "an integer, at least 1".
    fn expected(&self) -> String;
    /// A text that is accepted.
    fn example(&self) -> String;
    /// True when a YAML floating-point number may stand for a value.
    fn is_numeric(&self) -> bool;
    /// The canonical form of `text`, or what is wrong with it.
    fn canonical(&self, text: &str) -> Result<String, ValueError>;
}

impl<T: ConfigValue> AnyOption for ConfigOption<T> {
    fn key(&self) -> &'static str {
        self.key
    }

    fn other_key(&self) -> Option<&'static str> {
        self.other_key
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn provenance(&self) -> Provenance {
        self.provenance
    }

    fn default_text(&self) -> Option<String> {
        self.default_value().text()
    }

    fn expected(&self) -> String {
        match &self.constraint {
            Some(constraint) => format!("{}, {}", T::expected(), constraint.description),
            None => T::expected(),
        }
    }

    fn example(&self) -> String {
        // The default is within the bounds; the type's example may not be.
        let named = self.example.map(str::to_owned);
        named.or_else(|| self.default_text()).unwrap_or_else(T::example)
    }

    fn is_numeric(&self) -> bool {
        T::NUMERIC
    }

    fn canonical(&self, text: &str) -> Result<String, ValueError> {
        self.parse(text)?.text().ok_or(ValueError::Empty)
    }
}
