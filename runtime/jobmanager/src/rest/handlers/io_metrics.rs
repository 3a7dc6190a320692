//! What one or many subtasks read, wrote and spent, as REST shows it beside each of them.

use serde::Serialize;

use crate::rest::json::Double;
use crate::rest::model::{MetricValue, SubtaskFacts};

/// The members under `metrics` of a job's vertex, a subtask or a TaskManager's share of a vertex.
/// A `*-complete` is false when some subtask hasn't reported the number yet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct IoMetrics {
    read_bytes: i64,
    read_bytes_complete: bool,
    write_bytes: i64,
    write_bytes_complete: bool,
    read_records: i64,
    read_records_complete: bool,
    write_records: i64,
    write_records_complete: bool,
    accumulated_backpressured_time: i64,
    accumulated_idle_time: i64,
    accumulated_busy_time: Double,
}

/// The numbers of `subtasks`, added up.
pub(crate) fn io_metrics<'a>(subtasks: impl IntoIterator<Item = &'a SubtaskFacts>) -> IoMetrics {
    let subtasks: Vec<_> = subtasks.into_iter().collect();
    let sum = |name| {
        let values = subtasks.iter().map(|subtask| integer(subtask, name));
        let known: Vec<i64> = values.flatten().collect();
        (
            known.iter().fold(0, |sum: i64, value| sum.saturating_add(*value)),
            known.len() == subtasks.len(),
        )
    };
    let (read_bytes, read_bytes_complete) = sum("numBytesIn");
    let (write_bytes, write_bytes_complete) = sum("numBytesOut");
    let (read_records, read_records_complete) = sum("numRecordsIn");
    let (write_records, write_records_complete) = sum("numRecordsOut");
    let busy = subtasks.iter().map(|subtask| busy_time(subtask)).fold(0.0, |sum, ms| sum + ms);
    IoMetrics {
        read_bytes,
        read_bytes_complete,
        write_bytes,
        write_bytes_complete,
        read_records,
        read_records_complete,
        write_records,
        write_records_complete,
        accumulated_backpressured_time: sum("accumulateBackPressuredTimeMs").0,
        accumulated_idle_time: sum("accumulateIdleTimeMs").0,
        accumulated_busy_time: Double(busy),
    }
}

/// The same numbers of one subtask by member name, for statistics over subtasks.
pub(crate) fn columns(subtask: &SubtaskFacts) -> [(&'static str, i64); 7] {
    let of = |name| integer(subtask, name).unwrap_or(0);
    [
        ("write-records", of("numRecordsOut")),
        ("accumulated-backpressured-time", of("accumulateBackPressuredTimeMs")),
        ("accumulated-idle-time", of("accumulateIdleTimeMs")),
        ("write-bytes", of("numBytesOut")),
        ("read-bytes", of("numBytesIn")),
        ("read-records", of("numRecordsIn")),
        ("accumulated-busy-time", busy_time(subtask) as i64),
    ]
}

fn integer(subtask: &SubtaskFacts, name: &str) -> Option<i64> {
    subtask.metrics.get(name).and_then(MetricValue::as_i64)
}

fn busy_time(subtask: &SubtaskFacts) -> f64 {
    subtask.metrics.get("accumulateBusyTimeMs").and_then(MetricValue::as_f64).unwrap_or(0.0)
}
