//! Why the log couldn't be read or written.

use thiserror::Error;

use super::entry::{EntryHeader, LogPosition};
use super::leadership::Refusal;
use crate::blob::{BlobError, BlobPathError};

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogErrorKind {
    /// This process: another one leads, so it stops.
    Fenced,
    /// Nobody: a repeat may succeed.
    Retry,
    /// The user: the store isn't fit, or what is in it is damaged.
    User,
    /// The caller, which asked for what isn't allowed.
    Refused,
}

/// A failure of the log.
#[derive(Debug, Error)]
pub enum LogError {
    /// The store failed; nothing was decided from that.
    #[error(transparent)]
    Store(#[from] BlobError),
    /// A path that isn't one.
    #[error(transparent)]
    Path(#[from] BlobPathError),
    /// What was asked for isn't allowed; being fenced is one reason.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The entry is or isn't in the log; nothing may be deleted or appended until it's settled.
    #[error(
        "whether entry {} was written isn't known after {attempts} attempts; it's tried again",
        .entry.position
    )]
    InDoubt {
        /// The entry.
        entry: Box<EntryHeader>,
        /// How often it was written.
        attempts: u32,
        /// What the store said last, if it failed.
        #[source]
        source: Option<BlobError>,
    },
    /// Others write faster than this process reads, or claims.
    #[error("the log's end wasn't found in {steps} steps; try again")]
    TailMoves {
        /// How many reads were made.
        steps: u32,
    },
    /// An object of the log isn't what it should be.
    #[error(
        "the log's object {place} is damaged: {reason}; restore from a savepoint under another \
         high-availability.cluster-id"
    )]
    Damaged {
        /// The object.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A later version's entry.
    #[error(
        "the log's entry {place} has format version {found}, this build reads up to {supported}: \
         run the job with the version that wrote it, or a later one"
    )]
    Version {
        /// The entry.
        place: String,
        /// Its version.
        found: u32,
        /// The highest version that this build reads.
        supported: u32,
    },
    /// An entry that can't be written.
    #[error("entry {position} can't be written: {reason}")]
    Unfit {
        /// Its place.
        position: LogPosition,
        /// Why.
        reason: String,
    },
    /// The store doesn't do what high availability is built on.
    #[error(
        "the store can't be used for high availability: {reason}; use one that honours \
         conditional writes (If-None-Match), or unset high-availability.storageDir"
    )]
    UnfitStore {
        /// What it did.
        reason: String,
    },
}

impl LogError {
    /// Who has to act.
    pub fn kind(&self) -> LogErrorKind {
        match self {
            LogError::Refused(Refusal::Fenced(_)) => LogErrorKind::Fenced,
            LogError::Store(_)
            | LogError::InDoubt { .. }
            | LogError::TailMoves { .. }
            | LogError::Refused(Refusal::InDoubt(_)) => LogErrorKind::Retry,
            LogError::Damaged { .. } | LogError::Version { .. } | LogError::UnfitStore { .. } => {
                LogErrorKind::User
            }
            LogError::Path(_) | LogError::Unfit { .. } | LogError::Refused(_) => {
                LogErrorKind::Refused
            }
        }
    }
}
