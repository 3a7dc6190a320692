//! How rows arrive: with a bounded delay, spread over the files, and some of them late.

use std::collections::BTreeMap;
use std::io::Write;

use super::START_MS;
use super::dice::Dice;
use crate::OracleError;
use crate::input::Row;

/// Of a thousand rows that may be moved, how many go to the last millisecond that is in time.
const ON_THE_BOUND_PER_MILLE: u64 = 5;
/// How many go to the first millisecond that is late.
const JUST_LATE_PER_MILLE: u64 = 5;
/// How many are later than that.
const LATE_PER_MILLE: u64 = 10;
/// By how much at most, in milliseconds beyond the bound.
const LATE_BY_MS_MAX: u64 = 300_000;

/// One input: takes rows about in order of event time, and writes them in order of arrival.
///
/// A row arrives up to the lateness bound after it happened, so none is late by its delay alone:
/// those that are late were moved back when they were written.
pub(super) struct Arrivals<R, W: Write> {
    seed: u64,
    pushed: u64,
    /// By time of arrival, then by number.
    pending: BTreeMap<(u64, u64), Pending<R>>,
    files: Vec<File<W>>,
}

struct Pending<R> {
    row: R,
    movable: bool,
}

struct File<W: Write> {
    writer: csv::Writer<W>,
    highest_ms: u64,
}

impl<R: Row, W: Write> Arrivals<R, W> {
    /// Begins an input of these files by writing their headers.
    pub(super) fn new(
        seed: u64,
        files: impl IntoIterator<Item = W>,
    ) -> Result<Arrivals<R, W>, OracleError> {
        let mut begun = Vec::new();
        for file in files {
            let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(file);
            writer.write_record(R::HEADER).map_err(OracleError::Write)?;
            begun.push(File { writer, highest_ms: 0 });
        }
        if begun.is_empty() {
            return Err(OracleError::Options("at least one file is needed".to_owned()));
        }
        Ok(Arrivals { seed, pushed: 0, pending: BTreeMap::new(), files: begun })
    }

    /// Takes a row. A movable one may be given an earlier time when it is written.
    pub(super) fn push(&mut self, row: R, movable: bool) {
        let mut dice = Dice::new(self.seed, u64::from_le_bytes(*b"delayed "), self.pushed);
        let delay_ms = match dice.below(10) {
            0 => R::BOUND_MS,
            1..4 => dice.below(R::BOUND_MS),
            _ => 0,
        };
        self.pending
            .insert((row.event_time_ms() + delay_ms, self.pushed), Pending { row, movable });
        self.pushed += 1;
    }

    /// Writes what has arrived before `now_ms`. No row of an earlier time may be pushed after it.
    pub(super) fn release_before(&mut self, now_ms: u64) -> Result<(), OracleError> {
        while let Some(first) = self.pending.first_entry()
            && first.key().0 < now_ms
        {
            let ((_, number), pending) = first.remove_entry();
            self.write(number, pending)?;
        }
        Ok(())
    }

    /// Writes all that is left.
    pub(super) fn finish(mut self) -> Result<(), OracleError> {
        self.release_before(u64::MAX)?;
        for file in &mut self.files {
            file.writer.flush().map_err(|source| OracleError::Write(source.into()))?;
        }
        Ok(())
    }

    fn write(&mut self, number: u64, pending: Pending<R>) -> Result<(), OracleError> {
        let Pending { mut row, movable } = pending;
        let mut dice = Dice::new(self.seed, u64::from_le_bytes(*b"written "), number);
        let place = dice.below(self.files.len() as u64) as usize;
        let file = &mut self.files[place];
        if movable && let Some(earlier_ms) = moved_to(&mut dice, file.highest_ms, R::BOUND_MS) {
            row.set_event_time_ms(earlier_ms);
        }
        file.highest_ms = file.highest_ms.max(row.event_time_ms());
        file.writer.serialize(&row).map_err(OracleError::Write)
    }
}

/// The time to which a row is moved, if it is, given the highest time before it in its file.
fn moved_to(dice: &mut Dice, highest_ms: u64, bound_ms: u64) -> Option<u64> {
    let on_the_bound_ms = highest_ms.checked_sub(bound_ms)?;
    let moved_ms = match dice.below(1_000) {
        0..ON_THE_BOUND_PER_MILLE => on_the_bound_ms,
        draw if draw < ON_THE_BOUND_PER_MILLE + JUST_LATE_PER_MILLE => on_the_bound_ms - 1,
        draw if draw < ON_THE_BOUND_PER_MILLE + JUST_LATE_PER_MILLE + LATE_PER_MILLE => {
            on_the_bound_ms.checked_sub(dice.between(2, LATE_BY_MS_MAX))?
        }
        _ => return None,
    };
    (moved_ms >= START_MS).then_some(moved_ms)
}
