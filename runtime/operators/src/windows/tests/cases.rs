//! The cases that deserve a name: lateness, counters, bounds, restores in the middle of windows.

use std::sync::Arc;

use super::support::{
    Fired, KINDS, Kind, Row, Sum, as_fired, fired, harness, harness_of, late_output,
};
use crate::contract::{Collector, FunctionResult, OUTPUT_ROWS};
use crate::harness::OperatorHarness;
use crate::windows::{
    Aggregating, Buffering, Elements, EmitWindow, ProcessWindow, WindowAssigner, WindowContext,
    WindowError, WindowOptions,
};

const ASSIGNERS: [WindowAssigner; 4] = [
    WindowAssigner::Tumbling { size_ms: 10, offset_ms: 2 },
    WindowAssigner::sliding(10, 3),
    WindowAssigner::sliding(3, 10),
    WindowAssigner::session(5),
];

fn options(assigner: WindowAssigner, lateness: i64) -> WindowOptions<Row> {
    WindowOptions { allowed_lateness_ms: lateness, ..WindowOptions::new(assigner) }
}

fn sums(harness: &mut OperatorHarness) -> Vec<(u64, (i64, i64), i64)> {
    let out = fired(Kind::AggregateProcess, harness).into_iter();
    out.map(|(fired, timestamp)| {
        let window = fired.window.unwrap();
        assert_eq!(timestamp, window.1 - 1);
        (fired.key, window, fired.values[0])
    })
    .collect()
}

fn open(assigner: WindowAssigner, lateness: i64) -> OperatorHarness {
    harness(Kind::AggregateProcess, &options(assigner, lateness)).open().unwrap()
}

fn late_count(harness: &OperatorHarness) -> u64 {
    harness.metrics().map(|metrics| metrics.late_records_dropped()).sum()
}

#[test]
fn a_snapshot_in_the_middle_changes_nothing_at_any_parallelism() {
    let rows = |from: i64| (from..from + 400).map(|n| (((n % 37) as u64, n), n / 4 + (n * 7) % 11));
    for (assigner, kind) in ASSIGNERS.into_iter().flat_map(|a| KINDS.map(|kind| (a, kind))) {
        let run = |parallelisms: [u32; 3]| {
            let mut out = Vec::new();
            let builder = harness(kind, &options(assigner, 4));
            let mut harness = builder.parallelism(parallelisms[0]).open().unwrap();
            for (phase, parallelism) in (0i64..).zip(parallelisms) {
                if phase > 0 {
                    harness = harness.snapshot().unwrap().restore_at(parallelism).open().unwrap();
                }
                for part in 0..4 {
                    let from = phase * 400 + part * 100;
                    harness.push_rows::<Row>(rows(from).take(100)).unwrap();
                    harness.watermark((from + 100) / 4 - 6).unwrap();
                    out.extend(fired(kind, &mut harness));
                }
            }
            harness.end_input().unwrap();
            out.extend(fired(kind, &mut harness));
            out.sort();
            out
        };
        let uninterrupted = run([1, 1, 1]);
        assert!(uninterrupted.len() > 37, "{assigner:?} {kind:?}");
        assert_eq!(run([1, 3, 2]), uninterrupted, "{assigner:?} {kind:?}");
    }
}

#[test]
fn a_row_that_is_late_for_some_windows_counts_in_the_others() {
    let mut harness = open(WindowAssigner::sliding(10, 5), 0);
    harness.push::<Row>((1, 100), 7).unwrap();
    harness.watermark(9).unwrap();
    assert_eq!(sums(&mut harness), [(1, (0, 10), 100)]);
    harness.push::<Row>((1, 20), 8).unwrap();
    assert_eq!(sums(&mut harness), []);
    harness.watermark(14).unwrap();
    assert_eq!(sums(&mut harness), [(1, (5, 15), 120)]);
    assert_eq!(late_count(&harness), 0);
}

