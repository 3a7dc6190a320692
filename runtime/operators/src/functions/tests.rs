//! Each operator, with a snapshot in the middle that is restored at another parallelism.

mod time_to_live;

use std::fmt::Debug;
use std::sync::Arc;

use thalweg_core::{Key, Record};
use thalweg_state::{AggregateFunction, AggregatingState, ListState, MapState, OperatorListState};
use thalweg_state::{ReducingState, ValueState};

use super::*;
use crate::contract::{Collector, FunctionResult, OperatorInstance, OutputTag};
use crate::harness::{HarnessBuilder, OperatorHarness};

type Row = (u64, i64);

fn key(row: &Row) -> u64 {
    row.0
}

fn operator<P: crate::Operator + 'static>(
    make: impl Fn() -> P + Send + Sync + 'static,
) -> HarnessBuilder {
    OperatorHarness::builder(move || OperatorInstance::Operator(Box::new(make())))
}

/// What comes out of `feed(harness, phase)` for three phases with a restore between them, sorted.
fn outputs<O: Record + Ord + Debug>(
    builder: HarnessBuilder,
    parallelisms: [u32; 3],
    feed: impl Fn(&mut OperatorHarness, i64),
) -> Vec<O> {
    let mut harness = builder.parallelism(parallelisms[0]).open().unwrap();
    let mut all = Vec::new();
    for (phase, parallelism) in (0i64..).zip(parallelisms) {
        if phase > 0 {
            harness = harness.snapshot().unwrap().restore_at(parallelism).open().unwrap();
        }
        feed(&mut harness, phase);
        all.extend(harness.output::<O>().unwrap().into_iter().map(|(row, _)| row));
    }
    harness.end_input().unwrap();
    all.extend(harness.output::<O>().unwrap().into_iter().map(|(row, _)| row));
    all.sort();
    all
}

/// The same at one subtask throughout and across restores; gives what it is.
fn same_everywhere<O: Record + Ord + Debug>(
    builder: impl Fn() -> HarnessBuilder,
    feed: impl Fn(&mut OperatorHarness, i64),
) -> Vec<O> {
    let expected = outputs::<O>(builder(), [1, 1, 1], &feed);
    assert_eq!(outputs::<O>(builder(), [1, 3, 2], &feed), expected);
    assert_eq!(outputs::<O>(builder(), [4, 1, 7], &feed), expected);
    expected
}

fn rows(phase: i64) -> impl Iterator<Item = (Row, i64)> {
    (phase * 600..(phase + 1) * 600).map(|n| ((n as u64 % 70, n), n / 10))
}

fn push_rows(harness: &mut OperatorHarness, phase: i64) {
    harness.push_rows::<Row>(rows(phase)).unwrap();
}

#[test]
fn stateless_operators_give_the_same_rows_wherever_they_are_cut() {
    let mapped =
        same_everywhere::<i64>(|| operator(|| Map::new(Arc::new(|row: Row| row.1 * 2))), push_rows);
    assert_eq!(mapped, (0..1_800).map(|n| n * 2).collect::<Vec<_>>());
    let kept = same_everywhere::<Row>(
        || operator(|| Filter::new(Arc::new(|row: &Row| row.1 % 3 == 0))),
        push_rows,
    );
    assert_eq!(kept.len(), 600);
    let all = same_everywhere::<i64>(
        || {
            operator(|| {
                FlatMap::<Row, i64, _, _>::new(Arc::new(|row: Row| (0..3).map(move |n| row.1 + n)))
            })
        },
        push_rows,
    );
    assert_eq!(all.len(), 5_400);
}

#[test]
fn a_filter_keeps_each_rows_timestamp() {
    let filter = operator(|| Filter::new(Arc::new(|row: &Row| row.1 % 2 == 0)));
    let mut harness = filter.open().unwrap();
    harness.push_rows::<Row>(rows(0)).unwrap();
    for ((_, n), timestamp) in harness.output::<Row>().unwrap() {
        assert_eq!(timestamp, Some(n / 10));
    }
}

#[test]
fn a_rolling_reduce_goes_on_from_what_it_had() {
    let sums = same_everywhere::<Row>(
        || {
            let reduce = || {
                let sum = |a: Row, b: Row| (a.0, a.1 + b.1);
                Reduce::<u64, Row, _, _>::new(Arc::new(key), Arc::new(sum))
            };
            operator(reduce).keyed_by(0, key)
        },
        push_rows,
    );
    let mut totals = [0; 70];
    let mut expected = Vec::new();
    for ((user, n), _) in (0..3).flat_map(rows) {
        totals[user as usize] += n;
        expected.push((user, totals[user as usize]));
    }
    expected.sort_unstable();
    assert_eq!(sums, expected);
}

/// Sums values; the count and the sum are its accumulator.
struct Mean;

