//! What may be deleted. Pure; everything is classified before anything is deleted.
//!
//! Objects of checkpoints:
//! 1. While an entry is in doubt nothing is deleted: it may publish what looks unreferenced.
//! 2. What a root refers to stays. Roots are the last published checkpoint, those retained
//!    besides it, and savepoints. If a root can't be read, nothing is deleted.
//! 3. What doesn't tell its epoch and checkpoint stays, and so does what is of a later epoch.
//! 4. What is of the collector's own epoch goes if its checkpoint is older than the last
//!    published one and isn't being taken; a later one may still be published.
//! 5. What is of an older epoch goes: that epoch's leader is fenced, so nothing of it that isn't
//!    published by now will be.
//! 6. After the terminal entry rule 4 is as rule 5.
//!
//! 7. Of what goes, manifests go before what they may refer to. So a manifest that is there has
//!    its objects, wherever a collector stops; and what it leaves is garbage for the next one,
//!    which finds it by its name, not by a manifest.
//!
//! So garbage stays garbage, whoever leads: a collector that was paused and fenced after it
//! classified deletes nothing that anybody will refer to. That is why an object's name holds its
//! epoch: the same name is never made again by another.
//!
//! Entries of the log:
//! 8. Claims, terminal entries and the log's tail stay. So does the last publish, and those of
//!    retained checkpoints.
//! 9. Other publishes may go if their segment is sealed. It may be sealed once the log goes on
//!    behind it, and is sealed for good before anything in it is deleted.

use std::collections::BTreeSet;

use thalweg_core::ids::{CheckpointId, Epoch};

use super::entry::{EntryHeader, EntryKind, LogPosition};
use super::leadership::Leadership;
use super::names::Segment;

/// Where an object comes from, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectOrigin {
    /// The epoch whose tasks wrote it.
    pub epoch: Epoch,
    /// The checkpoint that it was written for.
    pub checkpoint_id: CheckpointId,
}

/// What a collector knows of the job. Taken before objects are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectorView {
    last: EntryHeader,
    may_collect: bool,
    oldest_pending: Option<CheckpointId>,
}

impl CollectorView {
    /// A leader's. `oldest_pending` is the oldest checkpoint that is being taken.
    pub fn of_leader(leader: &Leadership, oldest_pending: Option<CheckpointId>) -> CollectorView {
        let may_collect = leader.in_doubt().is_none() && leader.fenced().is_none();
        CollectorView { last: *leader.last(), may_collect, oldest_pending }
    }

    /// Anybody's who finds that the job has ended; nothing if this isn't its end.
    pub fn of_terminal(tail: &EntryHeader) -> Option<CollectorView> {
        let view = CollectorView { last: *tail, may_collect: true, oldest_pending: None };
        tail.is_terminal().then_some(view)
    }

    /// What the leader whose log ends so would collect if no checkpoint were being taken and no
    /// entry were in doubt. To look at only: who deletes has to lead.
    pub fn as_seen(tail: &EntryHeader) -> CollectorView {
        CollectorView { last: *tail, may_collect: true, oldest_pending: None }
    }

    /// The last entry that the collector knows.
    pub fn last(&self) -> &EntryHeader {
        &self.last
    }

    /// The oldest checkpoint that is being taken.
    pub fn oldest_pending(&self) -> Option<CheckpointId> {
        self.oldest_pending
    }

    /// Whether anything may be deleted at all: rule 1, and nobody fenced it.
    pub fn may_collect(&self) -> bool {
        self.may_collect
    }
}

/// What an object is to a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectClass {
    /// A root refers to it.
    Referenced,
    /// Nothing does, and nothing will.
    Garbage,
    /// Unreferenced now; kept.
    Unknown,
}

/// Why an object is what it is to a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A root refers to it: rule 2.
    Referenced,
    /// Its name doesn't tell its epoch and checkpoint: rule 3.
    UnknownOrigin,
    /// It's of a later epoch: rule 3.
    LaterEpoch,
    /// It's of this epoch, and its checkpoint may still be published: rule 4.
    MayBePublished,
    /// It's of this epoch, and a later checkpoint than its own was published: rule 4.
    Superseded,
    /// It's of an older epoch, whose leader is fenced: rule 5.
    OlderEpoch,
    /// The job has ended: rule 6.
    JobEnded,
}

