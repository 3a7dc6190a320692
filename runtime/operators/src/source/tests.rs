//! The driver with a source that is a list of scripts.

mod fake;

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::element::{Control, MAX_WATERMARK};

use self::fake::{FakeSource, Step};
use super::rig::{Rig, Seen};
use super::{BadRecord, BadRecords, SourceDriver, SourceOptions, SourceSplit};
use crate::contract::{OperatorError, OutputTag, SourceOperator, SourceStatus};
use crate::time::WatermarkStrategy;

/// (split, event time)
type Row = (u32, i64);

struct Subtask {
    rig: Rig,
    driver: SourceDriver<FakeSource>,
}

fn strategy(bound_ms: u64) -> WatermarkStrategy<Row> {
    WatermarkStrategy::bounded_out_of_orderness(Duration::from_millis(bound_ms))
        .with_timestamps(|row: &Row| row.1)
}

impl Subtask {
    fn new(
        source: &Arc<FakeSource>,
        options: SourceOptions<Row>,
        splits: Vec<SourceSplit>,
    ) -> Self {
        Self::start(Rig::new(0, 1), source, options, splits, None)
    }

    fn start(
        rig: Rig,
        source: &Arc<FakeSource>,
        options: SourceOptions<Row>,
        splits: Vec<SourceSplit>,
        runs: Option<&[Vec<u8>]>,
    ) -> Self {
        let mut driver = SourceDriver::new(source.clone(), options);
        rig.open(splits, runs, |context| driver.open(context)).unwrap();
        Self { rig, driver }
    }

    fn poll(&mut self) -> Result<SourceStatus, OperatorError> {
        let driver = &mut self.driver;
        self.rig.call(|context, output| driver.poll(context, output))
    }

    /// Polls to the end.
    fn drain(&mut self) -> Vec<Seen<Row>> {
        let mut seen = Vec::new();
        loop {
            let status = self.poll().unwrap();
            seen.extend(self.rig.main());
            match status {
                SourceStatus::End => return seen,
                SourceStatus::More => {}
                SourceStatus::Pending { .. } => panic!("it waits"),
            }
        }
    }

    fn snapshot(&mut self) -> Vec<u8> {
        let driver = &mut self.driver;
        self.rig.snapshot(1, |context, writer| driver.snapshot(context, writer))
    }
}

fn rows_of(seen: &[Seen<Row>]) -> Vec<Row> {
    let rows = seen.iter().filter_map(|seen| match seen {
        Seen::Rows(rows) => Some(rows.iter().map(|(row, _)| *row)),
        Seen::Control(_) => None,
    });
    rows.flatten().collect()
}

fn watermarks_of(seen: &[Seen<Row>]) -> Vec<i64> {
    let watermark = |seen: &Seen<Row>| match seen {
        Seen::Control(Control::Watermark(watermark)) => Some(*watermark),
        _ => None,
    };
    seen.iter().filter_map(watermark).collect()
}

#[test]
fn a_bounded_source_reads_the_split_with_the_lowest_watermark_and_emits_the_lowest_of_all() {
    let source = FakeSource::bounded(&[&[10, 20, 30, 40], &[25, 26, 27], &[15, 90]]);
    let mut subtask =
        Subtask::new(&source.with_chunk(2), SourceOptions::new(strategy(0)), source.splits());
    let seen = subtask.drain();
    let order: Vec<i64> = rows_of(&seen).iter().map(|row| row.1).collect();
    // Unopened ones are lowest; then 20 < 26, then the one at 26; the rest ends them.
    assert_eq!(order, [10, 20, 25, 26, 15, 90, 30, 40, 27]);
    // After the third read all are opened: the lowest is 20 - 1; ended splits don't count.
    assert_eq!(watermarks_of(&seen), [19, 25, MAX_WATERMARK]);
    let all_timed = seen.iter().all(|seen| match seen {
        Seen::Rows(rows) => rows.iter().all(|(row, timestamp)| *timestamp == Some(row.1)),
        Seen::Control(_) => true,
    });
    assert!(all_timed);
}

