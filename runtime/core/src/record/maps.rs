//! `Record` for maps and sets. Hash maps are written in the order of their encoded keys: the
//! bytes don't depend on the hasher or on the map's history.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::ops::Range;

use super::varint::{first_capacity, pad, read_length, skip_padding, write_length};
use super::{DecodeError, DecodePlan, Record, Schema};

fn map_schema<K: Record, V: Record>() -> Schema {
    Schema::Map { key: Box::new(K::schema()), value: Box::new(V::schema()) }
}

/// Writes the entries ordered by their keys' bytes.
fn encode_sorted<'a, K: Record, V: Record>(
    entries: impl ExactSizeIterator<Item = (&'a K, &'a V)>,
    out: &mut Vec<u8>,
) {
    let length = entries.len();
    let mut keys = Vec::new();
    let mut sorted: Vec<(Range<usize>, &V)> = Vec::with_capacity(length);
    for (key, value) in entries {
        let start = keys.len();
        key.encode(&mut keys);
        sorted.push((start..keys.len(), value));
    }
    sorted.sort_unstable_by(|(a, _), (b, _)| keys[a.clone()].cmp(&keys[b.clone()]));
    write_length(length, out);
    let start = out.len();
    for (key, value) in sorted {
        out.extend_from_slice(&keys[key]);
        value.encode(out);
    }
    pad(start, length, out);
}

/// Reads a number of entries and hands them over one by one.
fn decode_entries<T>(
    length: usize,
    input: &mut &[u8],
    mut entry: impl FnMut(&mut &[u8]) -> Result<T, DecodeError>,
    mut insert: impl FnMut(T),
) -> Result<(), DecodeError> {
    let before = input.len();
    for _ in 0..length {
        insert(entry(input)?);
    }
    skip_padding(before, length, input)
}

fn decode_entry<K: Record, V: Record>(input: &mut &[u8]) -> Result<(K, V), DecodeError> {
    Ok((K::decode(input)?, V::decode(input)?))
}

fn evolved_entry<K: Record, V: Record>(
    (key, value): (&DecodePlan, &DecodePlan),
    input: &mut &[u8],
) -> Result<(K, V), DecodeError> {
    Ok((K::decode_evolved(key, input)?, V::decode_evolved(value, input)?))
}

fn entries_heap_size<'a, K: Record, V: Record>(
    entries: impl Iterator<Item = (&'a K, &'a V)>,
) -> usize {
    if !K::OWNS_HEAP && !V::OWNS_HEAP {
        return 0;
    }
    entries.map(|(key, value)| key.heap_size() + value.heap_size()).sum()
}

/// A B-tree's nodes are two thirds full on average.
fn tree_size(length: usize, entry: usize) -> usize {
    length * entry * 3 / 2
}

/// A hash table's slots, an eighth of them kept free, each with a control byte.
fn table_size(capacity: usize, entry: usize) -> usize {
    (capacity * 8).div_ceil(7) * (entry + 1)
}

impl<K: Record + Ord, V: Record> Record for BTreeMap<K, V> {
    const OWNS_HEAP: bool = true;

    fn schema() -> Schema {
        map_schema::<K, V>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        write_length(self.len(), out);
        let start = out.len();
        for (key, value) in self {
            key.encode(out);
            value.encode(out);
        }
        pad(start, self.len(), out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut map = BTreeMap::new();
        let length = read_length(input)?;
        decode_entries(length, input, decode_entry, |(key, value)| {
            map.insert(key, value);
        })?;
        Ok(map)
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        if plan.is_identity() {
            return Self::decode(input);
        }
        let plans = plan.entry()?;
        let mut map = BTreeMap::new();
        let length = read_length(input)?;
        let entry = |input: &mut &[u8]| evolved_entry(plans, input);
        decode_entries(length, input, entry, |(key, value)| {
            map.insert(key, value);
        })?;
        Ok(map)
    }

    fn heap_size(&self) -> usize {
        tree_size(self.len(), size_of::<K>() + size_of::<V>()) + entries_heap_size(self.iter())
    }
}

impl<K, V, S> Record for HashMap<K, V, S>
where
    K: Record + Eq + Hash,
    V: Record,
    S: BuildHasher + Default + Clone + Send + Sync + 'static,
{
    const OWNS_HEAP: bool = true;

    fn schema() -> Schema {
        map_schema::<K, V>()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_sorted(self.iter(), out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let length = read_length(input)?;
        let capacity = first_capacity::<(K, V)>(length, input);
        let mut map = HashMap::with_capacity_and_hasher(capacity, S::default());
        decode_entries(length, input, decode_entry, |(key, value)| {
            map.insert(key, value);
        })?;
        Ok(map)
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        if plan.is_identity() {
            return Self::decode(input);
        }
        let plans = plan.entry()?;
        let length = read_length(input)?;
        let mut map = HashMap::with_hasher(S::default());
        let entry = |input: &mut &[u8]| evolved_entry(plans, input);
        decode_entries(length, input, entry, |(key, value)| {
            map.insert(key, value);
        })?;
        Ok(map)
    }

    fn heap_size(&self) -> usize {
        table_size(self.capacity(), size_of::<(K, V)>()) + entries_heap_size(self.iter())
    }
}

impl<T: Record + Ord> Record for BTreeSet<T> {
    const OWNS_HEAP: bool = true;

    fn schema() -> Schema {
        Schema::Set(Box::new(T::schema()))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        write_length(self.len(), out);
        let start = out.len();
        self.iter().for_each(|item| item.encode(out));
        pad(start, self.len(), out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let mut set = BTreeSet::new();
        let length = read_length(input)?;
        decode_entries(length, input, T::decode, |item| {
            set.insert(item);
        })?;
        Ok(set)
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        if plan.is_identity() {
            return Self::decode(input);
        }
        let plan = plan.element("set")?;
        let mut set = BTreeSet::new();
        let length = read_length(input)?;
        let entry = |input: &mut &[u8]| T::decode_evolved(plan, input);
        decode_entries(length, input, entry, |item| {
            set.insert(item);
        })?;
        Ok(set)
    }

    fn heap_size(&self) -> usize {
        let unit = &();
        tree_size(self.len(), size_of::<T>())
            + entries_heap_size(self.iter().map(|item| (item, unit)))
    }
}

impl<T, S> Record for HashSet<T, S>
where
    T: Record + Eq + Hash,
    S: BuildHasher + Default + Clone + Send + Sync + 'static,
{
    const OWNS_HEAP: bool = true;

    fn schema() -> Schema {
        Schema::Set(Box::new(T::schema()))
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let unit = &();
        encode_sorted(self.iter().map(|item| (item, unit)), out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
        let length = read_length(input)?;
        let capacity = first_capacity::<T>(length, input);
        let mut set = HashSet::with_capacity_and_hasher(capacity, S::default());
        decode_entries(length, input, T::decode, |item| {
            set.insert(item);
        })?;
        Ok(set)
    }

    fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
        if plan.is_identity() {
            return Self::decode(input);
        }
        let plan = plan.element("set")?;
        let length = read_length(input)?;
        let mut set = HashSet::with_hasher(S::default());
        let entry = |input: &mut &[u8]| T::decode_evolved(plan, input);
        decode_entries(length, input, entry, |item| {
            set.insert(item);
        })?;
        Ok(set)
    }

    fn heap_size(&self) -> usize {
        let unit = &();
        table_size(self.capacity(), size_of::<T>())
            + entries_heap_size(self.iter().map(|item| (item, unit)))
    }
}
