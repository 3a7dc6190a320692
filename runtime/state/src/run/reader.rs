//! Reads a run: its description at once, its rows by state and key group, each block verified
//! when it's read. Nothing that a damaged or hostile run claims is believed: reading it ends in
//! an error, not in a panic, and allocates no more than some multiple of the run's own size.

mod blocks;

use std::sync::Arc;

use thalweg_core::key_group::{KeyGroupRange, MAX_MAX_PARALLELISM};

pub use self::blocks::BlockInfo;
use super::block;
use super::description::{RunDescription, RunKind, StateDeclaration, StateKind};
use super::error::{Place, RunError};
use super::footer::{FOOTER_LENGTH, Footer, HEADER_LENGTH, Section, check_header};
use super::index::{self, IndexEntry};
use super::read_at::ReadAt;
use super::row::{self, Lengths, Row, RowError, RowKey, RowOperation};

/// An opened run.
pub struct RunReader {
    source: Arc<dyn ReadAt>,
    /// Where it is, for messages.
    name: String,
    description: RunDescription,
    index: Vec<IndexEntry>,
    rows: u64,
}

impl RunReader {
    /// Reads header, footer, description and index of the run.
    ///
    /// # Errors
    /// The source fails, or these parts aren't those of a run that this build reads.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<RunReader, RunError> {
        RunReader::open_named(source, String::new())
    }

    /// As [`open`](Self::open); `name` is the object that the run is in, for messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_named(source: Arc<dyn ReadAt>, name: String) -> Result<RunReader, RunError> {
        let size = source.size();
        if size < (HEADER_LENGTH + FOOTER_LENGTH) as u64 {
            let reason = "is missing, the bytes are too few";
            return Err(RunError::NotARun { place: Place::Footer, reason });
        }
        let mut header = [0; HEADER_LENGTH];
        fill(&*source, Place::Header, 0, &mut header)?;
        let kind = check_header(&header)?;
        let mut footer = [0; FOOTER_LENGTH];
        fill(&*source, Place::Footer, size - FOOTER_LENGTH as u64, &mut footer)?;
        let footer = Footer::decode(&footer, size)?;
        let description = section(&*source, Place::Description, footer.description)?;
        let description: RunDescription = serde_json::from_slice(&description)
            .map_err(|error| RunError::corrupt(Place::Description, error.to_string()))?;
        check_description(&description)?;
        if kind != footer.kind || kind != description.kind {
            let reason = "header, footer and description don't agree on the run's kind";
            return Err(RunError::corrupt(Place::Description, reason));
        }
        let index = section(&*source, Place::Index, footer.index)?;
        let blocks = (HEADER_LENGTH as u64, footer.description.offset);
        let index = index::decode(&index, description.states.len(), blocks, footer.rows)?;
        Ok(RunReader { source, name, description, index, rows: footer.rows })
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.source.size()
    }

    /// The object that the run is in; empty if it wasn't named.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the run stands alone.
    pub fn kind(&self) -> RunKind {
        self.description.kind
    }

    /// What the run says about itself.
    pub fn description(&self) -> &RunDescription {
        &self.description
    }

    /// Number of rows of all states together.
    pub fn row_count(&self) -> u64 {
        self.rows
    }

    /// The number of the state with this name and kind.
    pub fn find_state(&self, name: &str, kind: StateKind) -> Option<usize> {
        self.description.states.iter().position(|state| state.name == name && state.kind == kind)
    }

    /// The state with this number.
    pub fn state(&self, number: usize) -> Option<&StateDeclaration> {
        self.description.states.get(number)
    }

    /// The rows of a state whose key groups are in the range, in order. Reads only blocks that
    /// hold such key groups.
    pub fn rows(&self, state: usize, key_groups: KeyGroupRange) -> RowCursor<'_> {
        let start = self.index.partition_point(|entry| {
            (entry.state, u32::from(entry.last_key_group)) < (state, key_groups.start)
        });
        let end = self.index.partition_point(|entry| {
            (entry.state, u32::from(entry.first_key_group())) < (state, key_groups.end)
        });
        RowCursor {
            run: self,
            key_groups,
            next_block: start,
            end_block: end.max(start),
            stored: Vec::new(),
            raw: Vec::new(),
            position: 0,
            rows_left: 0,
            full_key: Vec::new(),
            previous_key: Vec::new(),
            current: None,
        }
    }

    fn place(&self, number: usize) -> Place {
        let entry = &self.index[number];
        Place::Block {
            number,
            state: self.state(entry.state).map_or_else(String::new, |state| state.name.clone()),
            first_key_group: entry.first_key_group(),
            last_key_group: entry.last_key_group,
        }
    }
}

