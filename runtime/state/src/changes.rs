//! Which rows of a hash table a delta run has to hold: a bit per place in the table, and the keys
//! that were removed. Not here: what a row looks like.
//!
//! Changes are counted from the last *published* checkpoint. The last snapshot taken may be a
//! later one, whose fate isn't known: what it held is `pending`, what changed since is `dirty`. A
//! delta holds the `dirty` rows if that snapshot was published, and both if it wasn't.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::run::LastSnapshot;

/// Removed keys that a table may have before it's cheaper to write it whole: this many, and as
/// many again as there are entries.
const REMOVED_MAX: usize = 256;
/// What a removed key takes besides its bytes, in its tree.
const REMOVED_OVERHEAD: usize = 32;

/// A bit for each place in a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits(Box<[u64]>);

impl Bits {
    pub(crate) fn new(places: usize) -> Bits {
        Bits(vec![0; places.div_ceil(64)].into_boxed_slice())
    }

    /// All set.
    pub(crate) fn all(places: usize) -> Bits {
        Bits(vec![u64::MAX; places.div_ceil(64)].into_boxed_slice())
    }

    /// Whether it's of no places.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// Whether none is set.
    pub(crate) fn is_clear(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The bits of 64 places; None beyond the end.
    pub(crate) fn word(&self, word: usize) -> Option<u64> {
        self.0.get(word).copied()
    }

    /// The bits of all places, 64 at a time.
    pub(crate) fn words(&self) -> impl Iterator<Item = u64> {
        self.0.iter().copied()
    }

    /// Clears the bits of 64 places, and gives them as they were.
    pub(crate) fn take_word(&mut self, word: usize) -> u64 {
        self.0.get_mut(word).map_or(0, std::mem::take)
    }

    #[inline]
    pub(crate) fn set(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, place: usize) -> bool {
        let Some(word) = self.0.get_mut(place / 64) else { return false };
        let bit = 1 << (place % 64);
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }

    #[inline]
    pub(crate) fn get(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word & (1 << (place % 64)) != 0)
    }

    fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// The changes of one table since the last published checkpoint. A table without is untracked: all
/// of it counts as changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// The last snapshot held the table whole, as no older one had it.
    whole_pending: bool,
    dirty: Bits,
    pending: Bits,
    /// Entries made after the last snapshot: no run has them, so no tombstone is needed.
    fresh: Bits,
    /// Encoded keys.
    removed: BTreeSet<Box<[u8]>>,
    removed_pending: Arc<BTreeSet<Box<[u8]>>>,
    /// Bytes of both, and of those that are pending.
    removed_bytes: usize,
    pending_bytes: usize,
}

/// What was known about the place of an entry that moves or goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlaceChanges {
    dirty: bool,
    pending: bool,
    fresh: bool,
}

impl Changes {
    /// Nothing has changed in a table of so many places.
    pub(crate) fn none(places: usize) -> Changes {
        Changes {
            dirty: Bits::new(places),
            pending: Bits::new(places),
            fresh: Bits::new(places),
            ..Changes::default()
        }
    }

    /// A table of so many places was written whole by a snapshot, and no run had it before.
    pub(crate) fn whole(places: usize) -> Changes {
        Changes { whole_pending: true, ..Changes::none(places) }
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Changes>() + 3 * size_of_val(&*self.dirty.0) + self.removed_bytes
    }

    /// The entry in this place may change from now on.
    #[inline]
    pub(crate) fn touch(&mut self, place: usize) {
        self.dirty.set(place);
    }

    /// An entry was made in this place.
    #[inline]
    pub(crate) fn insert(&mut self, place: usize) {
        self.dirty.set(place);
        self.fresh.set(place);
    }

    /// The entry in this place goes. False if there are too many such to remember them.
    pub(crate) fn remove(
        &mut self,
        place: usize,
        entries: usize,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let PlaceChanges { fresh, .. } = self.take(place);
        if fresh {
            return true;
        }
        if self.removed.len() >= REMOVED_MAX + entries {
            return false;
        }
        let mut key = Vec::new();
        encode(&mut key);
        let bytes = key.len() + REMOVED_OVERHEAD;
        if self.removed.insert(key.into_boxed_slice()) {
            self.removed_bytes += bytes;
        }
        true
    }

    /// Forgets what is known about a place, which an entry leaves.
    pub(crate) fn take(&mut self, place: usize) -> PlaceChanges {
        PlaceChanges {
            dirty: self.dirty.take(place),
            pending: self.pending.take(place),
            fresh: self.fresh.take(place),
        }
    }

    /// An entry has come to this place, with what was known about its former one.
    pub(crate) fn put(&mut self, place: usize, changes: PlaceChanges) {
        let PlaceChanges { dirty, pending, fresh } = changes;
        for (bits, is_set) in
            [(&mut self.dirty, dirty), (&mut self.pending, pending), (&mut self.fresh, fresh)]
        {
            if is_set {
                bits.set(place);
            }
        }
    }

    /// The same for a table of so many places, none of which is known yet.
    pub(crate) fn resized(&mut self, places: usize) -> Changes {
        let Changes { whole_pending, removed_bytes, pending_bytes, .. } = *self;
        Changes {
            whole_pending,
            removed: std::mem::take(&mut self.removed),
            removed_pending: Arc::clone(&self.removed_pending),
            removed_bytes,
            pending_bytes,
            ..Changes::none(places)
        }
    }

