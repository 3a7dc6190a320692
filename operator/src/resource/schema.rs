//! Schemas that can't be derived: maps with bounds on their values, points in time, templates.
//!
//! `definition` sets what holds for all of them.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A point in time. The pattern keeps out what a JSON Schema's `date-time` admits and a reader of
/// RFC 3339 doesn't.
pub(super) fn date_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "format": "date-time",
        "maxLength": 40,
        "pattern": concat!(
            r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?",
            "(Z|[+-][0-9]{2}:[0-9]{2})$"
        ),
    })
}

fn text_map(properties_max: u32, value_length_max: u32) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": properties_max,
        "additionalProperties": { "type": "string", "maxLength": value_length_max },
    })
}

/// Engine keys and their values.
pub(super) fn configuration(_: &mut SchemaGenerator) -> Schema {
    text_map(256, 4096)
}

/// Annotations.
pub(super) fn annotations(_: &mut SchemaGenerator) -> Schema {
    text_map(64, 4096)
}

/// Labels that must be equal.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    text_map(16, 63)
}

/// Quantities by the names of resources.
pub(super) fn resource_list(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": generator.subschema_for::<super::Quantity>(),
    })
}

/// Texts of at most 4096 characters, at most 256 of them.
pub(super) fn arguments(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 256,
        "items": { "type": "string", "maxLength": 4096 },
        "x-kubernetes-list-type": "atomic",
    })
}

/// An object whose fields Kubernetes knows and this schema doesn't.
pub(super) fn preserved_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A list of short texts: CIDR blocks, values of labels.
pub(super) fn short_texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": { "type": "string", "maxLength": 63 },
        "x-kubernetes-list-type": "atomic",
    })
}
