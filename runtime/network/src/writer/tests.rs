//! When rows leave a writer, and what stops it.

use thalweg_core::element::Control;

use super::*;
use crate::GateEvent;
use crate::partitioner::{Partitioner, RebalancePartitioner};
use crate::testing::*;

fn options(batch_rows: usize) -> WriterOptions {
    WriterOptions { batch_rows, ..WriterOptions::default() }
}

fn rebalance() -> Partitioner {
    Partitioner::Rebalance(RebalancePartitioner::new(0))
}

/// A writer with two consumers, none of which has polled yet.
struct Pair {
    writer: RecordWriter,
    gates: Vec<crate::InputGate>,
    writer_wakes: Wakes,
}

fn pair(partitioner: Partitioner, channel_bytes: usize, batch_rows: usize) -> Pair {
    let environment = environment(channel_bytes);
    let gates =
        (0..2).map(|to| gate(&environment, &[spec(0, to, 0)], 4096, Wakes::default().waker()));
    let gates = gates.collect();
    let writer_wakes = Wakes::default();
    let targets = [target(LOCAL, 0, 0), target(LOCAL, 0, 1)];
    let waker = writer_wakes.waker();
    let writer = writer(&environment, partitioner, &targets, options(batch_rows), waker);
    Pair { writer, gates, writer_wakes }
}

#[test]
fn rows_wait_for_company_until_the_linger_when_their_reader_is_busy() {
    let mut pair = pair(rebalance(), 1 << 20, 100);
    pair.writer.write(rows(0, 0, 10), ms(1)).unwrap();
    pair.writer.write(rows(0, 10, 10), ms(3)).unwrap();
    assert_eq!(pair.writer.next_flush(), Some(ms(6)));
    pair.writer.flush_due(ms(5)).unwrap();
    assert_eq!(pair.writer.counters().batches, 0);
    pair.writer.flush_due(ms(6)).unwrap();
    assert_eq!(pair.writer.next_flush(), None);
    assert_eq!(pair.writer.counters().batches, 2);
    assert_eq!(pair.writer.counters().records, 20);
    for gate in &mut pair.gates {
        let events = drain(gate, ms(6));
        assert_eq!((events.len(), rows_of(&events).len()), (1, 10));
    }
}

#[test]
fn rows_leave_at_once_when_their_reader_has_nothing_to_do_and_only_those() {
    let mut pair = pair(rebalance(), 1 << 20, 100);
    assert!(drain(&mut pair.gates[1], ms(0)).is_empty());
    pair.writer.write(rows(0, 0, 2), ms(0)).unwrap();
    assert_eq!(drain(&mut pair.gates[1], ms(0)).len(), 1);
    assert_eq!(drain(&mut pair.gates[0], ms(0)).len(), 0);
    // The other reader has become idle since: its row goes before its time.
    pair.writer.flush_due(ms(1)).unwrap();
    assert_eq!(drain(&mut pair.gates[0], ms(0)).len(), 1);
}

#[test]
fn enough_rows_leave_without_delay_by_number_and_by_bytes() {
    let mut pair = pair(rebalance(), 1 << 20, 100);
    pair.writer.write(rows(0, 0, 199), ms(0)).unwrap();
    assert_eq!(pair.writer.counters().batches, 1);
    assert_eq!(pair.writer.next_flush(), Some(ms(5)));
    let row_bytes = 24;
    pair.writer.options.batch_bytes = 50 * row_bytes;
    pair.writer.flush().unwrap();
    let before = pair.writer.counters().batches;
    pair.writer.write(rows(0, 0, 100), ms(0)).unwrap();
    assert_eq!(pair.writer.counters().batches, before + 2);
}

#[test]
fn a_control_element_goes_to_every_channel_behind_the_rows_before_it() {
    for partitioner in [rebalance(), Partitioner::Broadcast] {
        let broadcast = matches!(partitioner, Partitioner::Broadcast);
        let mut pair = pair(partitioner, 1 << 20, 1000);
        pair.writer.write(rows(0, 0, 4), ms(0)).unwrap();
        pair.writer.write_control(Control::Watermark(9)).unwrap();
        pair.writer.write(rows(0, 4, 4), ms(0)).unwrap();
        pair.writer.write_control(Control::EndOfInput).unwrap();
        for gate in &mut pair.gates {
            let events = drain(gate, ms(0));
            let [
                GateEvent::Batch { .. },
                GateEvent::Watermark { watermark: 9, .. },
                GateEvent::Batch { .. },
                GateEvent::EndOfInput { input: 0 },
                GateEvent::Finished,
            ] = events.as_slice()
            else {
                panic!("{events:?}");
            };
            assert_eq!(rows_of(&events).len(), if broadcast { 8 } else { 4 });
        }
        assert_eq!(pair.writer.counters().records, 8);
    }
}

