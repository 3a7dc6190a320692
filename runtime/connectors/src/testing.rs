//! Contexts for the tests of this crate. Time stands still.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::clock::Clock;
use thalweg_core::ids::{CheckpointId, Epoch, JobId, OperatorId};
use thalweg_core::key_group::KeyGroupRange;
use thalweg_operators::contract::{JobInfo, SubtaskInfo, WakeHandle};
use thalweg_operators::sink::SinkContext;
use thalweg_operators::source::{ReadBuffer, ReadStatus, ReaderContext, SplitReader};
use thalweg_storage::LocalStores;

#[derive(Debug)]
struct Still(i64);

impl Clock for Still {
    fn wall_ms(&self) -> i64 {
        self.0
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

fn subtask(index: u32, attempt: u32) -> SubtaskInfo {
    let key_groups = KeyGroupRange { start: 0, end: 128 };
    SubtaskInfo { index, parallelism: 2, max_parallelism: 128, attempt, key_groups }
}

pub(crate) fn reader_context(wake: WakeHandle) -> ReaderContext {
    ReaderContext { subtask: subtask(0, 0), clock: Arc::new(Still(0)), wake }
}

/// A sink's context: of subtask `index`, started for the `attempt`-th time (from 0).
pub(crate) fn sink_context(index: u32, attempt: u32, restored_from: Option<u64>) -> SinkContext {
    SinkContext {
        job: JobInfo { id: JobId::derive("job"), name: "job".to_owned(), epoch: Epoch(1) },
        operator: OperatorId::derive("sink"),
        subtask: subtask(index, attempt),
        checkpointing: true,
        restored_from: restored_from.map(CheckpointId),
        stores: Arc::new(LocalStores),
        clock: Arc::new(Still(i64::from(attempt))),
        wake: Arc::new(|| {}),
        metrics: Arc::default(),
    }
}

/// Reads a reader that never waits to its end, `max_rows` at a time.
pub(crate) fn read_all<T>(reader: &mut dyn SplitReader<T>, max_rows: usize) -> ReadBuffer<T> {
    let mut found = ReadBuffer::default();
    loop {
        match reader.read(max_rows, &mut found).unwrap() {
            ReadStatus::More => {}
            ReadStatus::End => return found,
            ReadStatus::Pending { .. } => panic!("it waits"),
        }
    }
}
