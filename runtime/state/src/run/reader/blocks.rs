//! A run block by block, for those that look at all of it: what the index says of each, and its
//! rows alone, so that a damaged block doesn't hide the next one. Not here: restoring, which goes
//! by state and key group.

use thalweg_core::key_group::{KeyGroupRange, MAX_MAX_PARALLELISM};

use super::{RowCursor, RunReader};
use crate::run::error::Place;

/// What the index says of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockInfo {
    /// Its number in the run, from 0.
    pub number: usize,
    /// The number of its rows' state in the description.
    pub state: usize,
    /// Its length in the run, in bytes.
    pub length: u32,
    /// How many rows it holds.
    pub rows: u64,
    /// The key group of its first row.
    pub first_key_group: u16,
    /// The key group of its last row.
    pub last_key_group: u16,
}

impl RunReader {
    /// The blocks in their order: by state, then by key.
    pub fn blocks(&self) -> impl Iterator<Item = BlockInfo> {
        self.index.iter().enumerate().map(|(number, entry)| BlockInfo {
            number,
            state: entry.state,
            length: entry.length,
            rows: entry.rows,
            first_key_group: entry.first_key_group(),
            last_key_group: entry.last_key_group,
        })
    }

    /// The rows of one of the blocks.
    pub fn block_rows(&self, block: &BlockInfo) -> RowCursor<'_> {
        let all = KeyGroupRange::all(MAX_MAX_PARALLELISM);
        let mut cursor = self.rows(block.state, all);
        let within = cursor.next_block..cursor.end_block;
        if within.contains(&block.number) {
            (cursor.next_block, cursor.end_block) = (block.number, block.number + 1);
        } else {
            cursor.next_block = cursor.end_block;
        }
        cursor
    }

    /// The block's place, as errors name it.
    pub fn block_place(&self, block: &BlockInfo) -> Place {
        let state = self.state(block.state);
        Place::Block {
            number: block.number,
            state: state.map_or_else(String::new, |state| state.name.clone()),
            first_key_group: block.first_key_group,
            last_key_group: block.last_key_group,
        }
    }
}
