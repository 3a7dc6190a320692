//! What an older definition of the resource doesn't know. Pure.
//!
//! The API server drops such fields from what is written plainly; what is applied it refuses as a
//! whole, and names them. A JobManager may be newer than the definition in its cluster, and its
//! status must be seen there too. What was refused is remembered, so that a refusal isn't asked for
//! with each write; not for long, as the definition may be replaced at any time.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

const REASON: &str = ": field not declared in schema";
/// How long a field is left out before the API server is asked again: two writes.
const REMEMBERED: Duration = Duration::from_secs(20);
/// Many more than a status has fields: a refusal comes from elsewhere.
const PATHS_MAX: usize = 256;

/// The fields that the API server has said not to know.
#[derive(Debug, Default)]
pub(super) struct Undeclared {
    paths: BTreeSet<String>,
    /// When the first of these was learned.
    since: Duration,
}

impl Undeclared {
    /// Takes out of a status what isn't known, as far as that is remembered at this time.
    pub(super) fn leave_out(&mut self, status: &mut Value, now: Duration) {
        if now >= self.since.saturating_add(REMEMBERED) {
            self.paths.clear();
        }
        for path in &self.paths {
            drop_path(status, path);
        }
    }

    /// Takes out of a status, and remembers, what the API server doesn't know by the text of its
    /// refusal. False if it was refused for something else, or nothing of that is in it.
    pub(super) fn learn(&mut self, status: &mut Value, refusal: &str, now: Duration) -> bool {
        let paths = refusal.match_indices(REASON).filter_map(|(end, _)| {
            let path = refusal[..end].rsplit(char::is_whitespace).next()?;
            path.strip_prefix(".status.")
        });
        let mut any = false;
        // All of them, not only the first.
        for path in paths.filter(|path| drop_path(status, path)) {
            any = true;
            if self.paths.is_empty() {
                self.since = now;
            }
            if self.paths.len() < PATHS_MAX {
                self.paths.insert(of_all_elements(path));
            }
        }
        any
    }
}

/// A path without which elements of lists it was about: what isn't declared of one isn't of any.
fn of_all_elements(path: &str) -> String {
    let mut parts = path.split('[');
    let mut of_all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.split_once(']').map_or("", |(_, rest)| rest);
        of_all.extend(["[]", rest]);
    }
    of_all
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
        let mut undeclared = Undeclared::default();
        assert!(undeclared.learn(&mut status, REFUSAL, Duration::ZERO));
        let left = json!({
            "checkpoint": {"id": 3},
            "savepoints": [{"token": "a"}, {"token": "b"}],
            "job": {"bar": 1},
        });
        assert_eq!(status, left);
        let again = undeclared.learn(&mut status, REFUSAL, Duration::ZERO);
        assert!(!again, "nothing is left to be taken out");
    }

    #[test]
    fn other_refusals_change_nothing() {
        let mut status = json!({"checkpoint": {"id": 3}});
        for refusal in ["", "the server is shutting down", ".spec.x: field not declared in schema"]
        {
            let mut undeclared = Undeclared::default();
            assert!(!undeclared.learn(&mut status, refusal, Duration::ZERO), "{refusal}");
            undeclared.leave_out(&mut status, Duration::ZERO);
        }
        assert_eq!(status, json!({"checkpoint": {"id": 3}}));
    }

    #[test]
    fn what_was_refused_once_is_left_out_for_a_while_and_then_tried_again() {
        let at = Duration::from_secs;
        let whole = json!({
            "news": 1, "checkpoint": {"id": 3, "bar": 5}, "savepoints": [{"token": "a"}],
        });
        let mut undeclared = Undeclared::default();
        let mut status = whole.clone();
        undeclared.leave_out(&mut status, at(5));
        assert_eq!(status, whole, "nothing was refused yet");
        status["savepoints"][0]["format"] = json!(1);
        assert!(undeclared.learn(&mut status, REFUSAL, at(5)));
        let paths = ["checkpoint.bar", "news", "savepoints[].format"].map(str::to_owned);
        assert_eq!(undeclared.paths, BTreeSet::from(paths));
        // The lists of later writes may be longer, or not be there.
        for (now, savepoints) in [(6, json!([{"token": "b", "format": 2}])), (24, json!(null))] {
            let mut status = whole.clone();
            status["savepoints"] = savepoints;
            undeclared.leave_out(&mut status, at(now));
            assert_eq!(status["checkpoint"], json!({"id": 3}), "{now}");
            let rest = (&status["news"], &status["savepoints"][0]["format"]);
            assert_eq!(rest, (&Value::Null, &Value::Null), "{now}");
        }
        let mut status = whole.clone();
        undeclared.leave_out(&mut status, at(25));
        assert_eq!(status, whole, "the definition may be another one by now");
        assert!(undeclared.learn(&mut status, REFUSAL, at(30)));
        let mut status = whole.clone();
        undeclared.leave_out(&mut status, at(49));
        assert_ne!(status, whole, "the time counts anew");
    }
}
