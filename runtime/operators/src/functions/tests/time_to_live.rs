//! State with a time to live in a keyed function, by the harness's clock.

use std::sync::Arc;
use std::time::Duration;

use thalweg_state::{StateTtlConfig, TimeToLive, UpdateType};

use super::*;

const HOUR: i64 = 3_600_000;

/// Passes on the first row of each key within an hour, with how many of it came so far, and what
/// came in the last hour.
struct First {
    seen: ValueState<bool, TimeToLive>,
    recent: ListState<i64, TimeToLive>,
    total: ValueState<i64>,
}

impl First {
    fn open(open: &mut KeyedOpen<'_, u64>, config: StateTtlConfig) -> FunctionResult<Self> {
        let mut expiring = open.state.with_time_to_live(config);
        Ok(Self {
            seen: expiring.value_state("seen")?,
            recent: expiring.list_state("recent")?,
            total: open.state.value_state("total")?,
        })
    }
}

impl KeyedProcessFunction<u64, Row, (u64, i64, Vec<i64>)> for First {
    fn process(
        &mut self,
        row: Row,
        context: &mut KeyedContext<'_, u64>,
        out: &mut Collector<'_, (u64, i64, Vec<i64>)>,
    ) -> FunctionResult {
        self.recent.add(context, row.1)?;
        *self.total.get_or_insert_with(context, || 0)? += 1;
        if self.seen.get(context)?.is_none() {
            self.seen.set(context, true)?;
            let total = self.total.get(context)?.copied().unwrap_or(0);
            out.collect((row.0, total, self.recent.get(context)?.to_vec()));
        }
        Ok(())
    }
}

fn first(config: StateTtlConfig) -> HarnessBuilder {
    operator(move || {
        let make = move |open: &mut KeyedOpen<'_, u64>| First::open(open, config);
        KeyedProcess::new(Arc::new(key), Arc::new(make))
    })
    .keyed_by(0, key)
}

fn hour() -> StateTtlConfig {
    StateTtlConfig::new(Duration::from_millis(HOUR as u64))
}

fn output(harness: &mut OperatorHarness) -> Vec<(u64, i64, Vec<i64>)> {
    harness.output().unwrap().into_iter().map(|(row, _)| row).collect()
}

#[test]
fn values_expire_by_the_clock_and_what_is_left_of_their_life_survives_any_restore() {
    for parallelisms in [[1, 1, 1], [2, 3, 1]] {
        let mut harness = first(hour()).parallelism(parallelisms[0]).at(7_000).open().unwrap();
        harness.push::<Row>((1, 10), 0).unwrap();
        harness.push::<Row>((2, 20), 0).unwrap();
        assert_eq!(output(&mut harness).len(), 2);
        harness.clock().advance(Duration::from_secs(1800));
        harness.push::<Row>((1, 11), 0).unwrap();
        assert_eq!(output(&mut harness), []);

        // Restored after half an hour of downtime but 1 ms.
        let restore = harness.snapshot().unwrap().restore_at(parallelisms[1]);
        let mut harness = restore.at(7_000 + HOUR - 1).open().unwrap();
        harness.push::<Row>((1, 12), 0).unwrap();
        assert_eq!(output(&mut harness), []);
        harness.clock().advance(Duration::from_millis(1));
        harness.push::<Row>((1, 13), 0).unwrap();
        assert_eq!(output(&mut harness), [(1, 4, vec![11, 12, 13])]);

        // Long after.
        let restore = harness.snapshot().unwrap().restore_at(parallelisms[2]);
        let mut harness = restore.at(7_000 + 5 * HOUR).open().unwrap();
        harness.push::<Row>((2, 21), 0).unwrap();
        assert_eq!(output(&mut harness), [(2, 2, vec![21])]);
    }
}

