//! The CustomResourceDefinition: what is derived from the types, made strict.
//!
//! crds/flinkapplications.thalweg.dev.yaml is its output; a test keeps the two equal.

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use super::FlinkApplication;
use super::rules::{Rule, rules};

/// Why no CustomResourceDefinition could be made. It is a mistake in this crate, which its tests
/// find.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// A part of it can't be written.
    #[error("the CustomResourceDefinition can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The whole can't be written.
    #[error("the CustomResourceDefinition can't be written as YAML: {0}")]
    Yaml(#[from] serde_yaml::Error),
    /// A rule is about a field that isn't there.
    #[error("a rule is about {0:?}, which isn't in the schema")]
    NoSuchPath(String),
}

/// The CustomResourceDefinition.
///
/// # Errors
/// When a rule is about a field that isn't in the schema.
pub fn definition() -> Result<Value, DefinitionError> {
    let mut definition = serde_json::to_value(FlinkApplication::crd())?;
    let schema = root_schema_mut(&mut definition)?;
    tidy(schema);
    for rule in rules() {
        add(schema, &rule)?;
    }
    Ok(definition)
}

/// The CustomResourceDefinition as YAML.
///
/// # Errors
/// When it can't be made or written.
pub fn definition_yaml() -> Result<String, DefinitionError> {
    let header = "# Made by `thalweg-operator crd`. Don't edit it:\n\
                  # THALWEG_UPDATE=1 cargo test -p thalweg-operator generated\n";
    let yaml = serde_yaml::to_string(&sorted(definition()?))?;
    let lines: Vec<String> = yaml.lines().map(quoted).collect();
    Ok(format!("{header}{}\n", lines.join("\n")))
}

/// What YAML 1.1 has for booleans besides `true` and `false`. kubectl and Helm read that version.
pub(crate) const BOOLEANS: &[&str] = &[
    "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "on", "On", "ON", "off", "Off",
    "OFF",
];

/// A line of YAML with such a word in quotes, where it is a value.
fn quoted(line: &str) -> String {
    let value = line.rsplit_once(": ").or_else(|| line.rsplit_once("- "));
    match value.filter(|(_, value)| BOOLEANS.contains(value)) {
        Some((_, value)) => format!("{}'{value}'", &line[..line.len() - value.len()]),
        None => line.to_owned(),
    }
}

/// The schema of the resource.
///
/// # Errors
/// When the CustomResourceDefinition can't be made.
pub fn schema() -> Result<Value, DefinitionError> {
    Ok(root_schema_mut(&mut definition()?)?.take())
}

fn root_schema_mut(definition: &mut Value) -> Result<&mut Value, DefinitionError> {
    definition
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
        .ok_or_else(|| DefinitionError::NoSuchPath("openAPIV3Schema".to_owned()))
}

/// Null isn't a value of any field: `has()` of a null would be true. Descriptions are paragraphs,
/// without the source's line breaks.
fn tidy(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    fields.remove("nullable");
    if let Some(Value::String(description)) = fields.get_mut("description") {
        let paragraphs = description.split("\n\n");
        let unbroken = paragraphs.map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        *description = unbroken.collect::<Vec<_>>().join("\n\n");
    }
    for key in ["minimum", "maximum"] {
        if let Some(bound) = fields.get_mut(key) {
            whole(bound);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            tidy(inner);
        }
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(tidy);
    }
}

/// Bounds are whole numbers; Kubernetes' types have them as floats.
fn whole(bound: &mut Value) {
    if let Some(number) = bound.as_f64().filter(|number| number.fract() == 0.0) {
        *bound = json!(number as i64);
    }
}

fn add(schema: &mut Value, rule: &Rule) -> Result<(), DefinitionError> {
    let missing = || DefinitionError::NoSuchPath(rule.at.to_owned());
    let mut at = schema;
    for step in rule.at.split('.').filter(|step| !step.is_empty()) {
        let (name, items) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        at = at.pointer_mut(&format!("/properties/{name}")).ok_or_else(missing)?;
        if items {
            at = at.get_mut("items").ok_or_else(missing)?;
        }
    }
    let fields = at.as_object_mut().ok_or_else(missing)?;
    let validations = fields.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
    let validations = validations.as_array_mut().ok_or_else(missing)?;
    validations.push(json!({ "rule": rule.expression, "message": rule.message }));
    Ok(())
}

/// With its keys in order, whatever order serde_json was built to keep.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            let fields = fields.into_iter().map(|(key, value)| (key, sorted(value)));
            Value::Object(fields.collect::<Map<String, Value>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
