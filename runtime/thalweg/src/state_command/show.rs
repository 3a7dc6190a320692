//! `thalweg state show`: a checkpoint's operators, and the states in their runs. Not here: rows,
//! which are beside it.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;
use thalweg_core::key_group::KeyGroupRange;
use thalweg_state::StateKind;
use thalweg_state::run::{MergedRows, RunKind, RunReader, StateDeclaration, layers};
use thalweg_storage::{CheckpointKind, CheckpointManifest, OperatorManifest};

use super::error::StateCommandError;
use super::runs::RunPlace;
use super::store::OpenStore;
use super::{list, output, runs};

#[derive(Serialize)]
struct Shown<'m> {
    job_id: String,
    checkpoint_id: u64,
    kind: CheckpointKind,
    trigger_time_ms: i64,
    completion_time_ms: i64,
    graph_fingerprint: u64,
    operators: Vec<ShownOperator<'m>>,
}

#[derive(Serialize)]
struct ShownOperator<'m> {
    operator_id: String,
    uid: Option<&'m str>,
    name: &'m str,
    parallelism: u32,
    max_parallelism: u32,
    finished: bool,
    coordinator_bytes: usize,
    states: Vec<ShownState>,
}

/// A state in all runs of its operator. Subtasks may declare it differently, for a moment, after a
/// program has changed: then there's one of each.
#[derive(Serialize)]
struct ShownState {
    #[serde(flatten)]
    declaration: StateDeclaration,
    /// Those that a restore would take: the newest of each key.
    rows: u64,
    /// Those in the runs: with rows that newer ones supersede, and tombstones.
    stored_rows: u64,
    bytes: u64,
    subtasks: Vec<StatePart>,
}

/// A state in one run.
#[derive(Serialize)]
struct StatePart {
    subtask: u32,
    key_groups: Option<[u32; 2]>,
    object: String,
    /// As stored: with those that newer runs supersede, and tombstones.
    stored_rows: u64,
    /// As stored: compressed.
    bytes: u64,
}

/// The operators that the user wants.
pub(super) fn operators<'m>(
    manifest: &'m CheckpointManifest,
    wanted: Option<&str>,
) -> Result<Vec<&'m OperatorManifest>, StateCommandError> {
    let Some(wanted) = wanted else { return Ok(manifest.operators.iter().collect()) };
    let is_called = |operator: &&OperatorManifest| {
        operator.uid.as_deref() == Some(wanted)
            || operator.name == wanted
            || operator.operator_id.to_string() == wanted
    };
    let found: Vec<_> = manifest.operators.iter().filter(is_called).collect();
    if found.is_empty() {
        let names = manifest.operators.iter();
        let names = names.map(|known| format!("{:?}", known.uid.as_ref().unwrap_or(&known.name)));
        return Err(StateCommandError::NoOperator {
            checkpoint: manifest.checkpoint_id,
            operator: wanted.to_owned(),
            known: names.collect::<Vec<_>>().join(", "),
        });
    }
    Ok(found)
}

/// Prints operators and states.
pub(super) fn show(
    store: &OpenStore,
    manifest: &CheckpointManifest,
    operator: Option<&str>,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<(), StateCommandError> {
    let operators = operators(manifest, operator)?;
    let operators: Result<_, _> =
        operators.into_iter().map(|operator| read_operator(store, operator)).collect();
    let shown = Shown {
        job_id: manifest.job_id.to_string(),
        checkpoint_id: manifest.checkpoint_id.0,
        kind: manifest.kind,
        trigger_time_ms: manifest.trigger_time_ms,
        completion_time_ms: manifest.completion_time_ms,
        graph_fingerprint: manifest.graph_fingerprint,
        operators: operators?,
    };
    match as_json {
        true => output::json(out, &shown),
        false => print(&shown, out),
    }
}

fn read_operator<'m>(
    store: &OpenStore,
    operator: &'m OperatorManifest,
) -> Result<ShownOperator<'m>, StateCommandError> {
    let mut states: BTreeMap<(String, StateKind), Vec<ShownState>> = BTreeMap::new();
    let places: Vec<_> = runs::of_operator(operator).collect();
    // A base and its deltas are read together.
    for places in places.chunk_by(|a, b| a.subtask == b.subtask) {
        let runs: Result<Vec<_>, StateCommandError> =
            places.iter().map(|place| Ok((*place, place.open(store)?))).collect();
        let runs = runs?;
        let Some((_, last)) = runs.last() else { continue };
        for declaration in &last.description().states {
            let key = (declaration.name.clone(), declaration.kind);
            let same_name = states.entry(key).or_default();
            let known = same_name.iter().position(|state| state.declaration == *declaration);
            let position = known.unwrap_or(same_name.len());
            if known.is_none() {
                let (declaration, subtasks) = (declaration.clone(), Vec::new());
                let none = ShownState { declaration, rows: 0, stored_rows: 0, bytes: 0, subtasks };
                same_name.push(none);
            }
            let Some(state) = same_name.get_mut(position) else { continue };
            add_subtask(state, &runs, operator.max_parallelism)?;
        }
    }
    let coordinator = operator.coordinator_state.as_ref();
    Ok(ShownOperator {
        operator_id: operator.operator_id.to_string(),
        uid: operator.uid.as_deref(),
        name: &operator.name,
        parallelism: operator.parallelism,
        max_parallelism: operator.max_parallelism,
        finished: operator.finished,
        coordinator_bytes: coordinator.map_or(0, |state| state.0.len()),
        states: states.into_values().flatten().collect(),
    })
}

