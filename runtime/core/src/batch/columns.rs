//! What every row has beside its value.

use serde::{Deserialize, Serialize};

/// What a row does to the table that the stream stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum RowKind {
    /// A new row.
    Insert = 0,
    /// The old content of a row that changes.
    UpdateBefore = 1,
    /// The new content of a row that changed.
    UpdateAfter = 2,
    /// A row that goes.
    Delete = 3,
}

impl RowKind {
    /// The kind with this number on the wire.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Insert, Self::UpdateBefore, Self::UpdateAfter, Self::Delete]
            .get(usize::from(byte))
            .copied()
    }
}

/// The columns beside the values; each, where present, has an entry per row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Event time in ms since 1970.
    pub timestamps: Option<Vec<i64>>,
    /// Kinds of change; none: all are inserts.
    pub kinds: Option<Vec<RowKind>>,
    /// Hash of the row's key, computed by the exchange that routed it.
    pub hashes: Option<Vec<u64>>,
}

/// The timestamp of a row in a batch where only other rows have one.
const NO_TIMESTAMP: i64 = i64::MIN;

impl Columns {
    /// Columns with timestamps only.
    pub fn timestamped(timestamps: Vec<i64>) -> Self {
        Self { timestamps: Some(timestamps), ..Self::default() }
    }

    /// Whether every column that is there has `rows` entries.
    pub fn fits(&self, rows: usize) -> bool {
        self.timestamps.as_ref().is_none_or(|c| c.len() == rows)
            && self.kinds.as_ref().is_none_or(|c| c.len() == rows)
            && self.hashes.as_ref().is_none_or(|c| c.len() == rows)
    }

    /// Forgets all columns.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Keeps the rows for which `keep` is true, one entry per row.
    pub fn retain(&mut self, keep: &[bool]) {
        fn retain_column<C: Copy>(column: &mut Option<Vec<C>>, keep: &[bool]) {
            if let Some(column) = column {
                // No branch depends on a flag, which may be impossible to foresee.
                let mut kept = 0;
                for (at, keep) in keep.iter().enumerate().take(column.len()) {
                    column[kept] = column[at];
                    kept += usize::from(*keep);
                }
                column.truncate(kept);
            }
        }
        retain_column(&mut self.timestamps, keep);
        retain_column(&mut self.kinds, keep);
        retain_column(&mut self.hashes, keep);
    }

    pub(super) fn bytes_per_row(&self) -> usize {
        8 * usize::from(self.timestamps.is_some())
            + usize::from(self.kinds.is_some())
            + 8 * usize::from(self.hashes.is_some())
    }

    pub(super) fn drop_front(&mut self, rows: usize) {
        fn drop_from<C>(column: &mut Option<Vec<C>>, rows: usize) {
            if let Some(column) = column {
                column.drain(..rows.min(column.len()));
            }
        }
        drop_from(&mut self.timestamps, rows);
        drop_from(&mut self.kinds, rows);
        drop_from(&mut self.hashes, rows);
    }

    /// Adds the columns of `theirs` more rows. A hash that only one side has is dropped, since it
    /// can be computed again; a kind that is missing is an insert.
    pub(super) fn append(&mut self, mine: usize, other: Columns, theirs: usize) {
        fn join<C: Clone>(
            left: Option<Vec<C>>,
            mine: usize,
            right: Option<Vec<C>>,
            theirs: usize,
            missing: C,
        ) -> Option<Vec<C>> {
            if left.is_none() && right.is_none() {
                return None;
            }
            let mut all = left.unwrap_or_else(|| vec![missing.clone(); mine]);
            match right {
                Some(right) => all.extend(right),
                None => all.resize(mine + theirs, missing),
            }
            Some(all)
        }
        let left = std::mem::take(self);
        self.timestamps = join(left.timestamps, mine, other.timestamps, theirs, NO_TIMESTAMP);
        self.kinds = join(left.kinds, mine, other.kinds, theirs, RowKind::Insert);
        self.hashes = match (left.hashes, other.hashes) {
            (Some(mut hashes), Some(more)) => {
                hashes.extend(more);
                Some(hashes)
            }
            _ => None,
        };
    }
}
