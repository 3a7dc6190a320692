//! What the API server does with a resource, as far as the schema says: types, bounds, required
//! and unknown fields. Its CEL rules are evaluated by `kube-cel`.

use std::sync::LazyLock;

use kube_cel::{CompiledSchema, Validator};
use regex::Regex;
use serde_json::{Map, Value};

use crate::resource::definition;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| definition::schema().expect("a schema"));
static COMPILED: LazyLock<CompiledSchema> = LazyLock::new(|| kube_cel::compile_schema(&SCHEMA));

/// A resource with its defaults filled in.
pub(crate) fn with_defaults(resource: &Value) -> Value {
    kube_cel::apply_defaults(&SCHEMA, resource)
}

/// All that the API server would say against a resource, or a change of one.
pub(crate) fn refusals(resource: &Value, old: Option<&Value>) -> Vec<String> {
    let resource = with_defaults(resource);
    let mut refusals = Vec::new();
    check("", &SCHEMA, &resource, &mut refusals);
    if refusals.is_empty() {
        let old = old.map(with_defaults);
        if let Err(errors) = Validator::new().validate_compiled(&COMPILED, &resource, old.as_ref())
        {
            let errors = errors.into_vec().into_iter();
            refusals.extend(errors.map(|error| format!("{}: {}", error.field_path, error.message)));
        }
    }
    refusals
}

fn check(path: &str, schema: &Value, value: &Value, refusals: &mut Vec<String>) {
    let mut refuse = |what: &str| refusals.push(format!("{path}: {what}"));
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        if !value.is_object() {
            refuse("isn't an object");
        }
        return;
    }
    if schema["x-kubernetes-int-or-string"] == true {
        if !value.is_i64() && !value.is_string() {
            refuse("is neither an integer nor a text");
        }
    } else {
        let kind = schema["type"].as_str().unwrap_or_default();
        let right = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "boolean" => value.is_boolean(),
            _ => panic!("{path} has the type {kind:?} in the schema"),
        };
        if !right {
            return refuse(&format!("isn't of type {kind}"));
        }
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        refuse("isn't one of the words");
    }
    match value {
        Value::Number(number) => {
            let number = number.as_f64().expect("a number");
            if schema["minimum"].as_f64().is_some_and(|least| number < least) {
                refuse("is too small");
            }
            if schema["maximum"].as_f64().is_some_and(|most| number > most) {
                refuse("is too large");
            }
        }
        Value::String(text) => check_text(schema, text, &mut refuse),
        Value::Array(items) => check_items(path, schema, items, refusals),
        Value::Object(fields) if !path.ends_with("/metadata") => {
            check_fields(path, schema, fields, refusals);
        }
        _ => {}
    }
}

fn check_text(schema: &Value, text: &str, refuse: &mut impl FnMut(&str)) {
    let length = text.chars().count() as u64;
    if schema["minLength"].as_u64().is_some_and(|least| length < least) {
        refuse("is too short");
    }
    if schema["maxLength"].as_u64().is_some_and(|most| length > most) {
        refuse("is too long");
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !Regex::new(pattern).expect("a pattern").is_match(text)
    {
        refuse("doesn't match the pattern");
    }
}

fn check_items(path: &str, schema: &Value, items: &[Value], refusals: &mut Vec<String>) {
    if schema["maxItems"].as_u64().is_some_and(|most| items.len() as u64 > most) {
        refusals.push(format!("{path}: has too many items"));
    }
    let mut keys = Vec::new();
    for (index, item) in items.iter().enumerate() {
        check(&format!("{path}/{index}"), &schema["items"], item, refusals);
        if let Some(names) = schema["x-kubernetes-list-map-keys"].as_array() {
            let key: Vec<&Value> =
                names.iter().map(|name| &item[name.as_str().expect("a name")]).collect();
            if keys.contains(&key) {
                refusals.push(format!("{path}/{index}: is a duplicate"));
            }
            keys.push(key);
        }
    }
}

fn check_fields(path: &str, schema: &Value, fields: &Map<String, Value>, all: &mut Vec<String>) {
    for required in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(required.as_str().expect("a name")) {
            all.push(format!("{path}: {required} is required"));
        }
    }
    if schema["maxProperties"].as_u64().is_some_and(|most| fields.len() as u64 > most) {
        all.push(format!("{path}: has too many keys"));
    }
    for (name, value) in fields {
        let place = format!("{path}/{name}");
        let root = path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
        let known = schema["properties"].get(name);
        match (known, &schema["additionalProperties"]) {
            _ if root => {}
            (Some(schema), _) => check(&place, schema, value, all),
            (None, inner @ Value::Object(_)) => check(&place, inner, value, all),
            (None, _) => all.push(format!("{place}: unknown field")),
        }
    }
}
