//! How expired entries go: when their key is accessed, a few at a time while rows are processed,
//! and all that are found when state is restored. Not here: snapshots, which leave them out.
//!
//! An entry that goes is noted as any other that is removed: the next incremental checkpoint has a
//! tombstone for it. The first elements of a list go without: their chunks have their expiry.

use std::ops::Range;

use thalweg_core::record::Key;

use super::CurrentKey;
use super::table::{KeyedTable, Stored};
use crate::error::StateError;
use crate::table::Table;
use crate::ttl::Life;

/// What being read does to a key's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnRead {
    /// Nothing.
    Nothing,
    /// They live on, and a row counts as changed by that.
    LivesOn,
    /// All have expired and aren't to be seen.
    Gone,
}

/// Which of a key's rows have expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expired {
    /// All of them.
    All,
    /// Some of these, or of `None`; where to go on looking, if not all were looked at.
    Some { among: Option<Range<usize>>, next: Option<usize> },
}

impl Expired {
    pub(crate) const NONE: Expired = Expired::Some { among: None, next: None };
}

/// Every entry is looked at about so often while the time to live passes once: so that what has
/// expired takes up to an eighth more memory than what hasn't, if rows keep coming.
const CYCLES: i64 = 8;
/// No entry takes less, expiry included.
const ENTRY_BYTES_MIN: usize = 16;

/// Where the search for expired entries is: key group, place in its table, row of that entry.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    group: usize,
    place: usize,
    row: usize,
}

/// The search for expired entries, and the time until which it has done its share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cleanup {
    cursor: Cursor,
    done_until_ms: i64,
    /// What was owed then: milliseconds times entries.
    owed: u128,
}

impl Cleanup {
    pub(super) fn new(now_ms: i64) -> Cleanup {
        Cleanup { cursor: Cursor::default(), done_until_ms: now_ms, owed: 0 }
    }

    /// How many of `total` entries are to be looked at now, at most `limit` of them.
    fn share(&mut self, total: usize, limit: usize, now_ms: i64, time_to_live_ms: i64) -> usize {
        let cycle_ms = (time_to_live_ms / CYCLES).max(1) as u128;
        let since_ms = now_ms.saturating_sub(self.done_until_ms).max(0) as u128;
        self.done_until_ms = self.done_until_ms.max(now_ms);
        // Never more than all of them once.
        let total = total as u128;
        self.owed = (self.owed + total * since_ms.min(cycle_ms)).min(total * cycle_ms);
        let entries = (self.owed / cycle_ms).min(limit as u128);
        self.owed -= entries * cycle_ms;
        entries as usize
    }
}

impl<K: Key, S: Stored> KeyedTable<K, S> {
    /// The current key's entry is about to be read: it lives on, or goes if it has expired.
    #[inline]
    pub(super) fn before_read(&mut self, current: &CurrentKey<K>) -> Result<(), StateError> {
        if !S::Life::EXPIRES {
            return Ok(());
        }
        let life = self.life;
        let Some(entry) = self.find(current)? else { return Ok(()) };
        match entry.on_read(&life) {
            OnRead::Nothing => Ok(()),
            OnRead::LivesOn => {
                let entry = self.find_mut(current)?;
                entry.into_iter().for_each(|(entry, _)| entry.live_on(&life));
                Ok(())
            }
            OnRead::Gone => self.remove(current).map(drop),
        }
    }

    /// The current key's entry is about to be written: it goes if it has expired.
    #[inline]
    pub(super) fn before_write(&mut self, current: &CurrentKey<K>) -> Result<(), StateError> {
        if !S::Life::EXPIRES || !self.life.hides_expired() {
            return Ok(());
        }
        let life = self.life;
        let Some(entry) = self.find(current)? else { return Ok(()) };
        match entry.expired(&life, 0, &mut 1) {
            Expired::All => self.remove(current).map(drop),
            Expired::Some { .. } => Ok(()),
        }
    }

