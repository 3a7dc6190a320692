//! What an entry of the log says. Not here: its bytes, which are `encoding`'s.

use std::fmt;

use serde::{Deserialize, Serialize};
use thalweg_core::ids::{CheckpointId, Epoch, JobId};
use thalweg_core::status::JobStatus;

use crate::blob::BlobPath;

/// A place in the log, from 0.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct LogPosition(pub u64);

impl LogPosition {
    /// The place directly after this one.
    pub const fn next(self) -> LogPosition {
        LogPosition(self.0.saturating_add(1))
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One life of a process that writes to logs: drawn at its start, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(pub u128);

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriterId({self})")
    }
}

/// A checkpoint in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The entry that publishes it.
    pub position: LogPosition,
    /// The checkpoint.
    pub checkpoint_id: CheckpointId,
}

/// Which kind of entry it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// From here on a new epoch's leader leads.
    Claim,
    /// The checkpoint counts: a restart begins from it or a later one.
    Publish(CheckpointId),
    /// The job has ended; nothing follows.
    Terminal(TerminalStatus),
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TerminalStatus {
    /// All its input was processed and its output committed.
    Finished,
    /// The user ended it.
    Canceled,
    /// It failed for good.
    Failed,
}

impl From<TerminalStatus> for JobStatus {
    fn from(status: TerminalStatus) -> JobStatus {
        match status {
            TerminalStatus::Finished => JobStatus::Finished,
            TerminalStatus::Canceled => JobStatus::Canceled,
            TerminalStatus::Failed => JobStatus::Failed,
        }
    }
}

/// All of an entry that decisions are made from. Two entries are the same if these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryHeader {
    /// Its place.
    pub position: LogPosition,
    /// Its leader's epoch.
    pub epoch: Epoch,
    /// Who wrote it.
    pub writer: WriterId,
    /// Tells apart what one writer wrote; a repeat of the same write has the same one.
    pub nonce: u64,
    /// Its kind.
    pub kind: EntryKind,
    /// The last checkpoint published before it. As an entry is made directly after the one that
    /// was read, this is exact, so nobody needs to search the log for it.
    pub previous_publish: Option<Published>,
}

impl EntryHeader {
    /// The last checkpoint that is published up to and with this entry.
    pub fn latest_publish(&self) -> Option<Published> {
        match self.kind {
            EntryKind::Publish(checkpoint_id) => {
                Some(Published { position: self.position, checkpoint_id })
            }
            EntryKind::Claim | EntryKind::Terminal(_) => self.previous_publish,
        }
    }

    /// Whether it's an entry after which nothing may follow.
    pub fn is_terminal(&self) -> bool {
        matches!(self.kind, EntryKind::Terminal(_))
    }
}

/// What an entry says beyond what decisions need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum EntryBody {
    /// A new epoch's leader.
    Claim {
        /// The leader as people know it, its host and port.
        leader: String,
    },
    /// A complete checkpoint.
    Publish {
        /// The checkpoint.
        checkpoint_id: CheckpointId,
        /// Its manifest.
        manifest: String,
    },
    /// The job's end.
    Terminal {
        /// How it ended.
        status: TerminalStatus,
        /// Why it failed.
        failure: Option<String>,
        /// The object with its results, if it has any.
        results: Option<String>,
    },
}

impl EntryBody {
    /// A publish of this manifest.
    pub fn publish(checkpoint_id: CheckpointId, manifest: &BlobPath) -> EntryBody {
        EntryBody::Publish { checkpoint_id, manifest: manifest.to_string() }
    }

    /// The kind.
    pub fn kind(&self) -> EntryKind {
        match self {
            EntryBody::Claim { .. } => EntryKind::Claim,
            EntryBody::Publish { checkpoint_id, .. } => EntryKind::Publish(*checkpoint_id),
            EntryBody::Terminal { status, .. } => EntryKind::Terminal(*status),
        }
    }
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The job.
    pub job_id: JobId,
    /// What decisions are made from; its kind is that of the body.
    pub header: EntryHeader,
    /// The uid of the resource whose JobManager wrote it, where JobManagers belong to resources.
    /// Every entry says it, so that the last one is enough to know whose run it was. No decision
    /// about the log is made from it.
    pub owner: Option<String>,
    /// The rest.
    pub body: EntryBody,
}
