//! One map per key.

use std::marker::PhantomData;
use std::ops::Range;

use thalweg_core::Record;
use thalweg_core::record::Key;

use super::cleanup::{Expired, OnRead};
use super::table::{KeyedTable, PutRow, Stored};
use super::{CurrentKey, KeyedStateAccess, Parts, PartsOf};
use crate::budget::MemoryAccount;
use crate::error::StateError;
use crate::handle::handle;
use crate::restore::StateInRun;
use crate::run::{LastSnapshot, Row, RowOperation, RunError, RunKind, StateDeclaration};
use crate::sorted::Sorted;
use crate::table::{Entry, Found, Table};
use crate::ttl::{Forever, Lifetime, Timed, operation};
use crate::value_mut::ValueMut;

/// Handle of a state that holds a map per key. `L`: whether entries expire, each on its own.
pub struct MapState<MK, MV, L = Forever> {
    index: u32,
    types: PhantomData<fn(MK) -> (MV, L)>,
}

handle!(MapState<MK, MV, L>);

impl<MK: Key, MV: Record, L: Lifetime> MapState<MK, MV, L> {
    /// The value of a map key of the current key's map.
    ///
    /// # Errors
    /// As [`ValueState::get`](super::ValueState::get); the same for the other methods.
    pub fn get<'c>(
        &self,
        context: &'c mut impl KeyedStateAccess,
        map_key: &MK,
    ) -> Result<Option<&'c MV>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        let hash = map_key.key_hash();
        before_entry_is_read(table, current, map_key, hash)?;
        let entry = table.find(current)?.and_then(|map| map.0.find(hash, map_key));
        Ok(entry.map(|entry| &entry.value))
    }

    /// Whether the current key's map has the map key.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn contains(
        &self,
        context: &mut impl KeyedStateAccess,
        map_key: &MK,
    ) -> Result<bool, StateError> {
        Ok(self.get(context, map_key)?.is_some())
    }

    /// Sets the map key's value and returns the one before.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn put(
        &self,
        context: &mut impl KeyedStateAccess,
        map_key: MK,
        value: MV,
    ) -> Result<Option<MV>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        let life = table.life;
        let (map, _, account) = table.entry(current, Mapped::empty)?;
        let entry = Timed { value, expiry: life.written() };
        let before = map.put(&map_key, entry, account);
        Ok(before.filter(|before| !before.is_hidden(&life)).map(|before| before.value))
    }

    /// The map key's value, to be changed in place; made by `make` if there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_or_insert_with<'c>(
        &self,
        context: &'c mut impl KeyedStateAccess,
        map_key: MK,
        make: impl FnOnce() -> MV,
    ) -> Result<ValueMut<'c, MV>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        let life = table.life;
        let (map, _, account) = table.entry(current, Mapped::empty)?;
        let hash = map_key.key_hash();
        if L::EXPIRES && map.0.find(hash, &map_key).is_some_and(|entry| entry.is_hidden(&life)) {
            map.remove(&map_key, account);
        }
        let made = || Timed { value: make(), expiry: life.written() };
        let (entry, found) = map.0.entry::<false>(hash, &map_key, account, made);
        entry.expiry = life.written();
        Ok(ValueMut::new(&mut entry.value, found == Found::Made, account))
    }

    /// Takes the map key and its value out of the current key's map.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn remove(
        &self,
        context: &mut impl KeyedStateAccess,
        map_key: &MK,
    ) -> Result<Option<MV>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        let life = table.life;
        let removed = remove_entry(table, current, map_key)?;
        Ok(removed.filter(|entry| !entry.is_hidden(&life)).map(|entry| entry.value))
    }

    /// The entries of the current key's map, in the order of the map keys' encoding: numbers and
    /// strings ascend. Sorts them: for large maps prefer [`get`](Self::get).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn entries<'c>(
        &self,
        context: &'c mut impl KeyedStateAccess,
    ) -> Result<impl ExactSizeIterator<Item = (&'c MK, &'c MV)>, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        table.before_read(current)?;
        let life = table.life;
        let map = table.find(current)?;
        let entries = map.into_iter().flat_map(move |map| map.visible(life));
        Ok(Sorted::new(entries, |entry, out| entry.key.encode_key(out))
            .into_items()
            .map(|entry| (&entry.key, &entry.value.value)))
    }

    /// The number of entries of the current key's map. With a time to live they are counted one
    /// by one; they don't live on by that.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn len(&self, context: &mut impl KeyedStateAccess) -> Result<usize, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        let life = table.life;
        Ok(table.find(current)?.map_or(0, |map| match life.hides_expired() {
            true => map.visible(life).count(),
            false => map.0.len(),
        }))
    }

    /// Whether the current key's map is empty.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn is_empty(&self, context: &mut impl KeyedStateAccess) -> Result<bool, StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        let life = table.life;
        Ok(table.find(current)?.is_none_or(|map| map.visible(life).next().is_none()))
    }

    /// The current key's map is empty from now on.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn clear(&self, context: &mut impl KeyedStateAccess) -> Result<(), StateError> {
        let Parts { table, current, .. } = self.parts(context)?;
        table.remove(current).map(drop)
    }

    fn parts<'c, C: KeyedStateAccess>(
        &self,
        context: &'c mut C,
    ) -> PartsOf<'c, C::Key, Mapped<MK, MV, L>> {
        context.keyed_state().parts(self.index as usize)
    }
}

