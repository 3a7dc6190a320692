//! How results look: tables for people, JSON for machines, a row at most so long. Not here: what
//! is in them.

use std::io::{self, Write};

use comfy_table::Table;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::StateCommandError;

/// An empty table, as the other commands' are.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.iter().copied());
    table
}

/// Prints a value as JSON and ends the line.
pub(super) fn json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), StateCommandError> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)?;
    Ok(())
}

/// A time in milliseconds since 1970 as RFC 3339 in UTC, to the second; the number if it's none.
pub(super) fn time(milliseconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(milliseconds.div_euclid(1000))
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| milliseconds.to_string())
}

/// A number of bytes with a unit, three digits or so.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    let digits = usize::from(unit != "B" && value < 100.0);
    format!("{value:.digits$} {unit}")
}

/// Text of at most so many bytes; what is more is counted only.
pub(super) struct BoundedText {
    pub(super) text: Vec<u8>,
    pub(super) length: usize,
    max: usize,
}

impl BoundedText {
    pub(super) fn new(max: usize) -> BoundedText {
        BoundedText { text: Vec::new(), length: 0, max }
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.length = 0;
    }

    /// Whether some of it is missing.
    pub(super) fn is_cut(&self) -> bool {
        self.length > self.max
    }
}

impl Write for BoundedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.length = self.length.saturating_add(bytes.len());
        let room = self.max - self.text.len();
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short_and_readable() {
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (204_800, "200 KiB"),
            (5 << 40, "5.0 TiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(time(1_763_827_200_123), "2025-11-22T16:00:00Z");
        assert_eq!(time(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn text_over_its_bound_is_counted_and_not_kept() {
        let mut text = BoundedText::new(5);
        text.write_all(b"1234").unwrap();
        assert!(!text.is_cut());
        text.write_all(b"56789").unwrap();
        assert_eq!((text.text.as_slice(), text.length, text.is_cut()), (&b"12345"[..], 9, true));
        text.clear();
        assert_eq!((text.text.len(), text.length), (0, 0));
    }
}
