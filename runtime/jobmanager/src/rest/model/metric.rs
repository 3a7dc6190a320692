//! A metric's value, and the names under which REST shows it. Not here: counting and sampling.

use std::collections::BTreeMap;
use std::fmt;

/// One metric's latest value.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricValue {
    /// A counter, or a gauge of whole numbers.
    Integer(i64),
    /// A rate or a ratio. NaN stands for "not known yet".
    Float(f64),
    /// A gauge of text. It is never aggregated.
    Text(String),
}

/// Metrics by Flink's name (`numRecordsIn`, `Status.JVM.CPU.Load`, `enrich.numRecordsOut`).
pub type Metrics = BTreeMap<String, MetricValue>;

impl MetricValue {
    /// The value as a number, if it is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Text(_) => None,
        }
    }

    /// The value as a whole number, if it is one; a fraction is cut off.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            Self::Float(value) => Some(*value as i64),
            Self::Text(_) => None,
        }
    }
}

impl fmt::Display for MetricValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            // As Java writes doubles: always with a fraction.
            Self::Float(value) if value.is_finite() => write!(f, "{value:?}"),
            Self::Float(value) => f.write_str(crate::rest::json::double_name(*value)),
            Self::Text(value) => f.write_str(value),
        }
    }
}

impl From<i64> for MetricValue {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<f64> for MetricValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<String> for MetricValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// The name of an operator's metric among its subtask's metrics: `discard: Writer` and
/// `numRecordsIn` give `discard__Writer.numRecordsIn`.
pub fn operator_metric_name(operator: &str, metric: &str) -> String {
    let scope: String = operator
        .chars()
        .map(|c| if matches!(c, ' ' | '.' | ':' | ',') { '_' } else { c })
        .collect();
    format!("{scope}.{metric}")
}
