//! The splits of one source subtask: which one is read next, and which readers are open.
//!
//! A bounded source reads the unfinished split with the lowest watermark, so that its splits
//! advance together in event time whatever their sizes. An unbounded one takes turns. Not here:
//! what becomes of the rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thalweg_core::element::{MAX_WATERMARK, Watermark};

use super::split_state::SplitState;
use super::{ReadBuffer, ReadStatus, ReaderContext, Source, SourceSplit, SplitReader};
use crate::contract::FunctionResult;
use crate::time::WatermarkGenerator;
use crate::time::idleness::Idleness;

/// Readers of a bounded source that stay open at once; the one unused longest is closed at its
/// position and opened again there. A reader holds a file and some hundred KiB.
pub(super) const MAX_OPEN_READERS: usize = 64;

/// One split.
pub(super) struct Split<T> {
    split: SourceSplit,
    pub(super) generator: WatermarkGenerator,
    pub(super) idleness: Idleness,
    reader: Option<Box<dyn SplitReader<T>>>,
    /// Where a reader that is opened goes on.
    position: Option<Vec<u8>>,
    /// Its reader has something again.
    woken: Arc<AtomicBool>,
    /// Its reader has nothing, until woken or until this time.
    pending: Option<Option<i64>>,
    pub(super) finished: bool,
    last_used: u64,
}

impl<T> Split<T> {
    fn readable(&self, now_ms: i64) -> bool {
        match self.pending {
            _ if self.finished => false,
            None => true,
            Some(until) => {
                self.woken.load(Ordering::Acquire) || until.is_some_and(|until| until <= now_ms)
            }
        }
    }
}

/// All splits of the subtask.
pub(super) struct Splits<T> {
    splits: Vec<Split<T>>,
    bounded: bool,
    /// Whose turn it is, when they take turns.
    turn: usize,
    uses: u64,
    open_readers: usize,
}

impl<T> Splits<T> {
    /// The splits as they were remembered, each with a generator that is to be at the place where
    /// the remembered one was.
    pub(super) fn new(
        states: Vec<SplitState>,
        bounded: bool,
        generator: impl Fn() -> WatermarkGenerator,
    ) -> Self {
        let make = |state: SplitState| {
            let mut generator = generator();
            generator.restore(state.highest_timestamp);
            Split {
                split: SourceSplit {
                    id: state.id,
                    weight: state.weight,
                    bytes: state.bytes,
                    total: state.total,
                },
                generator,
                idleness: Idleness::default(),
                reader: None,
                position: state.position,
                woken: Arc::new(AtomicBool::new(false)),
                pending: None,
                finished: false,
                last_used: 0,
            }
        };
        let splits = states.into_iter().map(make).collect();
        Self { splits, bounded, turn: 0, uses: 0, open_readers: 0 }
    }

    pub(super) fn unfinished(&self) -> impl Iterator<Item = &Split<T>> {
        self.splits.iter().filter(|split| !split.finished)
    }

    pub(super) fn unfinished_mut(&mut self) -> impl Iterator<Item = &mut Split<T>> {
        self.splits.iter_mut().filter(|split| !split.finished)
    }

    pub(super) fn all_finished(&self) -> bool {
        self.splits.iter().all(|split| split.finished)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> &mut Split<T> {
        &mut self.splits[index]
    }

    /// The lowest watermark of those that count. None: none counts, they are idle.
    pub(super) fn watermark(&self) -> Option<Watermark> {
        if self.all_finished() {
            return Some(MAX_WATERMARK);
        }
        let counting = self.unfinished().filter(|split| !split.idleness.is_idle());
        counting.map(|split| split.generator.watermark()).min()
    }

    /// The split to be read now. None: nothing can be read, or all are finished.
    pub(super) fn next(&mut self, now_ms: i64) -> Option<usize> {
        if self.bounded {
            let unfinished = self.splits.iter().enumerate().filter(|(_, split)| !split.finished);
            let lowest = unfinished.min_by_key(|(_, split)| split.generator.watermark());
            return lowest.filter(|(_, split)| split.readable(now_ms)).map(|(index, _)| index);
        }
        let count = self.splits.len();
        let mut turns = (0..count).map(|offset| (self.turn + offset) % count);
        let next = turns.find(|index| self.splits[*index].readable(now_ms))?;
        self.turn = next + 1;
        Some(next)
    }

    /// When a split without rows wants to be read again at the latest.
    pub(super) fn due(&self) -> Option<i64> {
        self.unfinished().filter_map(|split| split.pending.flatten()).min()
    }

    /// Reads a split, whose reader is opened if it isn't.
    pub(super) fn read<S: Source<Row = T>>(
        &mut self,
        index: usize,
        max_rows: usize,
        source: &S,
        context: &ReaderContext,
        buffer: &mut ReadBuffer<T>,
    ) -> FunctionResult<ReadStatus> {
        self.uses += 1;
        if self.splits[index].reader.is_none() {
            self.make_room();
            self.open_readers += 1;
        }
        let split = &mut self.splits[index];
        split.last_used = self.uses;
        // Before the read: what comes during it must wake again.
        split.woken.store(false, Ordering::Release);
        let mut reader = match split.reader.take() {
            Some(reader) => reader,
            None => {
                let context = context_of(context, &split.woken);
                source.open(&split.split, split.position.as_deref(), &context)?
            }
        };
        let status = reader.read(max_rows, buffer)?;
        split.pending = match status {
            ReadStatus::Pending { until } => Some(until),
            ReadStatus::More | ReadStatus::End => None,
        };
        if status == ReadStatus::End {
            split.finished = true;
            self.open_readers -= 1;
        } else {
            split.reader = Some(reader);
        }
        Ok(status)
    }

    /// Closes the reader that was unused longest, when there are too many. Readers of unbounded
    /// sources hold connections: they stay.
    fn make_room(&mut self) {
        if !self.bounded || self.open_readers < MAX_OPEN_READERS {
            return;
        }
        let open = self.splits.iter_mut().filter(|split| split.reader.is_some());
        if let Some(split) = open.min_by_key(|split| split.last_used)
            && let Some(reader) = split.reader.take()
        {
            split.position = Some(reader.position());
            self.open_readers -= 1;
        }
    }

    /// What is to be remembered: the splits that aren't finished.
    pub(super) fn states(&self) -> Vec<SplitState> {
        let state = |split: &Split<T>| SplitState {
            id: split.split.id.clone(),
            weight: split.split.weight,
            bytes: split.split.bytes.clone(),
            total: split.split.total,
            position: match &split.reader {
                Some(reader) => Some(reader.position()),
                None => split.position.clone(),
            },
            highest_timestamp: split.generator.highest(),
        };
        self.unfinished().map(state).collect()
    }
}

/// The context for a reader whose wake says which split it's for.
fn context_of(context: &ReaderContext, woken: &Arc<AtomicBool>) -> ReaderContext {
    let (woken, wake) = (woken.clone(), context.wake.clone());
    let wake = Arc::new(move || {
        woken.store(true, Ordering::Release);
        wake();
    });
    ReaderContext { wake, ..context.clone() }
}

impl<T> std::fmt::Debug for Splits<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unfinished = self.unfinished().count();
        write!(f, "Splits({unfinished} of {} unfinished)", self.splits.len())
    }
}
