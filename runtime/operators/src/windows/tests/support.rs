//! A harness around every kind of window function, with one type of output.

use std::sync::Arc;

use thalweg_core::Record;
use thalweg_state::AggregateFunction;

use crate::contract::{Collector, FunctionResult, OperatorInstance, OutputTag};
use crate::harness::{HarnessBuilder, OperatorHarness};
use crate::windows::{
    Aggregating, Buffering, Elements, EmitWindow, MakeWindowFunction, ProcessWindow, Reducing,
    WindowContext, WindowFunction, WindowOptions, window_operator,
};

/// Key and value.
pub(super) type Row = (u64, i64);

/// What a window emits: key, window if the function knows it, and its values: all of them, in
/// order, or their sum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Record)]
#[record(crate = "thalweg_core")]
pub(super) struct Fired {
    pub(super) key: u64,
    pub(super) window: Option<(i64, i64)>,
    pub(super) values: Vec<i64>,
}

/// The ways to compute a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Aggregate,
    Reduce,
    Process,
    AggregateProcess,
    ReduceProcess,
}

pub(super) const KINDS: [Kind; 5] =
    [Kind::Aggregate, Kind::Reduce, Kind::Process, Kind::AggregateProcess, Kind::ReduceProcess];

pub(super) struct Sum;

impl AggregateFunction<Row> for Sum {
    type Accumulator = (u64, i64);
    type Output = Fired;

    fn create_accumulator(&self) -> (u64, i64) {
        (0, 0)
    }

    fn add(&self, (key, value): &Row, accumulator: &mut (u64, i64)) {
        *accumulator = (*key, accumulator.1 + value);
    }

    fn get_result(&self, (key, sum): &(u64, i64)) -> Fired {
        Fired { key: *key, window: None, values: vec![*sum] }
    }

    fn merge(&self, accumulator: &mut (u64, i64), other: &(u64, i64)) {
        *accumulator = (other.0, accumulator.1 + other.1);
    }
}

fn add(a: Row, b: Row) -> Row {
    (b.0, a.1 + b.1)
}

fn window_of(context: &WindowContext) -> Option<(i64, i64)> {
    assert!(context.window().end - 1 <= context.watermark(), "{context:?}");
    Some((context.window().start, context.window().end))
}

fn all(
    key: &u64,
    context: &WindowContext,
    rows: Elements<Row>,
    out: &mut Collector<'_, Fired>,
) -> FunctionResult {
    let window = window_of(context);
    let mut values: Vec<_> = rows
        .map(|row| {
            assert_eq!(row.0, *key);
            row.1
        })
        .collect();
    values.sort_unstable();
    out.collect(Fired { key: *key, window, values });
    Ok(())
}

fn one(
    key: &u64,
    context: &WindowContext,
    mut fired: Elements<Fired>,
    out: &mut Collector<'_, Fired>,
) -> FunctionResult {
    assert_eq!(fired.len(), 1);
    let fired = fired.next().unwrap();
    assert_eq!(fired.key, *key);
    out.collect(Fired { window: window_of(context), ..fired });
    Ok(())
}

fn reduced(
    key: &u64,
    context: &WindowContext,
    rows: Elements<Row>,
    out: &mut Collector<'_, Fired>,
) -> FunctionResult {
    let values = rows.as_slice().iter().map(|row| row.1).collect();
    out.collect(Fired { key: *key, window: window_of(context), values });
    Ok(())
}

/// Some window function's harness.
pub(super) fn harness_of<F: WindowFunction<u64, Row>>(
    options: &WindowOptions<Row>,
    make: MakeWindowFunction<F>,
) -> HarnessBuilder {
    let key = |row: &Row| row.0;
    let options = options.clone();
    let operator = move || {
        let operator = window_operator(Arc::new(key), options.clone(), make.clone());
        OperatorInstance::Operator(operator.unwrap())
    };
    OperatorHarness::builder(operator).keyed_by(0, key)
}

pub(super) fn harness(kind: Kind, options: &WindowOptions<Row>) -> HarnessBuilder {
    let sum = Arc::new(Sum);
    let reduce = Arc::new(add);
    match kind {
        Kind::Aggregate => harness_of(
            options,
            Arc::new(move |_| Ok(EmitWindow::new(Aggregating::new(sum.clone())))),
        ),
        Kind::Reduce => harness_of(
            options,
            Arc::new(move |_| Ok(EmitWindow::new(Reducing::new(reduce.clone())))),
        ),
        Kind::Process => harness_of(options, Arc::new(|_| Ok(ProcessWindow::new(Buffering, all)))),
        Kind::AggregateProcess => harness_of(
            options,
            Arc::new(move |_| Ok(ProcessWindow::new(Aggregating::new(sum.clone()), one))),
        ),
        Kind::ReduceProcess => harness_of(
            options,
            Arc::new(move |_| Ok(ProcessWindow::new(Reducing::new(reduce.clone()), reduced))),
        ),
    }
}

/// What came out since the last call, with timestamps.
pub(super) fn fired(kind: Kind, harness: &mut OperatorHarness) -> Vec<(Fired, i64)> {
    let timed = |(fired, timestamp): (Fired, Option<i64>)| (fired, timestamp.unwrap());
    if kind != Kind::Reduce {
        return harness.output::<Fired>().unwrap().into_iter().map(timed).collect();
    }
    let rows = harness.output::<Row>().unwrap().into_iter();
    let fired = |(key, value)| Fired { key, window: None, values: vec![value] };
    rows.map(|(row, timestamp)| timed((fired(row), timestamp))).collect()
}

/// What the function would emit, of what the model says a window holds.
pub(super) fn as_fired(kind: Kind, key: u64, window: (i64, i64), values: &[i64]) -> Fired {
    let window = match kind {
        Kind::Aggregate | Kind::Reduce => None,
        Kind::Process | Kind::AggregateProcess | Kind::ReduceProcess => Some(window),
    };
    let mut values = values.to_vec();
    values.sort_unstable();
    if kind != Kind::Process {
        values = vec![values.iter().sum()];
    }
    Fired { key, window, values }
}

pub(super) fn late_output() -> OutputTag<Row> {
    OutputTag::new("late")
}
