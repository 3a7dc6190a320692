//! Reads one state from a base run and the delta runs after it as if it were one run: the newest
//! row of a key counts, tombstones hide older ones. Not here: which runs belong together, and
//! whether a row that counts has expired: one that has still hides older ones.

use thalweg_core::key_group::KeyGroupRange;

use super::error::RunError;
use super::reader::{RowCursor, RunReader};
use super::row::{Row, RowOperation};

/// Walks over the rows of a state that count. Rows are only valid until the next one is asked
/// for.
pub struct MergedRows<'r> {
    /// The runs from the oldest to the newest.
    layers: Vec<Layer<'r>>,
    /// The layer whose row was handed out last; it's moved on when the next row is asked for.
    handed_out: Option<usize>,
    /// The newest row or tombstone that was met, if any: it hides older rows of its key.
    newest: Vec<u8>,
    met_any: bool,
    started: bool,
}

struct Layer<'r> {
    cursor: RowCursor<'r>,
    /// The widest range tombstone of this run that was met last: rows of older runs that begin
    /// with it are hidden.
    range: Option<Vec<u8>>,
}

impl Layer<'_> {
    fn row(&self) -> Option<Row<'_>> {
        let (key, operation) = self.cursor.current()?;
        Some(Row { key, value: operation.value(), expiry: operation.expiry() })
    }

    fn hides(&self, full_key: &[u8]) -> bool {
        self.range.as_ref().is_some_and(|range| full_key.starts_with(range))
    }

    fn begin_range(&mut self) {
        let Some(full_key) = self.cursor.full_key() else { return };
        if !self.range.as_ref().is_some_and(|range| full_key.starts_with(range)) {
            self.range = Some(full_key.to_vec());
        }
    }
}

impl<'r> MergedRows<'r> {
    /// The rows of these key groups. The runs come from the oldest, a base, to the newest; with
    /// each the number of the state in it.
    pub fn new(
        runs: impl IntoIterator<Item = (&'r RunReader, usize)>,
        key_groups: KeyGroupRange,
    ) -> MergedRows<'r> {
        let layer = |(run, state): (&'r RunReader, usize)| Layer {
            cursor: run.rows(state, key_groups),
            range: None,
        };
        MergedRows {
            layers: runs.into_iter().map(layer).collect(),
            handed_out: None,
            newest: Vec::new(),
            met_any: false,
            started: false,
        }
    }

    /// The next row that counts, and the place of its run in the order given.
    ///
    /// # Errors
    /// As [`RowCursor::advance`], with the place of the run that can't be read.
    pub fn next_row(&mut self) -> Result<Option<(usize, Row<'_>)>, (usize, RunError)> {
        if !self.started {
            self.started = true;
            (0..self.layers.len()).try_for_each(|at| self.advance(at))?;
        }
        if let Some(at) = self.handed_out.take() {
            self.advance(at)?;
        }
        let at = loop {
            let Some(at) = self.lowest() else { return Ok(None) };
            match self.counts(at) {
                true => break at,
                false => self.advance(at)?,
            }
        };
        self.handed_out = Some(at);
        Ok(self.layers[at].row().map(|row| (at, row)))
    }

    fn advance(&mut self, at: usize) -> Result<(), (usize, RunError)> {
        self.layers[at].cursor.advance().map(drop).map_err(|error| (at, error))
    }

    /// The layer with the lowest full key; the newest of those that have the same.
    fn lowest(&self) -> Option<usize> {
        let mut lowest: Option<(usize, &[u8])> = None;
        for (at, layer) in self.layers.iter().enumerate().rev() {
            if let Some(key) = layer.cursor.full_key()
                && lowest.is_none_or(|(_, other)| key < other)
            {
                lowest = Some((at, key));
            }
        }
        lowest.map(|(at, _)| at)
    }

    /// Whether the layer's row is a value that nothing newer hides. Notes what it hides itself.
    fn counts(&mut self, at: usize) -> bool {
        let (older, newer) = self.layers.split_at_mut(at + 1);
        let alone = newer.is_empty() && older.len() == 1;
        let Some(layer) = older.last_mut() else { return false };
        let Some((_, operation)) = layer.cursor.current() else { return false };
        if operation == RowOperation::DeleteRange {
            layer.begin_range();
            return false;
        }
        let value = operation != RowOperation::Delete;
        if alone {
            return value;
        }
        let Some(full_key) = layer.cursor.full_key() else { return false };
        let repeated = self.met_any && self.newest == full_key;
        if repeated || newer.iter().any(|newer| newer.hides(full_key)) {
            return false;
        }
        self.newest.clear();
        self.newest.extend_from_slice(full_key);
        self.met_any = true;
        value
    }
}
