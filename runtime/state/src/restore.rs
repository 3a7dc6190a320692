//! The snapshot that an operator is restored from. Restoring is lazy: each state takes its rows
//! when it's registered, with the type that it's registered with, in whatever order. What nobody
//! took is listed, so that the caller can refuse to forget it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use thalweg_core::key_group::KeyGroupRange;
use thalweg_core::record::{DecodeError, DecodePlan, Key, Record, Schema};

use crate::error::StateError;
use crate::run::{
    MergedRows, Row, RunError, RunKind, RunOrigin, RunReader, StateDeclaration, StateKind, layers,
};

/// The runs of all old subtasks of an operator, seen by one new subtask.
pub struct RestoredOperator {
    /// Ordered by the subtask that wrote them; a subtask's base comes before its deltas.
    runs: Vec<RunReader>,
    subtask: u32,
    parallelism: u32,
    continued: bool,
    claimed: Mutex<BTreeSet<(String, StateKind)>>,
}

/// A state of the snapshot that the program didn't register.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnclaimedState {
    /// The state's name.
    pub name: String,
    /// Its kind.
    pub kind: StateKind,
}

impl RestoredOperator {
    /// What subtask `subtask` of `parallelism` gets from `runs`: of each old subtask a base run and
    /// the deltas after it, in their order. A keyed operator without operator state only needs
    /// those of old subtasks that share key groups with it.
    ///
    /// # Errors
    /// Runs of different parallelisms or max parallelisms, or such that don't begin with a base or
    /// go on with one.
    pub fn new(
        mut runs: Vec<RunReader>,
        subtask: u32,
        parallelism: u32,
    ) -> Result<RestoredOperator, StateError> {
        runs.sort_by_key(|run| run.description().origin.subtask);
        let mixed = |origin: &RunOrigin, reason| {
            Err(StateError::Mixed { operator: origin.operator.clone(), reason })
        };
        let mut before: Option<&RunOrigin> = None;
        for run in &runs {
            let origin = &run.description().origin;
            let first = before.is_none_or(|before| before.subtask != origin.subtask);
            let subtask = origin.subtask;
            match (first, run.kind()) {
                (true, RunKind::Delta) => {
                    let reason = format!("the base run of subtask {subtask} is missing");
                    return mixed(origin, reason);
                }
                (false, RunKind::Base) => {
                    return mixed(origin, format!("two are of subtask {subtask}"));
                }
                (true, RunKind::Base) | (false, RunKind::Delta) => {}
            }
            if let Some(a) = before
                && (a.parallelism, a.max_parallelism)
                    != (origin.parallelism, origin.max_parallelism)
            {
                let reason = format!(
                    "subtask {} had parallelism {} of at most {}, subtask {} {} of at most {}",
                    a.subtask,
                    a.parallelism,
                    a.max_parallelism,
                    subtask,
                    origin.parallelism,
                    origin.max_parallelism
                );
                return mixed(origin, reason);
            }
            before = Some(origin);
        }
        let claimed = Mutex::default();
        Ok(RestoredOperator { runs, subtask, parallelism, continued: false, claimed })
    }

    /// The subtask's next snapshots go on from its own runs here: what is restored counts as
    /// published, and states note what changes. Only where the runs of the subtask of this index
    /// are all that it gets of keyed state: at an unchanged parallelism.
    #[must_use]
    pub fn continued(mut self) -> RestoredOperator {
        self.continued = true;
        self
    }

    /// Whether the subtask's next snapshots go on from these runs.
    pub fn is_continued(&self) -> bool {
        self.continued
    }

    /// The lengths of the runs that the subtask's next snapshots go on from, the base's first;
    /// none if they don't.
    pub fn continued_lengths(&self) -> Vec<u64> {
        let own = |run: &&RunReader| run.description().origin.subtask == self.subtask;
        let own = self.runs.iter().filter(|_| self.continued).filter(own);
        own.map(RunReader::length).collect()
    }

    /// The runs of each old subtask.
    fn by_subtask(&self) -> impl Iterator<Item = &[RunReader]> {
        let subtask = |run: &RunReader| run.description().origin.subtask;
        self.runs.chunk_by(move |a, b| subtask(a) == subtask(b))
    }

    /// The subtask that is restored.
    pub fn subtask(&self) -> u32 {
        self.subtask
    }

    /// The new parallelism.
    pub fn parallelism(&self) -> u32 {
        self.parallelism
    }

    /// The parallelism of the snapshot; `None` if there are no runs.
    pub fn old_parallelism(&self) -> Option<u32> {
        self.runs.first().map(|run| run.description().origin.parallelism)
    }

    /// The states of the snapshot that nobody has registered yet, in order, each once.
    pub fn unclaimed(&self) -> Vec<UnclaimedState> {
        let claimed = self.claimed();
        // The last run lists all states that the subtask had then.
        let last = self.by_subtask().filter_map(|runs| runs.last());
        let states = last.flat_map(|run| &run.description().states);
        let unclaimed: BTreeSet<_> = states
            .map(|state| (state.name.clone(), state.kind))
            .filter(|state| !claimed.contains(state))
            .collect();
        unclaimed.into_iter().map(|(name, kind)| UnclaimedState { name, kind }).collect()
    }