#[test]
fn a_source_without_splits_ends_at_once_with_the_last_watermark() {
    for source in [FakeSource::bounded(&[]), FakeSource::unbounded(Vec::new())] {
        let mut subtask = Subtask::new(&source, SourceOptions::new(strategy(0)), Vec::new());
        let seen = subtask.drain();
        assert_eq!(seen, [Seen::Control(Control::Watermark(MAX_WATERMARK))]);
    }
}

#[test]
fn without_event_time_rows_have_no_timestamps_and_only_the_last_watermark_comes() {
    let source = FakeSource::bounded(&[&[3, 1], &[2]]);
    let options = SourceOptions::new(WatermarkStrategy::no_watermarks());
    let seen = Subtask::new(&source, options, source.splits()).drain();
    assert_eq!(
        seen,
        [
            Seen::Rows(vec![((0, 3), None), ((0, 1), None)]),
            Seen::Rows(vec![((1, 2), None)]),
            Seen::Control(Control::Watermark(MAX_WATERMARK)),
        ]
    );
}

#[test]
fn a_late_row_goes_to_the_late_output_whatever_the_size_of_batches() {
    let times = [100, 96, 95, 200, 194, 195, 100, 201];
    for chunk in 1..=times.len() {
        let source = FakeSource::bounded(&[&times]).with_chunk(chunk);
        let late = OutputTag::new("late");
        let options = SourceOptions::new(strategy(5).with_late_output(late));
        let mut subtask = Subtask::new(&source, options, source.splits());
        let seen = subtask.drain();
        let kept: Vec<i64> = rows_of(&seen).iter().map(|row| row.1).collect();
        assert_eq!(kept, [100, 96, 95, 200, 195, 201], "{chunk}");
        assert_eq!(subtask.rig.side::<Row>("late"), [(0, 194), (0, 100)], "{chunk}");
        assert_eq!(subtask.rig.metrics.late_records_dropped(), 2);
        // Without such an output they stay, and aren't counted as dropped.
        let mut subtask = Subtask::new(&source, SourceOptions::new(strategy(5)), source.splits());
        assert_eq!(rows_of(&subtask.drain()).len(), times.len());
        assert_eq!(subtask.rig.metrics.late_records_dropped(), 0);
    }
}

/// 70 splits of rising, overlapping event times: more than readers may be open.
fn many() -> Arc<FakeSource> {
    let times: Vec<Vec<i64>> =
        (0..70).map(|split| (0..9).map(|row| i64::from(split) + row * 50).collect()).collect();
    let slices: Vec<&[i64]> = times.iter().map(Vec::as_slice).collect();
    FakeSource::bounded(&slices).with_chunk(2)
}

#[test]
fn at_most_64_readers_are_open_and_closed_ones_go_on_at_their_positions() {
    let source = many();
    let mut subtask = Subtask::new(&source, SourceOptions::new(strategy(0)), source.splits());
    let seen = subtask.drain();
    let mut rows = rows_of(&seen);
    rows.sort_unstable();
    assert_eq!(rows, source.all_rows());
    assert_eq!(source.most_open(), 64);
    assert_eq!(source.open(), 0);
}

#[test]
fn a_snapshot_at_any_point_restores_at_any_parallelism_to_the_same_rows() {
    let source = many();
    let mut expected = source.all_rows();
    expected.sort_unstable();
    for polls in [0, 1, 30, 75, 200, 330] {
        for parallelism in [1, 2, 5, 90] {
            let mut first = Subtask::new(&source, SourceOptions::new(strategy(0)), source.splits());
            let mut rows = Vec::new();
            for _ in 0..polls {
                let _ = first.poll().unwrap();
                rows.extend(rows_of(&first.rig.main()));
            }
            let runs = [first.snapshot()];
            let before = rows.len();
            for index in 0..parallelism {
                let (rig, options) =
                    (Rig::new(index, parallelism), SourceOptions::new(strategy(0)));
                let mut restored =
                    Subtask::start(rig, &source, options, source.splits(), Some(&runs));
                rows.extend(rows_of(&restored.drain()));
            }
            rows.sort_unstable();
            assert_eq!(rows, expected, "{polls} polls ({before} rows), {parallelism}");
        }
    }
}