impl AggregateFunction<i64> for Mean {
    type Accumulator = (i64, i64);
    type Output = i64;
    fn create_accumulator(&self) -> (i64, i64) {
        (0, 0)
    }
    fn add(&self, value: &i64, mean: &mut (i64, i64)) {
        *mean = (mean.0 + value, mean.1 + 1);
    }
    fn get_result(&self, mean: &(i64, i64)) -> i64 {
        mean.0 / mean.1.max(1)
    }
    fn merge(&self, mean: &mut (i64, i64), other: &(i64, i64)) {
        *mean = (mean.0 + other.0, mean.1 + other.1);
    }
}

/// Every kind of keyed state at once, on both inputs, and a timer.
struct Everything {
    value: ValueState<i64>,
    list: ListState<i64>,
    map: MapState<i64, String>,
    largest: ReducingState<i64>,
    mean: AggregatingState<i64, Mean>,
}

impl Everything {
    fn open(open: &mut KeyedOpen<'_, u64>) -> FunctionResult<Self> {
        Ok(Self {
            value: open.state.value_state("value")?,
            list: open.state.list_state("list")?,
            map: open.state.map_state("map")?,
            largest: open.state.reducing_state("largest", |a: &mut i64, b| *a = b.max(*a))?,
            mean: open.state.aggregating_state("mean", Mean)?,
        })
    }
}

impl KeyedCoProcessFunction<u64, Row, Row, (u64, String)> for Everything {
    fn process_first(
        &mut self,
        row: Row,
        context: &mut KeyedContext<'_, u64>,
        _out: &mut Collector<'_, (u64, String)>,
    ) -> FunctionResult {
        *self.value.get_or_insert_with(context, || 0)? += 1;
        self.list.add(context, row.1)?;
        self.largest.add(context, row.1)?;
        context.register_event_time_timer(1_000)?;
        Ok(())
    }

    fn process_second(
        &mut self,
        row: Row,
        context: &mut KeyedContext<'_, u64>,
        _out: &mut Collector<'_, (u64, String)>,
    ) -> FunctionResult {
        self.map.put(context, row.1 % 4, row.1.to_string())?;
        self.mean.add(context, &row.1)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        time: i64,
        _domain: TimeDomain,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, (u64, String)>,
    ) -> FunctionResult {
        let count = self.value.get(context)?.copied();
        let mut list = self.list.get(context)?.to_vec();
        list.sort_unstable();
        let map: Vec<(i64, String)> =
            self.map.entries(context)?.map(|(k, v)| (*k, v.clone())).collect();
        let largest = self.largest.get(context)?.copied();
        let mean = self.mean.get(context)?;
        let key = *context.key();
        out.collect((key, format!("{time} {count:?} {list:?} {map:?} {largest:?} {mean:?}")));
        Ok(())
    }
}

#[test]
fn every_kind_of_keyed_state_and_timers_are_shared_by_both_inputs_and_survive() {
    let out = same_everywhere::<(u64, String)>(
        || {
            operator(|| {
                KeyedCoProcess::<u64, Row, Row, _, _, _, _>::new(
                    Arc::new(key),
                    Arc::new(key),
                    Arc::new(Everything::open),
                )
            })
            .inputs(2)
            .keyed_by(0, key)
            .keyed_by(1, key)
        },
        |harness, phase| {
            for (row, timestamp) in rows(phase) {
                harness.push_at((row.1 % 2) as usize, row, timestamp).unwrap();
            }
        },
    );
    // Even keys have even numbers only: their rows all come in at the first input.
    assert_eq!(out.len(), 35);
    let numbers = |user: i64| (0..1_800).filter(|n| n % 70 == user).collect::<Vec<i64>>();
    let (even, list) = (&out[1], numbers(2));
    let largest = list.iter().max();
    assert_eq!(even, &(2, format!("1000 {:?} {list:?} [] {largest:?} None", Some(list.len()))));
}

/// Counts the rows of both inputs of a subtask, in operator state.
struct Counts(OperatorListState<(String, u64)>);

impl CoProcessFunction<Row, String, (String, u64)> for Counts {
    fn process_first(
        &mut self,
        _row: Row,
        context: &mut ProcessContext<'_>,
        _out: &mut Collector<'_, (String, u64)>,
    ) -> FunctionResult {
        Ok(self.0.add(context.state(), ("row".into(), 1))?)
    }

    fn process_second(
        &mut self,
        text: String,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<'_, (String, u64)>,
    ) -> FunctionResult {
        for (what, count) in self.0.get(context.state())? {
            out.collect((format!("{text} {what}"), *count));
        }
        Ok(())
    }
}

#[test]
fn operator_state_of_two_inputs_is_dealt_out_again_and_nothing_is_lost() {
    let make = || {
        operator(|| {
            CoProcess::<Row, String, (String, u64), _>::new(Arc::new(
                |open: &mut ProcessOpen<'_>| Ok(Counts(open.state.list_state("counts")?)),
            ))
        })
        .inputs(2)
        .broadcast(1)
    };
    let out = same_everywhere::<(String, u64)>(make, |harness, phase| {
        for (row, timestamp) in rows(phase) {
            harness.push_at(0, row, timestamp).unwrap();
        }
        if phase == 2 {
            harness.push_at(1, "all".to_string(), 0).unwrap();
        }
    });
    assert_eq!(out, vec![("all row".to_string(), 1); 1_800]);
}

