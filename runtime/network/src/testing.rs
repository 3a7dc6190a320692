//! What the tests of this crate share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use thalweg_core::ids::ExecutionAttemptId;
use thalweg_core::{Batch, Columns, RowType};

use crate::{
    ChannelId, ChannelTarget, GateEvent, GateOptions, InputChannelSpec, InputGate,
    NetworkEnvironment, PartitionRegistry, Partitioner, RecordWriter, RegistryOptions, Waker,
    WriterOptions,
};

/// The rows of tests: where they come from, and their number there.
pub(crate) type Row = (u32, u64);

pub(crate) const LOCAL: &str = "here:1";

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn id(producer: u32, consumer: u32) -> ChannelId {
    ChannelId {
        consumer: ExecutionAttemptId::new(u128::from(consumer) + 100),
        edge: 3,
        producer_subtask: producer,
        consumer_subtask: consumer,
    }
}

pub(crate) fn target(address: &str, producer: u32, consumer: u32) -> ChannelTarget {
    ChannelTarget { address: address.to_owned(), id: id(producer, consumer) }
}

pub(crate) fn spec(producer: u32, consumer: u32, input: u8) -> InputChannelSpec {
    InputChannelSpec { id: id(producer, consumer), input, row_type: RowType::of::<Row>() }
}

pub(crate) fn registry(channel_bytes: usize) -> Arc<PartitionRegistry> {
    PartitionRegistry::new(RegistryOptions { channel_bytes, ..RegistryOptions::default() })
}

pub(crate) fn environment(channel_bytes: usize) -> NetworkEnvironment {
    NetworkEnvironment::new(LOCAL, registry(channel_bytes), None)
}

/// A waker that counts its calls.
#[derive(Clone, Default)]
pub(crate) struct Wakes(Arc<AtomicUsize>);

impl Wakes {
    pub(crate) fn waker(&self) -> Waker {
        let count = Arc::clone(&self.0);
        Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
        })
    }

    pub(crate) fn take(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

/// A waker for a thread that parks.
pub(crate) fn unparks_this_thread() -> Waker {
    let thread = std::thread::current();
    Arc::new(move || thread.unpark())
}

/// Rows of a producer, numbered on from `from`.
pub(crate) fn rows(producer: u32, from: u64, count: u64) -> Batch {
    let values: Vec<Row> = (from..from + count).map(|n| (producer, n)).collect();
    let timestamps = values.iter().map(|row| row.1 as i64).collect();
    Batch::new(values, Columns::timestamped(timestamps))
}

pub(crate) fn gate(
    environment: &NetworkEnvironment,
    specs: &[InputChannelSpec],
    batch_rows: usize,
    waker: Waker,
) -> InputGate {
    environment.create_gate(specs, GateOptions { batch_rows }, waker).unwrap()
}

pub(crate) fn writer(
    environment: &NetworkEnvironment,
    partitioner: Partitioner,
    targets: &[ChannelTarget],
    options: WriterOptions,
    waker: Waker,
) -> RecordWriter {
    let row_type = RowType::of::<Row>();
    environment.create_writer(row_type, partitioner, targets, options, waker).unwrap()
}

/// The next event of a gate, waited for.
pub(crate) fn wait(gate: &mut InputGate) -> GateEvent {
    loop {
        match gate.poll(Duration::ZERO).unwrap() {
            GateEvent::Empty => std::thread::park(),
            event => return event,
        }
    }
}

/// Everything that a gate has at the moment.
pub(crate) fn drain(gate: &mut InputGate, now: Duration) -> Vec<GateEvent> {
    let mut events = Vec::new();
    loop {
        match gate.poll(now).unwrap() {
            GateEvent::Empty => return events,
            GateEvent::Finished => {
                events.push(GateEvent::Finished);
                return events;
            }
            event => events.push(event),
        }
    }
}

/// The rows among the events.
pub(crate) fn rows_of(events: &[GateEvent]) -> Vec<Row> {
    let batches = events.iter().filter_map(|event| match event {
        GateEvent::Batch { batch, .. } => Some(batch.values::<Row>().unwrap().to_vec()),
        _ => None,
    });
    batches.flatten().collect()
}