#[test]
fn a_slow_reader_bounds_what_its_writer_has_queued_and_wakes_it_at_half() {
    let row_bytes = 24;
    let capacity = 100 * row_bytes;
    let mut pair = pair(rebalance(), capacity, 10);
    let mut written = 0;
    while pair.writer.is_available() {
        pair.writer.write(rows(0, written, 20), ms(0)).unwrap();
        written += 20;
        assert!(written <= 1000, "the writer never became unavailable");
    }
    assert!(pair.writer.queued_bytes() <= 2 * (capacity + 10 * row_bytes));
    assert_eq!(pair.writer_wakes.take(), 0);
    // What is written all the same is taken.
    pair.writer.write(rows(0, written, 20), ms(0)).unwrap();
    let mut seen = Vec::new();
    for (index, gate) in pair.gates.iter_mut().enumerate() {
        assert!(!pair.writer.is_available(), "gate {index}");
        seen.extend(rows_of(&drain(gate, ms(0))));
    }
    assert!(pair.writer.is_available());
    assert_eq!(pair.writer_wakes.take(), 1);
    assert_eq!(seen.len() as u64, written + 20);
}

#[test]
fn a_writer_is_unavailable_until_all_its_consumers_are_there_and_fails_when_they_do_not_come() {
    let environment = environment(1 << 20);
    let wakes = Wakes::default();
    let targets = [target(LOCAL, 0, 0), target(LOCAL, 0, 1)];
    let mut writer =
        writer(&environment, Partitioner::Broadcast, &targets, options(10), wakes.waker());
    assert!(!writer.is_available());
    // A control element doesn't wait for availability; it isn't lost.
    writer.write_control(Control::Watermark(1)).unwrap();
    let mut first = gate(&environment, &[spec(0, 0, 0)], 10, Wakes::default().waker());
    assert_eq!(drain(&mut first, ms(0)).len(), 1);
    assert!(!writer.is_available());
    environment.registry().expire(ms(0));
    environment.registry().expire(ms(59_999));
    assert!(writer.check().is_ok());
    environment.registry().expire(ms(60_000));
    let missing =
        NetworkError::ConsumerMissing { channel: id(0, 1), waited: Duration::from_secs(60) };
    assert_eq!(writer.check(), Err(missing.clone()));
    assert!(writer.is_available(), "the task must get to the error");
    assert_eq!(writer.write(rows(0, 0, 1), ms(0)), Err(missing));
    assert_eq!(wakes.take(), 1);
}

#[test]
fn a_consumer_that_goes_neither_blocks_its_producer_nor_the_other_consumers() {
    let mut pair = pair(Partitioner::Broadcast, 100, 10);
    while pair.writer.is_available() {
        pair.writer.write(rows(0, 0, 10), ms(0)).unwrap();
    }
    drop(pair.gates.remove(0));
    assert!(!pair.writer.is_available());
    drain(&mut pair.gates[0], ms(0));
    assert!(pair.writer.is_available());
    pair.writer.write(rows(0, 0, 10), ms(0)).unwrap();
    assert_eq!(rows_of(&drain(&mut pair.gates[0], ms(0))).len(), 10);
}

#[test]
fn a_second_producer_or_consumer_of_a_channel_is_refused() {
    let environment = environment(100);
    let specs = [spec(0, 0, 0)];
    let _gate = gate(&environment, &specs, 10, Wakes::default().waker());
    let again =
        environment.create_gate(&specs, crate::GateOptions::default(), Wakes::default().waker());
    assert_eq!(again.err(), Some(NetworkError::Occupied { channel: id(0, 0), end: "consumer" }));
    let writer = || {
        environment.create_writer(
            RowType::of::<Row>(),
            Partitioner::Forward,
            &[target(LOCAL, 0, 0)],
            options(1),
            Wakes::default().waker(),
        )
    };
    let _first = writer().unwrap();
    assert_eq!(writer().err(), Some(NetworkError::Occupied { channel: id(0, 0), end: "producer" }));
}
