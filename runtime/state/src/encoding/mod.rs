//! Snapshots in slices: at the barrier a state only marks which rows belong to the snapshot
//! (`Frozen` in `frozen`); they are written afterwards, between batches, a bounded number at a
//! time. A row that is about to change is copied first, so that the run holds the state as it was
//! at the barrier.
//!
//! Rows of a run are sorted. A table's turn comes key group by key group: the keys that wait in it
//! are collected and sorted in pieces of bounded size (`chunk`), which are merged with one another
//! (`merge`), with the copies (`copied`), and with the tombstones (`rows`). Not here: what a row
//! looks like, which its state knows, and when a slice is due, which the task decides.

mod chunk;
mod copied;
mod frozen;
mod merge;
mod rows;

pub(crate) use self::chunk::{Copies, push_row, read_rows};
pub(crate) use self::copied::CopiedTables;
pub(crate) use self::frozen::{Frozen, next_after};
pub(crate) use self::merge::Merge;
pub(crate) use self::rows::Turn;

/// What one slice may still do. Counted and not timed, so that the same history always gives the
/// same slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodingBudget {
    rows: usize,
    bytes: usize,
}

impl EncodingBudget {
    /// Rows to collect, sort or write, and bytes to write. A slice ends with the row that reaches
    /// either; a value, a list or a map of one key isn't divided.
    pub fn new(rows: usize, bytes: usize) -> EncodingBudget {
        EncodingBudget { rows, bytes }
    }

    /// Everything at once.
    pub fn unlimited() -> EncodingBudget {
        EncodingBudget { rows: usize::MAX, bytes: usize::MAX }
    }

    /// Whether the slice has to end.
    #[inline]
    pub fn is_spent(&self) -> bool {
        self.rows == 0 || self.bytes == 0
    }

    #[inline]
    pub(crate) fn spend(&mut self, rows: usize, bytes: usize) {
        self.rows = self.rows.saturating_sub(rows);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
