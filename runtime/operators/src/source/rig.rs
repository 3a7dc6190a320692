//! What the tests of sources, sinks and watermarks stand on: a clock that a test moves, contexts,
//! and snapshots that come back at another parallelism. Not the harness: these tests look at
//! every single element and at the order of calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use thalweg_core::clock::Clock;
use thalweg_core::element::{Control, MIN_WATERMARK, StreamElement};
use thalweg_core::ids::{CheckpointId, Epoch, JobId, OperatorId};
use thalweg_core::key_group::key_group_range;
use thalweg_core::{Batch, Record};
use thalweg_state::{RestoredOperator, RunOrigin, RunReader, RunWriter};

use super::SourceSplit;
use crate::contract::{
    JobInfo, OpenContext, OperatorError, OperatorMetrics, Output, RunContext, SnapshotContext,
    SubtaskInfo,
};

#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) fn elapsed_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        1_000_000 + self.0.load(Ordering::Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed) as u64)
    }
}

/// Where one subtask runs.
pub(crate) struct Rig {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) metrics: Arc<OperatorMetrics>,
    pub(crate) output: Output,
    pub(crate) index: u32,
    pub(crate) parallelism: u32,
    job: JobInfo,
}

impl Rig {
    pub(crate) fn new(index: u32, parallelism: u32) -> Self {
        let job = JobInfo { id: JobId::derive("job"), name: "job".to_owned(), epoch: Epoch(1) };
        let (clock, metrics) = (Arc::default(), Arc::default());
        Self { clock, metrics, output: Output::new(), index, parallelism, job }
    }

    pub(crate) fn open(
        &self,
        splits: Vec<SourceSplit>,
        runs: Option<&[Vec<u8>]>,
        open: impl FnOnce(&mut OpenContext<'_>) -> Result<(), OperatorError>,
    ) -> Result<(), OperatorError> {
        let restored = runs.map(|runs| {
            let open = |run: &Vec<u8>| RunReader::open(Arc::new(run.clone())).unwrap();
            let runs = runs.iter().map(open).collect();
            Arc::new(RestoredOperator::new(runs, self.index, self.parallelism).unwrap())
        });
        let mut context = OpenContext {
            job: &self.job,
            operator: OperatorId::derive("operator"),
            name: "operator",
            subtask: SubtaskInfo {
                index: self.index,
                parallelism: self.parallelism,
                max_parallelism: 128,
                attempt: 0,
                key_groups: key_group_range(128, self.parallelism, self.index),
            },
            restored,
            splits,
            checkpointing: true,
            state_budget: thalweg_state::MemoryBudget::unlimited(),
            stores: Arc::new(thalweg_storage::LocalStores),
            clock: self.clock.clone(),
            wake: Arc::new(|| {}),
            metrics: self.metrics.clone(),
        };
        open(&mut context)
    }

    /// Calls with the context of now.
    pub(crate) fn call<R>(
        &mut self,
        call: impl FnOnce(&mut RunContext<'_>, &mut Output) -> R,
    ) -> R {
        let mut context = RunContext {
            processing_time: self.clock.wall_ms(),
            watermark: MIN_WATERMARK,
            metrics: &self.metrics,
        };
        call(&mut context, &mut self.output)
    }

    /// The run that `snapshot` writes.
    pub(crate) fn snapshot(
        &self,
        checkpoint: u64,
        snapshot: impl FnOnce(&SnapshotContext, &mut RunWriter) -> Result<(), OperatorError>,
    ) -> Vec<u8> {
        let mut writer = RunWriter::new(RunOrigin {
            operator: "operator".to_owned(),
            subtask: self.index,
            parallelism: self.parallelism,
            max_parallelism: 128,
        });
        let (checkpoint, processing_time) = (CheckpointId(checkpoint), 0);
        let context = SnapshotContext { checkpoint, processing_time, input_ended: false };
        snapshot(&context, &mut writer).unwrap();
        writer.finish().unwrap()
    }

    /// The elements of the main output, batches as their rows with timestamps.
    pub(crate) fn main<T: Record>(&mut self) -> Vec<Seen<T>> {
        let mut seen = Vec::new();
        while let Some(element) = self.output.next_main() {
            seen.push(match element {
                StreamElement::Batch(mut batch) => Seen::Rows(rows(&mut batch)),
                StreamElement::Control(control) => Seen::Control(control),
            });
        }
        seen
    }

    /// The rows of a side output.
    pub(crate) fn side<T: Record>(&mut self, name: &str) -> Vec<T> {
        let mut seen = Vec::new();
        while let Some((side, mut batch)) = self.output.next_side() {
            assert_eq!(&*side, name);
            seen.extend(rows::<T>(&mut batch).into_iter().map(|(row, _)| row));
        }
        seen
    }
}

fn rows<T: Record>(batch: &mut Batch) -> Vec<(T, Option<i64>)> {
    batch.rows::<T>().unwrap().map(|row| (row.value, row.timestamp)).collect()
}

/// An element of the main output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen<T> {
    Rows(Vec<(T, Option<i64>)>),
    Control(Control),
}
