//! Ports to listen on: `8081`, `50100-50200` (the first free one), `0` (any free one).

use std::fmt;

use super::error::ValueError;
use super::value::ConfigValue;

/// The ports that a listener may take, tried in ascending order; port 0 alone is "any free one".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Any free port, chosen by the system.
    pub const ANY: Self = Self { first: 0, last: 0 };

    /// This port alone.
    pub const fn single(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// The ports from `first` to `last`, both included; none when `last` is lower, or when port
    /// 0 would be one among several.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if last < first || (first == 0 && last > 0) { None } else { Some(Self { first, last }) }
    }

    /// The lowest port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// The ports in the order in which to try them.
    pub fn ports(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl ConfigValue for PortRange {
    fn expected() -> String {
        "a port, a range of ports, or 0 for any free one".to_owned()
    }

    fn example() -> String {
        "50100-50200".to_owned()
    }

    fn parse(text: &str) -> Result<Self, ValueError> {
        match text.split_once('-') {
            None => u16::parse(text).map(Self::single),
            Some((first, last)) => {
                let (first, last) = (u16::parse(first.trim())?, u16::parse(last.trim())?);
                Self::new(first, last).ok_or(ValueError::BadRange)
            }
        }
    }

    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}
