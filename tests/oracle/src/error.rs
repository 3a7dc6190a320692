//! What can go wrong while data is read, made or written: always the user's input or disk.

use std::path::{Path, PathBuf};

/// An input that can't be understood, or a file that can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OracleError {
    /// A file or folder couldn't be read or written.
    #[error("{action} {} failed: {source}; check that the path exists and its permissions",
        path.display())]
    Io {
        /// What was attempted, in the form "reading".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// Generated data couldn't be written to the caller's writer.
    #[error("writing generated rows failed: {0}")]
    Write(#[source] csv::Error),
    /// A row isn't what the header promises; the source names line and field.
    #[error("{}: malformed CSV: {source}; correct the row", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// Line and field, and what is wrong with them.
        source: csv::Error,
    },
    /// The first line isn't the header of this kind of file.
    #[error("{}: the header is {found:?}; it must be {expected:?}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The header that the rows need.
        expected: String,
        /// The first line.
        found: String,
    },
    /// An event time so large that the end of its windows can't be expressed.
    #[error("{}: event time {event_time_ms} is out of range; times are milliseconds since 1970",
        path.display())]
    EventTime {
        /// The file.
        path: PathBuf,
        /// The time found.
        event_time_ms: u64,
    },
    /// Two transactions share an id, so that their order, and thus the output, isn't defined.
    #[error("transaction {transaction_id} occurs more than once; make the ids unique")]
    DuplicateTransaction {
        /// The id.
        transaction_id: u64,
    },
    /// An output line couldn't be made.
    #[error("an output line couldn't be written as JSON: {0}; report this as a bug")]
    Json(#[from] serde_json::Error),
    /// The generator was asked for something that it can't make.
    #[error("{0}")]
    Options(String),
}

impl OracleError {
    /// The error of an operation on `path`.
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> OracleError {
        OracleError::Io { action, path: path.to_owned(), source }
    }
}