fn fill(source: &dyn ReadAt, place: Place, offset: u64, buffer: &mut [u8]) -> Result<(), RunError> {
    source.read_exact_at(offset, buffer).map_err(|source| RunError::Read { place, source })
}

/// A section whose place the footer has checked against the run's size.
fn section(source: &dyn ReadAt, place: Place, section: Section) -> Result<Vec<u8>, RunError> {
    let mut bytes = vec![0; section.length as usize];
    fill(source, place.clone(), section.offset, &mut bytes)?;
    if crc32c::crc32c(&bytes) != section.checksum {
        return Err(RunError::corrupt(place, "its checksum doesn't match"));
    }
    Ok(bytes)
}

fn check_description(description: &RunDescription) -> Result<(), RunError> {
    let origin = &description.origin;
    if !(1..=MAX_MAX_PARALLELISM).contains(&origin.max_parallelism)
        || origin.subtask >= origin.parallelism
    {
        let reason = format!(
            "subtask {} of {}, max parallelism {}",
            origin.subtask, origin.parallelism, origin.max_parallelism
        );
        return Err(RunError::corrupt(Place::Description, reason));
    }
    Ok(())
}

/// Walks over rows of a state. Rows are only valid until the next one is asked for.
pub struct RowCursor<'r> {
    run: &'r RunReader,
    key_groups: KeyGroupRange,
    next_block: usize,
    end_block: usize,
    /// The block as stored, and its rows' bytes.
    stored: Vec<u8>,
    raw: Vec<u8>,
    /// Where the next row starts in `raw`.
    position: usize,
    rows_left: u64,
    full_key: Vec<u8>,
    previous_key: Vec<u8>,
    current: Option<Current>,
}

/// The row that a cursor is at; its full key is in `full_key`, its value in `raw`.
#[derive(Debug, Clone, Copy)]
struct Current {
    lengths: Lengths,
    kind: CurrentKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CurrentKind {
    Value { start: usize, end: usize, expiry: Option<i64> },
    Delete,
    DeleteRange,
}

impl RowCursor<'_> {
    /// The next row of a base run, if there is one. After an error the cursor is of no further
    /// use.
    ///
    /// # Errors
    /// The source fails or the block isn't what the index says; the error names the block, the
    /// state and its key groups. A tombstone: rows of delta runs are read by [`MergedRows`].
    ///
    /// [`MergedRows`]: super::MergedRows
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>, RunError> {
        if !self.advance()? {
            return Ok(None);
        }
        match self.current {
            Some(Current { lengths, kind: CurrentKind::Value { start, end, expiry } }) => {
                let value = &self.raw[start..end];
                Ok(Some(Row { key: lengths.cut(&self.full_key), value, expiry }))
            }
            _ => {
                let feature = "the runs before it, which its tombstones are for".to_owned();
                let place = self.run.place(self.next_block - 1);
                Err(RunError::Unsupported { place, feature })
            }
        }
    }

    /// Goes to the next row; false at the end.
    ///
    /// # Errors
    /// As [`next_row`](Self::next_row), but tombstones are fine.
    pub fn advance(&mut self) -> Result<bool, RunError> {
        loop {
            if self.rows_left == 0 {
                if self.next_block >= self.end_block {
                    self.current = None;
                    return Ok(false);
                }
                self.load_block()?;
            }
            let current = self.decode_row()?;
            self.current = Some(current);
            if self.key_groups.contains(u32::from(current.lengths.cut(&self.full_key).key_group)) {
                return Ok(true);
            }
        }
    }

