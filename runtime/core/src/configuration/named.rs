//! Enumerations in a configuration: each value has a name, aliases, and Flink's names that are
//! refused with a reason.

use super::error::ValueError;
use super::value::ConfigValue;

/// An enumeration whose values are written by name. Names are compared without regard to case.
pub trait Named: Copy + PartialEq + 'static {
    /// The values with their canonical name and the further names that are accepted.
    const NAMES: &'static [(Self, &'static str, &'static [&'static str])];

    /// Names that Flink accepts and that aren't offered here, with what to do instead.
    const REFUSED: &'static [(&'static str, &'static str)] = &[];

    /// The value's canonical name.
    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(value, ..)| *value == self).map_or("", |(_, name, _)| name)
    }
}

fn known_names<T: Named>() -> String {
    T::NAMES.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ")
}

impl<T: Named> ConfigValue for T {
    fn expected() -> String {
        match T::NAMES {
            [(_, only, _)] => (*only).to_owned(),
            _ => format!("one of {}", known_names::<T>()),
        }
    }

    fn example() -> String {
        T::NAMES.first().map_or("", |(_, name, _)| name).to_owned()
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        let is = |name: &&str| name.eq_ignore_ascii_case(text);
        if let Some((value, ..)) =
            T::NAMES.iter().find(|(_, name, aliases)| is(name) || aliases.iter().any(&is))
        {
            return Ok(*value);
        }
        match T::REFUSED.iter().find(|(name, _)| is(name)) {
            Some((_, reason)) => Err(ValueError::Refused { reason }),
            None => Err(ValueError::UnknownName { known: known_names::<T>() }),
        }
    }

    fn text(&self) -> Option<String> {
        Some(self.name().to_owned())
    }
}
