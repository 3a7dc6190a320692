//! Records that can't be decoded, and what becomes of them.

use thalweg_core::Record;

use crate::contract::OutputTag;

/// A record that can't be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Record)]
#[record(crate = "thalweg_core")]
pub struct BadRecord {
    /// Where it stands: a file, an address.
    pub source: String,
    /// Its line or its place, from 1.
    pub line: u64,
    /// The field that is wrong, when it is one.
    pub field: Option<String>,
    /// What is wrong with it.
    pub reason: String,
    /// The record as it stands there; at most its first 4 KiB.
    pub raw: String,
}

impl std::fmt::Display for BadRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, line {}", self.source, self.line)?;
        if let Some(field) = &self.field {
            write!(f, ", field {field}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for BadRecord {}

/// What a source does with records that can't be decoded.
#[derive(Debug, Clone, Default)]
pub enum BadRecords {
    /// The job fails with an error that names the record.
    #[default]
    Fail,
    /// They are left out and counted (`numRecordsInErrors`).
    Skip,
    /// They are counted and go to this side output.
    DeadLetter(OutputTag<BadRecord>),
}
