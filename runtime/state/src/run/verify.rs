//! Looks at every byte of a run: what a restore would refuse, and what it would only notice when
//! it reaches it. Blocks are read one by one. Not here: where the run is, and whether its bytes
//! are those that a manifest says.

use std::io;

use serde::Serialize;
use thalweg_core::key_group::{KeyGroupRange, key_group};
use thalweg_core::record::encoded_key_hash;

use super::description::{StateDeclaration, StateKind};
use super::error::RunError;
use super::reader::{BlockInfo, RunReader};
use super::row::{Row, RowKey};
use super::shown::ShownRow;

/// Bytes of a timer's or slice's time in front of its key.
const TIME_LENGTH: usize = 8;

/// Verifies all blocks: checksums, the order of rows within and between blocks, key groups,
/// and that each part of a row is of the type that the run says. `key_groups` are those that the
/// subtask owned. `report` gets the first problem of each damaged block. Gives the number of
/// sound rows.
pub fn verify(
    run: &RunReader,
    key_groups: Option<KeyGroupRange>,
    mut report: impl FnMut(&BlockInfo, RunError),
) -> u64 {
    let mut sound = 0;
    // The last full key, and whose it is.
    let mut last: Option<(usize, Vec<u8>)> = None;
    for block in run.blocks() {
        let previous = last.take().filter(|(state, _)| *state == block.state);
        let previous = previous.map(|(_, key)| key);
        match verify_block(run, &block, key_groups, previous) {
            Ok(key) => {
                sound += block.rows;
                last = Some((block.state, key));
            }
            Err(error) => report(&block, error),
        }
    }
    sound
}

/// The block's last full key.
fn verify_block(
    run: &RunReader,
    block: &BlockInfo,
    key_groups: Option<KeyGroupRange>,
    previous: Option<Vec<u8>>,
) -> Result<Vec<u8>, RunError> {
    let corrupt = |reason: String| RunError::corrupt(run.block_place(block), reason);
    let max_parallelism = run.description().origin.max_parallelism;
    let Some(state) = run.state(block.state) else {
        return Err(corrupt("its state isn't in the description".to_owned()));
    };
    let mut rows = run.block_rows(block);
    let mut full_key = Vec::new();
    let mut previous = previous;
    while rows.advance()? {
        let Some((key, operation)) = rows.current() else { break };
        key.write_full(&mut full_key);
        // Within a block the reader has compared them.
        if previous.take().is_some_and(|previous| previous >= full_key) {
            return Err(corrupt("it doesn't come after the block before it".to_owned()));
        }
        check_owned(state, &key, key_groups).map_err(corrupt)?;
        // Of a tombstone only the full key counts, which may be the beginning of others.
        if !operation.is_tombstone() {
            let row = Row { key, value: operation.value(), expiry: operation.expiry() };
            check_row(state, &row, max_parallelism).map_err(corrupt)?;
        }
    }
    Ok(full_key)
}

fn check_owned(
    state: &StateDeclaration,
    key: &RowKey<'_>,
    key_groups: Option<KeyGroupRange>,
) -> Result<(), String> {
    let group = u32::from(key.key_group);
    match state.kind.is_keyed() && key_groups.is_some_and(|owned| !owned.contains(group)) {
        true => Err(format!("key group {group} isn't one of those that the subtask owned")),
        false => Ok(()),
    }
}

fn check_row(state: &StateDeclaration, row: &Row<'_>, max_parallelism: u32) -> Result<(), String> {
    let group = u32::from(row.key.key_group);
    let computed = key_group_of(state, &row.key, max_parallelism);
    if group != computed {
        return Err(format!("a key of key group {computed} is in key group {group}"));
    }
    let mut nowhere = serde_json::Serializer::new(io::sink());
    let shown = ShownRow { state, row }.serialize(&mut nowhere);
    shown.map_err(|error| format!("a row of key group {group} can't be decoded: {error}"))
}

fn key_group_of(state: &StateDeclaration, key: &RowKey<'_>, max_parallelism: u32) -> u32 {
    let has_time = match state.kind {
        StateKind::EventTimeTimers | StateKind::ProcessingTimeTimers => true,
        StateKind::Slice => state.namespace.is_none(),
        _ => false,
    };
    let key = match has_time {
        true => key.key.get(TIME_LENGTH..).unwrap_or_default(),
        false => key.key,
    };
    match state.kind.is_keyed() {
        true => key_group(encoded_key_hash(key), max_parallelism),
        false => 0,
    }
}
