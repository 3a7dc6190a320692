//! Metrics: the names of one component's, the values of those asked for, aggregates over many.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::rest::error::RestError;
use crate::rest::json::Double;
use crate::rest::model::{Metrics, VertexFacts};
use crate::rest::request::bad_parameter;

/// A metric: its name, and its value where it was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Metric {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// All names if `get` is empty, else the values of those of `get` that are known.
pub(crate) fn metrics(of: &Metrics, get: &[&str]) -> Vec<Metric> {
    if get.is_empty() {
        return of.keys().map(|id| Metric { id: id.clone(), value: None }).collect();
    }
    let known = get.iter().filter_map(|id| of.get_key_value(*id));
    known.map(|(id, value)| Metric { id: id.clone(), value: Some(value.to_string()) }).collect()
}

/// The metrics of all subtasks of a vertex under one roof: `0.numRecordsIn`, `1.numRecordsIn`.
pub(crate) fn vertex_metrics(vertex: &VertexFacts, get: &[&str]) -> Vec<Metric> {
    let mut all = Metrics::new();
    for subtask in &vertex.subtasks {
        let prefixed = subtask.metrics.iter();
        let prefixed = prefixed.map(|(id, value)| (format!("{}.{id}", subtask.index), value));
        all.extend(prefixed.map(|(id, value)| (id, value.clone())));
    }
    metrics(&all, get)
}

/// `.../watermarks`: each subtask's input watermark, left out while it isn't known.
pub(crate) fn watermarks(vertex: &VertexFacts) -> Vec<Metric> {
    let of = |subtask: &crate::rest::model::SubtaskFacts| {
        let value = subtask.metrics.get("currentInputWatermark")?.to_string();
        Some(Metric { id: format!("{}.currentInputWatermark", subtask.index), value: Some(value) })
    };
    vertex.subtasks.iter().filter_map(of).collect()
}

/// A way of making one number of many, in the order in which they are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aggregation {
    /// The lowest.
    Min,
    /// The highest.
    Max,
    /// The mean.
    Avg,
    /// The sum.
    Sum,
    /// The mean distance from the mean in percent of the mean, at most 100.
    Skew,
}

impl Aggregation {
    const ALL: [Self; 5] = [Self::Min, Self::Max, Self::Avg, Self::Sum, Self::Skew];

    fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Sum => "sum",
            Self::Skew => "skew",
        }
    }

    /// Of at least one value.
    fn of(self, values: &[f64]) -> f64 {
        let sum: f64 = values.iter().sum();
        let mean = sum / values.len() as f64;
        match self {
            Self::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Avg => mean,
            Self::Sum => sum,
            Self::Skew if mean == 0.0 => 0.0,
            Self::Skew => {
                let distance: f64 = values.iter().map(|value| (value - mean).abs()).sum();
                (distance / values.len() as f64 / mean.abs() * 100.0).min(100.0)
            }
        }
    }
}

/// Which aggregates are asked for; all of them if none is named.
pub(crate) fn aggregations(asked: &[&str]) -> Result<Vec<Aggregation>, RestError> {
    if asked.is_empty() {
        return Ok(Aggregation::ALL.to_vec());
    }
    let find = |text: &&str| {
        let known = Aggregation::ALL.into_iter();
        let mut named = known.filter(|aggregation| aggregation.name().eq_ignore_ascii_case(text));
        named.next().ok_or_else(|| bad_parameter("query", "agg", text))
    };
    let mut found = asked.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// A metric over many components: its name, and the aggregates where it was asked for.
#[derive(Debug)]
pub(crate) struct AggregatedMetric {
    id: String,
    values: Vec<(Aggregation, f64)>,
}

impl Serialize for AggregatedMetric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.values.len()))?;
        map.serialize_entry("id", &self.id)?;
        for (aggregation, value) in &self.values {
            map.serialize_entry(aggregation.name(), &Double(*value))?;
        }
        map.end()
    }
}

/// All names if `get` is empty, else the aggregates of those of `get` that some component has as
/// numbers. Components that don't have a metric, or have text, are left out of its aggregates.
pub(crate) fn aggregate<'a>(
    components: impl IntoIterator<Item = &'a Metrics>,
    get: &[&str],
    aggregations: &[Aggregation],
) -> Vec<AggregatedMetric> {
    let mut values: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (id, value) in components.into_iter().flatten() {
        values.entry(id).or_default().extend(value.as_f64());
    }
    if get.is_empty() {
        let names = values.into_keys();
        return names.map(|id| AggregatedMetric { id: id.to_owned(), values: vec![] }).collect();
    }
    let asked = get.iter().filter_map(|id| values.get_key_value(id));
    let numeric = asked.filter(|(_, values)| !values.is_empty());
    let of = |(id, values): (&&str, &Vec<f64>)| AggregatedMetric {
        id: (*id).to_owned(),
        values: aggregations.iter().map(|by| (*by, by.of(values))).collect(),
    };
    numeric.map(of).collect()
}

/// Whether a subtask's index is among `ranges` (`0`, `3-5`); every index is among none.
pub(crate) fn subtask_filter(ranges: &[&str]) -> Result<impl Fn(u32) -> bool + use<>, RestError> {
    let parse = |text: &&str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let bounds = first.trim().parse::<u32>().ok().zip(last.trim().parse::<u32>().ok());
        let valid = bounds.filter(|(first, last)| first <= last);
        valid.ok_or_else(|| bad_parameter("query", "subtasks", text))
    };
    let ranges = ranges.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    Ok(move |index| {
        ranges.is_empty() || ranges.iter().any(|(first, last)| (*first..=*last).contains(&index))
    })
}
