//! The snapshot that an operator is restored from. Restoring is lazy: each state takes its rows
//! when it's registered, with the type that it's registered with, in whatever order. What nobody
//! took is listed, so that the caller can refuse to forget it.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use thalweg_core::key_group::KeyGroupRange;
use thalweg_core::record::{DecodeError, DecodePlan, Key, Record, Schema};

use crate::error::StateError;
use crate::run::{Row, RunReader, StateDeclaration, StateKind};

/// The runs of all old subtasks of an operator, seen by one new subtask.
pub struct RestoredOperator {
    /// Ordered by the subtask that wrote them.
    runs: Vec<RunReader>,
    subtask: u32,
    parallelism: u32,
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
    /// What subtask `subtask` of `parallelism` gets from `runs`, one of each old subtask. A keyed
    /// operator without operator state only needs those that share key groups with it.
    ///
    /// # Errors
    /// Runs of different parallelisms or max parallelisms, or two of the same subtask.
    pub fn new(
        mut runs: Vec<RunReader>,
        subtask: u32,
        parallelism: u32,
    ) -> Result<RestoredOperator, StateError> {
        runs.sort_by_key(|run| run.description().origin.subtask);
        for pair in runs.windows(2) {
            let (a, b) = (&pair[0].description().origin, &pair[1].description().origin);
            let reason = if a.subtask == b.subtask {
                format!("two are of subtask {}", a.subtask)
            } else if (a.parallelism, a.max_parallelism) != (b.parallelism, b.max_parallelism) {
                format!(
                    "subtask {} had parallelism {} of at most {}, subtask {} {} of at most {}",
                    a.subtask,
                    a.parallelism,
                    a.max_parallelism,
                    b.subtask,
                    b.parallelism,
                    b.max_parallelism
                )
            } else {
                continue;
            };
            return Err(StateError::Mixed { operator: a.operator.clone(), reason });
        }
        Ok(RestoredOperator { runs, subtask, parallelism, claimed: Mutex::default() })
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
        let states = self.runs.iter().flat_map(|run| &run.description().states);
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

    /// The runs that hold this state, and how to read it as it's declared now.
    pub(crate) fn claim(
        &self,
        declaration: &StateDeclaration,
    ) -> Result<Vec<ClaimedState<'_>>, StateError> {
        let mut found = Vec::new();
        for run in &self.runs {
            if let Some(number) = run.find_state(&declaration.name, declaration.kind) {
                found.push(ClaimedState::new(run, number, declaration)?);
            } else if let Some(other) = namesake(run, declaration) {
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
pub(crate) struct ClaimedState<'r> {
    run: &'r RunReader,
    number: usize,
    plan: DecodePlan,
}

impl<'r> ClaimedState<'r> {
    fn new(
        run: &'r RunReader,
        number: usize,
        declaration: &StateDeclaration,
    ) -> Result<ClaimedState<'r>, StateError> {
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
        Ok(ClaimedState { run, number, plan })
    }

    /// The subtask that wrote the run.
    pub(crate) fn subtask(&self) -> u32 {
        self.run.description().origin.subtask
    }

    fn name(&self) -> &str {
        &self.run.description().states[self.number].name
    }

    /// Calls `each` for the rows of the key groups, in order.
    pub(crate) fn for_each_row(
        &self,
        key_groups: KeyGroupRange,
        mut each: impl FnMut(&Row<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut rows = self.run.rows(self.number, key_groups);
        while let Some(row) = rows.next_row()? {
            each(&row)?;
        }
        Ok(())
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
