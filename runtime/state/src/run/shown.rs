//! A row as tools show it: its parts by name, decoded by the schemas that the run holds. Not
//! here: which rows, and the text's format and bounds, which are the caller's.

use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use thalweg_core::record::{Schema, StoredKey, StoredValue};

use super::description::{StateDeclaration, StateKind};
use super::row::Row;

/// A row of a state. Serialising fails, after a part may have been written, if a part of the row
/// isn't what the declaration says.
#[derive(Debug, Clone, Copy)]
pub struct ShownRow<'a> {
    /// The state, as the run that holds the row declares it.
    pub state: &'a StateDeclaration,
    /// The row.
    pub row: &'a Row<'a>,
}

impl Serialize for ShownRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ShownRow { state, row } = self;
        let key = &row.key;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("key_group", &key.key_group)?;
        let mut key_bytes = key.key;
        let time = match state.kind {
            StateKind::EventTimeTimers | StateKind::ProcessingTimeTimers => Some("time"),
            StateKind::Slice if state.namespace.is_none() => Some("slice_end"),
            _ => None,
        };
        if let Some(name) = time {
            let (time, rest) = number(key_bytes)?;
            map.serialize_entry(name, &((time ^ (1 << 63)) as i64))?;
            key_bytes = rest;
        }
        entry(&mut map, "key", state.key.as_ref(), key_bytes)?;
        entry(&mut map, "namespace", state.namespace.as_ref(), key.namespace)?;
        match state.kind {
            StateKind::Map | StateKind::Broadcast => {
                entry(&mut map, "map_key", state.map_key.as_ref(), key.sub_key)?;
            }
            StateKind::List => {
                let chunk: [u8; 4] = key.sub_key.try_into().map_err(|_| wrong_length::<S>())?;
                map.serialize_entry("chunk", &u32::from_be_bytes(chunk))?;
            }
            StateKind::OperatorList | StateKind::OperatorUnionList => {
                let (element, rest) = number(key.sub_key)?;
                if !rest.is_empty() {
                    return Err(wrong_length::<S>());
                }
                map.serialize_entry("element", &element)?;
            }
            StateKind::Value
            | StateKind::Reducing
            | StateKind::Aggregating
            | StateKind::Slice
            | StateKind::EventTimeTimers
            | StateKind::ProcessingTimeTimers => {
                if !key.sub_key.is_empty() {
                    return Err(wrong_length::<S>());
                }
            }
        }
        match &state.value {
            Some(schema) => {
                map.serialize_entry("value", &StoredValue { schema, bytes: row.value })?;
            }
            None if row.value.is_empty() => {}
            None => return Err(S::Error::custom("a value where the state has none")),
        }
        if let Some(expiry) = row.expiry {
            map.serialize_entry("expiry", &expiry)?;
        }
        map.end()
    }
}

fn entry<M: SerializeMap>(
    map: &mut M,
    name: &str,
    schema: Option<&Schema>,
    bytes: &[u8],
) -> Result<(), M::Error> {
    match schema {
        Some(schema) => map.serialize_entry(name, &StoredKey { schema, bytes }),
        None if bytes.is_empty() => Ok(()),
        None => Err(M::Error::custom(format_args!("a {name} where the state has none"))),
    }
}

/// Eight bytes, big endian.
fn number<E: serde::ser::Error>(bytes: &[u8]) -> Result<(u64, &[u8]), E> {
    let split = bytes.split_first_chunk();
    let (number, rest) = split.ok_or_else(|| E::custom("a time or number is cut off"))?;
    Ok((u64::from_be_bytes(*number), rest))
}

fn wrong_length<S: Serializer>() -> S::Error {
    S::Error::custom("its sub-key has another length than this kind of state's")
}