impl Reason {
    /// What follows from it.
    pub fn class(self) -> ObjectClass {
        match self {
            Reason::Referenced => ObjectClass::Referenced,
            Reason::UnknownOrigin | Reason::LaterEpoch | Reason::MayBePublished => {
                ObjectClass::Unknown
            }
            Reason::Superseded | Reason::OlderEpoch | Reason::JobEnded => ObjectClass::Garbage,
        }
    }
}

/// Rules 2 to 6.
pub fn classify_object(
    view: &CollectorView,
    origin: Option<ObjectOrigin>,
    referenced: bool,
) -> ObjectClass {
    reason(view, origin, referenced).class()
}

/// Rules 2 to 6, with the one that decides.
pub fn reason(view: &CollectorView, origin: Option<ObjectOrigin>, referenced: bool) -> Reason {
    if referenced {
        return Reason::Referenced;
    }
    let Some(origin) = origin else { return Reason::UnknownOrigin };
    let id = origin.checkpoint_id;
    let superseded = view.last.latest_publish().is_some_and(|latest| id < latest.checkpoint_id)
        && view.oldest_pending.is_none_or(|pending| id < pending);
    match origin.epoch.cmp(&view.last.epoch) {
        std::cmp::Ordering::Less => Reason::OlderEpoch,
        std::cmp::Ordering::Equal if superseded => Reason::Superseded,
        std::cmp::Ordering::Equal if view.last.is_terminal() => Reason::JobEnded,
        std::cmp::Ordering::Equal => Reason::MayBePublished,
        std::cmp::Ordering::Greater => Reason::LaterEpoch,
    }
}

/// What becomes of all objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectPlan<K> {
    /// To be deleted.
    pub garbage: Vec<K>,
    /// Kept, as a root refers to them: how many.
    pub referenced: usize,
    /// Kept, as nothing says that they're garbage.
    pub unknown: Vec<K>,
}

/// Rules 1 to 6 for all objects, `objects` being what was listed.
pub fn plan_objects<K: Ord>(
    view: &CollectorView,
    objects: impl IntoIterator<Item = (K, Option<ObjectOrigin>)>,
    referenced: &BTreeSet<K>,
) -> ObjectPlan<K> {
    let mut plan = ObjectPlan { garbage: Vec::new(), referenced: 0, unknown: Vec::new() };
    for (name, origin) in objects {
        match classify_object(view, origin, referenced.contains(&name)) {
            ObjectClass::Garbage if view.may_collect() => plan.garbage.push(name),
            ObjectClass::Garbage | ObjectClass::Unknown => plan.unknown.push(name),
            ObjectClass::Referenced => plan.referenced += 1,
        }
    }
    plan
}

/// Rule 7: the garbage in the order in which it is deleted.
pub fn deletion_order<K>(garbage: Vec<K>, is_manifest: impl Fn(&K) -> bool) -> Vec<K> {
    let (mut ordered, rest): (Vec<K>, Vec<K>) = garbage.into_iter().partition(is_manifest);
    ordered.extend(rest);
    ordered
}

/// Which segments may be sealed: rule 9. Those before this one; `oldest_retained` is the place of
/// the oldest publish that stays.
pub fn sealable_before(
    view: &CollectorView,
    oldest_retained: Option<LogPosition>,
    segment_length: u64,
) -> Segment {
    let latest = view.last.latest_publish().map(|latest| latest.position);
    let kept = [Some(view.last.position), latest, oldest_retained].into_iter().flatten().min();
    Segment::of(kept.unwrap_or_default(), segment_length)
}

/// Whether an entry of a sealed segment may be deleted: rules 8 and 9.
pub fn entry_may_go(
    view: &CollectorView,
    entry: &EntryHeader,
    oldest_retained: Option<LogPosition>,
    segment_length: u64,
) -> bool {
    let before = sealable_before(view, oldest_retained, segment_length);
    matches!(entry.kind, EntryKind::Publish(_))
        && Segment::of(entry.position, segment_length) < before
}
