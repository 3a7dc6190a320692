//! Runs one operator in memory, as a task would, for tests: of the engine's operators and of an
//! application's functions. No threads, no time but the one that the test sets, no cluster.
//!
//! A harness has one subtask or several. Rows are routed to them as an exchange would: by the
//! hash of their key ([`HarnessBuilder::keyed_by`]), to all of them, or in turn. Snapshots can be
//! taken between any two calls and restored at any parallelism; what comes out must be the same:
//!
//! ```
//! use std::sync::Arc;
//! use thalweg_operators::contract::OperatorInstance;
//! use thalweg_operators::functions::Reduce;
//! use thalweg_operators::harness::OperatorHarness;
//!
//! # fn main() -> Result<(), thalweg_operators::harness::HarnessError> {
//! let user = |row: &(u64, i64)| row.0;
//! let sum = |a: (u64, i64), b: (u64, i64)| (a.0, a.1 + b.1);
//! let mut harness = OperatorHarness::builder(move || {
//!     let reduce = Reduce::<u64, _, _, _>::new(Arc::new(user), Arc::new(sum));
//!     OperatorInstance::Operator(Box::new(reduce))
//! })
//! .keyed_by(0, user)
//! .open()?;
//! harness.push((7_u64, 100_i64), 1_000)?;
//! assert_eq!(harness.output::<(u64, i64)>()?, [((7, 100), Some(1_000))]);
//!
//! let mut harness = harness.snapshot()?.restore_at(3).open()?;
//! harness.push((7_u64, 20_i64), 2_000)?;
//! assert_eq!(harness.output::<(u64, i64)>()?, [((7, 120), Some(2_000))]);
//! # Ok(())
//! # }
//! ```
//!
//! Not here: chains of operators, exchanges, sinks' files; a local environment runs those.

mod builder;
mod clock;
mod collected;
mod error;
mod snapshot;
mod subtask;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use thalweg_core::clock::Clock;
use thalweg_core::element::Watermark;
use thalweg_core::ids::CheckpointId;
use thalweg_core::key_group::{key_group, subtask_of};
use thalweg_core::{Batch, Columns, Record};

pub use builder::HarnessBuilder;
pub use clock::ManualClock;
pub use error::HarnessError;
pub use snapshot::HarnessSnapshot;

use crate::contract::{
    OperatorFactory, OperatorInstance, OperatorMetrics, OutputTag, SourceStatus,
};
use builder::{Routing, Setup};
use collected::Collected;
use subtask::Subtask;

/// An operator under test: one subtask or several.
pub struct OperatorHarness {
    setup: Setup,
    subtasks: Vec<Subtask>,
    clock: Arc<ManualClock>,
    collected: Collected,
    /// Rows pushed at each input, for routing in turn.
    pushed: Vec<usize>,
    checkpoint: CheckpointId,
}

impl std::fmt::Debug for OperatorHarness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OperatorHarness({} subtasks)", self.subtasks.len())
    }
}

impl OperatorHarness {
    /// Describes a harness for the operator that `factory` makes.
    pub fn builder(factory: impl OperatorFactory + 'static) -> HarnessBuilder {
        HarnessBuilder::new(Arc::new(factory))
    }

    /// The clock that the operator sees.
    pub fn clock(&self) -> &Arc<ManualClock> {
        &self.clock
    }

    /// Gives a row at the first input. `timestamp` is event time in ms since 1970, or None.
    /// Literals need their type said where it isn't i32: `push::<(u64, i64)>((1, 2), 0)`.
    ///
    /// # Errors
    /// The operator fails or doesn't take the row. The same for the other methods.
    pub fn push<T: Record>(
        &mut self,
        value: T,
        timestamp: impl Into<Option<i64>>,
    ) -> Result<(), HarnessError> {
        self.push_at(0, value, timestamp)
    }

    /// Gives a row at an input.
    ///
    /// # Errors
    /// As [`push`](Self::push); also an input that doesn't exist.
    pub fn push_at<T: Record>(
        &mut self,
        input: usize,
        value: T,
        timestamp: impl Into<Option<i64>>,
    ) -> Result<(), HarnessError> {
        let columns = match timestamp.into() {
            Some(timestamp) => Columns::timestamped(vec![timestamp]),
            None => Columns::default(),
        };
        self.push_batch::<T>(input, Batch::new(vec![value], columns))
    }

