//! `.../backpressure`: how busy, idle and back-pressured the subtasks of a vertex are.

use serde::Serialize;

use crate::rest::json::Double;
use crate::rest::model::{MetricValue, SubtaskFacts, VertexFacts};

const BACK_PRESSURED: &str = "backPressuredTimeMsPerSecond";
const IDLE: &str = "idleTimeMsPerSecond";
const BUSY: &str = "busyTimeMsPerSecond";

/// How much of its time a task waits for its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// At most a tenth.
    Ok,
    /// At most half.
    Low,
    /// More.
    High,
}

impl Level {
    pub(crate) fn of(ratio: f64) -> Self {
        if ratio <= 0.1 {
            Self::Ok
        } else if ratio <= 0.5 {
            Self::Low
        } else {
            Self::High
        }
    }
}

/// Both spellings of the level stand in Flink's answers.
#[derive(Debug, Serialize)]
pub(crate) struct BackPressure {
    status: &'static str,
    #[serde(rename = "backpressureLevel", skip_serializing_if = "Option::is_none")]
    level_: Option<Level>,
    #[serde(rename = "end-timestamp", skip_serializing_if = "Option::is_none")]
    end_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtasks: Option<Vec<SubtaskBackPressure>>,
    #[serde(rename = "backpressure-level", skip_serializing_if = "Option::is_none")]
    level: Option<Level>,
}

#[derive(Debug, Serialize)]
struct SubtaskBackPressure {
    subtask: u32,
    #[serde(rename = "backpressureLevel")]
    level_: Level,
    ratio: Double,
    #[serde(rename = "idleRatio")]
    idle_ratio: Double,
    #[serde(rename = "busyRatio")]
    busy_ratio: Double,
    #[serde(rename = "backpressure-level")]
    level: Level,
}

/// The level of a vertex is its worst subtask's. While no subtask has reported: `deprecated`,
/// which is Flink's word for "not measured".
pub(crate) fn back_pressure(vertex: &VertexFacts, now_ms: i64) -> BackPressure {
    let reported = vertex.subtasks.iter().filter(|subtask| !subtask.metrics.is_empty());
    let subtasks: Vec<_> = reported.map(subtask_back_pressure).collect();
    let Some(worst) = subtasks.iter().map(|subtask| subtask.ratio.0).reduce(f64::max) else {
        return BackPressure {
            status: "deprecated",
            level_: None,
            end_timestamp: None,
            subtasks: None,
            level: None,
        };
    };
    let level = Some(Level::of(worst));
    BackPressure {
        status: "ok",
        level_: level,
        end_timestamp: Some(now_ms),
        subtasks: Some(subtasks),
        level,
    }
}

fn subtask_back_pressure(facts: &SubtaskFacts) -> SubtaskBackPressure {
    let ratio = |name| {
        let per_second = facts.metrics.get(name).and_then(MetricValue::as_f64);
        per_second.unwrap_or(0.0) / 1_000.0
    };
    let level = Level::of(ratio(BACK_PRESSURED));
    SubtaskBackPressure {
        subtask: facts.index,
        level_: level,
        ratio: Double(ratio(BACK_PRESSURED)),
        idle_ratio: Double(ratio(IDLE)),
        busy_ratio: Double(ratio(BUSY)),
        level,
    }
}