    /// The fate of the last snapshot is known. The places of entries that it held as changes, if it
    /// was published.
    pub(crate) fn settle(&mut self, last: LastSnapshot) -> Bits {
        if last == LastSnapshot::GivenUp {
            return Bits::default();
        }
        self.removed_pending = Arc::default();
        self.removed_bytes -= std::mem::take(&mut self.pending_bytes);
        let none = Bits(vec![0; self.pending.0.len()].into_boxed_slice());
        let held = std::mem::replace(&mut self.pending, none);
        match std::mem::take(&mut self.whole_pending) {
            true => Bits(vec![u64::MAX; held.0.len()].into_boxed_slice()),
            false => held,
        }
    }

    /// Whether a delta has to hold the whole table.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole_pending
    }

    /// Whether the entry in this place has changed since the last published checkpoint.
    pub(crate) fn has_changed(&self, place: usize) -> bool {
        self.whole_pending || self.dirty.get(place) || self.pending.get(place)
    }

    /// Whether the last snapshot held the entry in this place as a change.
    pub(crate) fn is_pending(&self, place: usize) -> bool {
        self.whole_pending || self.pending.get(place)
    }

    /// The places of entries that the last snapshot held as changes; all of them if it held the
    /// table whole.
    pub(crate) fn pending(&self) -> &Bits {
        &self.pending
    }

    /// The keys that were removed, ascending, when a snapshot was just taken.
    pub(crate) fn removed_pending(&self) -> Arc<BTreeSet<Box<[u8]>>> {
        Arc::clone(&self.removed_pending)
    }

    /// The places of changed entries, ascending.
    pub(crate) fn changed(&self) -> impl Iterator<Item = usize> {
        places(self.dirty.0.iter().zip(&self.pending.0).map(|(dirty, pending)| dirty | pending))
    }

    /// The encoded keys that were removed, ascending, each once; some may be there again.
    pub(crate) fn removed(&self) -> impl Iterator<Item = &[u8]> {
        self.removed.union(&*self.removed_pending).map(|key| &**key)
    }

    /// A snapshot was taken that holds all changes.
    pub(crate) fn taken(&mut self) {
        for (pending, dirty) in self.pending.0.iter_mut().zip(&mut self.dirty.0) {
            *pending |= std::mem::take(dirty);
        }
        self.fresh.clear();
        let removed = std::mem::take(&mut self.removed);
        if self.removed_pending.is_empty() {
            self.removed_pending = Arc::new(removed);
            self.pending_bytes = self.removed_bytes;
            return;
        }
        for key in removed {
            let bytes = key.len() + REMOVED_OVERHEAD;
            if !Arc::make_mut(&mut self.removed_pending).insert(key) {
                self.removed_bytes -= bytes;
            }
        }
        self.pending_bytes = self.removed_bytes;
    }
}

/// The places of the bits that are set in these words.
fn places(words: impl Iterator<Item = u64>) -> impl Iterator<Item = usize> {
    words.enumerate().flat_map(|(number, word)| places_of(number, word))
}

/// The places of the bits that are set in one word of many.
pub(crate) fn places_of(number: usize, mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(number * 64 + bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(changes: &Changes) -> Vec<usize> {
        changes.changed().collect()
    }

    #[test]
    fn what_a_given_up_snapshot_held_is_dirty_again_and_what_a_published_one_held_is_not() {
        let mut changes = Changes::none(130);
        assert!(!changes.has_changed(3));
        changes.touch(3);
        assert!(changes.has_changed(3));
        changes.insert(129);
        assert_eq!(changed(&changes), [3, 129]);
        changes.taken();
        changes.touch(64);
        changes.settle(LastSnapshot::GivenUp);
        assert_eq!(changed(&changes), [3, 64, 129]);
        changes.taken();
        changes.touch(5);
        changes.settle(LastSnapshot::Published);
        assert_eq!(changed(&changes), [5]);
    }

    #[test]
    fn removed_keys_are_remembered_unless_no_run_has_them() {
        let mut changes = Changes::none(64);
        let bytes = changes.bytes();
        changes.insert(1);
        assert!(changes.remove(1, 0, |_| panic!("no run has it")));
        assert!(changes.remove(2, 0, |out| out.push(b'x')));
        assert_eq!(changes.removed().collect::<Vec<_>>(), [b"x"]);
        assert!(changes.bytes() > bytes);
        changes.taken();
        assert!(changes.remove(2, 0, |out| out.push(b'x')));
        changes.settle(LastSnapshot::GivenUp);
        assert_eq!(changes.removed().collect::<Vec<_>>(), [b"x"]);
        changes.taken();
        changes.settle(LastSnapshot::Published);
        assert_eq!((changes.removed().count(), changes.bytes()), (0, bytes));
        let kept = (0..1000u32)
            .take_while(|key| changes.remove(0, 10, |out| out.extend(key.to_be_bytes())));
        assert_eq!(kept.count(), REMOVED_MAX + 10);
    }
}