#[test]
fn a_row_too_late_for_all_its_windows_goes_to_the_late_output_and_is_counted() {
    let late = late_output();
    for assigner in [WindowAssigner::tumbling(10), WindowAssigner::session(5)] {
        for with_output in [true, false] {
            let late_rows = with_output.then(|| late.clone());
            let options = WindowOptions { late: late_rows, ..options(assigner, 3) };
            let mut harness = harness(Kind::AggregateProcess, &options).open().unwrap();
            harness.watermark(12).unwrap();
            harness.push_rows::<Row>([((1, 1), 4), ((2, 2), 13), ((1, 3), 3)]).unwrap();
            let side = harness.side(&late).unwrap();
            let expected = [((1, 1), Some(4)), ((1, 3), Some(3))];
            assert_eq!(side, if with_output { &expected[..] } else { &[] }, "{assigner:?}");
            assert_eq!(late_count(&harness), 2);
            harness.end_input().unwrap();
            let out = sums(&mut harness);
            assert_eq!(out.iter().map(|o| o.2).collect::<Vec<_>>(), [2], "{assigner:?}");
        }
    }
}

#[test]
fn a_window_takes_late_rows_until_its_allowed_lateness_has_passed() {
    let mut harness = open(WindowAssigner::tumbling(10), 5);
    harness.push_rows::<Row>([((1, 1), 0), ((2, 2), 9)]).unwrap();
    harness.watermark(8).unwrap();
    assert_eq!(sums(&mut harness), [], "the last millisecond can still have rows");
    harness.watermark(9).unwrap();
    let mut out = sums(&mut harness);
    out.sort_unstable();
    assert_eq!(out, [(1, (0, 10), 1), (2, (0, 10), 2)]);
    harness.watermark(13).unwrap();
    harness.push_rows::<Row>([((1, 10), 3), ((1, 100), 4)]).unwrap();
    assert_eq!(sums(&mut harness), [(1, (0, 10), 11), (1, (0, 10), 111)]);
    assert!(harness.state_bytes() > 0);
    harness.watermark(14).unwrap();
    harness.push::<Row>((1, 1000), 3).unwrap();
    assert_eq!((sums(&mut harness), late_count(&harness)), (vec![], 1));
    assert_eq!(harness.state_bytes(), 0, "the slice was dropped");
}

#[test]
fn a_session_ends_one_gap_after_its_last_row_and_a_row_just_then_still_belongs() {
    let mut harness = open(WindowAssigner::session(10), 0);
    harness.push::<Row>((1, 1), 0).unwrap();
    harness.watermark(9).unwrap();
    assert_eq!(sums(&mut harness), []);
    harness.push::<Row>((1, 2), 10).unwrap();
    harness.watermark(19).unwrap();
    assert_eq!(sums(&mut harness), []);
    harness.watermark(20).unwrap();
    assert_eq!(sums(&mut harness), [(1, (0, 20), 3)]);
    harness.push::<Row>((1, 4), 21).unwrap();
    harness.end_input().unwrap();
    assert_eq!(sums(&mut harness), [(1, (21, 31), 4)]);
}

#[test]
fn a_late_row_that_joins_sessions_is_not_late() {
    let mut harness = open(WindowAssigner::session(10), 0);
    harness.push_rows::<Row>([((1, 1), 0), ((1, 2), 18), ((1, 4), 31)]).unwrap();
    harness.watermark(22).unwrap();
    assert_eq!(sums(&mut harness), [(1, (0, 10), 1)]);
    // Alone it would end at 21; it joins the second session, which hasn't fired.
    harness.push::<Row>((1, 8), 11).unwrap();
    harness.push::<Row>((1, 16), 24).unwrap();
    harness.watermark(40).unwrap();
    assert_eq!(sums(&mut harness), []);
    harness.watermark(41).unwrap();
    assert_eq!(sums(&mut harness), [(1, (11, 41), 30)]);
    assert_eq!(late_count(&harness), 0);
}

