//! From a record's making in the source to the sink, behind an exchange and keyed state.

use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use thalweg::core::{Batch, Clock, SystemClock};
use thalweg::operators::sink::{SinkContext, SinkWriter};
use thalweg::prelude::*;

use crate::Outcome;
use crate::measure::cluster::measure;
use crate::measure::histogram::Histogram;
use crate::measure::key;
use crate::table::{Goal, Row};

const KEYS: u64 = 10_000;

/// How long and how fast.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Records a second, both sources together
    #[arg(long, default_value_t = 100_000.0)]
    rate: f64,
    /// Seconds that aren't measured
    #[arg(long, default_value_t = 10.0)]
    warm_up: f64,
    /// Seconds that are measured
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
}

/// A key (or its count), and when it was made: ns on the clock of the run.
type Stamped = (u64, u64);

/// Counts per key, passing the time on.
struct Count(ValueState<u64>);

impl KeyedProcessFunction<u64, Stamped, Stamped> for Count {
    fn process(
        &mut self,
        record: Stamped,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, Stamped>,
    ) -> FunctionResult {
        let mut count = self.0.get_or_insert_with(context, || 0)?;
        *count += 1;
        out.collect((*count, record.1));
        Ok(())
    }
}

/// Measures how old records are when they reach it.
struct Ages {
    clock: Arc<SystemClock>,
    /// Of records made from then on.
    from_nanos: u64,
    all: Arc<Mutex<Histogram>>,
}

impl Sink for Ages {
    type Row = Stamped;

    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }

    fn writer(&self, _: &SinkContext) -> FunctionResult<Box<dyn SinkWriter<Stamped>>> {
        let (clock, all) = (self.clock.clone(), self.all.clone());
        let seen = Histogram::default();
        Ok(Box::new(Writer { clock, from_nanos: self.from_nanos, seen, all }))
    }
}

struct Writer {
    clock: Arc<SystemClock>,
    from_nanos: u64,
    seen: Histogram,
    all: Arc<Mutex<Histogram>>,
}

impl SinkWriter<Stamped> for Writer {
    fn write(&mut self, batch: Batch) -> FunctionResult {
        let now = nanos(&self.clock);
        for (_, made) in batch.values::<Stamped>()? {
            if *made >= self.from_nanos {
                self.seen.add(now.saturating_sub(*made));
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).merge(&self.seen);
    }
}

fn nanos(clock: &SystemClock) -> u64 {
    u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// At the rate, with default settings, parallelism 2.
pub(crate) fn run(flags: &Flags) -> Outcome<Vec<Row>> {
    let records = (flags.rate * (flags.warm_up + flags.seconds)) as u64;
    let (clock, all) = (Arc::new(SystemClock::new()), Arc::<Mutex<Histogram>>::default());
    let sink =
        Ages { clock: clock.clone(), from_nanos: (flags.warm_up * 1e9) as u64, all: all.clone() };
    let throughput = measure(&[], 2, records, |env| {
        let make = move |n: u64| (key(n, KEYS), nanos(&clock));
        let rate = SourceOptions::new(no_watermarks()).with_rate(Some(flags.rate));
        env.from_source(DataGenerator::new(make).with_count(records), rate, "records")
            .key_by(|record: &Stamped| record.0)
            .process(|open| Ok(Count(open.state.value_state("count")?)))
            .uid("count")
            .sink_to(sink);
    })?;
    throughput.explain("latency");
    let seen = all.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if seen.len() == 0 {
        return Err("no record was measured: the warm-up was all".into());
    }
    eprintln!("{} records measured", seen.len());
    let row = |what, figure: Duration, goal| Row {
        what,
        figure: figure.as_secs_f64() * 1e3,
        unit: "ms",
        goal,
        flink: None,
    };
    Ok(vec![
        row("latency, 100 K/s, parallelism 2: p50", seen.quantile(0.5), Goal::None),
        row("latency: p99", seen.quantile(0.99), Goal::AtMost(10.0)),
        row("latency: maximum", seen.max(), Goal::None),
    ])
}
