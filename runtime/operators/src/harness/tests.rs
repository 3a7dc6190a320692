//! The harness itself, and the example of a mid-way snapshot: a keyed process function.

use std::sync::Arc;

use thalweg_core::{Batch, Columns};
use thalweg_state::{ListState, ValueState};

use super::{HarnessError, OperatorHarness};
use crate::contract::{
    Collector, FunctionResult, OUTPUT_ROWS, Operator, OperatorError, OperatorInstance, Output,
    OutputTag, Progress, RunContext,
};
use crate::functions::{
    FlatMap, KeyedContext, KeyedOpen, KeyedProcess, KeyedProcessFunction, Map, TimeDomain,
};

type Row = (u64, i64);

fn key(row: &Row) -> u64 {
    row.0
}

/// Per key, emits the values of each stretch of ten ms of event time, when it is over, and counts
/// the values that came since the last tick of the clock, which is every ten ms while there are.
struct Stretches {
    values: ListState<i64>,
    since_tick: ValueState<i64>,
    ticks: OutputTag<Row>,
}

impl KeyedProcessFunction<u64, Row, (u64, Vec<i64>)> for Stretches {
    fn process(
        &mut self,
        value: Row,
        context: &mut KeyedContext<'_, u64>,
        _out: &mut Collector<'_, (u64, Vec<i64>)>,
    ) -> FunctionResult {
        let end = (context.timestamp().unwrap_or(0) / 10 + 1) * 10;
        context.register_event_time_timer(end - 1)?;
        context.register_processing_time_timer((context.processing_time() / 10 + 1) * 10)?;
        self.values.add(context, value.1)?;
        *self.since_tick.get_or_insert_with(context, || 0)? += 1;
        Ok(())
    }

    fn on_timer(
        &mut self,
        time: i64,
        domain: TimeDomain,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, (u64, Vec<i64>)>,
    ) -> FunctionResult {
        let key = *context.key();
        match domain {
            TimeDomain::EventTime => {
                assert_eq!(context.timestamp(), Some(time));
                let values = self.values.get(context)?.to_vec();
                self.values.clear(context)?;
                out.collect((key, values));
            }
            TimeDomain::ProcessingTime => {
                let count = self.since_tick.get(context)?.copied().unwrap_or(0);
                self.since_tick.clear(context)?;
                out.side(&self.ticks, (key, count));
            }
        }
        Ok(())
    }
}

fn stretches() -> super::HarnessBuilder {
    let make = |open: &mut KeyedOpen<'_, u64>| {
        Ok(Stretches {
            values: open.state.list_state("values")?,
            since_tick: open.state.value_state("since-tick")?,
            ticks: OutputTag::new("ticks"),
        })
    };
    OperatorHarness::builder(move || {
        let process = KeyedProcess::new(Arc::new(key), Arc::new(make));
        OperatorInstance::Operator(Box::new(process))
    })
    .keyed_by(0, key)
}

#[test]
fn state_and_timers_of_a_keyed_process_function_survive_a_restore_at_another_parallelism() {
    let run = |parallelisms: [u32; 3]| {
        let ticks = OutputTag::<Row>::new("ticks");
        let (mut values, mut counts) = (Vec::new(), Vec::new());
        let mut harness = stretches().parallelism(parallelisms[0]).open().unwrap();
        for (phase, parallelism) in (0i64..).zip(parallelisms) {
            if phase > 0 {
                harness = harness.snapshot().unwrap().restore_at(parallelism).open().unwrap();
            }
            let rows = phase * 3_000..(phase + 1) * 3_000;
            harness.push_rows::<Row>(rows.map(|n| ((n as u64 % 900, n), n / 500))).unwrap();
            harness.watermark(phase * 6 + 5).unwrap();
            harness.processing_time(phase * 7 + 7).unwrap();
            values.extend(harness.output::<(u64, Vec<i64>)>().unwrap());
            counts.extend(harness.side(&ticks).unwrap());
        }
        harness.end_input().unwrap();
        values.extend(harness.output().unwrap());
        values.sort();
        counts.sort_unstable();
        assert_eq!(harness.watermarks().last(), Some(&i64::MAX));
        (values, counts)
    };
    let (values, counts) = run([1, 1, 1]);
    assert_eq!(values.len(), 1_800, "each key has two stretches");
    assert_eq!(values.iter().map(|((_, values), _)| values.len()).sum::<usize>(), 9_000);
    assert_eq!(counts.len(), 1_800, "the clock ticks at 14 and at 21");
    assert_eq!(run([1, 3, 2]), (values, counts));
}

#[test]
fn a_batch_is_given_until_the_operator_has_taken_all_of_it_and_holds_nothing_back() {
    for (rows, copies) in [(3 * OUTPUT_ROWS as u64, 3), (1, 10_000)] {
        let copy = move |row: Row| (0..copies).map(move |copy| (row.0, copy));
        let mut harness = OperatorHarness::builder(move || {
            OperatorInstance::Operator(Box::new(FlatMap::new(Arc::new(copy))))
        })
        .open()
        .unwrap();
        harness.push_rows::<Row>((0..rows).map(|n| ((n, 0), n as i64))).unwrap();
        let out = harness.output::<Row>().unwrap();
        let expected =
            (0..rows).flat_map(|n| (0..copies).map(move |copy: i64| ((n, copy), Some(n as i64))));
        assert!(out.into_iter().eq(expected));
        assert!(harness.largest_batch() <= OUTPUT_ROWS);
        let metrics = harness.metrics().next().unwrap();
        let counts = (metrics.records_in(), metrics.records_out());
        assert_eq!(counts, (rows, copies as u64 * rows));
    }
}