#[test]
fn a_fired_session_fires_again_with_a_late_row_and_waits_when_it_is_joined_to_a_later_one() {
    let mut harness = open(WindowAssigner::session(10), 20);
    harness.push_rows::<Row>([((1, 1), 0), ((1, 2), 25)]).unwrap();
    harness.watermark(16).unwrap();
    assert_eq!(sums(&mut harness), [(1, (0, 10), 1)]);
    harness.push::<Row>((1, 4), 5).unwrap();
    assert_eq!(sums(&mut harness), [(1, (0, 15), 5)]);
    harness.push::<Row>((1, 8), 15).unwrap();
    assert_eq!(sums(&mut harness), [], "joined to a session that hasn't fired");
    harness.watermark(35).unwrap();
    assert_eq!(sums(&mut harness), [(1, (0, 35), 15)]);
    harness.watermark(54).unwrap();
    harness.push::<Row>((1, 16), 0).unwrap();
    assert_eq!(sums(&mut harness), [(1, (0, 35), 31)]);
    harness.watermark(55).unwrap();
    harness.push::<Row>((1, 32), 0).unwrap();
    assert_eq!((sums(&mut harness), late_count(&harness)), (vec![], 1));
}

#[test]
fn a_firing_of_many_keys_stops_whenever_the_output_is_full() {
    const KEYS: u64 = 50_000;
    for assigner in [WindowAssigner::sliding(20, 10), WindowAssigner::session(10)] {
        let mut harness = open(assigner, 0);
        harness.push_rows::<Row>((0..KEYS).map(|key| ((key, 1), 0))).unwrap();
        harness.push_rows::<Row>((0..KEYS).map(|key| ((key, 2), 10))).unwrap();
        assert_eq!(sums(&mut harness), []);
        harness.end_input().unwrap();
        assert!(harness.largest_batch() <= OUTPUT_ROWS, "{}", harness.largest_batch());
        let mut out = sums(&mut harness);
        assert!(out.is_sorted_by_key(|(_, window, _)| window.1), "{assigner:?}");
        out.sort_unstable();
        let expected = |key| match assigner {
            WindowAssigner::Session { .. } => vec![(key, (0, 20), 3)],
            _ => vec![(key, (-10, 10), 1), (key, (0, 20), 3), (key, (10, 30), 2)],
        };
        assert_eq!(out, (0..KEYS).flat_map(expected).collect::<Vec<_>>(), "{assigner:?}");
        let flushed = harness.metrics().map(|m| m.records_out()).sum::<u64>();
        assert_eq!(flushed, out.len() as u64);
    }
}

#[test]
fn key_groups_whose_event_times_differ_keep_their_own_across_a_restore() {
    for (assigner, lateness) in ASSIGNERS.into_iter().flat_map(|a| [(a, 0), (a, 100)]) {
        let builder = harness(Kind::AggregateProcess, &options(assigner, lateness));
        let mut harness = builder.parallelism(2).open().unwrap();
        harness.push_rows::<Row>((0..40).map(|key| ((key, 1), 2))).unwrap();
        harness.watermark_of_subtask(0, 30).unwrap();
        let mut out = sums(&mut harness);
        assert!(!out.is_empty(), "{assigner:?}");
        let once: Vec<_> = out.clone();
        for parallelisms in [[1, 3], [3, 1]] {
            // Twice: also where nothing happens between two checkpoints.
            let mut harness =
                harness.snapshot().unwrap().restore_at(parallelisms[0]).open().unwrap();
            harness = harness.snapshot().unwrap().restore_at(parallelisms[1]).open().unwrap();
            harness.watermark(5).unwrap();
            harness.watermark(30).unwrap();
            out = once.clone();
            out.extend(sums(&mut harness));
            out.sort_unstable();
            let mut keys: Vec<_> = out.iter().map(|(key, window, _)| (*key, *window)).collect();
            keys.dedup();
            assert_eq!(keys.len(), out.len(), "{assigner:?}: a window fired twice");
            let windows = if assigner == WindowAssigner::sliding(10, 3) { 3 } else { 1 };
            assert_eq!(out.len(), 40 * windows, "{assigner:?}");
            if lateness == 0 {
                harness.push_rows::<Row>((0..40).map(|key| ((key, 1), 2))).unwrap();
                assert_eq!(late_count(&harness), 40, "{assigner:?}");
            }
        }
    }
}