/// Maps of fewer entries are written whole when one of them changes: noting which would take as
/// much memory as they do.
const TRACKED_MIN: usize = 16;

/// An entry of the current key's map is about to be read: it lives on, or goes if it has expired.
#[inline]
fn before_entry_is_read<K: Key, MK: Key, MV: Record, L: Lifetime>(
    table: &mut KeyedTable<K, Mapped<MK, MV, L>>,
    current: &CurrentKey<K>,
    map_key: &MK,
    hash: u64,
) -> Result<(), StateError> {
    if !L::EXPIRES {
        return Ok(());
    }
    let life = table.life;
    let entry = table.find(current)?.and_then(|map| map.0.find(hash, map_key));
    let Some(entry) = entry else { return Ok(()) };
    if entry.is_hidden(&life) {
        return remove_entry(table, current, map_key).map(drop);
    }
    if life.read(&entry.expiry)
        && let Some((map, _)) = table.find_mut(current)?
        && let Some((entry, _)) = map.0.find_mut::<false>(hash, map_key)
    {
        entry.expiry = life.written();
    }
    Ok(())
}

/// Takes an entry out of the current key's map, and with the last one the map.
fn remove_entry<K: Key, MK: Key, MV: Record, L: Lifetime>(
    table: &mut KeyedTable<K, Mapped<MK, MV, L>>,
    current: &CurrentKey<K>,
    map_key: &MK,
) -> Result<Option<Timed<MV, L>>, StateError> {
    let Some((map, account)) = table.find_mut(current)? else { return Ok(None) };
    let removed = map.remove(map_key, account);
    if map.0.len() == 0 {
        table.remove(current)?;
    }
    Ok(removed)
}

/// A map as it's stored: a row per entry, whose sub-key is the encoded map key.
pub(super) struct Mapped<MK, MV, L: Lifetime>(Table<MK, Timed<MV, L>>);

impl<MK: Key, MV: Record, L: Lifetime> Mapped<MK, MV, L> {
    fn empty() -> Self {
        Mapped(Table::default())
    }

    /// The entries that are to be seen.
    fn visible(&self, life: L) -> impl Iterator<Item = &Entry<MK, Timed<MV, L>>> {
        self.0.iter().filter(move |entry| !entry.value.is_hidden(&life))
    }

    fn put(
        &mut self,
        key: &MK,
        entry: Timed<MV, L>,
        account: &mut MemoryAccount,
    ) -> Option<Timed<MV, L>> {
        let (hash, heap) = (key.key_hash(), entry.value.heap_size());
        if let Some((there, _)) = self.0.find_mut::<false>(hash, key) {
            let before = std::mem::replace(there, entry);
            account.change(before.value.heap_size(), heap);
            return Some(before);
        }
        self.0.entry::<false>(hash, key, account, || entry);
        account.change(0, heap);
        None
    }

    fn remove(&mut self, key: &MK, account: &mut MemoryAccount) -> Option<Timed<MV, L>> {
        let entry = self.0.remove(key.key_hash(), key, account)?;
        account.change(entry.value.heap_size(), 0);
        Some(entry)
    }
}

impl<MK: Key, MV: Record, L: Lifetime> Stored for Mapped<MK, MV, L> {
    const TRACKED: bool = true;
    const REMOVED: RowOperation<'static> = RowOperation::DeleteRange;
    type Mark = ();
    type Life = L;

    fn declare(declaration: &mut StateDeclaration) {
        declaration.map_key = Some(MK::schema());
        declaration.value = Some(MV::schema());
    }

