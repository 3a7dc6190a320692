//! A process that searches, claims, leads, collects, and stops.

use thalweg_core::ids::CheckpointId;
use thalweg_storage::log::collect::CollectorView;
use thalweg_storage::log::search::TailSearch;
use thalweg_storage::log::{EntryHeader, Leadership, LogPosition, WriterId};

use crate::world::ObjectName;

/// A process and how often it was started.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Process {
    /// Its life: each has a writer id of its own.
    pub life: u8,
    /// What it wrote in this life.
    pub nonce: u64,
    /// What it does.
    pub role: Role,
}

/// What a process does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// Nothing yet.
    #[default]
    Idle,
    /// Looks for the log's end; with the last entry that it read.
    Searching(TailSearch, Option<EntryHeader>),
    /// Writes its claim.
    Claiming(EntryHeader, AppendPhase),
    /// Its claim is written; does it count?
    Verifying(EntryHeader),
    /// It leads, or thinks so.
    Leading(Box<Lead>),
    /// It was fenced, or the job has ended.
    Stopped,
}

/// How far the writing of an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppendPhase {
    /// It's to be written.
    Put,
    /// The place is to be read.
    ReadHere,
    /// The place after it is to be read; with what was at the place.
    ReadNext(Option<EntryHeader>),
}

/// A leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lead {
    /// What it knows of itself.
    pub view: Leadership,
    /// How far the entry in doubt is, if there's one.
    pub append: Option<AppendPhase>,
    /// Checkpoints that it has begun.
    pub begun: u64,
    /// The next checkpoint.
    pub next: CheckpointId,
    /// The checkpoint whose objects are stored and that isn't published or abandoned.
    pub pending: Option<CheckpointId>,
    /// Its collection.
    pub collection: Option<Collection>,
}

/// A collection under way. It goes on whatever else the leader does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Collection {
    /// The leader has checked that it leads, and knows what it decides from.
    Objects(CollectorView),
    /// These are to be deleted, by name.
    DeleteObjects(Vec<ObjectName>),
    /// As the first, for entries of the log.
    Entries(CollectorView),
    /// The segments of these are to be sealed.
    Seal(Vec<LogPosition>),
    /// These are to be deleted.
    DeleteEntries(Vec<LogPosition>),
}

impl Process {
    /// The writer id of this life.
    pub fn writer(&self, index: usize) -> WriterId {
        WriterId(index as u128 * 16 + u128::from(self.life) + 1)
    }
}