#[test]
fn a_process_function_may_emit_any_number_of_rows_and_side_rows() {
    let late = late_output();
    let side = late.clone();
    let copies = move |key: &u64,
                       context: &WindowContext,
                       rows: Elements<Row>,
                       out: &mut Collector<'_, Fired>|
          -> FunctionResult {
        let window = (context.window().start, context.window().end);
        let values: Vec<_> = rows.map(|row| row.1).collect();
        out.side(&side, (*key, values.len() as i64));
        for _ in 0..3 {
            out.collect(as_fired(Kind::Process, *key, window, &values));
        }
        Ok(())
    };
    let make = Arc::new(move |_: &_| Ok(ProcessWindow::new(Buffering, copies.clone())));
    let options = options(WindowAssigner::tumbling(10), 0);
    let mut harness = harness_of(&options, make).open().unwrap();
    harness.push_rows::<Row>([((1, 5), 3), ((1, 6), 4)]).unwrap();
    harness.watermark(9).unwrap();
    let fired = Fired { key: 1, window: Some((0, 10)), values: vec![5, 6] };
    assert_eq!(harness.output().unwrap(), vec![(fired, Some(9)); 3]);
    assert_eq!(harness.side(&late).unwrap(), [((1, 2), Some(9))]);
}

#[test]
fn rows_without_a_usable_timestamp_are_refused_with_what_to_do() {
    for assigner in ASSIGNERS {
        let mut harness = open(assigner, 0);
        let error = harness.push::<Row>((1u64, 1i64), None).unwrap_err().to_string();
        assert!(error.contains("assign_timestamps_and_watermarks"), "{error}");
        let error = harness.push::<Row>((1u64, 1i64), i64::MAX).unwrap_err().to_string();
        assert!(error.contains("timestamp function"), "{error}");
    }
}

#[test]
fn state_over_the_budget_is_an_error_that_names_it() {
    for (assigner, state) in
        [(WindowAssigner::tumbling(10), "window-slices"), (WindowAssigner::session(5), "window-")]
    {
        let builder = harness(Kind::Process, &options(assigner, 0));
        let mut harness = builder.state_budget(1 << 20).open().unwrap();
        let error =
            harness.push_rows::<Row>((0..100_000).map(|n| ((7, n), 0))).unwrap_err().to_string();
        assert!(error.contains(state) && error.contains("state.backend.type"), "{error}");
    }
}

#[test]
fn windows_that_make_no_sense_are_refused_when_the_operator_is_made() {
    let check = |options: WindowOptions<Row>| options.validate().unwrap_err();
    let tumbling = WindowAssigner::tumbling(10);
    assert!(matches!(check(options(tumbling, -1)), WindowError::Lateness { value: -1, .. }));
    let none = options(WindowAssigner::session(0), 0);
    assert!(matches!(check(none), WindowError::Duration { what: "gap", .. }));
    let key = Arc::new(|row: &Row| row.0);
    let make: crate::windows::MakeWindowFunction<EmitWindow<Aggregating<Sum>>> =
        Arc::new(|_| Ok(EmitWindow::new(Aggregating::new(Arc::new(Sum)))));
    let session = options(WindowAssigner::session(5), 0);
    let refused = crate::windows::SlicedWindows::<u64, _, _, _>::new(key, session, make).err();
    assert_eq!(refused, Some(WindowError::NotSliced));
}
