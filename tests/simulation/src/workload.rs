//! The job: small, and with a piece of everything that a fault could hurt. Keyed state of each
//! kind, timers, a sequence per key that must rise by exactly one, sliding windows behind a
//! rebalance, two inputs, broadcast state, a side output, two exactly-once sinks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_connectors::DataGenerator;
use thalweg_datastream::{DataStream, StreamExecutionEnvironment};
use thalweg_operators::code::JobCode;
use thalweg_operators::functions::{
    BroadcastContext, BroadcastProcessFunction, BroadcastView, KeyedCoProcessFunction,
    KeyedContext, KeyedOpen, KeyedProcessFunction, ProcessContext, TimeDomain,
};
use thalweg_operators::source::SourceOptions;
use thalweg_operators::time::WatermarkStrategy;
use thalweg_operators::windows::{Elements, WindowAssigner, WindowContext};
use thalweg_operators::{Collector, FunctionResult, OutputTag};
use thalweg_state::{AggregateFunction, ListState, MapState, ReducingState, ValueState};

use crate::capture::capture;
use crate::dice::Dice;
use crate::ledger::{Ledger, LedgerSink};
use crate::plan::Plan;
use crate::rows::{Event, Mark, OUT_OF_ORDER, Rows};

/// How many values of a key make a line.
pub const CHUNK: usize = 7;
/// Length of the timers' and the join's buckets.
pub const BUCKET_MS: i64 = 1_000;
/// Length of a window.
pub const WINDOW_MS: i64 = 2_000;
/// From one window to the next.
pub const SLIDE_MS: i64 = 500;

/// The lines that the job outputs, each in one place for the job and its oracle.
pub mod line {
    use std::collections::BTreeMap;

    /// A late row.
    pub fn late(key: u64, time: i64, value: u64) -> String {
        format!("late key={key} time={time} value={value}")
    }

    /// Some values of a key in their order.
    pub fn chunk(key: u64, upto: u64, values: &[u64]) -> String {
        format!("chunk key={key} upto={upto} values={values:?}")
    }

    /// How often each value modulo 5 was there.
    pub fn bucket(key: u64, end: i64, counts: &BTreeMap<u64, u64>) -> String {
        format!("bucket key={key} end={end} counts={counts:?}")
    }

    /// A window's rows and sum.
    pub fn window(key: u64, start: i64, count: u64, sum: u64) -> String {
        format!("window key={key} start={start} count={count} sum={sum}")
    }

    /// Rows and sums of both sides.
    pub fn join(key: u64, end: i64, sums: (u64, u64, u64, u64)) -> String {
        format!("join key={key} end={end} sums={sums:?}")
    }

    /// A number.
    pub fn number(number: u64) -> String {
        format!("number {number:05}")
    }

    /// A mark as a subtask hears it.
    pub fn heard(key: u64, time: i64, weight: u64) -> String {
        format!("heard key={key} time={time} weight={weight}")
    }
}

/// What goes wrong in user code.
#[derive(Clone)]
struct Mishaps {
    dice: Arc<Mutex<Dice>>,
    per_mille: u64,
    heal_at: Duration,
}

impl Mishaps {
    #[expect(clippy::panic, reason = "that user code panics is one of the faults")]
    fn happen(&self) -> FunctionResult {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        if now < self.heal_at {
            let mut dice = self.dice.lock();
            if dice.chance(self.per_mille) {
                if dice.chance(500) {
                    return Err("injected: the function fails".into());
                }
                drop(dice);
                std::panic::panic_any("injected: the function panics");
            }
        }
        Ok(())
    }
}

/// Checks that each key's sequence rises by one, and keeps state of each kind.
struct Sequence {
    last: ValueState<u64>,
    chunk: ListState<u64>,
    counts: MapState<(i64, u64), u64>,
    sum: ReducingState<u64>,
    mishaps: Mishaps,
}

fn bucket_of(time: i64) -> i64 {
    (time / BUCKET_MS + 1) * BUCKET_MS
}