    fn owned_bytes(&self) -> usize {
        let entries = if MK::OWNS_HEAP || MV::OWNS_HEAP {
            self.0.iter().map(|entry| entry.key.heap_size() + entry.value.value.heap_size()).sum()
        } else {
            0
        };
        self.0.allocation() + entries
    }

    fn write(&self, life: &L, scratch: &mut Vec<u8>, put: &mut PutRow<'_>) -> Result<(), RunError> {
        self.0.in_order(None, |sub_key, place| {
            let Some((_, entry)) = place else { return Ok(()) };
            scratch.clear();
            entry.value.value.encode(scratch);
            put(sub_key, operation(life, scratch, &entry.value.expiry))
        })
    }

    fn write_changes(
        &self,
        life: &L,
        scratch: &mut Vec<u8>,
        put: &mut PutRow<'_>,
    ) -> Result<(), RunError> {
        let changes = self.0.changes_for(RunKind::Delta);
        if changes.is_none() {
            put(&[], RowOperation::DeleteRange)?;
            return self.write(life, scratch, put);
        }
        self.0.in_order(changes, |sub_key, place| {
            let Some((_, entry)) = place else { return put(sub_key, RowOperation::Delete) };
            scratch.clear();
            entry.value.value.encode(scratch);
            put(sub_key, operation(life, scratch, &entry.value.expiry))
        })
    }

    fn begin_changes(&mut self, account: &mut MemoryAccount) {
        if self.0.len() >= TRACKED_MIN {
            self.0.track(account);
        }
    }

    fn taken(&mut self, (): (), account: &mut MemoryAccount) {
        if self.0.len() >= TRACKED_MIN || self.0.changes().is_some() {
            self.0.taken(account);
        }
    }

    fn published(&mut self, unchanged: bool, account: &mut MemoryAccount) {
        self.0.settle(LastSnapshot::Published, account);
        if unchanged {
            self.0.stop_tracking(account);
        }
    }

    fn read(state: &StateInRun<'_>, row: &Row<'_>, expiry: &L::Expiry) -> Result<Self, StateError> {
        let key: MK = state.key(row, "map key", row.key.sub_key)?;
        let entry = Timed { value: state.value(row)?, expiry: expiry.clone() };
        let mut map = Table::default();
        // The caller charges for all of the map.
        map.entry::<false>(key.key_hash(), &key, &mut MemoryAccount::uncharged(), || entry);
        Ok(Mapped(map))
    }

    fn read_more(
        &mut self,
        state: &StateInRun<'_>,
        row: &Row<'_>,
        expiry: &L::Expiry,
        account: &mut MemoryAccount,
    ) -> Result<(), StateError> {
        let key: MK = state.key(row, "map key", row.key.sub_key)?;
        let entry = Timed { value: state.value(row)?, expiry: expiry.clone() };
        match self.put(&key, entry, account) {
            None => Ok(()),
            Some(_) => Err(state.bad_row(row, "its map key occurs twice")),
        }
    }

    fn on_read(&self, life: &L) -> OnRead {
        let mut entries = self.0.iter().map(|entry| &entry.value.expiry);
        match life.updates_on_read() && entries.any(|expiry| life.read(expiry)) {
            true => OnRead::LivesOn,
            false => OnRead::Nothing,
        }
    }

    fn live_on(&mut self, life: &L) {
        for place in 0..self.0.buckets() {
            let Some(entry) = self.0.bucket(place) else { continue };
            // Those that count as changed are marked by being looked for.
            if life.read(&entry.value.expiry) {
                let key = entry.key.clone();
                if let Some((entry, _)) = self.0.find_mut::<false>(key.key_hash(), &key) {
                    entry.expiry = life.written();
                }
            }
        }
    }

    fn expired(&self, life: &L, from: usize, entries: &mut usize) -> Expired {
        let to = self.0.buckets().min(from.saturating_add(*entries).max(from + 1));
        *entries = entries.saturating_sub(to.saturating_sub(from));
        let mut places = (from..to).filter_map(|place| self.0.bucket(place));
        let any = places.any(|entry| life.is_expired(&entry.value.expiry));
        let next = (to < self.0.buckets()).then_some(to);
        Expired::Some { among: any.then_some(from..to), next }
    }

    fn drop_expired(
        &mut self,
        life: &L,
        places: Range<usize>,
        account: &mut MemoryAccount,
    ) -> bool {
        for place in places {
            if let Some(entry) = self.0.bucket(place)
                && life.is_expired(&entry.value.expiry)
            {
                let key = entry.key.clone();
                self.remove(&key, account);
            }
        }
        self.0.len() == 0
    }
}
