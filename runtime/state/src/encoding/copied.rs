//! What was copied for a snapshot under way before it changed: of the table whose turn it is, and
//! of those whose turn comes, all within what the buffers may hold. Not here: which rows are
//! copied, and what they look like, which their state knows.

use std::collections::BTreeMap;

use super::chunk::Copies;
use super::rows::TableRows;
use crate::budget::MemoryAccount;
use crate::run::RunError;

/// The copies of a state with a table for each key group and each `I` in it.
pub(crate) struct CopiedTables<I> {
    /// Of tables whose turn hasn't come, by the places of key groups in the state's range.
    waiting: Vec<BTreeMap<I, Copies>>,
    /// Bytes of `waiting`.
    waiting_bytes: usize,
    /// Bytes of entries that tables have copied themselves.
    elsewhere: usize,
    /// The table whose turn it is.
    turn: Option<(usize, I, TableRows)>,
    /// What copies and collected keys take.
    buffers: MemoryAccount,
    /// Why the snapshot can't go on: more was copied than the buffers may hold, or a row can't be
    /// written.
    failed: Option<RunError>,
}

impl<I: Ord> CopiedTables<I> {
    /// None yet, of so many key groups.
    pub(crate) fn new(key_groups: usize, buffers: MemoryAccount) -> Self {
        let waiting = (0..key_groups).map(|_| BTreeMap::new()).collect();
        Self { waiting, waiting_bytes: 0, elsewhere: 0, turn: None, buffers, failed: None }
    }

    /// Whether nothing more needs to be copied.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// The snapshot can't go on. The first reason counts.
    pub(crate) fn fail(&mut self, error: RunError) {
        self.failed.get_or_insert(error);
    }

    /// Why it can't go on, if it can't.
    pub(crate) fn take_failure(&mut self) -> Option<RunError> {
        self.failed.take()
    }

    /// Keeps the rows of a key for the turn of their table.
    pub(crate) fn copy(
        &mut self,
        group: usize,
        table: I,
        key: impl FnOnce(&mut Vec<u8>),
        rows: impl FnOnce(&mut Vec<u8>),
    ) {
        match &mut self.turn {
            Some((group_now, now, turn)) if *group_now == group && *now == table => {
                let (mut encoded, mut copied) = (Vec::new(), Vec::new());
                key(&mut encoded);
                rows(&mut copied);
                turn.copy(encoded, copied);
            }
            _ => {
                let Some(of_group) = self.waiting.get_mut(group) else { return };
                let chunk = of_group.entry(table).or_default().last();
                let before = chunk.size();
                if !chunk.push(0, key, rows) {
                    return self.fail(RunError::too_large());
                }
                self.waiting_bytes += chunk.size() - before;
            }
        }
        self.measure();
    }

    /// So many bytes of entries were copied elsewhere, or are no longer needed.
    pub(crate) fn copied_elsewhere(&mut self, before: usize, after: usize) {
        self.elsewhere = (self.elsewhere + after).saturating_sub(before);
        self.measure();
    }

    /// Whether it's the turn of this key group's table.
    pub(crate) fn is_turn_of(&self, group: usize) -> bool {
        self.turn.as_ref().is_some_and(|(now, ..)| *now == group)
    }

    /// Whether it's a table's turn.
    pub(crate) fn is_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// This table's turn begins.
    pub(crate) fn begin_turn(&mut self, group: usize, table: I) {
        let of_group = self.waiting.get_mut(group);
        let copies = of_group.and_then(|tables| tables.remove(&table)).unwrap_or_default();
        self.waiting_bytes -= copies.size();
        self.turn = Some((group, table, TableRows::new(copies)));
    }

    /// The rows of the table whose turn it is.
    pub(crate) fn turn(&mut self) -> Option<&mut TableRows> {
        self.turn.as_mut().map(|(.., rows)| rows)
    }

    /// The table has gone on with its rows; `complete`: to their end.
    pub(crate) fn went_on(&mut self, complete: bool) {
        if complete {
            self.turn = None;
        }
        self.measure();
        self.buffers.give_back_unused();
    }

    /// Notes what the buffers hold.
    fn measure(&mut self) {
        let before = self.buffers.used();
        let turn = self.turn.as_ref().map_or(0, |(.., rows)| rows.size());
        self.buffers.change(before, self.waiting_bytes + self.elsewhere + turn);
        if let Err(overdrawn) = self.buffers.check() {
            self.fail(overdrawn.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::MemoryBudget;

    fn copies(budget: &MemoryBudget) -> CopiedTables<i64> {
        CopiedTables::new(2, MemoryAccount::new(budget.clone()))
    }

    fn copy(copies: &mut CopiedTables<i64>, group: usize, table: i64, bytes: usize) {
        copies.copy(group, table, |out| out.push(1), |out| out.resize(out.len() + bytes, 7));
    }

    #[test]
    fn copies_are_held_until_the_turn_of_their_table_has_ended() {
        let budget = MemoryBudget::new(10 << 20);
        let mut copies = copies(&budget);
        copy(&mut copies, 0, 5, 1 << 20);
        copy(&mut copies, 1, 5, 2 << 20);
        assert!(budget.drawn() >= 3 << 20);
        copies.begin_turn(0, 5);
        copy(&mut copies, 0, 5, 1 << 20);
        copy(&mut copies, 0, 6, 1 << 20);
        copies.went_on(false);
        assert!(copies.is_turn() && budget.drawn() >= 5 << 20);
        copies.went_on(true);
        assert!(!copies.is_turn() && copies.turn().is_none());
        let drawn = budget.drawn();
        assert!((3 << 20..4 << 20).contains(&drawn), "{drawn}");
        assert!(!copies.has_failed());
    }

    #[test]
    fn more_copies_than_the_buffers_may_hold_are_a_failure_and_the_first_one_counts() {
        let budget = MemoryBudget::new(1 << 20);
        let mut copies = copies(&budget);
        copy(&mut copies, 0, 5, 2 << 20);
        assert!(copies.has_failed());
        copies.fail(RunError::too_large());
        let failure = copies.take_failure().unwrap().to_string();
        assert_ne!(failure, RunError::too_large().to_string());
        assert!(!copies.has_failed());
    }
}