    /// Looks for expired entries: at as many as the time that has passed asks for, and at most at
    /// `limit`.
    pub(super) fn clean_up_share(&mut self, limit: usize) -> Result<(), StateError> {
        let Some(time_to_live_ms) = self.life.time_to_live_ms() else { return Ok(()) };
        // What is removed while a snapshot is under way would have to be copied first.
        if self.encoding.is_some() {
            return Ok(());
        }
        let total = self.used() / ENTRY_BYTES_MIN + self.tables.len() + 1;
        let now_ms = self.life.now_ms();
        let entries = self.cleanup.share(total, limit, now_ms, time_to_live_ms);
        self.clean_up_entries(entries)
    }

    /// Looks at so many places for entries, going on where it ended, at most once at each, and
    /// removes what has expired.
    pub(super) fn clean_up_entries(&mut self, mut entries: usize) -> Result<(), StateError> {
        if !S::Life::EXPIRES {
            return Ok(());
        }
        let life = self.life;
        // One more: the group that it begins in is begun with twice.
        let mut groups = self.tables.len() + 1;
        while entries > 0 && groups > 0 {
            let Cursor { group, place, row } = self.cleanup.cursor;
            let Some(table) = self.tables.get(group) else {
                self.cleanup.cursor = Cursor::default();
                groups -= 1;
                continue;
            };
            let (place, found) = find_expired(table, place, row, &life, &mut entries);
            let Some((key, expired)) = found else {
                self.cleanup.cursor = Cursor { group, place, row: 0 };
                if place >= table.buckets() {
                    self.cleanup.cursor = Cursor { group: group + 1, place: 0, row: 0 };
                    // Groups count as well: they may be many, and empty.
                    (groups, entries) = (groups - 1, entries.saturating_sub(1));
                }
                continue;
            };
            self.cleanup.cursor = Cursor { group, place: place + 1, row: 0 };
            let current = CurrentKey { hash: key.key_hash(), key, group };
            match expired {
                Expired::All => drop(self.remove(&current)?),
                Expired::Some { among, next } => {
                    if let Some(row) = next {
                        self.cleanup.cursor = Cursor { group, place, row };
                    }
                    if let Some(rows) = among
                        && let Some((entry, account)) = self.find_mut(&current)?
                        && entry.drop_expired(&life, rows, account)
                    {
                        self.remove(&current)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The first place from `place` on, of as many as `entries` allows, which it lowers, whose entry
/// has something to be removed or isn't looked at to its end; or the place after the last one.
#[inline]
fn find_expired<K: Key, S: Stored>(
    table: &Table<K, S>,
    mut place: usize,
    mut row: usize,
    life: &S::Life,
    entries: &mut usize,
) -> (usize, Option<(K, Expired)>) {
    while *entries > 0 && place < table.buckets() {
        *entries -= 1;
        if let Some(entry) = table.bucket(place) {
            let expired = entry.value.expired(life, row, entries);
            if expired != Expired::NONE {
                return (place, Some((entry.key.clone(), expired)));
            }
        }
        (place, row) = (place + 1, 0);
    }
    (place, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_looked_at_eight_times_a_life_however_many_rows_come() {
        let (total, life_ms) = (1_000_003, 86_400_000);
        for step_ms in [1, 7, 1000, 3_600_000] {
            let mut cleanup = Cleanup::new(-5);
            let mut looked_at = 0;
            for now_ms in (-5..life_ms).step_by(step_ms) {
                looked_at += cleanup.share(total, usize::MAX, now_ms, life_ms);
                assert_eq!(cleanup.share(total, usize::MAX, now_ms, life_ms), 0, "at {now_ms}");
            }
            let expected = 7 * total..=8 * total;
            assert!(expected.contains(&looked_at), "{looked_at} at steps of {step_ms} ms");
        }
    }

    #[test]
    fn what_is_owed_is_bounded_and_so_is_each_share() {
        let mut cleanup = Cleanup::new(0);
        assert_eq!(cleanup.share(1000, 5, 100_000, 80), 5);
        assert_eq!(cleanup.share(1000, usize::MAX, i64::MAX, 80), 1000, "no more than all once");
        let mut cleanup = Cleanup::new(i64::MIN);
        assert_eq!(cleanup.share(usize::MAX, 7, i64::MAX, i64::MAX), 7);
        let mut cleanup = Cleanup::new(5);
        assert_eq!(cleanup.share(1000, usize::MAX, 4, 80), 0, "the clock went back");
    }
}
