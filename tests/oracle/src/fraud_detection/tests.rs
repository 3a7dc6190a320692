//! Each rule and each of its boundaries, with outputs worked out by hand.

use super::*;

/// A row at home for accounts that don't travel.
fn payment(id: u64, account_id: u64, event_time_ms: u64, amount_cents: u64) -> Transaction {
    payment_in(id, account_id, event_time_ms, amount_cents, "Ulm")
}

fn payment_in(
    transaction_id: u64,
    account_id: u64,
    event_time_ms: u64,
    amount_cents: u64,
    location: &str,
) -> Transaction {
    let (merchant, location) = ("Café \"A\", B".to_owned(), location.to_owned());
    Transaction { transaction_id, account_id, event_time_ms, amount_cents, merchant, location }
}

fn alerts(rows: Vec<Transaction>) -> Vec<String> {
    // Each row in a file of its own: none is late.
    let output = detect(rows.into_iter().map(|row| vec![row]).collect()).unwrap();
    assert!(output.late.is_empty());
    output.alerts
}

#[test]
fn small_then_large_has_its_bounds() {
    let second = |time: u64| {
        vec![format!(
            r#"{{"account_id":7,"rule":"small_then_large","event_time_ms":{time},"transaction_id":2}}"#
        )]
    };
    for (small, large, gap_ms, alert) in [
        (99, 50_001, 60_000, true),
        (0, 9_000_000, 1, true),
        (99, 50_001, 0, true),
        (99, 50_001, 60_001, false),
        (100, 50_001, 10, false),
        (99, 50_000, 10, false),
    ] {
        let rows = vec![payment(1, 7, 1_000, small), payment(2, 7, 1_000 + gap_ms, large)];
        let expected = if alert { second(1_000 + gap_ms) } else { vec![] };
        assert_eq!(alerts(rows), expected, "{small} then {large} after {gap_ms}");
    }
}

