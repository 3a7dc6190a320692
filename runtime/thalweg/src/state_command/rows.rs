//! `thalweg state show --state NAME`: the rows of a state, each as a line of JSON. Blocks are read
//! one by one and lines are of bounded length, so it's no matter how large the state is.

use std::collections::BTreeSet;
use std::io::Write;

use serde::Serialize;
use thalweg_core::key_group::KeyGroupRange;
use thalweg_state::StateKind;
use thalweg_state::run::{MergedRows, Row, RunReader, ShownRow, StateDeclaration, layers};
use thalweg_storage::CheckpointManifest;

use super::error::StateCommandError;
use super::options::ShowOptions;
use super::output::BoundedText;
use super::runs::{self, RunPlace};
use super::show;
use super::store::OpenStore;

#[derive(Serialize)]
struct Line<'a> {
    operator: &'a str,
    state: &'a str,
    kind: StateKind,
    subtask: u32,
    #[serde(flatten)]
    row: Contents<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Contents<'a> {
    Row(ShownRow<'a>),
    /// The row takes too much room: where it is, and how much.
    Omitted {
        key_group: u16,
        omitted_bytes: usize,
    },
}

/// Prints the rows of the states with the name that `options` give.
pub(super) fn rows(
    store: &OpenStore,
    manifest: &CheckpointManifest,
    options: &ShowOptions,
    state: &str,
    out: &mut dyn Write,
) -> Result<(), StateCommandError> {
    let mut printer = Printer {
        line: BoundedText::new(options.row_bytes_max),
        left: options.limit.unwrap_or(u64::MAX),
        out,
    };
    let mut known = BTreeSet::new();
    let mut found = false;
    for operator in show::operators(manifest, options.operator.as_deref())? {
        let places: Vec<_> = runs::of_operator(operator).collect();
        // A base and its deltas are read together.
        for places in places.chunk_by(|a, b| a.subtask == b.subtask) {
            let runs: Vec<_> = places
                .iter()
                .map(|place| Ok((*place, place.open(store)?)))
                .collect::<Result<_, StateCommandError>>()?;
            let Some((_, last)) = runs.last() else { continue };
            for declared in &last.description().states {
                if declared.name != state {
                    known.insert(format!("{:?}", declared.name));
                    continue;
                }
                found = true;
                let groups = wanted_groups(options.key_group, operator.max_parallelism);
                printer.print(&runs, declared, groups)?;
            }
        }
    }
    match found {
        true => Ok(()),
        false => Err(StateCommandError::NoState {
            checkpoint: manifest.checkpoint_id,
            state: state.to_owned(),
            known: known.into_iter().collect::<Vec<_>>().join(", "),
        }),
    }
}

fn wanted_groups(wanted: Option<u32>, max_parallelism: u32) -> KeyGroupRange {
    match wanted {
        Some(group) => KeyGroupRange { start: group, end: group.saturating_add(1) },
        None => KeyGroupRange::all(max_parallelism),
    }
}

struct Printer<'o> {
    line: BoundedText,
    left: u64,
    out: &'o mut dyn Write,
}

impl Printer<'_> {
    fn print(
        &mut self,
        runs: &[(RunPlace<'_>, RunReader)],
        state: &StateDeclaration,
        groups: KeyGroupRange,
    ) -> Result<(), StateCommandError> {
        let found = layers(runs.iter().map(|(_, run)| run), &state.name, state.kind);
        let layers: Vec<_> =
            found.into_iter().map(|(at, number)| (&runs[at].0, &runs[at].1, number)).collect();
        let mut rows = MergedRows::new(layers.iter().map(|layer| (layer.1, layer.2)), groups);
        while self.left > 0 {
            let row = rows.next_row().map_err(|(layer, error)| layers[layer].0.error(error))?;
            let Some((layer, row)) = row else { break };
            let (place, run, number) = layers[layer];
            self.print_row(place, run, number, &row)?;
            self.left -= 1;
        }
        Ok(())
    }

    fn print_row(
        &mut self,
        place: &RunPlace<'_>,
        run: &RunReader,
        number: usize,
        row: &Row<'_>,
    ) -> Result<(), StateCommandError> {
        let Some(state) = run.state(number) else { return Ok(()) };
        let line = |row| Line {
            operator: place.operator.uid.as_ref().unwrap_or(&place.operator.name),
            state: &state.name,
            kind: state.kind,
            subtask: place.subtask,
            row,
        };
        self.line.clear();
        let shown = line(Contents::Row(ShownRow { state, row }));
        serde_json::to_writer(&mut self.line, &shown).map_err(|source| StateCommandError::Row {
            object: place.object.to_owned(),
            operator: place.operator.name.clone(),
            state: state.name.clone(),
            key_group: row.key.key_group,
            source,
        })?;
        if self.line.is_cut() {
            let (key_group, omitted_bytes) = (row.key.key_group, self.line.length);
            let omitted = line(Contents::Omitted { key_group, omitted_bytes });
            serde_json::to_writer(&mut *self.out, &omitted)?;
        } else {
            self.out.write_all(&self.line.text)?;
        }
        self.out.write_all(b"\n")?;
        Ok(())
    }
}