/// Notes what it is called with.
struct Notes {
    subtask: u32,
}

impl Operator for Notes {
    fn open(&mut self, context: &mut crate::OpenContext<'_>) -> Result<(), OperatorError> {
        self.subtask = context.subtask.index;
        Ok(())
    }

    fn process(
        &mut self,
        input: usize,
        batch: &mut Batch,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let (values, _) = batch.take_parts::<u64>()?;
        let note = |value| format!("{}: row {value} at input {input}", self.subtask);
        output.emit_rows(values.into_iter().map(note).collect::<Vec<_>>(), Columns::default());
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: i64,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        assert!(context.watermark < watermark);
        let note = format!("{}: watermark {watermark}", self.subtask);
        output.emit_rows(vec![note], Columns::default());
        Ok(Progress::Done)
    }
}

fn notes() -> super::HarnessBuilder {
    OperatorHarness::builder(|| OperatorInstance::Operator(Box::new(Notes { subtask: 0 })))
}

fn noted(harness: &mut OperatorHarness) -> Vec<String> {
    harness.output::<String>().unwrap().into_iter().map(|(note, _)| note).collect()
}

#[test]
fn event_time_is_the_lowest_of_the_inputs_and_an_ended_input_does_not_hold_it_back() {
    let mut harness = notes().inputs(2).open().unwrap();
    harness.watermark_at(0, 5).unwrap();
    assert_eq!(noted(&mut harness), [""; 0]);
    harness.watermark_at(1, 3).unwrap();
    assert_eq!(noted(&mut harness), ["0: watermark 3"]);
    harness.end_input_at(1).unwrap();
    assert_eq!(noted(&mut harness), ["0: watermark 5"]);
    harness.end_input().unwrap();
    assert_eq!(harness.watermarks(), [3, 5, i64::MAX]);
    let error = harness.push_at(2, 1u64, None).unwrap_err();
    assert!(matches!(error, HarnessError::NoSuchInput { input: 2, inputs: 2 }));
}

#[test]
fn rows_go_to_subtasks_by_key_or_in_turn_or_to_all() {
    let builder = notes().keyed_by(0, |row: &u64| *row).inputs(2).broadcast(2).parallelism(2);
    let mut harness = builder.open().unwrap();
    for row in [7u64, 8, 9, 7, 8, 9] {
        harness.push(row, None).unwrap();
    }
    let by_key = noted(&mut harness);
    assert_eq!(by_key[..3], by_key[3..], "the same key, the same subtask");
    let other = |subtask| by_key.iter().any(|note| note.starts_with(subtask));
    assert!(other("0:") && other("1:"), "{by_key:?}");
    harness.push_batch::<u64>(1, Batch::from_values(vec![1u64, 2, 3])).unwrap();
    let in_turn = ["0: row 1 at input 1", "0: row 3 at input 1", "1: row 2 at input 1"];
    assert_eq!(noted(&mut harness), in_turn);
    harness.push_at(2, 4u64, None).unwrap();
    assert_eq!(noted(&mut harness), ["0: row 4 at input 2", "1: row 4 at input 2"]);
}

/// Breaks the contract.
struct Stalls;

impl Operator for Stalls {
    fn process(
        &mut self,
        _input: usize,
        _batch: &mut Batch,
        _context: &mut RunContext<'_>,
        _output: &mut Output,
    ) -> Result<(), OperatorError> {
        Ok(())
    }

    fn watermark(
        &mut self,
        _watermark: i64,
        _context: &mut RunContext<'_>,
        _output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        Ok(Progress::More)
    }
}

#[test]
fn an_operator_that_makes_no_progress_is_reported_rather_than_called_for_ever() {
    let stalls = || OperatorInstance::Operator(Box::new(Stalls));
    let mut harness = OperatorHarness::builder(stalls).open().unwrap();
    let error = harness.push(1u64, None).unwrap_err();
    assert!(matches!(error, HarnessError::Stalled { call: "process", .. }), "{error}");
    let error = harness.watermark(1).unwrap_err();
    assert!(matches!(error, HarnessError::Stalled { call: "watermark", .. }), "{error}");
    assert!(matches!(harness.poll().unwrap_err(), HarnessError::WrongKind { .. }));
}

#[test]
fn state_that_the_next_version_does_not_register_is_reported() {
    let mut harness = stretches().open().unwrap();
    harness.push::<Row>((1, 1), 5).unwrap();
    let stateless = || OperatorInstance::Operator(Box::new(Map::new(Arc::new(|row: Row| row))));
    let snapshot = harness.snapshot().unwrap();
    assert_eq!(snapshot.runs().len(), 1);
    let error = snapshot.restore_at(1).with(stateless).open().unwrap_err().to_string();
    assert!(error.contains("values") && error.contains("since-tick"), "{error}");
}

#[test]
fn rows_read_as_another_type_are_an_error() {
    let mut harness = notes().open().unwrap();
    harness.push(1u64, None).unwrap();
    assert!(matches!(harness.output::<u64>().unwrap_err(), HarnessError::RowType(_)));
}