#[test]
fn which_rows_are_late_does_not_depend_on_a_restart() {
    let source = FakeSource::bounded(&[&[100, 90, 200, 100, 195, 190]]).with_chunk(1);
    let options = || SourceOptions::new(strategy(5).with_late_output(OutputTag::new("late")));
    for polls in 0..6 {
        let mut first = Subtask::new(&source, options(), source.splits());
        for _ in 0..polls {
            let _ = first.poll().unwrap();
        }
        let mut late = first.rig.side::<Row>("late");
        let runs = [first.snapshot()];
        let mut restored =
            Subtask::start(Rig::new(0, 1), &source, options(), Vec::new(), Some(&runs));
        restored.drain();
        late.extend(restored.rig.side::<Row>("late"));
        assert_eq!(late, [(0, 90), (0, 100), (0, 190)], "{polls}");
    }
}

#[test]
fn finished_splits_are_not_read_again() {
    let source = FakeSource::bounded(&[&[1], &[2]]);
    let mut first = Subtask::new(&source, SourceOptions::new(strategy(0)), source.splits());
    first.drain();
    let runs = [first.snapshot()];
    let opened = source.opened();
    let options = SourceOptions::new(strategy(0));
    let mut restored =
        Subtask::start(Rig::new(0, 1), &source, options, source.splits(), Some(&runs));
    assert_eq!(restored.drain(), [Seen::Control(Control::Watermark(MAX_WATERMARK))]);
    assert_eq!(source.opened(), opened);
}

#[test]
fn a_silent_split_becomes_idle_and_active_again_and_back_pressure_is_not_idleness() {
    let rows = |times: &[i64]| Step::Rows(times.to_vec());
    let source = FakeSource::unbounded(vec![
        vec![rows(&[10]), rows(&[20]), Step::Nothing, rows(&[30]), Step::Nothing],
        vec![rows(&[5]), Step::Nothing, rows(&[25])],
    ]);
    let idleness = Duration::from_secs(1);
    let options = SourceOptions::new(strategy(0).with_idleness(idleness));
    let mut subtask = Subtask::new(&source, options, source.splits());
    for _ in 0..3 {
        assert_eq!(subtask.poll().unwrap(), SourceStatus::More);
    }
    assert_eq!(watermarks_of(&subtask.rig.main()), [4]);
    // Both have nothing now: look again in a second.
    let now: i64 = 1_000_000;
    let until = |ms: i64| SourceStatus::Pending { until: Some(now + ms) };
    assert_eq!(subtask.poll().unwrap(), until(1000));
    subtask.rig.clock.advance(400);
    source.wake(0);
    assert_eq!(subtask.poll().unwrap(), SourceStatus::More, "split 0 has 30");
    assert_eq!(subtask.poll().unwrap(), until(1000), "split 1 is empty for 400 ms already");
    subtask.rig.main::<Row>();
    subtask.rig.clock.advance(600);
    assert_eq!(subtask.poll().unwrap(), until(1400));
    // Split 1 is idle, so split 0 alone counts.
    assert_eq!(subtask.rig.main::<Row>(), [Seen::Control(Control::Watermark(29))]);
    subtask.rig.clock.advance(400);
    assert_eq!(subtask.poll().unwrap(), SourceStatus::Pending { until: None });
    assert_eq!(subtask.rig.main::<Row>(), [Seen::Control(Control::Idle)]);
    source.wake(1);
    assert_eq!(subtask.poll().unwrap(), SourceStatus::More);
    assert_eq!(
        subtask.rig.main::<Row>(),
        [Seen::Control(Control::Active), Seen::Rows(vec![((1, 25), Some(25))])]
    );
}

