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

/// Where the search for expired entries is: key group, place in its table, row of that entry.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CleanupCursor {
    group: usize,
    place: usize,
    row: usize,
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
            entries -= 1;
            let CleanupCursor { group, place, row } = self.cleanup;
            let table = self.tables.get(group).filter(|table| place < table.buckets());
            let Some(table) = table else {
                let group = if group + 1 < self.tables.len() { group + 1 } else { 0 };
                self.cleanup = CleanupCursor { group, place: 0, row: 0 };
                groups -= 1;
                continue;
            };
            self.cleanup = CleanupCursor { group, place: place + 1, row: 0 };
            let Some(entry) = table.bucket(place) else { continue };
            let expired = entry.value.expired(&life, row, &mut entries);
            if expired == Expired::NONE {
                continue;
            }
            let (key, hash) = (entry.key.clone(), entry.key.key_hash());
            let current = CurrentKey { key, hash, group };
            match expired {
                Expired::All => drop(self.remove(&current)?),
                Expired::Some { among, next } => {
                    if let Some(next) = next {
                        self.cleanup = CleanupCursor { group, place, row: next };
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
