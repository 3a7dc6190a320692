//! What an older definition of the resource doesn't know. Pure.
//!
//! The API server drops such fields from what is written plainly; what is applied it refuses as a
//! whole, and names them. A JobManager may be newer than the definition in its cluster, and its
//! status must be seen there too.

use serde_json::Value;

const REASON: &str = ": field not declared in schema";

/// Takes out of a status what the API server, by the text of its refusal, doesn't know. False if
/// it was refused for something else, or nothing of that is in it.
pub(super) fn drop_undeclared(status: &mut Value, refusal: &str) -> bool {
    let paths = refusal.match_indices(REASON).filter_map(|(end, _)| {
        let path = refusal[..end].rsplit(char::is_whitespace).next()?;
        path.strip_prefix(".status.")
    });
    // All of them, not only the first.
    paths.filter(|path| drop_path(status, path)).count() > 0
}

/// `checkpoint.durationMillis`; `savepoints[token="a"].path`, from all elements of the list.
fn drop_path(value: &mut Value, path: &str) -> bool {
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    let Some(fields) = value.as_object_mut() else { return false };
    if rest.is_empty() {
        return fields.remove(name).is_some();
    }
    let Some(field) = fields.get_mut(name) else { return false };
    if let Some(inner) = rest.strip_prefix('.') {
        return drop_path(field, inner);
    }
    let (Some((_, inner)), Some(list)) = (rest.split_once("]."), field.as_array_mut()) else {
        return false;
    };
    list.iter_mut().map(|each| drop_path(each, inner)).filter(|dropped| *dropped).count() > 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As Kubernetes 1.34 words it.
    const REFUSAL: &str = "failed to create typed patch object (drain/allround; \
        thalweg.dev/v1alpha1, Kind=FlinkApplication): errors:\n  .status.checkpoint.bar: field not \
        declared in schema\n  .status.savepoints[0].format: field not declared in schema\n  \
        .status.news: field not declared in schema";

    #[test]
    fn what_a_definition_does_not_know_is_taken_out_and_nothing_else() {
        let mut status = json!({
            "news": {"of": "tomorrow"},
            "checkpoint": {"id": 3, "bar": 5},
            "savepoints": [{"token": "a", "format": 1}, {"token": "b", "format": 2}],
            "job": {"bar": 1},
        });
        assert!(drop_undeclared(&mut status, REFUSAL));
        let left = json!({
            "checkpoint": {"id": 3},
            "savepoints": [{"token": "a"}, {"token": "b"}],
            "job": {"bar": 1},
        });
        assert_eq!(status, left);
        assert!(!drop_undeclared(&mut status, REFUSAL), "nothing is left to be taken out");
    }

    #[test]
    fn other_refusals_change_nothing() {
        let mut status = json!({"checkpoint": {"id": 3}});
        for refusal in ["", "the server is shutting down", ".spec.x: field not declared in schema"]
        {
            assert!(!drop_undeclared(&mut status, refusal), "{refusal}");
        }
        assert_eq!(status, json!({"checkpoint": {"id": 3}}));
    }
}
