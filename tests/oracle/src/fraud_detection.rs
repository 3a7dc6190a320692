//! What `fraud-detection` must output: alerts and late rows of a bank's card payments.
//!
//! All rows that aren't late are sorted by account, event time and transaction id; then each rule
//! looks at one account's payments at a time. Amounts are in cents, times in milliseconds.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::OracleError;
use crate::input::{Row, read_files};
use crate::late::separate_late;
use crate::output::json_line;

const SMALL_BELOW_CENTS: u64 = 100;
const LARGE_ABOVE_CENTS: u64 = 50_000;
const SMALL_THEN_LARGE_WITHIN_MS: u64 = 60_000;
const TRAVEL_BELOW_MS: u64 = 600_000;
const BURST_WINDOW_MS: u64 = 60_000;
const BURST_SLIDE_MS: u64 = 10_000;
const BURST_ABOVE_PAYMENTS: usize = 5;

/// A row of the input: one card payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Unique among all rows of all files.
    pub transaction_id: u64,
    /// The account that pays.
    pub account_id: u64,
    /// When it was paid, in milliseconds since 1970.
    pub event_time_ms: u64,
    /// How much was paid.
    pub amount_cents: u64,
    /// Who was paid.
    pub merchant: String,
    /// Where it was paid.
    pub location: String,
}

impl Row for Transaction {
    const HEADER: &'static [&'static str] =
        &["transaction_id", "account_id", "event_time_ms", "amount_cents", "merchant", "location"];
    const BOUND_MS: u64 = 5_000;

    fn event_time_ms(&self) -> u64 {
        self.event_time_ms
    }

    fn set_event_time_ms(&mut self, event_time_ms: u64) {
        self.event_time_ms = event_time_ms;
    }
}

/// What the application must write, and how much of it each rule gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FraudOutput {
    /// The alerts as JSON lines, sorted.
    pub alerts: Vec<String>,
    /// The late rows as JSON lines, sorted.
    pub late: Vec<String>,
    /// The number of rows read, late ones included.
    pub rows: usize,
    /// The number of alerts of each rule.
    pub counts: RuleCounts,
}

/// The number of alerts of each rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// A payment below 100 cents directly followed by one above 50,000 cents.
    pub small_then_large: usize,
    /// Two consecutive payments in different locations.
    pub impossible_travel: usize,
    /// More than 5 payments in a window.
    pub burst: usize,
}

/// Reads a CSV file, or each file of a folder, and computes the output.
///
/// # Errors
/// A path that can't be read, a malformed row, a transaction id that occurs twice.
pub fn run(transactions: impl AsRef<Path>) -> Result<FraudOutput, OracleError> {
    detect(read_files(transactions.as_ref())?)
}

/// Computes the output for the rows of each file, in the files' order.
///
/// # Errors
/// A transaction id that occurs twice.
pub fn detect(files: Vec<Vec<Transaction>>) -> Result<FraudOutput, OracleError> {
    check_transaction_ids(&files)?;
    let mut output = FraudOutput::default();
    let mut payments = Vec::new();
    for rows in files {
        output.rows += rows.len();
        let (in_time, late) = separate_late(rows);
        payments.extend(in_time);
        for row in late {
            output.late.push(json_line(&row)?);
        }
    }
    payments.sort_by_key(|row| (row.account_id, row.event_time_ms, row.transaction_id));
    for of_account in payments.chunk_by(|left, right| left.account_id == right.account_id) {
        let small_then_large = small_then_large(of_account)?;
        let impossible_travel = impossible_travel(of_account)?;
        let burst = burst(of_account)?;
        output.counts.small_then_large += small_then_large.len();
        output.counts.impossible_travel += impossible_travel.len();
        output.counts.burst += burst.len();
        output.alerts.extend(small_then_large);
        output.alerts.extend(impossible_travel);
        output.alerts.extend(burst);
    }
    output.alerts.sort();
    output.late.sort();
    Ok(output)
}

/// Without unique ids, the order of two payments at the same time wouldn't be defined.
fn check_transaction_ids(files: &[Vec<Transaction>]) -> Result<(), OracleError> {
    let mut ids: Vec<u64> = files.iter().flatten().map(|row| row.transaction_id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(OracleError::DuplicateTransaction { transaction_id: pair[0] }),
        None => Ok(()),
    }
}

#[derive(Serialize)]
struct PaymentAlert {
    account_id: u64,
    rule: &'static str,
    event_time_ms: u64,
    transaction_id: u64,
}

fn alert_on(payment: &Transaction, rule: &'static str) -> Result<String, OracleError> {
    json_line(&PaymentAlert {
        account_id: payment.account_id,
        rule,
        event_time_ms: payment.event_time_ms,
        transaction_id: payment.transaction_id,
    })
}

fn small_then_large(payments: &[Transaction]) -> Result<Vec<String>, OracleError> {
    let mut alerts = Vec::new();
    for pair in payments.windows(2) {
        let (first, second) = (&pair[0], &pair[1]);
        if first.amount_cents < SMALL_BELOW_CENTS
            && second.amount_cents > LARGE_ABOVE_CENTS
            && second.event_time_ms - first.event_time_ms <= SMALL_THEN_LARGE_WITHIN_MS
        {
            alerts.push(alert_on(second, "small_then_large")?);
        }
    }
    Ok(alerts)
}

fn impossible_travel(payments: &[Transaction]) -> Result<Vec<String>, OracleError> {
    let mut alerts = Vec::new();
    for pair in payments.windows(2) {
        let (first, second) = (&pair[0], &pair[1]);
        if first.location != second.location
            && second.event_time_ms - first.event_time_ms < TRAVEL_BELOW_MS
        {
            alerts.push(alert_on(second, "impossible_travel")?);
        }
    }
    Ok(alerts)
}

#[derive(Serialize)]
struct BurstAlert {
    account_id: u64,
    rule: &'static str,
    event_time_ms: u64,
    count: usize,
}

fn burst(payments: &[Transaction]) -> Result<Vec<String>, OracleError> {
    // A payment at t is in each window [end - 60 s, end) whose end is a multiple of 10 s with
    // t < end <= t + 60 s. Windows are named by their end: a start may lie before 1970.
    let mut payments_by_window_end: BTreeMap<u64, usize> = BTreeMap::new();
    for payment in payments {
        let first_end = (payment.event_time_ms / BURST_SLIDE_MS + 1) * BURST_SLIDE_MS;
        for slide in 0..BURST_WINDOW_MS / BURST_SLIDE_MS {
            *payments_by_window_end.entry(first_end + slide * BURST_SLIDE_MS).or_default() += 1;
        }
    }
    let mut alerts = Vec::new();
    for (window_end, count) in payments_by_window_end {
        if count > BURST_ABOVE_PAYMENTS {
            alerts.push(json_line(&BurstAlert {
                account_id: payments[0].account_id,
                rule: "burst",
                event_time_ms: window_end,
                count,
            })?);
        }
    }
    Ok(alerts)
}
