//! A value of 100 bytes for each of many keys: written once at first, then read, and a few of them
//! written again.

use thalweg::StreamExecutionEnvironment;
use thalweg::prelude::*;

use super::beats::Beat;
use crate::benchmarks::keyed_count::Record16;
use crate::measure::{key, mix};

/// Bytes of a value: random ones, which no compression makes smaller.
pub(crate) const VALUE_BYTES: usize = 100;

/// What the job does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Rows of state: the first records write one each, in order.
    pub(crate) keys: u64,
    /// Of the records after these, one of so many writes a row, the others read one.
    pub(crate) write_every: u64,
    /// Where the datagrams go, on this machine.
    pub(crate) port: u16,
    /// Subtasks at the start.
    pub(crate) parallelism: u32,
}

impl Plan {
    /// The plan as the application's arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let numbers =
            [self.keys, self.write_every, u64::from(self.port), u64::from(self.parallelism)];
        numbers.iter().map(u64::to_string).collect()
    }

    /// And back.
    pub(crate) fn parse(arguments: &[String]) -> thalweg::Result<Self> {
        let number = |place: usize| -> thalweg::Result<u64> {
            Ok(arguments.get(place).ok_or("a number is missing")?.parse()?)
        };
        let (port, parallelism) = (u16::try_from(number(2)?)?, u32::try_from(number(3)?)?);
        Ok(Self { keys: number(0)?, write_every: number(1)?, port, parallelism })
    }

    fn record(&self, n: u64) -> Record16 {
        (if n < self.keys { n } else { key(n, self.keys) }, n)
    }

    fn is_write(&self, n: u64) -> bool {
        n < self.keys || n.is_multiple_of(self.write_every)
    }
}

/// Describes the job.
pub(crate) fn describe(env: &StreamExecutionEnvironment, plan: Plan) {
    env.set_parallelism(plan.parallelism);
    let source = DataGenerator::new(move |n| plan.record(n));
    env.from_source(source, no_watermarks(), "records")
        .key_by(|record: &Record16| record.0)
        .process(move |open: &mut KeyedOpen<'_, u64>| {
            let value = open.state.value_state("value")?;
            Ok(ReadMostly { plan, value, beat: Beat::new(plan.port, open.subtask.index)? })
        })
        .uid("values")
        .sink_to(BlackholeSink::new());
}

struct ReadMostly {
    plan: Plan,
    value: ValueState<Vec<u8>>,
    beat: Beat,
}

impl KeyedProcessFunction<u64, Record16, Record16> for ReadMostly {
    fn process(
        &mut self,
        (key, n): Record16,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, Record16>,
    ) -> FunctionResult {
        self.beat.record();
        if self.plan.is_write(n) {
            self.value.set(context, value(n))?;
        } else {
            let first = self.value.get(context)?.and_then(|value| value.first().copied());
            out.collect((key, first.map_or(0, u64::from)));
        }
        Ok(())
    }
}

fn value(n: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(VALUE_BYTES);
    let mut word = n;
    while bytes.len() < VALUE_BYTES {
        word = mix(word.wrapping_add(0x9e37_79b9_7f4a_7c15));
        let rest = (VALUE_BYTES - bytes.len()).min(8);
        bytes.extend_from_slice(&word.to_le_bytes()[..rest]);
    }
    bytes
}
