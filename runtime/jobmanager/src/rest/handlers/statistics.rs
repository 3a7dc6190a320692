//! The two shapes in which REST shows statistics: over subtasks, and over checkpoints.

use serde::Serialize;

use super::{io_metrics, states};
use crate::rest::json::{Double, Entries};
use crate::rest::model::{StatisticsSummary, SubtaskFacts, percentile};

/// Statistics over subtasks, in whole numbers.
#[derive(Debug, Serialize)]
pub(crate) struct SubtaskStatistics {
    p25: i64,
    min: i64,
    avg: i64,
    median: i64,
    max: i64,
    sum: i64,
    p95: i64,
    p75: i64,
}

impl SubtaskStatistics {
    fn over(mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        let sum = values.iter().fold(0, |sum: i64, value| sum.saturating_add(*value));
        let count = i64::try_from(values.len()).unwrap_or(i64::MAX).max(1);
        let at = |fraction| percentile(&values, fraction) as i64;
        Self {
            p25: at(0.25),
            min: values.first().copied().unwrap_or(0),
            avg: sum / count,
            median: at(0.5),
            max: values.last().copied().unwrap_or(0),
            sum,
            p95: at(0.95),
            p75: at(0.75),
        }
    }
}

/// The member `aggregated` of a vertex and of a TaskManager's share of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Aggregated {
    metrics: Entries<'static, SubtaskStatistics>,
    status_duration: Entries<'static, SubtaskStatistics>,
}

/// Statistics over `subtasks` of what they read, wrote and spent, and of the time in each state.
pub(crate) fn aggregated(subtasks: &[&SubtaskFacts], now_ms: i64) -> Aggregated {
    let metrics = group(subtasks.iter().flat_map(|subtask| io_metrics::columns(subtask)));
    let durations = subtasks.iter().flat_map(|subtask| subtask.state_durations(now_ms));
    let status_duration = group(durations.map(|(state, ms)| (state.name(), ms)));
    Aggregated { metrics, status_duration }
}

/// Statistics by name, in the order in which the names first appear.
fn group(rows: impl Iterator<Item = (&'static str, i64)>) -> Entries<'static, SubtaskStatistics> {
    let mut columns: Vec<(&'static str, Vec<i64>)> = Vec::new();
    for (name, value) in rows {
        match columns.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => columns.push((name, vec![value])),
        }
    }
    Entries::of(columns.into_iter().map(|(name, values)| (name, SubtaskStatistics::over(values))))
}

/// Statistics over checkpoints or over the subtasks of one.
#[derive(Debug, Serialize)]
pub(crate) struct SummaryStatistics {
    min: i64,
    max: i64,
    avg: i64,
    p50: Double,
    p90: Double,
    p95: Double,
    p99: Double,
    p999: Double,
}

impl SummaryStatistics {
    /// With percentiles.
    pub(crate) fn of(summary: &StatisticsSummary) -> Self {
        let sorted = summary.sorted();
        Self::with(summary, |fraction| percentile(&sorted, fraction))
    }

    /// Without: Flink keeps no percentiles over the subtasks of one checkpoint.
    pub(crate) fn without_percentiles(values: impl Iterator<Item = i64>) -> Self {
        Self::with(&values.collect(), |_| f64::NAN)
    }

    /// Of a number that is kept for compatibility and always 0.
    pub(crate) fn zero() -> Self {
        Self::with(&StatisticsSummary::default(), |_| 0.0)
    }

    fn with(summary: &StatisticsSummary, at: impl Fn(f64) -> f64) -> Self {
        Self {
            min: summary.min(),
            max: summary.max(),
            avg: summary.average(),
            p50: Double(at(0.5)),
            p90: Double(at(0.9)),
            p95: Double(at(0.95)),
            p99: Double(at(0.99)),
            p999: Double(at(0.999)),
        }
    }
}

/// A subtask's time in each state that it has been in, by the state's name.
pub(crate) fn status_duration(subtask: &SubtaskFacts, now_ms: i64) -> Entries<'static, i64> {
    Entries::of(subtask.state_durations(now_ms).into_iter().map(|(state, ms)| (state.name(), ms)))
}

/// Start, end and duration of one subtask.
pub(crate) fn subtask_span(subtask: &SubtaskFacts, now_ms: i64) -> states::Span {
    states::span([subtask], now_ms)
}
