//! Which entries of a hash table still have to be written to the snapshot under way, as they were
//! at its barrier.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use crate::changes::Bits;

/// What belongs to a snapshot and hasn't been written.
#[derive(Debug)]
pub(crate) struct Frozen {
    /// Places of entries that wait; of places without an entry nothing is said.
    waiting: Bits,
    /// Words of places of which some wait.
    words: usize,
    /// Places that waited at first.
    places: usize,
    /// Places of entries that have to be told that the last snapshot was published.
    unsettled: Bits,
    /// All entries belong to it, and nothing of older runs counts.
    whole: bool,
    /// Entries have moved to other places since somebody last asked.
    moved: bool,
    /// Encoded keys that were removed; some may be there again, and then wait too.
    removed: Arc<BTreeSet<Box<[u8]>>>,
}

impl Frozen {
    pub(crate) fn new(
        waiting: Bits,
        unsettled: Bits,
        whole: bool,
        removed: Arc<BTreeSet<Box<[u8]>>>,
    ) -> Frozen {
        let (mut words, mut places) = (0, 0);
        for word in waiting.words() {
            words += usize::from(word != 0);
            places += word.count_ones() as usize;
        }
        Frozen { waiting, words, places, unsettled, whole, moved: false, removed }
    }

    /// Whether a run has nothing to hold, and no entry anything to be told.
    pub(crate) fn is_nothing(&self) -> bool {
        let Frozen { waiting, unsettled, whole, removed, .. } = self;
        !whole && waiting.is_clear() && unsettled.is_clear() && removed.is_empty()
    }

    /// The same for a table of so many places, none of which is known yet.
    pub(crate) fn resized(&self, places: usize) -> Frozen {
        Frozen {
            waiting: Bits::new(places),
            words: 0,
            places: self.places,
            unsettled: Bits::new(if self.unsettled.is_empty() { 0 } else { places }),
            whole: self.whole,
            moved: true,
            removed: Arc::clone(&self.removed),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Frozen>() + self.waiting.bytes() + self.unsettled.bytes()
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether places have changed since this was last asked.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Whether any entry may have to be written, or told something, before it changes.
    #[inline]
    pub(crate) fn awaits(&self) -> bool {
        self.words > 0 || !self.unsettled.is_empty()
    }

    /// Whether the entry in this place has to be written, or told something, before it changes.
    #[inline]
    pub(crate) fn needs_care(&self, place: usize) -> bool {
        self.waiting.get(place) || self.unsettled.get(place)
    }

    /// The entry in this place needn't be written any more: it was, or it's a new one.
    #[inline]
    pub(crate) fn take(&mut self, place: usize) -> bool {
        let was = self.waiting.take(place);
        self.words -= usize::from(was && self.waiting.word(place / 64) == Some(0));
        was
    }

    /// The entries in this word of places needn't be written any more. Those that had to be.
    pub(crate) fn take_word(&mut self, word: usize) -> u64 {
        let was = self.waiting.take_word(word);
        self.words -= usize::from(was != 0);
        was
    }

    /// The entry in this place was told what it had to be told, if it had to be.
    pub(crate) fn take_unsettled(&mut self, place: usize) -> bool {
        self.unsettled.take(place)
    }

    /// Forgets what is known about a place, which an entry leaves, in two bits.
    pub(crate) fn leave(&mut self, place: usize) -> (bool, bool) {
        (self.take(place), self.unsettled.take(place))
    }

    /// An entry has come to this place, with what was known about its former one.
    pub(crate) fn arrive(&mut self, place: usize, (waiting, unsettled): (bool, bool)) {
        if waiting {
            self.words += usize::from(self.waiting.word(place / 64) == Some(0));
            self.waiting.set(place);
        }
        if unsettled {
            self.unsettled.set(place);
        }
    }

    /// How many places waited at first, with those without an entry.
    pub(crate) fn places(&self) -> usize {
        self.places
    }

    /// The places of this word of places, of those that wait; None beyond the end.
    pub(crate) fn waiting_word(&self, word: usize) -> Option<u64> {
        self.waiting.word(word)
    }

    /// The same of those that are unsettled.
    pub(crate) fn unsettled_word(&self, word: usize) -> Option<u64> {
        self.unsettled.word(word)
    }

    /// The next of the removed keys after `after`; the first one if that's None.
    pub(crate) fn removed_after(&self, after: Option<&[u8]>) -> Option<&[u8]> {
        next_after(&self.removed, after)
    }
}

/// The next key after `after`; the first one if that's None.
pub(crate) fn next_after<'k>(
    keys: &'k BTreeSet<Box<[u8]>>,
    after: Option<&[u8]>,
) -> Option<&'k [u8]> {
    if keys.is_empty() {
        return None;
    }
    let after = after.map_or(Bound::Unbounded, Bound::Excluded);
    keys.range::<[u8], _>((after, Bound::Unbounded)).next().map(|key| &**key)
}