#[test]
fn time_in_which_the_task_was_held_back_is_not_idleness() {
    let source = FakeSource::unbounded(vec![
        vec![Step::Rows(vec![1]), Step::Rows(vec![2]), Step::Rows(vec![3]), Step::Rows(vec![4])],
        vec![Step::Nothing],
    ]);
    let options = SourceOptions::new(strategy(0).with_idleness(Duration::from_secs(1)));
    let mut subtask = Subtask::new(&source, options, source.splits());
    for _ in 0..4 {
        assert_eq!(subtask.poll().unwrap(), SourceStatus::More);
        // Not polled for a minute, although it said that there is more.
        subtask.rig.clock.advance(60_000);
    }
    assert_eq!(watermarks_of(&subtask.rig.main()), Vec::<i64>::new(), "split 1 still counts");
}

#[test]
fn the_rate_is_kept_and_shared_by_the_subtasks() {
    let times: Vec<i64> = (0..10_000).collect();
    let source = FakeSource::bounded(&[&times]);
    let mut options = SourceOptions::new(strategy(0));
    options.rate = Some(2000.0);
    let rig = Rig::new(0, 2);
    let mut subtask = Subtask::start(rig, &source, options, source.splits(), None);
    let mut rows = 0;
    while subtask.rig.clock.elapsed_ms() < 3000 {
        match subtask.poll().unwrap() {
            SourceStatus::More => {}
            SourceStatus::Pending { until: Some(until) } => {
                let wait = until - 1_000_000 - subtask.rig.clock.elapsed_ms();
                assert!((1..=10).contains(&wait), "{wait}");
                subtask.rig.clock.advance(wait);
            }
            other => panic!("{other:?}"),
        }
        let found = rows_of(&subtask.rig.main()).len();
        assert!(found <= 10, "a burst of {found}");
        rows += found;
    }
    assert!((2990..=3010).contains(&rows), "{rows}");
}

fn bad(line: u64) -> BadRecord {
    BadRecord {
        source: "file.csv".to_owned(),
        line,
        field: Some("amount".to_owned()),
        reason: "no number".to_owned(),
        raw: "x".to_owned(),
    }
}

#[test]
fn bad_records_fail_the_job_or_are_skipped_or_go_to_the_dead_letters() {
    let source = FakeSource::unbounded(vec![vec![
        Step::Rows(vec![1]),
        Step::Bad(bad(2)),
        Step::Rows(vec![3]),
        Step::End,
    ]]);
    let options = |bad_records| SourceOptions { bad_records, ..SourceOptions::new(strategy(0)) };

    let mut fails = Subtask::new(&source, options(BadRecords::Fail), source.splits());
    assert_eq!(fails.poll().unwrap(), SourceStatus::More);
    let error = fails.poll().unwrap_err().to_string();
    assert_eq!(error, "file.csv, line 2, field amount: no number");

    let side = OutputTag::new("bad");
    for (policy, letters) in
        [(BadRecords::Skip, vec![]), (BadRecords::DeadLetter(side), vec![bad(2)])]
    {
        let mut subtask = Subtask::new(&source, options(policy), source.splits());
        assert_eq!(rows_of(&subtask.drain()), [(0, 1), (0, 3)]);
        assert_eq!(subtask.rig.metrics.record_errors(), 1);
        assert_eq!(subtask.rig.side::<BadRecord>("bad"), letters);
    }
}

#[test]
fn no_more_is_read_than_the_output_has_room_for() {
    let times: Vec<i64> = (0..10_000).collect();
    let source = FakeSource::bounded(&[&times]);
    let options = SourceOptions::new(WatermarkStrategy::no_watermarks());
    let mut subtask = Subtask::new(&source, options, source.splits());
    assert_eq!(subtask.poll().unwrap(), SourceStatus::More);
    assert!(subtask.rig.output.is_full());
    let room = subtask.rig.output.room();
    assert_eq!(subtask.poll().unwrap(), SourceStatus::More);
    assert_eq!(subtask.rig.output.room(), room, "nothing was read while it was full");
    assert_eq!(rows_of(&subtask.rig.main()).len(), 4096);
}
