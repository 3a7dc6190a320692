//! The types that an option's value can have: how each is read and written.
//!
//! Durations, memory sizes, port ranges, locations and enumerations have their own files.

use super::error::ValueError;

/// A type whose values can stand in a configuration.
///
/// `parse(value.text())` gives the value again, and `text` is the one canonical form: two texts
/// that mean the same have the same canonical form.
pub trait ConfigValue: Sized + 'static {
    /// What the user is told to write: "a duration".
    fn expected() -> String;

    /// A text that `parse` accepts.
    fn example() -> String;

    /// The value that `text` (trimmed, not empty) stands for.
    fn parse(text: &str) -> Result<Self, ValueError>;

    /// The canonical text; none where the value means "unset".
    fn text(&self) -> Option<String>;

    /// True when a YAML number's canonical form is as good as its text.
    const NUMERIC: bool = false;
}

impl ConfigValue for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }

    fn example() -> String {
        "true".to_owned()
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        if text.eq_ignore_ascii_case("true") {
            Ok(true)
        } else if text.eq_ignore_ascii_case("false") {
            Ok(false)
        } else {
            Err(ValueError::NotBoolean)
        }
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! integer {
    ($type:ty, $expected:literal, $example:literal) => {
        impl ConfigValue for $type {
            fn expected() -> String {
                $expected.to_owned()
            }

            fn example() -> String {
                $example.to_owned()
            }

            fn parse(text: &str) -> Result<Self, ValueError> {
                let (number, unit) = number_and_unit(text)?;
                if !unit.is_empty() {
                    return Err(ValueError::NotNumber);
                }
                Self::try_from(number)
                    .map_err(|_| ValueError::TooLarge { highest: Self::MAX.to_string() })
            }

            fn text(&self) -> Option<String> {
                Some(self.to_string())
            }
        }
    };
}

integer!(u16, "a port (0 to 65535)", "8081");
integer!(u32, "an integer", "4");
integer!(u64, "an integer", "4096");

impl ConfigValue for f64 {
    fn expected() -> String {
        "a number".to_owned()
    }

    fn example() -> String {
        "0.1".to_owned()
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(ValueError::NotNumber),
        }
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }

    const NUMERIC: bool = true;
}

impl ConfigValue for String {
    fn expected() -> String {
        "text".to_owned()
    }

    fn example() -> String {
        "localhost".to_owned()
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        Ok(text.to_owned())
    }

    fn text(&self) -> Option<String> {
        Some(self.clone())
    }
}

/// An option without a default: unset is `None`.
impl<T: ConfigValue> ConfigValue for Option<T> {
    fn expected() -> String {
        T::expected()
    }

    fn example() -> String {
        T::example()
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        T::parse(text).map(Some)
    }

    fn text(&self) -> Option<String> {
        self.as_ref().and_then(ConfigValue::text)
    }

    const NUMERIC: bool = T::NUMERIC;
}

/// The digits at the start as a number, and what follows them, trimmed.
pub(super) fn number_and_unit(text: &str) -> Result<(u64, &str), ValueError> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() {
        return Err(ValueError::NotNumber);
    }
    let number =
        digits.parse().map_err(|_| ValueError::TooLarge { highest: u64::MAX.to_string() })?;
    Ok((number, unit.trim()))
}
