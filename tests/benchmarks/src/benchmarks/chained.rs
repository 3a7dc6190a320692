//! source -> map -> filter -> blackhole, chained in one task: what a record costs without state
//! and without an exchange.

use thalweg::prelude::*;

use crate::Outcome;
use crate::measure::cluster::measure;
use crate::measure::mix;
use crate::table::{Goal, Row};

/// Records of 16 bytes, of which the filter keeps one half, in no order that a processor could
/// foresee.
pub(crate) fn run(records: u64) -> Outcome<Vec<Row>> {
    let throughput = measure(&[], 1, records, |env| {
        let numbers = DataGenerator::new(|n: u64| (n, mix(n))).with_count(records);
        env.from_source(numbers, no_watermarks(), "records")
            .map(|record| (record.0, record.1.wrapping_add(record.0)))
            .filter(|record| record.1 & 1 == 0)
            .sink_to(BlackholeSink::new());
    })?;
    throughput.explain("chained");
    Ok(vec![Row {
        what: "source, map, filter, blackhole: records per second and core",
        figure: throughput.millions_per_second(),
        unit: "M/s",
        goal: Goal::AtLeast(100.0),
        flink: Some(4.2),
    }])
}