    fn claimed(&self) -> MutexGuard<'_, BTreeSet<(String, StateKind)>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses another max parallelism than the snapshot's.
    pub(crate) fn check_max_parallelism(&self, requested: u32) -> Result<(), StateError> {
        match self.runs.first().map(|run| &run.description().origin) {
            Some(origin) if origin.max_parallelism != requested => {
                Err(StateError::MaxParallelism {
                    operator: origin.operator.clone(),
                    stored: origin.max_parallelism,
                    requested,
                })
            }
            _ => Ok(()),
        }
    }

    /// What each old subtask had of this state, and how to read it as it's declared now.
    pub(crate) fn claim(
        &self,
        declaration: &StateDeclaration,
    ) -> Result<Vec<ClaimedState<'_>>, StateError> {
        let mut found = Vec::new();
        for runs in self.by_subtask() {
            let layers = layers(runs, &declaration.name, declaration.kind);
            let layers: Result<Vec<_>, _> = layers
                .into_iter()
                .map(|(place, number)| StateInRun::new(&runs[place], number, declaration))
                .collect();
            let layers = layers?;
            if !layers.is_empty() {
                found.push(ClaimedState { layers });
            } else if let Some(run) = runs.last()
                && let Some(other) = namesake(run, declaration)
            {
                return Err(StateError::Kind {
                    operator: run.description().origin.operator.clone(),
                    state: declaration.name.clone(),
                    stored: other,
                    requested: declaration.kind,
                });
            }
        }
        self.claimed().insert((declaration.name.clone(), declaration.kind));
        Ok(found)
    }
}

/// What one old subtask had of a state: in a base run, and in the deltas after it.
pub(crate) struct ClaimedState<'r> {
    layers: Vec<StateInRun<'r>>,
}

impl ClaimedState<'_> {
    /// The subtask that wrote it.
    pub(crate) fn subtask(&self) -> u32 {
        let run = self.layers.first().map(|layer| layer.run);
        run.map_or(0, |run| run.description().origin.subtask)
    }

    /// Calls `each` for the rows of the key groups, in order, with the run that each is in.
    pub(crate) fn for_each_row(
        &self,
        key_groups: KeyGroupRange,
        mut each: impl FnMut(&StateInRun<'_>, &Row<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        if let [layer] = self.layers.as_slice()
            && layer.run.kind() == RunKind::Base
        {
            let mut rows = layer.run.rows(layer.number, key_groups);
            while let Some(row) = rows.next_row().map_err(|error| unreadable(layer.run, error))? {
                each(layer, &row)?;
            }
            return Ok(());
        }
        let runs = self.layers.iter().map(|layer| (layer.run, layer.number));
        let mut rows = MergedRows::new(runs, key_groups);
        while let Some((layer, row)) =
            rows.next_row().map_err(|(layer, error)| unreadable(self.layers[layer].run, error))?
        {
            each(&self.layers[layer], &row)?;
        }
        Ok(())
    }
}

fn unreadable(run: &RunReader, source: RunError) -> StateError {
    let RunOrigin { operator, subtask, .. } = &run.description().origin;
    let (operator, subtask) = (operator.clone(), *subtask);
    StateError::Read { operator, subtask, place: place(run), source: Box::new(source) }
}

/// Names the object that a run is in, for messages.
fn place(run: &RunReader) -> String {
    match run.name() {
        "" => String::new(),
        name => format!(" in {name}"),
    }
}

/// The kind of a state that has the same name where names must be unique.
fn namesake(run: &RunReader, declaration: &StateDeclaration) -> Option<StateKind> {
    let family = |kind| match kind {
        StateKind::Value
        | StateKind::List
        | StateKind::Map
        | StateKind::Reducing
        | StateKind::Aggregating => Some(0),
        StateKind::OperatorList | StateKind::OperatorUnionList | StateKind::Broadcast => Some(1),
        StateKind::Slice | StateKind::EventTimeTimers | StateKind::ProcessingTimeTimers => None,
    };
    let wanted = family(declaration.kind)?;
    let mut states = run.description().states.iter();
    let found =
        states.find(|state| state.name == declaration.name && family(state.kind) == Some(wanted));
    found.map(|state| state.kind)
}

/// A state within one run, and the plan for its values.
pub(crate) struct StateInRun<'r> {
    run: &'r RunReader,
    number: usize,
    plan: DecodePlan,
}

