//! The reference page, made from the schema. docs/flinkapplication.md is its output; a test keeps
//! the two equal.

use serde_json::{Map, Value};

use super::definition::{self, DefinitionError};
use super::rules::rules;

const INTRODUCTION: &str = "\
# FlinkApplication

<!-- Made from the resource's types (operator/src/resource). Don't edit it:
     THALWEG_UPDATE=1 cargo test -p thalweg-operator generated -->

The fields of `FlinkApplication` (`thalweg.dev/v1alpha1`, short names `flinkapp` and `fapp`). Times
are RFC 3339, durations are whole seconds. A field that isn't listed is refused by `kubectl apply`.
Fields marked **required** have no default. Samples are in
[crds/examples](../crds/examples/minimal.yaml).
";

/// The reference page in Markdown.
///
/// # Errors
/// When the CustomResourceDefinition can't be made.
pub fn reference_markdown() -> Result<String, DefinitionError> {
    let schema = definition::schema()?;
    let mut page = INTRODUCTION.to_owned();
    for part in ["spec", "status"] {
        if let Some(part_schema) = schema.pointer(&format!("/properties/{part}")) {
            section(&mut page, part, part_schema);
        }
    }
    page.push_str(
        "\n## Rules\n\nWhat the API server refuses, beyond types and bounds, and what it says.\n\n\
         | Where | Message |\n| --- | --- |\n",
    );
    for rule in rules() {
        let place = if rule.at.is_empty() { "the resource" } else { rule.at };
        page.push_str(&format!("| `{place}` | {} |\n", cell(&rule.message)));
    }
    Ok(page)
}

/// The fields of an object, then those of the objects within it.
fn section(page: &mut String, path: &str, schema: &Value) {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let mut properties: Vec<(&String, &Value)> = properties.iter().collect();
    properties.sort_by_key(|(name, _)| name.as_str());
    page.push_str(&format!("\n## {path}\n\n"));
    page.push_str("| Field | Value | Default | Meaning |\n| --- | --- | --- | --- |\n");
    for (name, property) in &properties {
        let required = schema["required"]
            .as_array()
            .is_some_and(|required| required.iter().any(|field| field == name.as_str()));
        let default = match (&property["default"], required) {
            (_, true) => "**required**".to_owned(),
            // The fields within have defaults of their own.
            (Value::Null | Value::Object(_), _) => String::new(),
            (default, _) => format!("`{}`", default.to_string().trim_matches('"')),
        };
        let meaning = cell(property["description"].as_str().unwrap_or_default());
        page.push_str(&format!("| `{name}` | {} | {default} | {meaning} |\n", value(property)));
    }
    for (name, property) in properties {
        if let Some((suffix, inner)) = inner_object(property) {
            section(page, &format!("{path}.{name}{suffix}"), inner);
        }
    }
}

/// The object that a field holds, itself or as a list's items, if it has fields.
fn inner_object(property: &Value) -> Option<(&'static str, &Value)> {
    let has_fields = |schema: &Value| schema["properties"].is_object();
    if has_fields(property) {
        return Some(("", property));
    }
    Some(("[]", &property["items"])).filter(|(_, items)| has_fields(items))
}

/// A field's type with its bounds.
fn value(schema: &Value) -> String {
    let number = |key: &str| schema[key].as_f64();
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return "PodTemplateSpec".to_owned();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return "quantity".to_owned();
    }
    if let Some(words) = schema["enum"].as_array() {
        let words = words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`"));
        return words.collect::<Vec<_>>().join(", ");
    }
    let kind = schema["type"].as_str().unwrap_or_default();
    match kind {
        "integer" => match (number("minimum"), number("maximum")) {
            (Some(least), Some(most)) => format!("integer, {least} to {most}"),
            (Some(least), None) => format!("integer, at least {least}"),
            _ => "integer".to_owned(),
        },
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        "string" => match number("maxLength") {
            Some(most) => format!("text, at most {most} characters"),
            None => "text".to_owned(),
        },
        "array" => {
            let items = value(&schema["items"]);
            let most = number("maxItems").unwrap_or_default();
            let items = if items == "object" { "objects".to_owned() } else { items };
            format!("list of at most {most}: {items}")
        }
        "object" if schema["additionalProperties"].is_object() => {
            let most = number("maxProperties").unwrap_or_default();
            format!("map of at most {most}: {}", value(&schema["additionalProperties"]))
        }
        "boolean" => "`true`, `false`".to_owned(),
        other => other.to_owned(),
    }
}

/// Text that fits into a table's cell.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
