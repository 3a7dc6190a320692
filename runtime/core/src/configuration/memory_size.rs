//! Amounts of memory as Flink writes them: `512 mb`, `1g`, `64kb`; 1024-based; without a unit,
//! bytes.

use std::fmt;

use super::error::ValueError;
use super::value::{ConfigValue, number_and_unit};

const KNOWN_UNITS: &str = "b, kb, mb, gb and tb (1024-based)";

/// Each unit's names and its size in bytes, the largest first; the first name is canonical.
const UNITS: [(&[&str], u64); 5] = [
    (&["tb", "t", "tebibytes"], 1 << 40),
    (&["gb", "g", "gibibytes"], 1 << 30),
    (&["mb", "m", "mebibytes"], 1 << 20),
    (&["kb", "k", "kibibytes"], 1 << 10),
    (&["b", "bytes"], 1),
];

/// An amount of memory in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemorySize(u64);

impl MemorySize {
    /// This many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// This many kibibytes.
    pub const fn from_kib(kib: u32) -> Self {
        Self((kib as u64) << 10)
    }

    /// This many mebibytes.
    pub const fn from_mib(mib: u32) -> Self {
        Self((mib as u64) << 20)
    }

    /// The amount in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (names, unit) in UNITS {
            if self.0 > 0 && self.0.is_multiple_of(unit) {
                return write!(f, "{} {}", self.0 / unit, names[0]);
            }
        }
        f.write_str("0 b")
    }
}

impl ConfigValue for MemorySize {
    fn expected() -> String {
        "a memory size".to_owned()
    }

    fn example() -> String {
        "512 mb".to_owned()
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        let (number, unit) = number_and_unit(text)?;
        let unit_bytes = if unit.is_empty() {
            1
        } else {
            let lower = unit.to_ascii_lowercase();
            let known = UNITS.iter().find(|(names, _)| names.contains(&lower.as_str()));
            let unknown = || ValueError::UnknownUnit { unit: unit.to_owned(), known: KNOWN_UNITS };
            known.ok_or_else(unknown)?.1
        };
        number
            .checked_mul(unit_bytes)
            .map(Self)
            .ok_or_else(|| ValueError::TooLarge { highest: Self(u64::MAX).to_string() })
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}
