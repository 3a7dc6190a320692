//! Random rows, watermarks and restores, for every assigner and every kind of function.

use proptest::prelude::*;

use super::model::{Firing, Model, Outcome};
use super::support::{KINDS, Kind, Row, as_fired, fired, harness, late_output};
use crate::harness::OperatorHarness;
use crate::windows::{WindowAssigner, WindowOptions};

#[derive(Debug, Clone)]
enum Step {
    Row {
        key: u64,
        ahead: i64,
    },
    /// Relative to the watermark so far; may go back, which means something only after a restore.
    Watermark(i64),
    Restore {
        parallelism: u32,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..4u64, -40..40i64).prop_map(|(key, ahead)| Step::Row { key, ahead }),
        4 => (-15..30i64).prop_map(Step::Watermark),
        1 => (1..5u32).prop_map(|parallelism| Step::Restore { parallelism }),
    ];
    prop::collection::vec(step, 0..80)
}

fn assigner() -> impl Strategy<Value = WindowAssigner> {
    prop_oneof![
        (1..25i64, -24..25i64).prop_map(|(size_ms, shift)| WindowAssigner::Tumbling {
            size_ms,
            offset_ms: shift % size_ms
        }),
        (1..25i64, 1..25i64, -24..25i64).prop_map(|(size_ms, slide_ms, shift)| {
            WindowAssigner::Sliding { size_ms, slide_ms, offset_ms: shift % slide_ms }
        }),
        (1..12i64).prop_map(WindowAssigner::session),
    ]
}

/// What must come out, as a sorted list with timestamps.
fn expected(kind: Kind, firings: &[Firing]) -> Vec<(super::support::Fired, i64)> {
    let mut expected: Vec<_> = firings
        .iter()
        .map(|(key, window, values)| (as_fired(kind, *key, *window, values), window.1 - 1))
        .collect();
    expected.sort();
    expected
}

fn check(
    kind: Kind,
    harness: &mut OperatorHarness,
    firings: &[Firing],
) -> Result<(), TestCaseError> {
    let mut out = fired(kind, harness);
    let parallelism = harness.metrics().len();
    if parallelism == 1 {
        prop_assert!(out.is_sorted_by_key(|(_, timestamp)| *timestamp), "order of ends: {:?}", out);
    }
    out.sort();
    prop_assert_eq!(out, expected(kind, firings));
    Ok(())
}

fn run(
    kind: Kind,
    assigner: WindowAssigner,
    lateness: i64,
    steps: &[Step],
) -> Result<(), TestCaseError> {
    let late = late_output();
    let options = WindowOptions {
        allowed_lateness_ms: lateness,
        late: Some(late.clone()),
        ..WindowOptions::new(assigner)
    };
    let mut model = Model::new(assigner, lateness);
    let mut harness = harness(kind, &options).open().unwrap();
    for (number, step) in (1i64..).zip(steps) {
        match *step {
            Step::Row { key, ahead } => {
                let timestamp = model.watermark.max(0) + ahead;
                let row: Row = (key, number);
                harness.push(row, timestamp).unwrap();
                let side = harness.side(&late).unwrap();
                match model.row(key, timestamp, number) {
                    Outcome::Late => {
                        prop_assert_eq!(side, vec![(row, Some(timestamp))]);
                        check(kind, &mut harness, &[])?;
                    }
                    Outcome::Taken(firings) => {
                        prop_assert!(side.is_empty(), "{:?} at {} isn't late", row, timestamp);
                        check(kind, &mut harness, &firings)?;
                    }
                }
            }
            Step::Watermark(by) => {
                let watermark = model.watermark.max(0) + by;
                harness.watermark(watermark).unwrap();
                check(kind, &mut harness, &model.watermark(watermark))?;
            }
            Step::Restore { parallelism } => {
                let snapshot = harness.snapshot().unwrap();
                harness = snapshot.restore_at(parallelism).open().unwrap();
            }
        }
    }
    harness.end_input().unwrap();
    check(kind, &mut harness, &model.watermark(i64::MAX))?;
    let snapshot = harness.snapshot().unwrap();
    let mut after = snapshot.restore_at(2).open().unwrap();
    after.end_input().unwrap();
    check(kind, &mut after, &[])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn windows_are_those_of_the_model_whatever_is_late_and_wherever_it_is_restored(
        assigner in assigner(),
        lateness in prop_oneof![Just(0), 1..40i64],
        steps in steps(),
    ) {
        for kind in KINDS {
            run(kind, assigner, lateness, &steps)?;
        }
    }
}
