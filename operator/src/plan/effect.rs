//! What a change of each field of the spec leads to. A field without a line here fails a test.

use serde_json::{Map, Value};

/// What a change leads to, from the least to the most.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Effect {
    /// Nothing: it is read when it is needed.
    Nothing,
    /// The operator acts on what is there; no pod is touched.
    InPlace,
    /// The running job is rescaled.
    Rescale,
    /// New TaskManagers, with the same program.
    NewTaskManagers,
    /// A new revision: an upgrade.
    NewRevision,
}

/// Each field, or all fields below one, by its path below `spec`; the longest path counts.
pub const EFFECTS: &[(&str, Effect)] = &[
    ("image", Effect::NewRevision),
    ("imagePullPolicy", Effect::NewRevision),
    ("imagePullSecrets", Effect::NewRevision),
    // Pods take up what an account stands for when they start.
    ("serviceAccount.annotations", Effect::NewRevision),
    ("suspend", Effect::InPlace),
    ("restartedAt", Effect::NewRevision),
    ("ttlSecondsAfterFinished", Effect::Nothing),
    ("configuration", Effect::NewRevision),
    ("job.binary", Effect::NewRevision),
    ("job.parallelism", Effect::Rescale),
    ("job.maxParallelism", Effect::NewRevision),
    ("job.restartStrategy", Effect::NewRevision),
    ("job.allowNonRestoredState", Effect::NewRevision),
    ("state.backend", Effect::NewRevision),
    ("state.checkpoints", Effect::NewRevision),
    ("state.savepoints.location", Effect::NewRevision),
    ("state.savepoints.history", Effect::NewRevision),
    ("state.savepoints.intervalSeconds", Effect::Nothing),
    ("state.restore", Effect::NewRevision),
    ("upgrade", Effect::Nothing),
    ("deletion", Effect::Nothing),
    ("highAvailability", Effect::NewRevision),
    ("jobManager.replicas", Effect::InPlace),
    ("jobManager.resources", Effect::NewRevision),
    ("jobManager.podTemplate", Effect::NewRevision),
    ("taskManager", Effect::NewTaskManagers),
    ("podTemplate", Effect::NewRevision),
    ("networkPolicy", Effect::InPlace),
];

/// What a change at a path leads to; none for a path that isn't in the table.
pub fn effect_of(path: &str) -> Option<Effect> {
    let within = |prefix: &str| {
        path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    let lines = EFFECTS.iter().filter(|(prefix, _)| within(prefix));
    lines.max_by_key(|(prefix, _)| prefix.len()).map(|(_, effect)| *effect)
}

/// The most that a change from one spec to another leads to, and the fields that differ.
pub fn difference(old: &Value, new: &Value) -> (Effect, Vec<String>) {
    let mut paths = Vec::new();
    differing("", old, new, &mut paths);
    // A field that this operator doesn't know may mean anything.
    let effects = paths.iter().map(|path| effect_of(path).unwrap_or(Effect::NewRevision));
    (effects.max().unwrap_or(Effect::Nothing), paths)
}

fn differing(path: &str, old: &Value, new: &Value, paths: &mut Vec<String>) {
    if old == new {
        return;
    }
    let join = |name: &str| {
        if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
    };
    let none = Map::new();
    match (old, new) {
        (Value::Object(_) | Value::Null, Value::Object(_) | Value::Null) if !whole(path) => {
            let (old, new) = (old.as_object().unwrap_or(&none), new.as_object().unwrap_or(&none));
            for (name, value) in old {
                differing(&join(name), value, new.get(name).unwrap_or(&Value::Null), paths);
            }
            for (name, value) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                differing(&join(name), &Value::Null, value, paths);
            }
        }
        _ => paths.push(path.to_owned()),
    }
}

/// Whether a path has its own line, so that nothing within it needs to be told apart.
fn whole(path: &str) -> bool {
    EFFECTS.iter().any(|(line, _)| *line == path)
}

/// The part of a spec that forms a revision: without what can change while its pods run.
pub fn forming_part(spec: &Value) -> Value {
    fn part(path: &str, value: &Value) -> Option<Value> {
        if !path.is_empty()
            && let Some(effect) = effect_of(path)
        {
            return (effect >= Effect::NewTaskManagers).then(|| value.clone());
        }
        let fields = value.as_object()?.iter().filter_map(|(name, value)| {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            Some((name.clone(), part(&path, value)?))
        });
        // In the order of names, whatever order the values were read in.
        let mut fields: Vec<(String, Value)> = fields.collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        let fields: Map<String, Value> = fields.into_iter().collect();
        (!fields.is_empty()).then_some(Value::Object(fields))
    }
    part("", spec).unwrap_or(Value::Null)
}
