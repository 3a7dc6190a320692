//! What can be wrong with a configuration, told with the key, the place and the remedy.
//!
//! Values appear redacted and shortened: an error message may end in a log or in a web page.

use std::fmt;

use super::suggestion::Advice;

/// The most characters of a key or value that a message repeats.
const SHOWN_CHARACTERS_MAX: usize = 100;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// A file's name, or what else it is: `-D on the command line`.
    pub name: String,
    /// The line in the file, from 1, where it is known.
    pub line: Option<usize>,
}

impl Origin {
    /// The origin of this name, without a line.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), line: None }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Why a text isn't a value of an option's type.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// There is nothing.
    #[error("the value is empty")]
    Empty,
    /// It isn't `true` or `false`.
    #[error("this is neither true nor false")]
    NotBoolean,
    /// It doesn't start with digits, or isn't a number at all.
    #[error("this isn't a number of the expected form")]
    NotNumber,
    /// The number doesn't fit.
    #[error("the highest value is {highest}")]
    TooLarge {
        /// The highest value that is accepted.
        highest: String,
    },
    /// The unit after the number isn't one of the type's.
    #[error("the unit {:?} isn't known; the units are {known}", Shown(.unit))]
    UnknownUnit {
        /// The unit given.
        unit: String,
        /// The units there are.
        known: &'static str,
    },
    /// It isn't one of the names that an enumeration has.
    #[error("this isn't one of {known}")]
    UnknownName {
        /// The names there are.
        known: String,
    },
    /// A port range whose end is below its start, or that contains port 0 among others.
    #[error("a range goes from a port above 0 to a port that isn't lower")]
    BadRange,
    /// A location that can't be a path or a URI.
    #[error("this is neither a path nor a URI: {reason}")]
    BadLocation {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A value that Flink knows and that isn't offered here.
    #[error("{reason}")]
    Refused {
        /// Why, and what to do instead.
        reason: &'static str,
    },
    /// The value is of the right type, and outside the option's bounds.
    #[error("it must be {constraint}")]
    OutOfBounds {
        /// What is accepted, as in "at least 1".
        constraint: &'static str,
    },
}

/// A value that its option doesn't accept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "configuration key {key}: {:?} ({origin}) is not accepted: {reason}; \
     expected {expected}, for example {example:?}",
    Shown(.value)
)]
pub struct InvalidValue {
    /// The option's key.
    pub key: &'static str,
    /// The text given, redacted where the key is a secret's.
    pub value: String,
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong with it.
    pub reason: ValueError,
    /// The type and the bounds.
    pub expected: String,
    /// A value that is accepted.
    pub example: String,
}

/// A configuration that can't be used. Every variant is for the user to mend.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigurationError {
    /// No option has this key.
    #[error("unknown configuration key {:?} ({origin}): {advice}", Shown(.key))]
    UnknownKey {
        /// The key as given.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// What to write instead.
        advice: Advice,
    },
    /// The value isn't one of the option's type or is outside its bounds.
    #[error(transparent)]
    InvalidValue(Box<InvalidValue>),
    /// The key stands in the file with nothing, a list or further keys instead of a value.
    #[error("configuration key {:?} ({origin}) has {found} instead of one value", Shown(.key))]
    NotOneValue {
        /// The key.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// What stands there.
        found: &'static str,
    },
    /// One source sets a key twice, once flat and once nested, say.
    #[error("configuration key {key} is set twice ({origin}); remove one of the two")]
    SetTwice {
        /// The key.
        key: &'static str,
        /// Where it stands.
        origin: Origin,
    },
    /// A number that was to be taken as text, and whose text YAML doesn't keep (1.10 is 1.1).
    #[error("configuration key {key} ({origin}): write the value in quotes, else YAML changes it")]
    NeedsQuotes {
        /// The key.
        key: &'static str,
        /// Where it stands.
        origin: Origin,
    },
    /// The text isn't YAML, or isn't a mapping.
    #[error("{origin} is not a YAML mapping of configuration keys to values: {detail}")]
    NotYaml {
        /// The source.
        origin: Origin,
        /// What the parser says, with line and column.
        detail: String,
    },
    /// The source is larger than any configuration.
    #[error("{origin} has {bytes} bytes; a configuration has at most {bytes_max}")]
    TooLarge {
        /// The source.
        origin: Origin,
        /// Its size.
        bytes: usize,
        /// The highest size accepted.
        bytes_max: usize,
    },
    /// A `-D` argument without `=`.
    #[error("-D {:?} has no value; write -D key=value", Shown(.argument))]
    NotADefinition {
        /// The argument.
        argument: String,
    },
    /// Values that are fine alone and contradict each other.
    #[error("{problem}: {first_key} is {first}, {second_key} is {second}; {remedy}")]
    Contradiction {
        /// What is wrong.
        problem: &'static str,
        /// One key.
        first_key: &'static str,
        /// Its effective value.
        first: String,
        /// The other key.
        second_key: &'static str,
        /// Its effective value.
        second: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// A text of which only the beginning is shown when it is long.
struct Shown<'a>(&'a str);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_CHARACTERS_MAX) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => write!(f, "{:?}...", &self.0[..end]),
        }
    }
}
