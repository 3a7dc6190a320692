//! The job: its streams and options.

use std::path::PathBuf;

use thalweg::prelude::*;

use crate::gates::{GatedSink, Gates};
use crate::input::{Input, OUT_OF_ORDER_MS, Row, SPLITS};
use crate::line;
use crate::rules::Rules;
use crate::sequence::Sequence;
use crate::tally::{Tally, Total};

/// The length of a sliding window.
pub const WINDOW_MS: i64 = 3_000;
/// From one window to the next.
pub const SLIDE_MS: i64 = 1_000;
/// A key's session ends when it is silent for longer.
pub const SESSION_GAP_MS: i64 = 4_000;

/// The application's options.
struct Options {
    input: Input,
    /// Rows per second.
    rate: Option<f64>,
    /// Of the job; 1 unless set.
    parallelism: Option<u32>,
    /// Bytes that are remembered per key on top.
    payload_bytes: usize,
    /// Where part files are written.
    output: String,
    gates: Gates,
    /// Whether rows are counted once more, in state that programs without it don't know.
    more_state: bool,
}

impl Options {
    fn of(args: &[String]) -> thalweg::Result<Self> {
        let names =
            ["rows", "keys", "rate", "parallelism", "payload", "output", "gates", "more-state"];
        let parameters = ParameterTool::from_args(args, &names)?;
        let input = Input::new(parameters.require("rows")?, parameters.get_or("keys", 40)?);
        Ok(Self {
            input,
            rate: parameters.get("rate")?,
            parallelism: parameters.get("parallelism")?,
            payload_bytes: parameters.get_or("payload", 0)?,
            output: parameters.require("output")?,
            gates: Gates::new(parameters.get::<PathBuf>("gates")?),
            more_state: parameters.get_or("more-state", false)?,
        })
    }
}

/// Counts and sums.
struct CountAndSum;

impl AggregateFunction<Row> for CountAndSum {
    type Accumulator = (u64, u64);
    type Output = (u64, u64);

    fn create_accumulator(&self) -> (u64, u64) {
        (0, 0)
    }

    fn add(&self, row: &Row, sums: &mut (u64, u64)) {
        *sums = (sums.0 + 1, sums.1 + row.value);
    }

    fn get_result(&self, sums: &(u64, u64)) -> (u64, u64) {
        *sums
    }

    fn merge(&self, sums: &mut (u64, u64), other: &(u64, u64)) {
        *sums = (sums.0 + other.0, sums.1 + other.1);
    }
}

fn window_line(
    key: &u64,
    context: &WindowContext,
    sums: Elements<(u64, u64)>,
    out: &mut Collector<'_, String>,
) -> FunctionResult {
    for (count, sum) in sums {
        out.collect(line::window(*key, context.window().start, count, sum));
    }
    Ok(())
}

fn session_line(
    key: &u64,
    context: &WindowContext,
    sums: Elements<(u64, u64)>,
    out: &mut Collector<'_, String>,
) -> FunctionResult {
    for (count, sum) in sums {
        let window = context.window();
        out.collect(line::session(*key, window.start, window.end, count, sum));
    }
    Ok(())
}

fn rows(env: &StreamExecutionEnvironment, options: &Options) -> DataStream<Row> {
    let input = options.input;
    let rows = DataGenerator::new(move |number| input.row(number))
        .with_count(input.rows)
        .with_splits(SPLITS as u32);
    let out_of_order = Duration::from_millis(OUT_OF_ORDER_MS.unsigned_abs());
    let time = WatermarkStrategy::bounded_out_of_orderness(out_of_order)
        .with_timestamps(|row: &Row| row.time);
    env.from_source(rows, SourceOptions::new(time).with_rate(options.rate), "rows").uid("rows")
}

/// Rules come from one subtask, so that they have an order, and end when about half of the rows
/// are read: later checkpoints have finished tasks.
fn rules(env: &StreamExecutionEnvironment, options: &Options) -> DataStream<u64> {
    let rules = DataGenerator::new(|number| number + 1).with_count(options.input.rules());
    let share = options.input.rules() as f64 / options.input.rows.max(1) as f64;
    let rate = options.rate.map(|rate| (2.0 * share * rate).max(0.1));
    let options = SourceOptions::new(no_watermarks()).with_rate(rate);
    env.from_source(rules, options, "rules").uid("rules").set_parallelism(1)
}

/// Describes and executes the job.
///
/// # Errors
/// The options are wrong, or the job fails.
pub fn run(env: &StreamExecutionEnvironment, args: &[String]) -> thalweg::Result {
    let options = Options::of(args)?;
    if let Some(parallelism) = options.parallelism {
        env.set_parallelism(parallelism);
    }
    let rows = rows(env, &options);
    let by_key = rows.key_by(|row| row.key);

    let (payload, gates) = (options.payload_bytes, options.gates.clone());
    let sequence = by_key
        .process(move |open| Sequence::open(open, payload, &gates))
        .name("sequence")
        .uid("sequence");
    let windows = by_key
        .window(WindowAssigner::sliding(WINDOW_MS, SLIDE_MS))
        .aggregate_with(CountAndSum, |_| Ok(window_line))
        .name("windows")
        .uid("windows");
    let sessions = by_key
        .window(WindowAssigner::session(SESSION_GAP_MS))
        .aggregate_with(CountAndSum, |_| Ok(session_line))
        .name("sessions")
        .uid("sessions");
    let totals = rows
        .rebalance()
        .process(Tally::open)
        .name("tally")
        .uid("tally")
        .rebalance()
        .process(Total::open)
        .set_parallelism(1)
        .name("total")
        .uid("total");
    let heard = rows
        .connect_broadcast(&rules(env, &options).broadcast())
        .process(Rules::open)
        .name("rules")
        .uid("rules-heard");

    if options.more_state {
        let counts = by_key.window(WindowAssigner::sliding(WINDOW_MS, SLIDE_MS));
        let counts = counts.aggregate(CountAndSum).name("more state").uid("more-state");
        counts.sink_to(BlackholeSink::new());
    }

    let sink = FileSink::new(&options.output, RowFormat::lines());
    sequence
        .union(&[&windows, &sessions, &totals, &heard])
        .sink_to(GatedSink { sink, gates: options.gates.clone() })
        .name("output")
        .uid("output");
    env.execute("allround")?;
    Ok(())
}