/// Emits rows above the limit of their parity, which the broadcast side sets.
struct Limits;

impl BroadcastProcessFunction<Row, Row, u64, i64, Row> for Limits {
    fn process(
        &mut self,
        row: Row,
        limits: &BroadcastView<'_, u64, i64>,
        out: &mut Collector<'_, Row>,
    ) -> FunctionResult {
        if limits.get(&(row.0 % 2))?.is_some_and(|limit| row.1 > *limit) {
            out.collect(row);
        }
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        limit: Row,
        limits: &mut BroadcastContext<'_, u64, i64>,
        _out: &mut Collector<'_, Row>,
    ) -> FunctionResult {
        if limit.1 < 0 {
            return Ok(limits.remove(&limit.0)?);
        }
        Ok(limits.put(limit.0, limit.1)?)
    }
}

#[test]
fn broadcast_state_is_the_same_in_every_subtask_before_and_after_a_restore() {
    let make = || {
        operator(|| {
            BroadcastProcess::<Row, Row, u64, i64, Row, _>::new(Arc::new(
                |_open: &mut ProcessOpen<'_>| Ok(Limits),
            ))
        })
        .inputs(2)
        .broadcast(1)
    };
    let out = same_everywhere::<Row>(make, |harness, phase| {
        match phase {
            0 => {
                harness.push_at(1, (0u64, 100i64), 0).unwrap();
                harness.push_at(1, (1u64, 1_000i64), 0).unwrap();
            }
            1 => harness.push_at(1, (0u64, -1i64), 0).unwrap(),
            _ => {}
        }
        for (row, timestamp) in rows(phase) {
            harness.push_at(0, row, timestamp).unwrap();
        }
    });
    let expected = (0..1_800i64)
        .map(|n| (n as u64 % 70, n))
        .filter(|(user, n)| if user % 2 == 0 { *n > 100 && *n < 600 } else { *n > 1_000 });
    let mut expected: Vec<Row> = expected.collect();
    expected.sort_unstable();
    assert_eq!(out, expected);
}

/// Keeps rows in operator state until the end, odd ones at a side output.
struct UntilTheEnd {
    rows: OperatorListState<Row>,
    odd: OutputTag<Row>,
}

impl ProcessFunction<Row, Row> for UntilTheEnd {
    fn process(
        &mut self,
        row: Row,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<'_, Row>,
    ) -> FunctionResult {
        if row.1 % 2 == 1 {
            out.side(&self.odd, row);
            return Ok(());
        }
        Ok(self.rows.add(context.state(), row)?)
    }

    fn finish(
        &mut self,
        context: &mut ProcessContext<'_>,
        out: &mut Collector<'_, Row>,
    ) -> FunctionResult {
        for row in self.rows.get(context.state())? {
            out.collect(*row);
        }
        Ok(())
    }
}

#[test]
fn a_process_function_keeps_operator_state_and_finishes_once() {
    let odd = OutputTag::<Row>::new("odd");
    let make = || {
        let odd = odd.clone();
        operator(move || {
            let odd = odd.clone();
            Process::<Row, Row, _>::new(Arc::new(move |open: &mut ProcessOpen<'_>| {
                Ok(UntilTheEnd { rows: open.state.list_state("rows")?, odd: odd.clone() })
            }))
        })
    };
    let out = same_everywhere::<Row>(make, |harness, phase| {
        push_rows(harness, phase);
        let side = harness.side(&odd).unwrap();
        assert_eq!(side.len(), 300);
        assert!(side.iter().all(|((_, n), timestamp)| *timestamp == Some(n / 10)));
    });
    assert_eq!(out.len(), 900);
}

#[test]
fn collected_rows_are_handed_over_once_across_a_restore() {
    let collect = || operator(|| Collect::<Row>::new("rows"));
    let mut harness = collect().open().unwrap();
    push_rows(&mut harness, 0);
    let mut harness = harness.snapshot().unwrap().restore_at(1).open().unwrap();
    push_rows(&mut harness, 1);
    harness.end_input().unwrap();
    let results = harness.results();
    assert_eq!(results.len(), 1);
    let mut rest = results[0].1.as_slice();
    let mut count = 0;
    while !rest.is_empty() {
        assert_eq!(Row::decode(&mut rest).unwrap().1, count);
        count += 1;
    }
    assert_eq!(count, 1_200);
}

#[test]
fn an_exchange_hashes_keys_as_the_keyed_operator_does() {
    let hashes = <dyn KeyHashes>::of::<Row, u64, _>(Arc::new(key));
    let batch = thalweg_core::Batch::from_values(vec![(7u64, 1i64), (8, 2)]);
    let mut computed = Vec::new();
    hashes.hashes(&batch, &mut computed).unwrap();
    assert_eq!(computed, [7u64.key_hash(), 8u64.key_hash()]);
}