    /// The row that it's at: where that belongs, and what it says.
    pub fn current(&self) -> Option<(RowKey<'_>, RowOperation<'_>)> {
        let Current { lengths, kind } = self.current?;
        let operation = match kind {
            CurrentKind::Value { start, end, expiry } => {
                let value = &self.raw[start..end];
                match expiry {
                    Some(expiry) => RowOperation::Expiring { value, expiry },
                    None => RowOperation::Value(value),
                }
            }
            CurrentKind::Delete => RowOperation::Delete,
            CurrentKind::DeleteRange => RowOperation::DeleteRange,
        };
        Some((lengths.cut(&self.full_key), operation))
    }

    /// The full key of the row that it's at.
    pub(super) fn full_key(&self) -> Option<&[u8]> {
        self.current.is_some().then_some(&self.full_key)
    }

    fn load_block(&mut self) -> Result<(), RunError> {
        let number = self.next_block;
        let entry = &self.run.index[number];
        self.stored.resize(entry.length as usize, 0);
        let source = &*self.run.source;
        source
            .read_exact_at(entry.offset, &mut self.stored)
            .map_err(|source| RunError::Read { place: self.run.place(number), source })?;
        block::read(&self.stored, &mut self.raw, || self.run.place(number))?;
        self.next_block += 1;
        self.position = 0;
        self.rows_left = entry.rows;
        self.full_key.clear();
        Ok(())
    }

    /// Decodes the next row of the block: its key into `full_key`.
    fn decode_row(&mut self) -> Result<Current, RunError> {
        let number = self.next_block - 1;
        let entry = &self.run.index[number];
        let corrupt = |reason: &str| RunError::corrupt(self.run.place(number), reason);
        let first = self.position == 0;
        let after_range =
            !first && self.current.is_some_and(|row| row.kind == CurrentKind::DeleteRange);
        let mut input = &self.raw[self.position..];
        self.previous_key.clone_from(&self.full_key);
        let (lengths, operation) =
            row::read(&mut input, &mut self.full_key).map_err(|error| match error {
                RowError::Malformed => corrupt("a row is malformed"),
                RowError::Flags(flags) => RunError::Unsupported {
                    place: self.run.place(number),
                    feature: format!("rows with flags {flags:#04x}"),
                },
            })?;
        let end = self.raw.len() - input.len();
        let kind = match operation {
            RowOperation::Value(value) | RowOperation::Expiring { value, .. } => {
                let (start, expiry) = (end - value.len(), operation.expiry());
                CurrentKind::Value { start, end, expiry }
            }
            RowOperation::Delete => CurrentKind::Delete,
            RowOperation::DeleteRange => CurrentKind::DeleteRange,
        };
        if self.run.kind() == RunKind::Base && !matches!(kind, CurrentKind::Value { .. }) {
            return Err(corrupt("it's of a base run and has a tombstone"));
        }
        if operation.expiry().is_some()
            && self.run.state(entry.state).is_some_and(|state| !state.kind.may_expire())
        {
            return Err(corrupt("a row has an expiry, which its kind of state doesn't know"));
        }
        let repeats = after_range && kind != CurrentKind::DeleteRange;
        let in_place = match first {
            true => self.full_key == entry.first_key,
            false if repeats => self.previous_key <= self.full_key,
            false => self.previous_key < self.full_key,
        };
        if !in_place {
            return Err(corrupt("its rows aren't in order, or not those of the index"));
        }
        self.rows_left -= 1;
        self.position = end;
        if lengths.cut(&self.full_key).key_group > entry.last_key_group
            || (self.rows_left == 0) != input.is_empty()
        {
            return Err(corrupt("its rows aren't those that the index says"));
        }
        Ok(Current { lengths, kind })
    }
}