impl<'r> StateInRun<'r> {
    fn new(
        run: &'r RunReader,
        number: usize,
        declaration: &StateDeclaration,
    ) -> Result<StateInRun<'r>, StateError> {
        let operator = &run.description().origin.operator;
        let stored = &run.description().states[number];
        let keys = [
            ("key", &stored.key, &declaration.key),
            ("namespace", &stored.namespace, &declaration.namespace),
            ("map key", &stored.map_key, &declaration.map_key),
        ];
        for (part, stored, requested) in keys {
            let same = match (stored, requested) {
                (Some(stored), Some(requested)) => same_key_type(stored, requested),
                // Slices had their ends as namespaces once; their reader knows both ways.
                (Some(_), None) if part == "namespace" => declaration.kind == StateKind::Slice,
                (stored, requested) => stored == requested,
            };
            if !same {
                return Err(StateError::KeyType {
                    operator: operator.clone(),
                    state: declaration.name.clone(),
                    part,
                    stored: describe(stored.as_ref()),
                    requested: describe(requested.as_ref()),
                });
            }
        }
        let unit = Schema::Tuple(Vec::new());
        let plan = DecodePlan::resolve(
            stored.value.as_ref().unwrap_or(&unit),
            declaration.value.as_ref().unwrap_or(&unit),
        );
        let plan = plan.map_err(|source| StateError::Incompatible {
            operator: operator.clone(),
            state: declaration.name.clone(),
            part: "value",
            source: Box::new(source),
        })?;
        Ok(StateInRun { run, number, plan })
    }

    fn name(&self) -> &str {
        &self.run.description().states[self.number].name
    }

    /// The time to live that the run was written with.
    pub(crate) fn time_to_live_ms(&self) -> Option<i64> {
        self.run.description().states[self.number].time_to_live_ms
    }

    /// The value of a row.
    pub(crate) fn value<V: Record>(&self, row: &Row<'_>) -> Result<V, StateError> {
        let decode = |input: &mut &[u8]| match self.plan.is_identity() {
            true => V::decode(input),
            false => V::decode_evolved(&self.plan, input),
        };
        self.whole(row, "value", row.value, decode)
    }

    /// A key that `bytes`, a part of the row, are the encoding of.
    pub(crate) fn key<K: Key>(
        &self,
        row: &Row<'_>,
        part: &'static str,
        bytes: &[u8],
    ) -> Result<K, StateError> {
        self.whole(row, part, bytes, K::decode_key)
    }

    fn whole<T>(
        &self,
        row: &Row<'_>,
        part: &'static str,
        mut bytes: &[u8],
        decode: impl FnOnce(&mut &[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, StateError> {
        let decoded = decode(&mut bytes).and_then(|value| match bytes.len() {
            0 => Ok(value),
            remaining => Err(DecodeError::TrailingBytes { remaining }),
        });
        decoded.map_err(|source| StateError::Decode {
            state: self.name().to_owned(),
            key_group: row.key.key_group,
            part,
            source: Box::new(source),
        })
    }

    /// An error about the row.
    pub(crate) fn bad_row(&self, row: &Row<'_>, reason: impl Into<String>) -> StateError {
        StateError::Row {
            state: self.name().to_owned(),
            key_group: row.key.key_group,
            reason: reason.into(),
        }
    }

    /// Refuses a key that doesn't belong to the row's key group: routing and state would
    /// disagree.
    pub(crate) fn check_key_group(&self, row: &Row<'_>, computed: u32) -> Result<(), StateError> {
        if computed == u32::from(row.key.key_group) {
            return Ok(());
        }
        Err(self.bad_row(row, format!("its key belongs to key group {computed}")))
    }
}

fn describe(schema: Option<&Schema>) -> String {
    schema.map_or_else(|| "nothing".to_owned(), Schema::to_string)
}

/// Whether two types have the same canonical key encoding: integers of any width have, and
/// names of types don't matter, but fields must keep their order and names, and enums may only
/// get more variants at their end.
fn same_key_type(stored: &Schema, requested: &Schema) -> bool {
    use Schema as S;
    match (stored, requested) {
        (S::Integer { .. }, S::Integer { .. }) => true,
        (S::Option(a), S::Option(b)) | (S::List(a), S::List(b)) | (S::Set(a), S::Set(b)) => {
            same_key_type(a, b)
        }
        (S::Array { element: a, length: m }, S::Array { element: b, length: n }) => {
            m == n && same_key_type(a, b)
        }
        (S::Tuple(a), S::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_key_type(a, b))
        }
        (S::Struct { fields: a, .. }, S::Struct { fields: b, .. }) => same_fields(a, b),
        (S::Enum { variants: a, .. }, S::Enum { variants: b, .. }) => {
            a.len() <= b.len()
                && a.iter().zip(b).all(|(a, b)| {
                    (a.name == b.name || b.aliases.contains(&a.name))
                        && same_fields(&a.fields, &b.fields)
                })
        }
        (a, b) => a == b,
    }
}

fn same_fields(
    stored: &[thalweg_core::record::FieldSchema],
    requested: &[thalweg_core::record::FieldSchema],
) -> bool {
    stored.len() == requested.len()
        && stored.iter().zip(requested).all(|(a, b)| {
            (a.name == b.name || b.aliases.contains(&a.name)) && same_key_type(&a.schema, &b.schema)
        })
}
