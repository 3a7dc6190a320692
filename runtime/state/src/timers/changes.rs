//! Which timers a delta run has to hold: each knows in which interval between two snapshots it
//! was registered, and a log says where those of the last intervals are. Not here: the timers.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::budget::MemoryAccount;
use crate::run::LastSnapshot;

/// Changes that are remembered before it's cheaper to write all timers: this many, and some for
/// each timer.
const REMEMBERED_MIN: usize = 1024;
/// What a timer that is gone takes besides its bytes, in its tree.
const GONE_OVERHEAD: usize = 32;

/// The interval in which a timer was registered: it ends with a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Born(u32);

/// Where a timer is: its time, and its key's hash.
type Place = (i64, u64);

/// What has changed since the last published checkpoint.
#[derive(Debug, Default)]
pub(super) struct TimerChanges {
    /// Now. It ends with any snapshot, also with one that nothing is remembered of.
    interval: u32,
    /// Timers of later intervals weren't in the last snapshot of which something is remembered.
    taken: u32,
    /// Timers of later intervals are in no published checkpoint.
    published: u32,
    /// None: all counts as changed.
    known: Option<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last snapshot held all timers, as no older run had them.
    whole_pending: bool,
    /// Places of timers that were registered: since the last snapshot, and before it.
    added: Vec<Place>,
    added_pending: Arc<Vec<Place>>,
    /// Full keys of timers that runs have and that are gone: since the last snapshot, and before.
    gone: BTreeSet<Box<[u8]>>,
    gone_pending: Arc<BTreeSet<Box<[u8]>>>,
    /// Bytes of these.
    gone_bytes: usize,
    gone_pending_bytes: usize,
    bytes: usize,
}

impl Known {
    fn measure(&mut self) -> usize {
        let places = self.added.capacity() + self.added_pending.capacity();
        let gone = self.gone_bytes + self.gone_pending_bytes;
        self.bytes = places * size_of::<Place>() + gone;
        self.bytes
    }

    /// What is gone belongs to the last snapshot.
    fn gone_taken(&mut self) {
        let mut gone = std::mem::take(&mut self.gone);
        let gone_bytes = std::mem::take(&mut self.gone_bytes);
        if self.gone_pending.is_empty() {
            self.gone_pending = Arc::new(gone);
            self.gone_pending_bytes = gone_bytes;
            return;
        }
        // Some may be in both.
        Arc::make_mut(&mut self.gone_pending).append(&mut gone);
        let bytes = self.gone_pending.iter().map(|key| key.len() + GONE_OVERHEAD);
        self.gone_pending_bytes = bytes.sum();
    }
}

impl TimerChanges {
    /// What a timer is to remember that's registered now.
    pub(super) fn now(&self) -> Born {
        Born(self.interval)
    }

    /// Timers of later intervals are in no published checkpoint.
    pub(super) fn published(&self) -> Born {
        Born(self.published)
    }

    /// A timer was registered; there are `length` now, and `there` tells where some are.
    #[inline]
    pub(super) fn registered(
        &mut self,
        place: Place,
        length: usize,
        there: impl Fn(&Place) -> bool,
        account: &mut MemoryAccount,
    ) {
        let Some(known) = &mut self.known else { return };
        if known.added.len() == known.added.capacity() {
            let before = known.bytes;
            if known.added.len() > 2 * length + REMEMBERED_MIN {
                // Most have fired already.
                known.added.retain(there);
                known.added.sort_unstable();
                known.added.dedup();
            }
            known.added.reserve(1);
            account.change(before, known.measure());
        }
        known.added.push(place);
    }

    /// A timer is gone; `length` are left.
    #[inline]
    pub(super) fn removed(
        &mut self,
        born: Born,
        length: usize,
        encode: impl FnOnce(&mut Vec<u8>),
        account: &mut MemoryAccount,
    ) {
        let Some(known) = &mut self.known else { return };
        if born.0 > self.taken {
            return;
        }
        if known.gone.len() >= length + REMEMBERED_MIN {
            account.change(known.bytes, 0);
            self.known = None;
            return;
        }
        let mut key = Vec::new();
        encode(&mut key);
        let bytes = key.len() + GONE_OVERHEAD;
        if known.gone.insert(key.into_boxed_slice()) {
            known.gone_bytes += bytes;
            known.bytes += bytes;
            account.change(0, bytes);
        }
    }

    /// The fate of the last snapshot is known.
    pub(super) fn settle(&mut self, last: LastSnapshot, account: &mut MemoryAccount) {
        if last == LastSnapshot::GivenUp {
            return;
        }
        self.published = self.taken;
        if let Some(known) = &mut self.known {
            let before = known.bytes;
            known.whole_pending = false;
            known.added_pending = Arc::default();
            known.gone_pending = Arc::default();
            known.gone_pending_bytes = 0;
            account.change(before, known.measure());
        }
    }

    /// Whether a delta has to hold all timers.
    pub(super) fn is_whole(&self) -> bool {
        self.known.as_ref().is_none_or(|known| known.whole_pending)
    }

    /// Where timers are that may be new, when a snapshot was just taken; a place may come twice.
    pub(super) fn added(&self) -> Arc<Vec<Place>> {
        let known = self.known.as_ref();
        known.map(|known| Arc::clone(&known.added_pending)).unwrap_or_default()
    }

    /// The full keys of timers that are gone, when a snapshot was just taken; some may be there
    /// again.
    pub(super) fn gone(&self) -> Arc<BTreeSet<Box<[u8]>>> {
        let known = self.known.as_ref();
        known.map(|known| Arc::clone(&known.gone_pending)).unwrap_or_default()
    }

    /// A snapshot was taken that holds all timers, or all changes.
    pub(super) fn taken(&mut self, account: &mut MemoryAccount) {
        self.taken = self.interval;
        match &mut self.known {
            Some(known) => {
                let before = known.bytes;
                let mut added = std::mem::take(&mut known.added);
                match known.added_pending.is_empty() {
                    true => known.added_pending = Arc::new(added),
                    false => Arc::make_mut(&mut known.added_pending).append(&mut added),
                }
                known.gone_taken();
                account.change(before, known.measure());
            }
            None => self.known = Some(Known { whole_pending: true, ..Known::default() }),
        }
    }

    /// A snapshot begins: timers of later intervals than this don't belong to it.
    pub(super) fn end_interval(&mut self) -> Born {
        self.interval += 1;
        Born(self.interval - 1)
    }

    /// All that's there is in published runs: from now on changes are noted.
    pub(super) fn track(&mut self) {
        self.published = self.interval;
        self.taken = self.interval;
        self.interval += 1;
        self.known = Some(Known::default());
    }
}
