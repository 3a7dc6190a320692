//! Timestamps and watermarks, assigned downstream of a source.

use std::time::Duration;

use thalweg_core::element::Control;
use thalweg_core::{Batch, Columns};

use super::{AssignTimestamps, WatermarkStrategy};
use crate::contract::{Operator, OutputTag};
use crate::source::rig::{Rig, Seen};

fn strategy() -> WatermarkStrategy<i64> {
    WatermarkStrategy::bounded_out_of_orderness(Duration::from_millis(5)).with_timestamps(|t| *t)
}

struct Subtask {
    rig: Rig,
    operator: AssignTimestamps<i64>,
}

impl Subtask {
    fn new(strategy: WatermarkStrategy<i64>, runs: Option<&[Vec<u8>]>) -> Self {
        Self::start(Rig::new(0, 1), strategy, runs)
    }

    fn start(rig: Rig, strategy: WatermarkStrategy<i64>, runs: Option<&[Vec<u8>]>) -> Self {
        let mut operator = AssignTimestamps::new(strategy);
        rig.open(Vec::new(), runs, |context| operator.open(context)).unwrap();
        Self { rig, operator }
    }

    fn rows(&mut self, mut batch: Batch) -> Vec<Seen<i64>> {
        let operator = &mut self.operator;
        self.rig.call(|context, output| operator.process(0, &mut batch, context, output)).unwrap();
        assert!(batch.is_empty());
        self.rig.main()
    }

    fn times(&mut self, times: &[i64]) -> Vec<Seen<i64>> {
        self.rows(Batch::new(times.to_vec(), Columns::timestamped(vec![0; times.len()])))
    }

    /// Moves the clock and fires the timer, if it's due.
    fn wait(&mut self, ms: i64) -> Vec<Seen<i64>> {
        self.rig.clock.advance(ms);
        let operator = &mut self.operator;
        self.rig.call(|context, output| {
            if operator.next_processing_time().is_some_and(|due| due <= context.processing_time) {
                let _ = operator.processing_time(context, output).unwrap();
            }
        });
        self.rig.main()
    }
}

fn rows(times: &[i64]) -> Seen<i64> {
    Seen::Rows(times.iter().map(|time| (*time, Some(*time))).collect())
}

fn watermark(watermark: i64) -> Seen<i64> {
    Seen::Control(Control::Watermark(watermark))
}

#[test]
fn rows_get_new_timestamps_and_a_watermark_follows_when_it_rises() {
    let mut subtask = Subtask::new(strategy(), None);
    assert_eq!(subtask.times(&[10, 30, 20]), [rows(&[10, 30, 20]), watermark(24)]);
    assert_eq!(subtask.times(&[29]), [rows(&[29])]);
    assert_eq!(subtask.times(&[31]), [rows(&[31]), watermark(25)]);
    assert!(subtask.operator.makes_watermarks());
}

#[test]
fn rows_keep_their_timestamps_when_the_strategy_gives_none() {
    let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::from_millis(5));
    let mut subtask = Subtask::new(strategy, None);
    let seen = subtask.rows(Batch::new(vec![7i64], Columns::timestamped(vec![100])));
    assert_eq!(seen, [Seen::Rows(vec![(7, Some(100))]), watermark(94)]);
    assert_eq!(subtask.rows(Batch::from_values(vec![8i64])), [Seen::Rows(vec![(8, None)])]);
}

#[test]
fn late_rows_go_to_the_late_output_also_after_a_restart() {
    let late = || strategy().with_late_output(OutputTag::new("late"));
    let mut subtask = Subtask::new(late(), None);
    assert_eq!(subtask.times(&[50, 44, 45]), [rows(&[50, 45]), watermark(44)]);
    assert_eq!(subtask.rig.side::<i64>("late"), [44]);
    let operator = &mut subtask.operator;
    let run = subtask.rig.snapshot(1, |context, writer| operator.snapshot(context, writer));
    let mut restored = Subtask::start(Rig::new(0, 3), late(), Some(&[run]));
    assert_eq!(restored.times(&[44, 45]), [rows(&[45]), watermark(44)]);
    assert_eq!(restored.rig.side::<i64>("late"), [44]);
    assert_eq!(restored.rig.metrics.late_records_dropped(), 1);
}

#[test]
fn without_rows_it_becomes_idle_and_active_again_but_not_when_the_timer_was_held_up() {
    let mut subtask = Subtask::new(strategy().with_idleness(Duration::from_secs(4)), None);
    subtask.times(&[10]);
    // The first look sees the rows; a look that comes an hour late counts as one.
    for wait in [1000, 1000, 3_600_000, 1000] {
        assert_eq!(subtask.wait(wait), []);
    }
    assert_eq!(subtask.wait(999), []);
    assert_eq!(subtask.wait(1), [Seen::Control(Control::Idle)]);
    assert_eq!(subtask.operator.next_processing_time(), None);
    assert_eq!(subtask.wait(60_000), []);
    assert_eq!(subtask.times(&[20]), [Seen::Control(Control::Active), rows(&[20]), watermark(14)]);
    assert!(subtask.operator.next_processing_time().is_some());
}
