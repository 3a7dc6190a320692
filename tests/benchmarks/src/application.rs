//! The jobs of those figures that need processes of their own. The first argument says which.

use std::io::Read;

use thalweg::StreamExecutionEnvironment;
use thalweg::core::{Batch, Clock, SystemClock};
use thalweg::operators::sink::{SinkContext, SinkWriter};
use thalweg::prelude::*;

use crate::benchmarks::keyed_count;
use crate::large_state::job;
use crate::measure::processes::pause;

/// Nothing: the JobManager waits until its standard input ends.
pub(crate) const IDLE: &str = "idle";
/// Prints its first rows: for the time of the start.
pub(crate) const FIRST_RECORD: &str = "first-record";
/// A sink that is far too slow.
pub(crate) const SLOW_SINK: &str = "slow-sink";
/// Counts per key so many records, and prints the seconds that it took.
pub(crate) const KEYED_COUNT: &str = "keyed-count";
/// Large keyed state that is mostly read.
pub(crate) const LARGE_STATE: &str = "large-state";

/// Records that are counted before the ones that are measured: all TaskManagers are there then.
const FIRST_RECORDS: u64 = 100_000;

/// Describes and runs the job.
pub(crate) fn run(env: &StreamExecutionEnvironment, args: &[String]) -> thalweg::Result {
    match args.first().map(String::as_str) {
        Some(IDLE) => {
            std::io::stdin().read_to_end(&mut Vec::new())?;
        }
        Some(FIRST_RECORD) => {
            let rows = SourceOptions::new(no_watermarks()).with_rate(Some(1000.0));
            env.from_source(DataGenerator::new(|n: u64| n), rows, "numbers")
                .sink_to(PrintSink::stdout(RowFormat::lines()));
            env.execute("first record")?;
        }
        Some(SLOW_SINK) => {
            env.set_parallelism(2);
            env.from_source(DataGenerator::new(keyed_count::record), no_watermarks(), "records")
                .key_by(|record| record.0)
                .process(keyed_count::Count::open)
                .sink_to(SlowSink);
            env.execute("slow sink")?;
        }
        Some(KEYED_COUNT) => {
            let records = args.get(1).ok_or("how many records?")?.parse()?;
            keyed_count::describe(env, FIRST_RECORDS);
            env.execute("keyed count: start")?;
            keyed_count::describe(env, records);
            let clock = SystemClock::new();
            env.execute("keyed count")?;
            println!("{}", clock.elapsed().as_secs_f64());
        }
        Some(LARGE_STATE) => {
            job::describe(env, job::Plan::parse(&args[1..])?);
            env.execute("large state")?;
        }
        other => return Err(format!("there is no job {other:?}").into()),
    }
    Ok(())
}

/// Takes a hundred batches a second.
struct SlowSink;

impl Sink for SlowSink {
    type Row = keyed_count::Record16;

    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }

    fn writer(&self, _: &SinkContext) -> FunctionResult<Box<dyn SinkWriter<Self::Row>>> {
        Ok(Box::new(SlowWriter))
    }
}

struct SlowWriter;

impl SinkWriter<keyed_count::Record16> for SlowWriter {
    fn write(&mut self, _: Batch) -> FunctionResult {
        pause(Duration::from_millis(10));
        Ok(())
    }
}
