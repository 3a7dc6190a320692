//! A pod template as it was written, read strictly: the API server would drop unknown fields of it
//! silently, as the resource's schema doesn't know them.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::{Map, Value};

use crate::resource::PodTemplate;

/// The largest template, as JSON.
const BYTES_MAX: usize = 64 * 1024;
/// How deep a template may be nested. Kubernetes' own are less than half of it.
const DEPTH_MAX: usize = 32;

/// Why a template can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReadError {
    /// Fields that Kubernetes doesn't know.
    #[error("unknown field {0}: check its name and its place")]
    UnknownField(String),
    /// A value of another type.
    #[error("{0}: correct the value; quantities and numbers in texts need quotes")]
    WrongType(String),
    /// Larger than a revision can hold.
    #[error("{0} bytes are too many: at most 65536")]
    TooLarge(usize),
    /// Nested too deeply.
    #[error("it is nested too deeply")]
    TooDeep,
}

/// The template, and all that is wrong with it if it can't be used.
///
/// # Errors
/// Unknown fields (all of them), a value of a wrong type (the first).
pub fn read(template: &PodTemplate) -> Result<PodTemplateSpec, Vec<ReadError>> {
    let bytes = serde_json::to_vec(template).map_or(usize::MAX, |json| json.len());
    if bytes > BYTES_MAX {
        return Err(vec![ReadError::TooLarge(bytes)]);
    }
    let written = Value::Object(template.0.clone());
    if depth(&written) > DEPTH_MAX {
        return Err(vec![ReadError::TooDeep]);
    }
    let written = without_nulls(written);
    let wrong_type = |error: serde_json::Error| vec![ReadError::WrongType(error.to_string())];
    let read: PodTemplateSpec = serde_json::from_value(written.clone()).map_err(wrong_type)?;
    let understood = serde_json::to_value(&read).map_err(wrong_type)?;
    let mut unknown = Vec::new();
    compare("", &written, &understood, &mut unknown);
    if unknown.is_empty() { Ok(read) } else { Err(unknown) }
}

fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Object(fields) => fields.values().map(depth).max(),
        Value::Array(items) => items.iter().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// Null means that a field isn't set.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let set = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                set.map(|(name, value)| (name, without_nulls(value))).collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

fn compare(path: &str, written: &Value, understood: &Value, unknown: &mut Vec<ReadError>) {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            for (name, value) in written {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match understood.get(name) {
                    Some(understood) => compare(&path, value, understood, unknown),
                    None => unknown.push(ReadError::UnknownField(path)),
                }
            }
        }
        (Value::Array(written), Value::Array(understood)) => {
            for (index, (value, understood)) in written.iter().zip(understood).enumerate() {
                compare(&format!("{path}[{index}]"), value, understood, unknown);
            }
        }
        _ => {}
    }
}
