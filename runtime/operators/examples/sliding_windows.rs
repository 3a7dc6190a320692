//! How fast one thread aggregates in sliding windows: 10 s every 1 s, sum, 10 K keys, 100 K rows
//! per second of event time. Only the operator is timed, not the making of rows and hashes, which
//! is the exchange's. Run it with `cargo run --release -p thalweg-operators --example
//! sliding_windows [-- size_ms slide_ms keys]`.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::clock::{Clock, SystemClock};
use thalweg_core::ids::{Epoch, JobId, OperatorId};
use thalweg_core::key_group::KeyGroupRange;
use thalweg_core::{Batch, Columns, Key};
use thalweg_operators::contract::{JobInfo, OperatorMetrics, SubtaskInfo};
use thalweg_operators::windows::{
    Aggregating, EmitWindow, WindowAssigner, WindowOptions, window_operator,
};
use thalweg_operators::{OpenContext, Operator, Output, Progress, RunContext};
use thalweg_state::{AggregateFunction, MemoryBudget};

type Row = (u64, i64);

struct Sum;

impl AggregateFunction<Row> for Sum {
    type Accumulator = i64;
    type Output = i64;

    fn create_accumulator(&self) -> i64 {
        0
    }

    fn add(&self, row: &Row, accumulator: &mut i64) {
        *accumulator += row.1;
    }

    fn get_result(&self, accumulator: &i64) -> i64 {
        *accumulator
    }

    fn merge(&self, accumulator: &mut i64, other: &i64) {
        *accumulator += other;
    }
}

const ROWS: u64 = 20_000_000;
const BATCH: u64 = 4096;
const ROWS_PER_MS: u64 = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: i64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (size, slide, keys) = (number(10_000)?, number(1_000)?, number(10_000)? as u64);
    let options = WindowOptions::new(WindowAssigner::sliding(size, slide));
    let sum = Arc::new(Sum);
    let key = Arc::new(|row: &Row| row.0);
    let make = Arc::new(move |_: &SubtaskInfo| Ok(EmitWindow::new(Aggregating::new(sum.clone()))));
    let mut operator = window_operator::<u64, Row, _, _>(key, options, make)?;
    let metrics = Arc::new(OperatorMetrics::default());
    open(operator.as_mut(), &metrics)?;

    let (mut processing, mut firing) = (Duration::ZERO, Duration::ZERO);
    let (mut emitted, mut random) = (0, 0x9e37_79b9_7f4a_7c15_u64);
    let (mut output, clock) = (Output::new(), SystemClock::new());
    let mut context = RunContext { processing_time: 0, watermark: i64::MIN, metrics: &metrics };
    for first in (0..ROWS).step_by(BATCH as usize) {
        let mut batch = batch(first, keys, &mut random);
        let start = clock.elapsed();
        while !batch.is_empty() {
            operator.process(0, &mut batch, &mut context, &mut output)?;
        }
        processing += clock.elapsed() - start;
        let watermark = ((first + BATCH) / ROWS_PER_MS) as i64 - 1;
        let start = clock.elapsed();
        while operator.watermark(watermark, &mut context, &mut output)? == Progress::More {
            emitted += drain(&mut output);
        }
        firing += clock.elapsed() - start;
        emitted += drain(&mut output);
    }
    let total = processing + firing;
    let per_second = ROWS as f64 / total.as_secs_f64() / 1e6;
    println!(
        "{per_second:.1} M rows/s; adding {:.1} ns a row, firing {:.1} ns a row, {emitted} results",
        processing.as_nanos() as f64 / ROWS as f64,
        firing.as_nanos() as f64 / ROWS as f64,
    );
    Ok(())
}

fn batch(first: u64, keys: u64, random: &mut u64) -> Batch {
    let mut values = Vec::with_capacity(BATCH as usize);
    let mut timestamps = Vec::with_capacity(BATCH as usize);
    let mut hashes = Vec::with_capacity(BATCH as usize);
    for row in first..first + BATCH {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        let key = *random % keys;
        values.push((key, 1_i64));
        timestamps.push((row / ROWS_PER_MS) as i64);
        hashes.push(key.key_hash());
    }
    Batch::new(values, Columns { timestamps: Some(timestamps), hashes: Some(hashes), kinds: None })
}

fn drain(output: &mut Output) -> usize {
    let mut rows = 0;
    while let Some(element) = output.next_main() {
        if let thalweg_core::StreamElement::Batch(batch) = element {
            rows += batch.len();
        }
    }
    rows
}

fn open(
    operator: &mut dyn Operator,
    metrics: &Arc<OperatorMetrics>,
) -> Result<(), Box<dyn std::error::Error>> {
    let job = JobInfo { id: JobId::derive("example"), name: "example".into(), epoch: Epoch(1) };
    let subtask = SubtaskInfo {
        index: 0,
        parallelism: 1,
        max_parallelism: 128,
        attempt: 0,
        key_groups: KeyGroupRange::all(128),
    };
    let mut context = OpenContext {
        job: &job,
        operator: OperatorId::derive("example"),
        name: "example",
        subtask,
        restored: None,
        splits: Vec::new(),
        checkpointing: false,
        state_budget: MemoryBudget::unlimited(),
        stores: Arc::new(thalweg_storage::LocalStores),
        clock: Arc::new(SystemClock::new()),
        wake: Arc::new(|| {}),
        metrics: metrics.clone(),
    };
    Ok(operator.open(&mut context)?)
}
