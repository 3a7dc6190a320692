//! Properties of the schema: bounded, documented, structural, cheap.

use serde_json::Value;

use crate::resource::definition;

/// Calls with each schema of a field, and its path.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, visit);
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[key].is_object() {
            walk(&format!("{path}{suffix}"), &schema[key], visit);
        }
    }
}

fn violations(mut check: impl FnMut(&Value) -> bool) -> Vec<String> {
    let schema = definition::schema().expect("a schema");
    let mut found = Vec::new();
    for part in ["spec", "status"] {
        walk(part, &schema["properties"][part], &mut |path, schema| {
            if !check(schema) {
                found.push(path.to_owned());
            }
        });
    }
    found
}

#[test]
fn every_text_list_map_and_number_is_bounded() {
    let bounded = |schema: &Value| match schema["type"].as_str() {
        Some("string") => schema["enum"].is_array() || schema["maxLength"].is_u64(),
        Some("array") => {
            schema["maxItems"].is_u64() && schema["x-kubernetes-list-type"].is_string()
        }
        Some("object") if schema["additionalProperties"].is_object() => {
            schema["maxProperties"].is_u64()
        }
        _ => true,
    };
    assert_eq!(violations(bounded), Vec::<String>::new());
    let schema = definition::schema().expect("a schema");
    let mut unbounded = Vec::new();
    walk("spec", &schema["properties"]["spec"], &mut |path, schema| {
        let integer = schema["type"] == "integer";
        if integer && !(schema["minimum"].is_i64() && schema["maximum"].is_i64()) {
            unbounded.push(path.to_owned());
        }
    });
    assert_eq!(unbounded, Vec::<String>::new());
}

#[test]
fn every_field_says_what_it_means() {
    let schema = definition::schema().expect("a schema");
    let mut silent = Vec::new();
    for part in ["spec", "status"] {
        walk(part, &schema["properties"][part], &mut |path, schema| {
            let inner = path.ends_with("[]") || path.ends_with("{}");
            if !inner && schema["description"].as_str().unwrap_or_default().is_empty() {
                silent.push(path.to_owned());
            }
        });
    }
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn there_are_no_floats_nulls_references_or_alternatives() {
    let plain = |schema: &Value| {
        let alternatives = ["oneOf", "anyOf", "allOf", "not", "$ref"];
        schema["type"] != "number"
            && schema["nullable"].is_null()
            && !matches!(schema["format"].as_str(), Some(format) if format.starts_with("uint"))
            && (schema["x-kubernetes-int-or-string"] == true
                || alternatives.iter().all(|key| schema[key].is_null()))
    };
    assert_eq!(violations(plain), Vec::<String>::new());
}

#[test]
fn no_enumeration_is_in_the_status_so_that_newer_writers_can_report() {
    let schema = definition::schema().expect("a schema");
    let mut found = Vec::new();
    walk("status", &schema["properties"]["status"], &mut |path, schema| {
        if schema["enum"].is_array() {
            found.push(path.to_owned());
        }
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn every_rule_compiles() {
    let schema = definition::schema().expect("a schema");
    let mut rules = 0;
    let mut check = |path: &str, schema: &Value| {
        let listed = schema["x-kubernetes-validations"].as_array().map_or(0, Vec::len);
        let compiled = kube_cel::compile_schema(schema);
        assert_eq!(compiled.validations.len(), listed, "{path}");
        assert!(compiled.compilation_errors().is_empty(), "{path}");
        rules += listed;
    };
    walk("", &schema, &mut check);
    assert_eq!(rules, crate::resource::rules::rules().len());
}