/// Adds what a subtask has of the state, in its runs from the base to the newest delta.
fn add_subtask(
    state: &mut ShownState,
    runs: &[(RunPlace<'_>, RunReader)],
    max_parallelism: u32,
) -> Result<(), StateCommandError> {
    let (name, kind) = (state.declaration.name.clone(), state.declaration.kind);
    let layers = layers(runs.iter().map(|(_, run)| run), &name, kind);
    let mut in_runs = 0;
    for (at, number) in &layers {
        let Some((place, run)) = runs.get(*at) else { continue };
        let blocks = run.blocks().filter(|block| block.state == *number);
        let (mut stored_rows, mut bytes) = (0, 0);
        for block in blocks {
            stored_rows += block.rows;
            bytes += u64::from(block.length);
        }
        in_runs += stored_rows;
        state.bytes += bytes;
        state.subtasks.push(StatePart {
            subtask: place.subtask,
            key_groups: place.key_groups.map(|groups| [groups.start, groups.end]),
            object: place.object.to_owned(),
            stored_rows,
            bytes,
        });
    }
    state.stored_rows += in_runs;
    state.rows += match layers.as_slice() {
        // A base has no row twice, and no tombstones: its index says how many they are.
        [(at, _)] if runs.get(*at).is_some_and(|(_, run)| run.kind() == RunKind::Base) => in_runs,
        _ => count_merged(&layers, runs, max_parallelism)?,
    };
    Ok(())
}

/// Reads all rows: which of them count isn't known otherwise.
fn count_merged(
    layers: &[(usize, usize)],
    runs: &[(RunPlace<'_>, RunReader)],
    max_parallelism: u32,
) -> Result<u64, StateCommandError> {
    let of = |(at, number): &(usize, usize)| runs.get(*at).map(|(_, run)| (run, *number));
    let mut rows =
        MergedRows::new(layers.iter().filter_map(of), KeyGroupRange::all(max_parallelism));
    let mut count = 0;
    loop {
        match rows.next_row() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return Ok(count),
            Err((layer, error)) => return Err(runs[layers[layer].0].0.error(error)),
        }
    }
}

fn print(shown: &Shown<'_>, out: &mut dyn Write) -> Result<(), StateCommandError> {
    writeln!(
        out,
        "{} {} of job {}, completed {}\n",
        list::kind_text(shown.kind),
        shown.checkpoint_id,
        shown.job_id,
        output::time(shown.completion_time_ms)
    )?;
    let mut table =
        output::table(&["OPERATOR", "UID", "ID", "PARALLELISM", "MAX", "FINISHED", "STATE"]);
    for operator in &shown.operators {
        let bytes: u64 = operator.states.iter().map(|state| state.bytes).sum();
        table.add_row([
            operator.name.to_owned(),
            operator.uid.unwrap_or("-").to_owned(),
            operator.operator_id.clone(),
            operator.parallelism.to_string(),
            operator.max_parallelism.to_string(),
            if operator.finished { "yes" } else { "no" }.to_owned(),
            output::bytes(bytes + operator.coordinator_bytes as u64),
        ]);
    }
    writeln!(out, "{table}\n")?;
    let mut table = output::table(&[
        "OPERATOR",
        "STATE",
        "KIND",
        "TYPE",
        "SUBTASKS",
        "KEY GROUPS",
        "ROWS",
        "BYTES",
    ]);
    for operator in &shown.operators {
        for state in &operator.states {
            table.add_row([
                operator.name.to_owned(),
                state.declaration.name.clone(),
                state.declaration.kind.to_string(),
                type_of(&state.declaration),
                subtasks(&state.subtasks).to_string(),
                key_groups(&state.subtasks),
                state.rows.to_string(),
                output::bytes(state.bytes),
            ]);
        }
    }
    writeln!(out, "{table}")?;
    Ok(())
}

/// How many subtasks have a part: one may have several runs.
fn subtasks(parts: &[StatePart]) -> usize {
    parts.chunk_by(|a, b| a.subtask == b.subtask).count()
}

/// `key, namespace, map key -> value for 1000 ms`, with the parts that there are.
fn type_of(state: &StateDeclaration) -> String {
    let life = state.time_to_live_ms.map(|ms| format!(" for {ms} ms")).unwrap_or_default();
    let keys: Vec<_> = [&state.key, &state.namespace, &state.map_key]
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    match (keys.join(", "), &state.value) {
        (keys, Some(value)) if keys.is_empty() => value.to_string(),
        (keys, Some(value)) => format!("{keys} -> {value}{life}"),
        (keys, None) => keys,
    }
}

/// The key groups that the subtasks owned; a dash for operator state.
fn key_groups(parts: &[StatePart]) -> String {
    let groups = || parts.iter().filter_map(|part| part.key_groups);
    let first = groups().map(|[start, _]| start).min();
    let end = groups().map(|[_, end]| end).max();
    match (first, end) {
        (Some(first), Some(end)) if first < end => format!("{first} to {}", end - 1),
        _ => "-".to_owned(),
    }
}