impl KeyedProcessFunction<u64, Event, String> for Sequence {
    fn process(
        &mut self,
        (key, sequence, time, value): Event,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        self.mishaps.happen()?;
        let last = self.last.get(context)?.copied().unwrap_or(0);
        if sequence != last + 1 {
            out.collect(format!("ALERT key={key}: {sequence} follows {last}"));
        }
        self.last.set(context, sequence)?;
        self.sum.add(context, 1)?;
        if self.sum.get(context)?.copied() != Some(sequence) {
            out.collect(format!("ALERT key={key}: the count isn't {sequence}"));
        }
        self.chunk.add(context, value)?;
        let chunk = self.chunk.get(context)?;
        if chunk.len() == CHUNK {
            out.collect(line::chunk(key, sequence, chunk));
            self.chunk.clear(context)?;
        }
        let bucket = bucket_of(time);
        let count = self.counts.get(context, &(bucket, value % 5))?.copied().unwrap_or(0);
        self.counts.put(context, (bucket, value % 5), count + 1)?;
        context.register_event_time_timer(bucket - 1)?;
        context.register_processing_time_timer(context.processing_time() + 30)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        time: i64,
        domain: TimeDomain,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        if domain == TimeDomain::ProcessingTime {
            if self.last.get(context)?.is_none() {
                out.collect(format!("ALERT key={}: a timer without its key", context.key()));
            }
            return Ok(());
        }
        let bucket = time + 1;
        let entries = self.counts.entries(context)?;
        let mine = entries.filter(|((end, _), _)| *end == bucket);
        let counts: BTreeMap<u64, u64> = mine.map(|((_, value), n)| (*value, *n)).collect();
        for value in counts.keys() {
            self.counts.remove(context, &(bucket, *value))?;
        }
        out.collect(line::bucket(*context.key(), bucket, &counts));
        Ok(())
    }
}

/// Sums both sides of a bucket.
struct Join {
    events: ListState<(i64, u64)>,
    marks: MapState<i64, (u64, u64)>,
}

impl KeyedCoProcessFunction<u64, Event, Mark, String> for Join {
    fn process_first(
        &mut self,
        (_, _, time, value): Event,
        context: &mut KeyedContext<'_, u64>,
        _out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        self.events.add(context, (bucket_of(time), value))?;
        Ok(context.register_event_time_timer(bucket_of(time) - 1)?)
    }

    fn process_second(
        &mut self,
        (_, time, weight): Mark,
        context: &mut KeyedContext<'_, u64>,
        _out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        let (count, sum) = self.marks.get(context, &bucket_of(time))?.copied().unwrap_or_default();
        self.marks.put(context, bucket_of(time), (count + 1, sum + weight))?;
        Ok(context.register_event_time_timer(bucket_of(time) - 1)?)
    }

    fn on_timer(
        &mut self,
        time: i64,
        _domain: TimeDomain,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        let bucket = time + 1;
        let all = self.events.get(context)?.to_vec();
        let (mine, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(end, _)| *end == bucket);
        self.events.update(context, rest)?;
        let (count, sum) = self.marks.remove(context, &bucket)?.unwrap_or_default();
        let events = mine.iter().map(|(_, value)| value).sum();
        out.collect(line::join(*context.key(), bucket, (mine.len() as u64, events, count, sum)));
        Ok(())
    }
}

/// Says what it hears, once for each mark, and checks its memory.
struct Hear;

impl BroadcastProcessFunction<Event, Mark, u64, u64, String> for Hear {
    fn process(
        &mut self,
        _event: Event,
        _heard: &BroadcastView<'_, u64, u64>,
        _out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        (key, time, weight): Mark,
        heard: &mut BroadcastContext<'_, u64, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        let last = heard.get(&0)?.copied().unwrap_or(0);
        if last > time as u64 {
            out.collect(format!("ALERT mark at {time} after one at {last}"));
        }
        heard.put(0, time as u64)?;
        out.collect(line::heard(key, time, weight));
        Ok(())
    }
}

/// Counts and sums.
struct CountAndSum;

impl AggregateFunction<(u64, u64)> for CountAndSum {
    type Accumulator = (u64, u64);
    type Output = (u64, u64);

    fn create_accumulator(&self) -> (u64, u64) {
        (0, 0)
    }