#[test]
fn expired_state_goes_while_other_keys_rows_come_and_at_snapshots_where_none_come() {
    let mut harness = first(hour()).open().unwrap();
    harness.push_rows::<Row>((0..100_000).map(|n| ((n % 5_000, 0), 0))).unwrap();
    output(&mut harness);
    let full = harness.state_bytes();
    harness.clock().set(HOUR);
    // The same few keys, at five entries of each state a row.
    harness.push_rows::<Row>((0..2_500).map(|n| ((n % 10, 0), 0))).unwrap();
    output(&mut harness);
    let total = first_totals_alone();
    let left = harness.state_bytes();
    assert!(left < total + (full - total) / 10, "{left} bytes of {full}, {total} without expiry");

    let mut idle = first(hour()).open().unwrap();
    idle.push_rows::<Row>((0..100_000).map(|n| ((n % 5_000, 0), 0))).unwrap();
    output(&mut idle);
    idle.clock().set(HOUR);
    (0..3).for_each(|_| drop(idle.snapshot().unwrap()));
    let left = idle.state_bytes();
    assert!(left < total + (full - total) / 10, "{left} bytes of {full}, {total} without expiry");
}

/// What 5,000 keys take in the state that doesn't expire.
fn first_totals_alone() -> usize {
    let brief = StateTtlConfig::new(Duration::from_millis(1)).cleanup_incrementally(50);
    let mut harness = first(brief).open().unwrap();
    harness.push_rows::<Row>((0..5_000).map(|n| ((n, 0), 0))).unwrap();
    output(&mut harness);
    harness.clock().set(10);
    (0..10).for_each(|_| drop(harness.snapshot().unwrap()));
    harness.state_bytes()
}

#[test]
fn reads_keep_a_value_alive_where_that_is_wanted() {
    let on_read = hour().update_type(UpdateType::OnReadAndWrite);
    for (config, expected) in [(hour(), 3), (on_read, 1)] {
        let mut harness = first(config).open().unwrap();
        for half_hour in 0..6 {
            harness.clock().set(half_hour * HOUR / 2);
            harness.push::<Row>((1, half_hour), 0).unwrap();
        }
        assert_eq!(output(&mut harness).len(), expected, "{config:?}");
    }
}

/// The same function without a time to live: the application before.
struct Before {
    seen: ValueState<bool>,
    recent: ListState<i64>,
    total: ValueState<i64>,
}

impl KeyedProcessFunction<u64, Row, (u64, i64, Vec<i64>)> for Before {
    fn process(
        &mut self,
        row: Row,
        context: &mut KeyedContext<'_, u64>,
        _out: &mut Collector<'_, (u64, i64, Vec<i64>)>,
    ) -> FunctionResult {
        self.seen.set(context, true)?;
        self.recent.add(context, row.1)?;
        self.total.set(context, 1)?;
        Ok(())
    }
}

#[test]
fn the_next_version_of_an_application_may_give_its_state_a_time_to_live() {
    let mut harness = operator(|| {
        let make = |open: &mut KeyedOpen<'_, u64>| {
            Ok(Before {
                seen: open.state.value_state("seen")?,
                recent: open.state.list_state("recent")?,
                total: open.state.value_state("total")?,
            })
        };
        KeyedProcess::new(Arc::new(key), Arc::new(make))
    })
    .keyed_by(0, key)
    .open()
    .unwrap();
    harness.push::<Row>((1, 10), 0).unwrap();
    let next = move || {
        let make = move |open: &mut KeyedOpen<'_, u64>| First::open(open, hour());
        OperatorInstance::Operator(Box::new(KeyedProcess::new(Arc::new(key), Arc::new(make))))
    };
    let restore = harness.snapshot().unwrap().restore_at(2).with(next);
    let mut harness = restore.at(9 * HOUR).open().unwrap();
    harness.clock().set(10 * HOUR - 1);
    harness.push::<Row>((1, 11), 0).unwrap();
    assert_eq!(output(&mut harness), []);
    harness.clock().set(10 * HOUR);
    harness.push::<Row>((1, 12), 0).unwrap();
    assert_eq!(output(&mut harness), [(1, 3, vec![11, 12])]);
}
