//! Durations as Flink writes them: `10 s`, `500ms`, `1 min`, `2h`; without a unit, milliseconds.

use std::time::Duration;

use super::error::ValueError;
use super::value::{ConfigValue, number_and_unit};

/// The longest duration accepted, about 100 years: added to any clock, it can't overflow.
const LONGEST: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

const KNOWN_UNITS: &str = "d, h, min, s, ms, µs and ns";

/// Each unit's names and its length in nanoseconds, the longest unit first; the first name is
/// the canonical one.
const UNITS: [(&[&str], u64); 7] = [
    (&["d", "day", "days"], 24 * 60 * 60 * 1_000_000_000),
    (&["h", "hour", "hours"], 60 * 60 * 1_000_000_000),
    (&["min", "m", "minute", "minutes"], 60 * 1_000_000_000),
    (&["s", "sec", "secs", "second", "seconds"], 1_000_000_000),
    (&["ms", "milli", "millis", "millisecond", "milliseconds"], 1_000_000),
    (&["µs", "micro", "micros", "microsecond", "microseconds"], 1_000),
    (&["ns", "nano", "nanos", "nanosecond", "nanoseconds"], 1),
];

const MILLISECOND: u64 = 1_000_000;

impl ConfigValue for Duration {
    fn expected() -> String {
        "a duration".to_owned()
    }

    fn example() -> String {
        "10 s".to_owned()
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        let (number, unit) = number_and_unit(text)?;
        let unit_nanos = if unit.is_empty() {
            MILLISECOND
        } else {
            let lower = unit.to_lowercase();
            let known = UNITS.iter().find(|(names, _)| names.contains(&lower.as_str()));
            let unknown = || ValueError::UnknownUnit { unit: unit.to_owned(), known: KNOWN_UNITS };
            known.ok_or_else(unknown)?.1
        };
        number
            .checked_mul(unit_nanos)
            .map(Duration::from_nanos)
            .filter(|duration| *duration <= LONGEST)
            .ok_or_else(|| ValueError::TooLarge { highest: LONGEST.text().unwrap_or_default() })
    }

    fn text(&self) -> Option<String> {
        let nanos = self.as_nanos();
        if nanos == 0 {
            return Some("0 ms".to_owned());
        }
        UNITS.iter().find(|(_, unit)| nanos.is_multiple_of(u128::from(*unit))).and_then(
            |(names, unit)| Some(format!("{} {}", nanos / u128::from(*unit), names.first()?)),
        )
    }
}
