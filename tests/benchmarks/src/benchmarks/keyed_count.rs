//! key_by -> count in value state: what an exchange and keyed state cost.

use thalweg::StreamExecutionEnvironment;
use thalweg::prelude::*;

use crate::Outcome;
use crate::measure::checkpoints::Checkpoints;
use crate::measure::cluster::{Throughput, measure};
use crate::measure::key;
use crate::table::{Goal, Row};

/// Keys, all equally likely.
const KEYS: u64 = 1_000_000;

/// A key and a value.
pub(crate) type Record16 = (u64, u64);

/// The record of a number.
pub(crate) fn record(n: u64) -> Record16 {
    (key(n, KEYS), n)
}

/// Counts the records of each key, and emits the count for each record.
pub(crate) struct Count(ValueState<u64>);

impl Count {
    /// One subtask's.
    pub(crate) fn open(open: &mut KeyedOpen<'_, u64>) -> FunctionResult<Self> {
        Ok(Self(open.state.value_state("count")?))
    }
}

impl KeyedProcessFunction<u64, Record16, Record16> for Count {
    fn process(
        &mut self,
        record: Record16,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, Record16>,
    ) -> FunctionResult {
        let mut count = self.0.get_or_insert_with(context, || 0)?;
        *count += 1;
        out.collect((record.0, *count));
        Ok(())
    }
}

/// Describes the job, at parallelism 2.
pub(crate) fn describe(env: &StreamExecutionEnvironment, records: u64) {
    describe_keys(env, records, KEYS);
}

/// The same with so many keys.
pub(crate) fn describe_keys(env: &StreamExecutionEnvironment, records: u64, keys: u64) {
    env.set_parallelism(2);
    let source = DataGenerator::new(move |n| (key(n, keys), n)).with_count(records);
    env.from_source(source, no_watermarks(), "records")
        .key_by(|record: &Record16| record.0)
        .process(Count::open)
        .uid("count")
        .sink_to(BlackholeSink::new());
}

/// With full checkpoints at this interval, and without.
pub(crate) fn run(records: u64, interval: Duration) -> Outcome<Vec<Row>> {
    let checkpoints = Checkpoints::every(interval)?;
    let with = measure(&checkpoints.settings(), 2, records, |env| describe(env, records))?;
    with.explain(&format!("with {}", checkpoints.published()?));
    let without = measure(&[], 2, records, |env| describe(env, records))?;
    without.explain("without checkpoints");
    let row = |throughput: Throughput, what, goal, flink| Row {
        what,
        figure: throughput.millions_per_second(),
        unit: "M/s",
        goal,
        flink,
    };
    let what = "keyed count, 1 M keys, parallelism 2, full checkpoints";
    Ok(vec![
        row(with, what, Goal::AtLeast(20.0), Some(1.6)),
        row(without, "the same without checkpoints", Goal::None, None),
    ])
}
