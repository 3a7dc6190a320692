//! The names of the log's objects, and how the log is divided into segments. Nothing else makes
//! such names.
//!
//! ```text
//! <job id>/log/<n>                 an entry; 20 digits, so a listing is in the log's order
//! <job id>/log/sealed-<segment>    entries of the segment may have been deleted
//! probe/<writer>                   made and deleted when a process starts
//! ```

use thalweg_core::ids::JobId;

use super::entry::{LogPosition, WriterId};
use crate::blob::{BlobPath, BlobPathError};
use crate::layout;

const FOLDER: &str = "log";
const SEAL: &str = "sealed-";

/// How many places make a segment, the unit in which old entries are given up. Part of the
/// format: every process must count the same.
pub const SEGMENT_LENGTH: u64 = 1024;

/// Consecutive places, from 0. Once it's sealed, places in it can be empty although they were
/// written; before, an empty place was never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment(pub u64);

impl Segment {
    /// The segment that a place is in.
    pub const fn of(position: LogPosition, segment_length: u64) -> Segment {
        Segment(position.0 / segment_length)
    }

    /// Its first place.
    pub const fn start(self, segment_length: u64) -> LogPosition {
        LogPosition(self.0.saturating_mul(segment_length))
    }

    /// The one after it.
    pub const fn next(self) -> Segment {
        Segment(self.0.saturating_add(1))
    }
}

/// An object in the log's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogName {
    /// An entry.
    Entry(LogPosition),
    /// A segment's seal.
    Seal(Segment),
}

/// The log's folder.
///
/// # Errors
/// None in practice: the names below hold nothing that a path can't. The same for the others.
pub fn folder(job: JobId) -> Result<BlobPath, BlobPathError> {
    layout::job_folder(job)?.join(FOLDER)
}

/// An entry.
///
/// # Errors
/// As [`folder`].
pub fn entry(job: JobId, position: LogPosition) -> Result<BlobPath, BlobPathError> {
    folder(job)?.join(&format!("{:020}", position.0))
}

/// A segment's seal.
///
/// # Errors
/// As [`folder`].
pub fn seal(job: JobId, segment: Segment) -> Result<BlobPath, BlobPathError> {
    folder(job)?.join(&format!("{SEAL}{:020}", segment.0))
}

/// The object with which a process tries conditional writes.
///
/// # Errors
/// As [`folder`].
pub fn probe(writer: WriterId) -> Result<BlobPath, BlobPathError> {
    BlobPath::parse(&format!("probe/{writer}"))
}

/// The folder of those objects.
///
/// # Errors
/// As [`folder`].
pub fn probes() -> Result<BlobPath, BlobPathError> {
    BlobPath::parse("probe")
}

/// What a path in the log's folder names; nothing if it isn't a name of the log's.
pub fn parse(job: JobId, path: &BlobPath) -> Option<LogName> {
    let name = path.as_str().rsplit('/').next()?;
    let (name, expected) = match name.strip_prefix(SEAL) {
        Some(number) => {
            let segment = Segment(number.parse().ok()?);
            (LogName::Seal(segment), seal(job, segment))
        }
        None => {
            let position = LogPosition(name.parse().ok()?);
            (LogName::Entry(position), entry(job, position))
        }
    };
    // Compared as a whole, so that only the one spelling counts.
    (expected.as_ref() == Ok(path)).then_some(name)
}