#[test]
fn small_then_large_must_follow_directly_and_in_the_same_account() {
    let between = [payment(1, 7, 0, 5), payment(2, 7, 1, 500), payment(3, 7, 2, 60_000)];
    assert_eq!(alerts(between.to_vec()), [""; 0]);
    let other_account = [payment(1, 7, 0, 5), payment(3, 8, 2, 60_000)];
    assert_eq!(alerts(other_account.to_vec()), [""; 0]);
    let around_another = [payment(1, 7, 0, 5), payment(2, 8, 1, 500), payment(3, 7, 2, 60_000)];
    assert_eq!(
        alerts(around_another.to_vec()),
        [r#"{"account_id":7,"rule":"small_then_large","event_time_ms":2,"transaction_id":3}"#]
    );
}

#[test]
fn payments_at_the_same_time_are_ordered_by_transaction_id_not_by_arrival() {
    let small_first = vec![payment(5, 1, 10, 60_000), payment(4, 1, 10, 1)];
    assert_eq!(
        alerts(small_first),
        [r#"{"account_id":1,"rule":"small_then_large","event_time_ms":10,"transaction_id":5}"#]
    );
    let large_first = vec![payment(10, 1, 10, 1), payment(9, 1, 10, 60_000)];
    assert_eq!(alerts(large_first), [""; 0]);
}

#[test]
fn impossible_travel_has_its_bounds_and_compares_names_as_bytes() {
    let second = |time: u64| {
        vec![format!(
            r#"{{"account_id":7,"rule":"impossible_travel","event_time_ms":{time},"transaction_id":2}}"#
        )]
    };
    for (from, to, gap_ms, alert) in [
        ("Ulm", "Bonn", 599_999, true),
        ("Ulm", "Bonn", 0, true),
        ("Ulm", "ulm", 5, true),
        ("Zürich", "Zurich", 5, true),
        ("Ulm", "Bonn", 600_000, false),
        ("Ulm", "Ulm", 5, false),
    ] {
        let rows = vec![payment_in(1, 7, 50, 500, from), payment_in(2, 7, 50 + gap_ms, 500, to)];
        let expected = if alert { second(50 + gap_ms) } else { vec![] };
        assert_eq!(alerts(rows), expected, "{from} to {to} in {gap_ms}");
    }
}

#[test]
fn there_and_back_are_two_impossible_travels_and_a_payment_can_break_two_rules() {
    let rows = vec![
        payment_in(1, 7, 0, 99, "Ulm"),
        payment_in(2, 7, 10, 70_000, "Bonn"),
        payment_in(3, 7, 20, 70_000, "Ulm"),
    ];
    assert_eq!(
        alerts(rows),
        [
            r#"{"account_id":7,"rule":"impossible_travel","event_time_ms":10,"transaction_id":2}"#,
            r#"{"account_id":7,"rule":"impossible_travel","event_time_ms":20,"transaction_id":3}"#,
            r#"{"account_id":7,"rule":"small_then_large","event_time_ms":10,"transaction_id":2}"#,
        ]
    );
}

fn payments_at(times: &[u64]) -> Vec<Transaction> {
    (1..).zip(times).map(|(id, time)| payment(id, 3, *time, 500)).collect()
}

fn burst_alerts(windows: &[(u64, usize)]) -> Vec<String> {
    let mut lines: Vec<String> = windows
        .iter()
        .map(|(end, count)| {
            format!(r#"{{"account_id":3,"rule":"burst","event_time_ms":{end},"count":{count}}}"#)
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_burst_is_more_than_five_payments_in_an_aligned_window_from_start_to_before_end() {
    // Six in [100 s, 160 s) and in no other window: the first and the last ms of it count.
    let six = [100_000, 110_000, 120_000, 130_000, 140_000, 159_999];
    assert_eq!(alerts(payments_at(&six)), burst_alerts(&[(160_000, 6)]));
    // Five, and never six, once the last one is at the window's end, or the first before its start.
    let end = [100_000, 110_000, 120_000, 130_000, 140_000, 160_000];
    assert_eq!(alerts(payments_at(&end)), [""; 0]);
    let start = [99_999, 110_000, 120_000, 130_000, 140_000, 159_999];
    assert_eq!(alerts(payments_at(&start)), [""; 0]);
    // Five at once are none; six at once are in all six windows.
    assert_eq!(alerts(payments_at(&[100_000; 5])), [""; 0]);
    let ends = [110_000, 120_000, 130_000, 140_000, 150_000, 160_000];
    assert_eq!(alerts(payments_at(&[100_000; 6])), burst_alerts(&ends.map(|end| (end, 6))));
}

#[test]
fn each_window_of_a_burst_counts_its_own_payments() {
    let times = [20_000, 30_000, 40_000, 41_000, 42_000, 43_000, 44_000, 85_000];
    // In seconds: [-20, 40) has 2, the windows from [-10, 50) to [20, 80) have all but the last, 7,
    // [30, 90) has lost the first and got the last, 7, [40, 100) has 6, [50, 110) has 1.
    let expected = [(50_000, 7), (60_000, 7), (70_000, 7), (80_000, 7), (90_000, 7), (100_000, 6)];
    assert_eq!(alerts(payments_at(&times)), burst_alerts(&expected));
}

#[test]
fn a_window_may_start_before_1970() {
    let expected = [10_000, 20_000, 30_000, 40_000, 50_000, 60_000].map(|end| (end, 6));
    assert_eq!(alerts(payments_at(&[0, 1, 2, 3, 4, 9_999])), burst_alerts(&expected));
}

#[test]
fn accounts_dont_share_a_burst() {
    let mut rows = payments_at(&[0; 6]);
    rows[5].account_id = 4;
    assert_eq!(alerts(rows), [""; 0]);
}

#[test]
fn a_late_row_goes_to_the_late_output_and_no_rule_sees_it() {
    // Without the late row, the small payment is directly followed by the large one.
    let rows = vec![
        payment(1, 7, 100_000, 5),
        payment(2, 7, 110_000, 60_000),
        payment_in(3, 7, 104_999, 500, "Bonn"),
        payment(4, 8, 105_000, 5),
        payment(5, 8, 105_001, 60_000),
    ];
    let output = detect(vec![rows]).unwrap();
    assert_eq!(
        output.late,
        [
            r#"{"transaction_id":3,"account_id":7,"event_time_ms":104999,"amount_cents":500,"merchant":"Café \"A\", B","location":"Bonn"}"#
        ]
    );
    assert_eq!(
        output.alerts,
        [
            r#"{"account_id":7,"rule":"small_then_large","event_time_ms":110000,"transaction_id":2}"#,
            r#"{"account_id":8,"rule":"small_then_large","event_time_ms":105001,"transaction_id":5}"#,
        ]
    );
    assert_eq!(output.counts, RuleCounts { small_then_large: 2, impossible_travel: 0, burst: 0 });
    assert_eq!(output.rows, 5);
}

#[test]
fn lateness_is_decided_within_each_file() {
    let early = vec![payment(1, 7, 0, 5)];
    let later = vec![payment(2, 7, 50_000, 60_000), payment(3, 8, 44_999, 5)];
    let output = detect(vec![later, early]).unwrap();
    assert_eq!(output.late.len(), 1);
    assert!(output.late[0].starts_with(r#"{"transaction_id":3,"#));
    assert_eq!(output.alerts.len(), 1);
}

#[test]
fn a_transaction_id_that_occurs_twice_is_refused() {
    let files = vec![vec![payment(1, 7, 0, 5)], vec![payment(1, 8, 0, 5)]];
    let message = detect(files).unwrap_err().to_string();
    assert!(message.contains("transaction 1 "), "{message}");
}
