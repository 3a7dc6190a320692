//! A state of the world: the store, the processes, the sinks; and what really happened, which
//! nobody in the model can look at but the properties.

use thalweg_core::ids::{CheckpointId, Epoch};
use thalweg_storage::log::names::Segment;
use thalweg_storage::log::{EntryHeader, EntryKind, LogPosition, Published};

use crate::process::Process;
use crate::scope::Scope;

/// A checkpoint, published or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointName {
    /// The leader that began it.
    pub epoch: Epoch,
    /// Its id.
    pub id: CheckpointId,
}

/// What a checkpoint holds. It was taken after one more unit of input than its base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// Which one.
    pub name: CheckpointName,
    /// The published one that was before it; its object is referred to, as a base run is.
    pub base: Option<CheckpointName>,
    /// The last unit of input that it covers.
    pub input: u8,
}

/// What a checkpoint has in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What says which runs make it up.
    Manifest,
    /// Its own runs.
    Runs,
}

/// What an object is called: the epoch is 0 if names hold none.
pub(crate) type ObjectName = (Part, CheckpointName);

/// An object of a checkpoint in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// Its name.
    pub name: ObjectName,
    /// Whose it really is.
    pub content: CheckpointName,
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// What is at each place of the log.
    pub entries: Vec<Option<EntryHeader>>,
    /// Which segments are sealed.
    pub seals: Vec<bool>,
    /// The checkpoints' objects, ordered.
    pub objects: Vec<Object>,
    /// Writes that will be done later.
    pub under_way: Vec<EntryHeader>,
}

/// A participant that commits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Sink {
    /// The highest epoch of an order.
    pub highest_seen: Option<Epoch>,
    /// The transactions that are committed, one a checkpoint, in the order of commits.
    pub committed: Vec<CheckpointName>,
}

/// An order to commit up to a checkpoint. It's delivered any number of times, at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Order {
    /// Of the leader that sends it.
    pub epoch: Epoch,
    /// The checkpoint.
    pub up_to: CheckpointName,
}

/// What nobody should do, noted when it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Wrongs {
    /// A leader takes an entry for appended which isn't what was first written there.
    pub two_publishers: bool,
    /// A leader begins with another checkpoint than the last published one.
    pub wrong_restore: bool,
    /// A leader that was fenced permitted a commit.
    pub fenced_commit: bool,
    /// A leader that was fenced began to collect.
    pub fenced_collection: bool,
    /// A sink obeyed an order of a lower epoch than it had seen.
    pub obeyed_lower: bool,
    /// A search found the log damaged.
    pub damaged: bool,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// The store.
    pub store: Store,
    /// Those that may lead.
    pub processes: Vec<Process>,
    /// Those that commit.
    pub sinks: Vec<Sink>,
    /// All orders ever sent, ordered.
    pub orders: Vec<Order>,
    /// All checkpoints ever begun.
    pub checkpoints: Vec<Checkpoint>,
    /// What was first written at each place: the log as it really is, deleted entries included.
    pub history: Vec<Option<EntryHeader>>,
    /// What went wrong.
    pub wrongs: Wrongs,
    /// Whether an entry was ever deleted.
    pub entry_deleted: bool,
    /// Whether an object was ever deleted.
    pub object_deleted: bool,
    /// Whether a claim fell into a gap and didn't count.
    pub claim_void: bool,
    /// Unknown outcomes left.
    pub unknowns: u8,
    /// Late writes left.
    pub late: u8,
    /// Crashes left.
    pub crashes: u8,
}

impl World {
    /// Nothing has happened.
    pub fn new(scope: &Scope) -> World {
        let places = scope.places as usize;
        let segments = scope.places.div_ceil(scope.segment_length) as usize;
        World {
            store: Store {
                entries: vec![None; places],
                seals: vec![false; segments],
                objects: Vec::new(),
                under_way: Vec::new(),
            },
            processes: vec![Process::default(); scope.processes],
            sinks: vec![Sink::default(); scope.sinks],
            orders: Vec::new(),
            checkpoints: Vec::new(),
            history: vec![None; places],
            wrongs: Wrongs::default(),
            entry_deleted: false,
            object_deleted: false,
            claim_void: false,
            unknowns: scope.unknowns,
            late: scope.late,
            crashes: scope.crashes,
        }
    }

    /// The entry at a place now.
    pub fn entry(&self, position: LogPosition) -> Option<&EntryHeader> {
        self.store.entries.get(position.0 as usize)?.as_ref()
    }

    /// Whether a segment is sealed.
    pub fn is_sealed(&self, segment: Segment) -> bool {
        self.store.seals.get(segment.0 as usize).copied().unwrap_or(false)
    }

    /// Put-if-absent as the store does it; says whether it was written.
    pub fn put_if_absent(&mut self, entry: EntryHeader) -> bool {
        let place = entry.position.0 as usize;
        let Some(slot) = self.store.entries.get_mut(place).filter(|slot| slot.is_none()) else {
            return false;
        };
        *slot = Some(entry);
        if let Some(first) = self.history.get_mut(place).filter(|first| first.is_none()) {
            *first = Some(entry);
        }
        true
    }

    /// What is in the log and always was, in order.
    pub fn real_entries(&self) -> impl DoubleEndedIterator<Item = &EntryHeader> {
        self.history.iter().flatten()
    }

    /// The checkpoint that a restart must begin from.
    pub fn latest_publish(&self) -> Option<Published> {
        self.real_entries().rev().find_map(|entry| match entry.kind {
            EntryKind::Publish(_) => entry.latest_publish(),
            EntryKind::Claim | EntryKind::Terminal(_) => None,
        })
    }

    /// The job's end, if it has ended.
    pub fn terminal(&self) -> Option<&EntryHeader> {
        self.real_entries().find(|entry| entry.is_terminal())
    }

    /// The checkpoint that an entry of the log publishes.
    pub fn name_of(&self, published: Published) -> Option<CheckpointName> {
        let entry = self.history.get(published.position.0 as usize)?.as_ref()?;
        Some(CheckpointName { epoch: entry.epoch, id: published.checkpoint_id })
    }

    /// A checkpoint that was begun.
    pub fn checkpoint(&self, name: CheckpointName) -> Option<&Checkpoint> {
        self.checkpoints.iter().find(|checkpoint| checkpoint.name == name)
    }

    /// The checkpoint and those before it, whose output it includes.
    pub fn lineage(&self, name: CheckpointName) -> impl Iterator<Item = &Checkpoint> {
        let base = |checkpoint: &&Checkpoint| self.checkpoint(checkpoint.base?);
        std::iter::successors(self.checkpoint(name), base)
    }

    /// Whether an object is there, and is what it should be.
    pub fn has(&self, name: ObjectName, content: CheckpointName) -> bool {
        self.store.objects.contains(&Object { name, content })
    }

    /// The contents that a checkpoint refers to: its own and its base's.
    pub fn references(&self, name: CheckpointName) -> impl Iterator<Item = CheckpointName> {
        self.lineage(name).take(2).map(|checkpoint| checkpoint.name)
    }

    /// Whether somebody has claimed the job since.
    pub fn is_fenced(&self, epoch: Epoch) -> bool {
        self.real_entries().any(|entry| entry.epoch > epoch)
    }
}
