//! What is remembered per key: every kind of keyed state and both kinds of timers.

use std::collections::BTreeMap;

use thalweg::prelude::*;

use crate::gates::{Gates, RESTORE};
use crate::input::{Row, payload};
use crate::line::{self, ALERT};

/// So many rows of a key make a line.
pub const CHUNK: usize = 20;
/// The length of event-time timers' buckets.
pub const BUCKET_MS: i64 = 2_000;
/// How long a row waits to be settled.
const SETTLE_MS: i64 = 50;
/// A processing-time timer that rows have seen to be overdue for so long is lost.
const LOST_MS: i64 = 20_000;

/// The mean of the values: their number and sum.
pub struct Mean;

impl AggregateFunction<u64> for Mean {
    type Accumulator = (u64, u64);
    type Output = u64;

    fn create_accumulator(&self) -> (u64, u64) {
        (0, 0)
    }

    fn add(&self, value: &u64, sums: &mut (u64, u64)) {
        *sums = (sums.0 + 1, sums.1 + value);
    }

    fn get_result(&self, sums: &(u64, u64)) -> u64 {
        sums.1 / sums.0.max(1)
    }

    fn merge(&self, sums: &mut (u64, u64), other: &(u64, u64)) {
        *sums = (sums.0 + other.0, sums.1 + other.1);
    }
}

/// Checks that each key's sequence rises by exactly one, and keeps state of each kind.
pub struct Sequence {
    last: ValueState<u64>,
    payload: ValueState<String>,
    chunk: ListState<u64>,
    highest: ReducingState<u64>,
    mean: AggregatingState<u64, Mean>,
    /// By the bucket's end and the value.
    counts: MapState<(i64, u64), u64>,
    /// Sequences that wait for their timer, ...
    unsettled: ListState<u64>,
    /// ... and when it fires.
    due: ValueState<i64>,
    /// When this attempt first saw that a key's timer is overdue.
    overdue: BTreeMap<u64, i64>,
    payload_bytes: usize,
}

impl Sequence {
    /// Declares the state, with a gate in the middle of restoring it.
    ///
    /// # Errors
    /// It can't be restored.
    pub fn open(
        open: &mut KeyedOpen<'_, u64>,
        payload_bytes: usize,
        gates: &Gates,
    ) -> FunctionResult<Self> {
        let (last, payload) = (open.state.value_state("last")?, open.state.value_state("payload")?);
        let chunk = open.state.list_state("chunk")?;
        if open.subtask.attempt > 0 {
            gates.pass(RESTORE)?;
        }
        let highest = |highest: &mut u64, value: u64| *highest = value.max(*highest);
        Ok(Self {
            last,
            payload,
            chunk,
            highest: open.state.reducing_state("highest", highest)?,
            mean: open.state.aggregating_state("mean", Mean)?,
            counts: open.state.map_state("counts")?,
            unsettled: open.state.list_state("unsettled")?,
            due: open.state.value_state("due")?,
            overdue: BTreeMap::new(),
            payload_bytes,
        })
    }

    /// The sequence, and what belongs to it.
    fn check(
        &mut self,
        row: &Row,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        let Row { key, sequence, .. } = *row;
        let last = self.last.get(context)?.copied().unwrap_or(0);
        if sequence != last + 1 {
            out.collect(format!("{ALERT} key={key}: {sequence} follows {last}"));
        }
        self.last.set(context, sequence)?;
        if self.payload_bytes > 0 {
            let kept = self.payload.get(context)?.cloned().unwrap_or_default();
            if last > 0 && kept != payload(key, last, self.payload_bytes) {
                out.collect(format!("{ALERT} key={key}: the payload of {last} is {kept:?}"));
            }
            self.payload.set(context, payload(key, sequence, self.payload_bytes))?;
        }
        Ok(())
    }

    fn settle_later(
        &mut self,
        row: &Row,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        let now = context.processing_time();
        self.unsettled.add(context, row.sequence)?;
        match self.due.get(context)?.copied() {
            None => {
                self.due.set(context, now + SETTLE_MS)?;
                context.register_processing_time_timer(now + SETTLE_MS)?;
                self.overdue.remove(&row.key);
            }
            Some(due) if due < now => {
                let first = *self.overdue.entry(row.key).or_insert(now);
                if now - first > LOST_MS {
                    out.collect(format!("{ALERT} key={}: the timer at {due} is lost", row.key));
                }
            }
            Some(_) => {}
        }
        // What waits when the input ends is settled then.
        Ok(context.register_event_time_timer(i64::MAX)?)
    }

    fn settle(
        &self,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        let key = *context.key();
        for sequence in self.unsettled.get(context)? {
            out.collect(line::settled(key, *sequence));
        }
        self.unsettled.clear(context)?;
        Ok(self.due.clear(context)?)
    }
}

impl KeyedProcessFunction<u64, Row, String> for Sequence {
    fn process(
        &mut self,
        row: Row,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        self.check(&row, context, out)?;
        let Row { key, sequence, time, value } = row;
        self.highest.add(context, value)?;
        self.mean.add(context, &value)?;
        self.chunk.add(context, value)?;
        if self.chunk.get(context)?.len() == CHUNK {
            let values = self.chunk.get(context)?.to_vec();
            let highest = self.highest.get(context)?.copied().unwrap_or(0);
            let mean = self.mean.get(context)?.unwrap_or(0);
            out.collect(line::chunk(key, sequence, &values, highest, mean));
            self.chunk.clear(context)?;
        }
        let bucket = (time / BUCKET_MS + 1) * BUCKET_MS;
        let count = self.counts.get(context, &(bucket, value % 5))?.copied().unwrap_or(0);
        self.counts.put(context, (bucket, value % 5), count + 1)?;
        context.register_event_time_timer(bucket - 1)?;
        self.settle_later(&row, context, out)
    }

    fn on_timer(
        &mut self,
        time: i64,
        domain: TimeDomain,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> FunctionResult {
        let key = *context.key();
        if domain == TimeDomain::ProcessingTime {
            if self.due.get(context)? != Some(&time) {
                out.collect(format!("{ALERT} key={key}: nobody asked for a timer at {time}"));
            }
            return self.settle(context, out);
        }
        if time == i64::MAX {
            if let Some(due) = self.due.get(context)?.copied() {
                context.delete_processing_time_timer(due);
            }
            return self.settle(context, out);
        }
        let bucket = time + 1;
        let mine = self.counts.entries(context)?.filter(|((end, _), _)| *end == bucket);
        let counts: BTreeMap<u64, u64> = mine.map(|((_, value), n)| (*value, *n)).collect();
        for value in counts.keys() {
            self.counts.remove(context, &(bucket, *value))?;
        }
        out.collect(line::bucket(key, bucket, &counts));
        Ok(())
    }
}