    /// Gives rows with timestamps at the first input: as one batch to each subtask that gets any.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_rows<T: Record>(
        &mut self,
        rows: impl IntoIterator<Item = (T, i64)>,
    ) -> Result<(), HarnessError> {
        let (values, timestamps) = rows.into_iter().unzip();
        self.push_batch::<T>(0, Batch::new(values, Columns::timestamped(timestamps)))
    }

    /// Gives a batch of rows of type `T` at an input, in parts to the subtasks.
    ///
    /// # Errors
    /// As [`push_at`](Self::push_at).
    pub fn push_batch<T: Record>(
        &mut self,
        input: usize,
        batch: Batch,
    ) -> Result<(), HarnessError> {
        let subtasks = self.subtasks.len();
        let Some(routing) = self.setup.inputs.get(input) else {
            return Err(HarnessError::NoSuchInput { input, inputs: self.setup.inputs.len() });
        };
        let now_ms = self.clock.wall_ms();
        let (to, hashes): (Vec<usize>, Option<Vec<u64>>) = match routing {
            Routing::All => {
                for subtask in &mut self.subtasks {
                    subtask.batch(input, batch.clone(), now_ms, &mut self.collected)?;
                }
                return Ok(());
            }
            Routing::InTurn => {
                let first = self.pushed[input];
                self.pushed[input] += batch.len();
                ((first..first + batch.len()).map(|row| row % subtasks).collect(), None)
            }
            Routing::Key(key) => {
                let mut hashes = Vec::with_capacity(batch.len());
                key.hashes(&batch, &mut hashes)?;
                let (max, parallelism) = (self.setup.max_parallelism, self.setup.parallelism);
                let subtask = |hash| subtask_of(key_group(hash, max), max, parallelism) as usize;
                (hashes.iter().map(|hash| subtask(*hash)).collect(), Some(hashes))
            }
        };
        for (index, part) in split::<T>(batch, &to, hashes, subtasks)?.into_iter().enumerate() {
            self.subtasks[index].batch(input, part, now_ms, &mut self.collected)?;
        }
        Ok(())
    }

    /// Event time has reached `watermark` at all inputs.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn watermark(&mut self, watermark: Watermark) -> Result<(), HarnessError> {
        (0..self.setup.inputs.len()).try_for_each(|input| self.watermark_at(input, watermark))
    }

    /// Event time has reached `watermark` at an input; the operator sees the lowest of its inputs.
    ///
    /// # Errors
    /// As [`push_at`](Self::push_at).
    pub fn watermark_at(&mut self, input: usize, watermark: Watermark) -> Result<(), HarnessError> {
        self.check_input(input)?;
        let now_ms = self.clock.wall_ms();
        let Self { subtasks, collected, .. } = self;
        subtasks.iter_mut().try_for_each(|s| s.watermark(input, watermark, now_ms, collected))
    }

    /// Event time has reached `watermark` at all inputs of one subtask: subtasks of a task whose
    /// inputs aren't shuffled may differ. One that doesn't exist is left out.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn watermark_of_subtask(
        &mut self,
        subtask: usize,
        watermark: Watermark,
    ) -> Result<(), HarnessError> {
        let now_ms = self.clock.wall_ms();
        let (inputs, Self { subtasks, collected, .. }) = (self.setup.inputs.len(), self);
        let Some(subtask) = subtasks.get_mut(subtask) else { return Ok(()) };
        (0..inputs).try_for_each(|input| subtask.watermark(input, watermark, now_ms, collected))
    }

    /// Moves the clock to `now_ms` (ms since 1970) and fires the timers that are due.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn processing_time(&mut self, now_ms: i64) -> Result<(), HarnessError> {
        self.clock.set(now_ms);
        let now_ms = self.clock.wall_ms();
        let Self { subtasks, collected, .. } = self;
        subtasks.iter_mut().try_for_each(|subtask| subtask.processing_time(now_ms, collected))
    }

    /// All input has ended: the last watermark, and the end.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn end_input(&mut self) -> Result<(), HarnessError> {
        (0..self.setup.inputs.len()).try_for_each(|input| self.end_input_at(input))
    }

    /// An input has ended.
    ///
    /// # Errors
    /// As [`push_at`](Self::push_at).
    pub fn end_input_at(&mut self, input: usize) -> Result<(), HarnessError> {
        self.check_input(input)?;
        let now_ms = self.clock.wall_ms();
        let Self { subtasks, collected, .. } = self;
        subtasks.iter_mut().try_for_each(|s| s.end_of_input(input, now_ms, collected))
    }

    /// Polls the source on each subtask once.
    ///
    /// # Errors
    /// The source fails, or the harness holds no source.
    pub fn poll(&mut self) -> Result<Vec<SourceStatus>, HarnessError> {
        let now_ms = self.clock.wall_ms();
        let Self { subtasks, collected, .. } = self;
        subtasks.iter_mut().map(|subtask| subtask.poll(now_ms, collected)).collect()
    }

    /// Takes the rows of the main output that weren't taken yet, with their timestamps: those of
    /// one subtask in the order of their emission.
    ///
    /// # Errors
    /// They are of another type; then they are lost.
    pub fn output<O: Record>(&mut self) -> Result<Vec<(O, Option<i64>)>, HarnessError> {
        Ok(self.collected.take(None)?)
    }

    /// Takes the rows of a side output that weren't taken yet, with their timestamps.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub fn side<S: Record>(
        &mut self,
        side: &OutputTag<S>,
    ) -> Result<Vec<(S, Option<i64>)>, HarnessError> {
        Ok(self.collected.take(Some(side.name()))?)
    }

    /// Takes the watermarks that weren't taken yet: the rises of the lowest over all subtasks.
    pub fn watermarks(&mut self) -> Vec<Watermark> {
        self.collected.take_watermarks()
    }

    /// Rows of the largest batch that was emitted: what bounds an operator's memory.
    pub fn largest_batch(&self) -> usize {
        self.collected.batch_rows_max()
    }

    /// The counters of each subtask.
    pub fn metrics(&self) -> impl ExactSizeIterator<Item = &OperatorMetrics> {
        self.subtasks.iter().map(|subtask| &*subtask.metrics)
    }

    /// Bytes of state that all subtasks hold.
    pub fn state_bytes(&mut self) -> usize {
        let bytes = self.subtasks.iter_mut().map(|subtask| match subtask.instance() {
            OperatorInstance::Operator(operator) => operator.state_bytes(),
            OperatorInstance::Source(_) => 0,
        });
        bytes.sum()
    }

    /// What the operators hand to the caller of `execute`, subtask by subtask.
    pub fn results(&mut self) -> Vec<(String, Vec<u8>)> {
        let of = |subtask: &mut Subtask| match subtask.instance() {
            OperatorInstance::Operator(operator) => operator.results(),
            OperatorInstance::Source(_) => Vec::new(),
        };
        self.subtasks.iter_mut().flat_map(of).collect()
    }

    /// Takes a snapshot of all subtasks, as at a barrier, with the next checkpoint id.
    ///
    /// # Errors
    /// The operator can't write its state.
    pub fn snapshot(&mut self) -> Result<HarnessSnapshot, HarnessError> {
        self.checkpoint.0 += 1;
        let now_ms = self.clock.wall_ms();
        let runs = self.setup.snapshot(self.checkpoint, now_ms, &mut self.subtasks)?;
        Ok(HarnessSnapshot::new(self.setup.clone(), self.checkpoint, now_ms, runs))
    }

    /// The checkpoint was published: sinks commit.
    ///
    /// # Errors
    /// The commit fails.
    pub fn checkpoint_completed(&mut self, checkpoint: CheckpointId) -> Result<(), HarnessError> {
        for (index, subtask) in self.subtasks.iter_mut().enumerate() {
            let completed = match subtask.instance() {
                OperatorInstance::Operator(o) => o.checkpoint_completed(checkpoint),
                OperatorInstance::Source(source) => source.checkpoint_completed(checkpoint),
            };
            completed.map_err(|source| HarnessError::Operator { subtask: index, source })?;
        }
        Ok(())
    }

    /// All input has ended and there were no checkpoints: sinks make everything visible.
    ///
    /// # Errors
    /// As [`checkpoint_completed`](Self::checkpoint_completed).
    pub fn commit_without_checkpoints(&mut self) -> Result<(), HarnessError> {
        let now_ms = self.clock.wall_ms();
        for subtask in &mut self.subtasks {
            subtask.call(now_ms, "committed", |operator, _, _| {
                operator.commit_without_checkpoints()
            })?;
        }
        Ok(())
    }

    fn check_input(&self, input: usize) -> Result<(), HarnessError> {
        let inputs = self.setup.inputs.len();
        (input < inputs).then_some(()).ok_or(HarnessError::NoSuchInput { input, inputs })
    }
}

impl Drop for OperatorHarness {
    fn drop(&mut self) {
        for subtask in &mut self.subtasks {
            match subtask.instance() {
                OperatorInstance::Operator(operator) => operator.close(),
                OperatorInstance::Source(source) => source.close(),
            }
        }
    }
}

/// The parts of a batch that go to each subtask.
fn split<T: Record>(
    batch: Batch,
    to: &[usize],
    hashes: Option<Vec<u64>>,
    subtasks: usize,
) -> Result<Vec<Batch>, HarnessError> {
    let (values, columns) = batch.into_parts::<T>()?;
    let columns = Columns { hashes, ..columns };
    let mut parts: Vec<Vec<T>> = (0..subtasks).map(|_| Vec::new()).collect();
    for (value, to) in values.into_iter().zip(to) {
        parts[*to].push(value);
    }
    let part = |(index, values): (usize, Vec<T>)| {
        let keep: Vec<bool> = to.iter().map(|to| *to == index).collect();
        let mut columns = columns.clone();
        columns.retain(&keep);
        Batch::new(values, columns)
    };
    Ok(parts.into_iter().enumerate().map(part).collect())
}
