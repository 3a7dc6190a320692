//! What a connector implements to be a source.

use std::sync::Arc;

use thalweg_core::Record;
use thalweg_core::clock::Clock;
use thalweg_core::job_graph::DeliveryGuarantee;
use thalweg_core::split::SourceSplit;

use super::BadRecord;
use crate::contract::{FunctionResult, SubtaskInfo, WakeHandle};

/// Whether a source ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundedness {
    /// It ends by itself: the job can finish.
    Bounded,
    /// It goes on until it is cancelled.
    Unbounded,
}

/// Where rows come from.
pub trait Source: Send + Sync + 'static {
    /// The type of its rows.
    type Row: Record;

    /// Whether it ends.
    fn boundedness(&self) -> Boundedness;

    /// What it promises. `ExactlyOnce`, unless rows can't be read again from a position.
    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }

    /// Finds the splits. Called on the JobManager before the job first starts, never on tasks;
    /// may do I/O. The order given is the order of assignment.
    fn enumerate(&self, parallelism: u32) -> FunctionResult<Vec<SourceSplit>>;

    /// Opens one split for reading, at its beginning or at a position that a reader of this
    /// source has told. Called on the task's thread.
    fn open(
        &self,
        split: &SourceSplit,
        position: Option<&[u8]>,
        context: &ReaderContext,
    ) -> FunctionResult<Box<dyn SplitReader<Self::Row>>>;
}

/// What a reader is told about where it runs.
#[derive(Clone)]
pub struct ReaderContext {
    /// The subtask.
    pub subtask: SubtaskInfo,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Wakes the task, from any thread, when a reader that was pending has something again.
    pub wake: WakeHandle,
}

impl std::fmt::Debug for ReaderContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReaderContext({:?})", self.subtask)
    }
}

/// What a reader has to say after a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadStatus {
    /// There may be more at once.
    More,
    /// Nothing now. Read again when woken, or at this time (ms since 1970) at the latest.
    Pending {
        /// None: only when woken.
        until: Option<i64>,
    },
    /// The split is read to its end.
    End,
}

/// Reads one split.
pub trait SplitReader<T>: Send {
    /// Adds at most `max_rows` rows to `rows`, bad ones counted too, in the split's order. Doesn't
    /// wait for the outside longer than a local read takes.
    fn read(&mut self, max_rows: usize, rows: &mut ReadBuffer<T>) -> FunctionResult<ReadStatus>;

    /// Where a later reader goes on: behind the last row that was read.
    fn position(&self) -> Vec<u8>;
}

/// What a read found.
#[derive(Debug)]
pub struct ReadBuffer<T> {
    /// Good rows.
    pub rows: Vec<T>,
    /// Records that can't be decoded.
    pub bad: Vec<BadRecord>,
}

impl<T> Default for ReadBuffer<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), bad: Vec::new() }
    }
}
