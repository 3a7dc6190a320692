//! Sliding windows that overlap ten times, with a sum.

use thalweg::prelude::*;

use crate::Outcome;
use crate::measure::checkpoints::Checkpoints;
use crate::measure::cluster::measure;
use crate::measure::key;
use crate::table::{Goal, Row};

const KEYS: u64 = 10_000;
/// Of event time.
const RECORDS_PER_MS: u64 = 100;

/// A key, a value, a time: 16 bytes.
type Reading = (u32, u32, i64);

struct Sum;

impl AggregateFunction<Reading> for Sum {
    type Accumulator = u64;
    type Output = u64;

    fn create_accumulator(&self) -> u64 {
        0
    }

    fn add(&self, reading: &Reading, sum: &mut u64) {
        *sum += u64::from(reading.1);
    }

    fn get_result(&self, sum: &u64) -> u64 {
        *sum
    }

    fn merge(&self, sum: &mut u64, other: &u64) {
        *sum += other;
    }
}

fn reading(n: u64) -> Reading {
    (key(n, KEYS) as u32, n as u32 & 0xff, (n / RECORDS_PER_MS) as i64)
}

/// 10 s every 1 s, parallelism 2, with full checkpoints at this interval.
pub(crate) fn run(records: u64, interval: Duration) -> Outcome<Vec<Row>> {
    let checkpoints = Checkpoints::every(interval)?;
    let throughput = measure(&checkpoints.settings(), 2, records, |env| {
        let time = WatermarkStrategy::monotonous_timestamps()
            .with_timestamps(|reading: &Reading| reading.2);
        env.from_source(DataGenerator::new(reading).with_count(records), time, "readings")
            .key_by(|reading| reading.0)
            .window(WindowAssigner::sliding(10_000, 1_000))
            .aggregate(Sum)
            .uid("sums")
            .sink_to(BlackholeSink::new());
    })?;
    throughput.explain(&format!("sliding, with {}", checkpoints.published()?));
    Ok(vec![Row {
        what: "sliding window 10 s / 1 s, sum, 10 K keys, parallelism 2, full checkpoints",
        figure: throughput.millions_per_second(),
        unit: "M/s",
        goal: Goal::AtLeast(8.0),
        flink: Some(0.24),
    }])
}
