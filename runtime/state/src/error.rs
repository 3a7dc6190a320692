//! What can go wrong with an operator's state.

use thalweg_core::record::{DecodeError, EvolutionError};
use thiserror::Error;

use crate::run::{RunError, StateKind};

/// An operator's state can't be used, stored or restored.
#[derive(Debug, Error)]
pub enum StateError {
    /// Keyed state was used where there is no current key.
    #[error(
        "state {state:?} was used without a current key: keyed state can be used only while a \
         row or a timer is processed, not in open or close"
    )]
    NoCurrentKey {
        /// The state.
        state: String,
    },
    /// The current key isn't one of this subtask's.
    #[error(
        "state {state:?} was used with a key of key group {key_group}, but this subtask owns the \
         groups from {start} to before {end}: the key or its hash changed after partitioning; \
         is its Key implementation deterministic?"
    )]
    ForeignKey {
        /// The state.
        state: String,
        /// The key's group.
        key_group: u32,
        /// The subtask's first key group.
        start: u32,
        /// The key group after its last.
        end: u32,
    },
    /// A name was registered for two different states.
    #[error(
        "state {state:?} is registered as {registered} and again as {requested}: give one of \
         them another name"
    )]
    Registered {
        /// The name.
        state: String,
        /// What it was registered as first.
        registered: String,
        /// What it was to be registered as.
        requested: String,
    },
    /// A time to live of less than a millisecond.
    #[error("state {state:?} has a time to live of less than 1 ms: give it one, or none at all")]
    TimeToLive {
        /// The state.
        state: String,
    },
    /// State with a time to live in an operator that doesn't say how late it is.
    #[error(
        "state {state:?} has a time to live, but its operator doesn't know the time yet: \
         KeyedState::set_processing_time comes first"
    )]
    NoTime {
        /// The state.
        state: String,
    },
    /// A handle was used with an operator that didn't give it out.
    #[error(
        "a handle of a {requested} doesn't belong to this operator: register the state in the \
         open of the operator that uses it"
    )]
    ForeignHandle {
        /// What the handle is for.
        requested: String,
    },
    /// The slot's budget is used up.
    #[error(
        "state {state:?} exceeds the slot's budget for state: {used} bytes used, {budget} bytes \
         allowed; set state.backend.type: disk, or raise taskmanager.memory.process.size or the \
         parallelism"
    )]
    OverBudget {
        /// The state that needed more.
        state: String,
        /// Bytes that all state in the slot uses.
        used: usize,
        /// Bytes that it may use.
        budget: usize,
    },
    /// The snapshot holds a state of this name, but of another kind.
    #[error(
        "state {state:?} of operator {operator:?} was stored as {stored} and is registered as \
         {requested}: give the new state another name"
    )]
    Kind {
        /// The operator in the snapshot.
        operator: String,
        /// The state.
        state: String,
        /// The kind in the snapshot.
        stored: StateKind,
        /// The kind that was registered.
        requested: StateKind,
    },
    /// A stored type can't be read as the registered one.
    #[error("the {part} of state {state:?} of operator {operator:?} can't be restored: {source}")]
    Incompatible {
        /// The operator in the snapshot.
        operator: String,
        /// The state.
        state: String,
        /// Which of its types.
        part: &'static str,
        /// Where the types differ.
        source: Box<EvolutionError>,
    },
    /// A key's type changed.
    #[error(
        "the {part} of state {state:?} of operator {operator:?} can't be restored: written as \
         {stored}, read as {requested}; a key's type must stay the same"
    )]
    KeyType {
        /// The operator in the snapshot.
        operator: String,
        /// The state.
        state: String,
        /// Key, namespace or map key.
        part: &'static str,
        /// The type in the snapshot.
        stored: String,
        /// The type that was registered.
        requested: String,
    },
    /// The max parallelism changed.
    #[error(
        "operator {operator:?} was snapshotted with max parallelism {stored} and is restored \
         with {requested}: it can't change while state exists, set it back to {stored}"
    )]
    MaxParallelism {
        /// The operator in the snapshot.
        operator: String,
        /// The snapshot's.
        stored: u32,
        /// The program's.
        requested: u32,
    },
    /// Two snapshots of the same subtask, or of different parallelisms.
    #[error("the snapshots given for operator {operator:?} don't belong together: {reason}")]
    Mixed {
        /// The operator.
        operator: String,
        /// Why not.
        reason: String,
    },
    /// Stored bytes aren't of the type that they were declared with.
    #[error("the {part} of a row of state {state:?} in key group {key_group}: {source}")]
    Decode {
        /// The state.
        state: String,
        /// The row's key group.
        key_group: u16,
        /// Which part of the row.
        part: &'static str,
        /// What is wrong.
        source: Box<DecodeError>,
    },
    /// A row that contradicts itself.
    #[error("a row of state {state:?} in key group {key_group} is damaged: {reason}")]
    Row {
        /// The state.
        state: String,
        /// The row's key group.
        key_group: u16,
        /// What is wrong.
        reason: String,
    },
    /// A run can't be read.
    #[error(
        "the snapshot of operator {operator:?}, subtask {subtask}{place}, can't be read: {source}"
    )]
    Read {
        /// The operator.
        operator: String,
        /// The subtask that wrote it.
        subtask: u32,
        /// ` in ` and the object; empty where that has no name.
        place: String,
        /// What is wrong, and with which key groups.
        source: Box<RunError>,
    },
    /// The run can't be written or read.
    #[error(transparent)]
    Run(#[from] RunError),
}
