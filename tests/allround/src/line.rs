//! The output's lines, each in one place for the job and its oracle.

use std::collections::BTreeMap;

/// What a line begins with that says that something is wrong.
pub const ALERT: &str = "ALERT";

/// A key's values since its last such line, and what is aggregated since its first row.
pub fn chunk(key: u64, sequence: u64, values: &[u64], highest: u64, mean: u64) -> String {
    format!("chunk key={key} upto={sequence} values={values:?} highest={highest} mean={mean}")
}

/// How often each value modulo 5 was there until `end`.
pub fn bucket(key: u64, end: i64, counts: &BTreeMap<u64, u64>) -> String {
    format!("bucket key={key} end={end} counts={counts:?}")
}

/// A row whose processing-time timer has fired.
pub fn settled(key: u64, sequence: u64) -> String {
    format!("settled key={key} sequence={sequence}")
}

/// A sliding window's rows and their sum.
pub fn window(key: u64, start: i64, count: u64, sum: u64) -> String {
    format!("window key={key} start={start} count={count} sum={sum}")
}

/// A session's rows and their sum.
pub fn session(key: u64, start: i64, end: i64, count: u64, sum: u64) -> String {
    format!("session key={key} start={start} end={end} count={count} sum={sum}")
}

/// What one kind of operator state has counted, over all subtasks.
pub fn total(kind: &str, rows: u64, sum: u64) -> String {
    format!("total kind={kind} rows={rows} sum={sum}")
}

/// A rule, said by the first of those that have heard it.
pub fn rule(number: u64) -> String {
    format!("rule {number}")
}