    fn add(&self, row: &(u64, u64), sums: &mut (u64, u64)) {
        *sums = (sums.0 + 1, sums.1 + row.1);
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

fn open_sequence(open: &mut KeyedOpen<'_, u64>, mishaps: Mishaps) -> FunctionResult<Sequence> {
    Ok(Sequence {
        last: open.state.value_state("last")?,
        chunk: open.state.list_state("chunk")?,
        counts: open.state.map_state("counts")?,
        sum: open.state.reducing_state("sum", |sum: &mut u64, one| *sum += one)?,
        mishaps,
    })
}

fn sources(
    env: &StreamExecutionEnvironment,
    plan: &Plan,
    rows: &Arc<Rows>,
    late: &OutputTag<Event>,
) -> (DataStream<Event>, DataStream<Mark>) {
    let all = rows.clone();
    let events = DataGenerator::new(move |number| all.events[number as usize])
        .with_count(rows.events.len() as u64)
        .with_splits(plan.splits);
    let time = WatermarkStrategy::bounded_out_of_orderness(OUT_OF_ORDER)
        .with_timestamps(|event: &Event| event.2)
        .with_late_output(late.clone());
    let options = SourceOptions::new(time).with_rate(Some(plan.rate));
    let events = env.from_source(events, options, "events").uid("events");
    let all = rows.clone();
    let marks = DataGenerator::new(move |number| all.marks[number as usize])
        .with_count(rows.marks.len() as u64)
        .with_splits(1);
    let time = WatermarkStrategy::bounded_out_of_orderness(OUT_OF_ORDER)
        .with_timestamps(|mark: &Mark| mark.1);
    let options = SourceOptions::new(time).with_rate(Some(plan.rate / 3.0));
    let marks = env.from_source(marks, options, "marks").uid("marks").set_parallelism(1);
    (events, marks)
}

/// A pipeline that shares nothing with the rest: a region of its own, that fails and restarts by
/// itself and still shares every checkpoint.
fn count_apart(
    env: &StreamExecutionEnvironment,
    plan: &Plan,
    rows: &Rows,
    ledger: &Ledger,
    mishaps: Mishaps,
) {
    let numbers = DataGenerator::new(|number| number).with_count(rows.numbers);
    let options = SourceOptions::new(WatermarkStrategy::no_watermarks());
    env.from_source(numbers, options.with_rate(Some(plan.rate / 2.0)), "numbers")
        .uid("numbers")
        .set_parallelism(1)
        .rebalance()
        .process(move |_| {
            let mishaps = mishaps.clone();
            Ok(move |number: u64, _: &mut ProcessContext<'_>, out: &mut Collector<'_, String>| {
                mishaps.happen()?;
                out.collect(line::number(number));
                Ok(())
            })
        })
        .uid("count")
        .sink_to(LedgerSink(ledger.clone()))
        .name("numbers")
        .uid("numbers-sink");
}

/// The job's graph and code.
///
/// # Errors
/// The job can't be described; never, unless the API has changed.
pub fn job(plan: &Plan, rows: &Arc<Rows>, ledger: &Ledger) -> Result<JobCode, String> {
    capture(|env| {
        env.set_parallelism(plan.parallelism);
        env.set_max_parallelism(16);
        let late = OutputTag::<Event>::new("late");
        let (events, marks) = sources(env, plan, rows, &late);
        let dice = Arc::new(Mutex::new(Dice::new(plan.seed, "mishaps")));
        let mishaps = Mishaps { dice, per_mille: plan.user_failures, heal_at: plan.heal_at };
        let sequence = events
            .key_by(|event: &Event| event.0)
            .process({
                let mishaps = mishaps.clone();
                move |open| open_sequence(open, mishaps.clone())
            })
            .name("Sequence")
            .uid("sequence");
        let windows = events
            .rebalance()
            .map(|event: Event| ((event.0, event.3), event.2))
            .name("Pick")
            .map(|(row, _)| row)
            .key_by(|row: &(u64, u64)| row.0)
            .window(WindowAssigner::sliding(WINDOW_MS, SLIDE_MS))
            .aggregate_with(CountAndSum, |_| Ok(window_line))
            .name("Window")
            .uid("window");
        let joined = events
            .connect(&marks)
            .key_by(|event: &Event| event.0, |mark: &Mark| mark.0)
            .process(|open| {
                let events = open.state.list_state("events")?;
                Ok(Join { events, marks: open.state.map_state("marks")? })
            })
            .name("Join")
            .uid("join");
        let heard = events.connect_broadcast(&marks.broadcast()).process(|_| Ok(Hear)).uid("hear");
        sequence
            .union(&[&windows, &joined, &heard])
            .sink_to(LedgerSink(ledger.clone()))
            .name("lines")
            .uid("lines");
        events
            .side_output(&late)
            .map(|(key, _, time, value): Event| line::late(key, time, value))
            .shuffle()
            .sink_to(LedgerSink(ledger.clone()))
            .set_parallelism(1)
            .name("late")
            .uid("late");
        count_apart(env, plan, rows, ledger, mishaps);
        env.execute("simulated").map(drop)
    })
}
