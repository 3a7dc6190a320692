//! Whether an answer is like a sample: the same members, the same kinds, the same numbers but for
//! a tolerance.

use std::collections::BTreeSet;

use serde_json::Value;

/// All differences; none if they are alike. `None` compares kinds and members only.
pub(super) fn differences(actual: &Value, sample: &Value, tolerance: Option<f64>) -> Vec<String> {
    let mut found = Vec::new();
    compare("", actual, sample, tolerance, &mut found);
    found
}

fn compare(
    at: &str,
    actual: &Value,
    sample: &Value,
    tolerance: Option<f64>,
    found: &mut Vec<String>,
) {
    match (actual, sample) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            for name in names {
                let at = format!("{at}/{name}");
                match (ours.get(name), theirs.get(name)) {
                    (Some(ours), Some(theirs)) => compare(&at, ours, theirs, tolerance, found),
                    (Some(_), None) => found.push(format!("{at}: not in the sample")),
                    (None, _) => found.push(format!("{at}: missing")),
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            if tolerance.is_some() && ours.len() != theirs.len() {
                found.push(format!("{at}: {} items, not {}", ours.len(), theirs.len()));
            }
            if ours.is_empty() != theirs.is_empty() {
                found.push(format!("{at}: empty in only one of both"));
            }
            for (index, ours) in ours.iter().enumerate() {
                let Some(theirs) = theirs.get(index).or(theirs.last()) else { return };
                compare(&format!("{at}[{index}]"), ours, theirs, tolerance, found);
            }
        }
        _ => leaf(at, actual, sample, tolerance, found),
    }
}

fn leaf(at: &str, actual: &Value, sample: &Value, tolerance: Option<f64>, found: &mut Vec<String>) {
    if kind(actual) != kind(sample) {
        found.push(format!("{at}: {actual} is {}, not {}", kind(actual), kind(sample)));
        return;
    }
    let Some(tolerance) = tolerance else { return };
    let same = match (actual.as_f64(), sample.as_f64()) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= tolerance,
        _ => actual == sample,
    };
    if !same {
        found.push(format!("{at}: {actual}, not {sample}"));
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "double",
        Value::Number(_) => "integer",
        // A double that is no number is a string of its own kind.
        Value::String(text) if text == "NaN" => "NaN",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn a_difference_in_members_kinds_or_numbers_is_found() {
    let sample = serde_json::json!({"a": 1, "b": [{"c": 1.0}], "d": null, "e": "NaN"});
    assert!(differences(&sample, &sample, Some(0.0)).is_empty());
    let table = [
        (serde_json::json!({"b": [{"c": 1.0}], "d": null, "e": "NaN"}), "/a: missing"),
        (serde_json::json!({"a": 1.0, "b": [{"c": 1.0}], "d": null, "e": "NaN"}), "/a: 1.0 is"),
        (serde_json::json!({"a": 1, "b": [{"c": 1}], "d": null, "e": "NaN"}), "/b[0]/c: 1 is"),
        (serde_json::json!({"a": 1, "b": [], "d": null, "e": "NaN"}), "/b: 0 items"),
        (serde_json::json!({"a": 1, "b": [{"c": 1.0}], "d": 0, "e": "NaN"}), "/d: 0 is"),
        (serde_json::json!({"a": 1, "b": [{"c": 1.0}], "d": null, "e": 0.0}), "/e: 0.0 is"),
        (serde_json::json!({"a": 9, "b": [{"c": 1.0}], "d": null, "e": "NaN"}), "/a: 9, not 1"),
    ];
    for (actual, expected) in table {
        let found = differences(&actual, &sample, Some(0.0));
        assert!(found.iter().any(|text| text.starts_with(expected)), "{found:?} of {actual}");
    }
}
