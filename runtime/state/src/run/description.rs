//! What a run says about itself: who wrote it and which states it holds, with their schemas.
//! Stored as JSON, so that any tool can read it for as long as a savepoint is kept.

use std::fmt;

use serde::{Deserialize, Serialize};
use thalweg_core::record::Schema;

/// Who wrote a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOrigin {
    /// The operator's name, for messages.
    pub operator: String,
    /// The subtask's index, from 0.
    pub subtask: u32,
    /// The operator's parallelism then.
    pub parallelism: u32,
    /// The operator's max parallelism: restoring needs the same.
    pub max_parallelism: u32,
}

/// Whether a run stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// It holds all rows, and no tombstones.
    #[default]
    Base,
    /// It holds the rows that changed since the runs before it, and tombstones of those removed.
    Delta,
}

impl RunKind {
    fn is_base(&self) -> bool {
        *self == RunKind::Base
    }
}

/// A run's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDescription {
    /// Who wrote it.
    pub origin: RunOrigin,
    /// Whether it stands alone; left out for those that do.
    #[serde(default, skip_serializing_if = "RunKind::is_base")]
    pub kind: RunKind,
    /// The states in it, also those without rows, in the order of their rows.
    pub states: Vec<StateDeclaration>,
}

/// What kind of state a row belongs to. Part of a state's identity, with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateKind {
    /// One value a key.
    Value,
    /// A list a key, in chunks.
    List,
    /// A map a key, an entry a row.
    Map,
    /// One value a key, reduced from those added.
    Reducing,
    /// One accumulator a key.
    Aggregating,
    /// An accumulator a key and slice of time: the namespace is the slice's end.
    Slice,
    /// Timers in event time: the key begins with the time.
    EventTimeTimers,
    /// Timers in processing time: the key begins with the time.
    ProcessingTimeTimers,
    /// An operator's list, split between its subtasks.
    OperatorList,
    /// An operator's list of which each subtask gets all parts.
    OperatorUnionList,
    /// A map that all subtasks hold equally.
    Broadcast,
}

impl StateKind {
    /// Whether its rows belong to keys; operator state doesn't.
    pub fn is_keyed(self) -> bool {
        match self {
            StateKind::Value
            | StateKind::List
            | StateKind::Map
            | StateKind::Reducing
            | StateKind::Aggregating
            | StateKind::Slice
            | StateKind::EventTimeTimers
            | StateKind::ProcessingTimeTimers => true,
            StateKind::OperatorList | StateKind::OperatorUnionList | StateKind::Broadcast => false,
        }
    }
}

impl StateKind {
    /// Whether its rows may have an expiry.
    pub fn may_expire(self) -> bool {
        match self {
            StateKind::Value
            | StateKind::List
            | StateKind::Map
            | StateKind::Reducing
            | StateKind::Aggregating => true,
            StateKind::Slice
            | StateKind::EventTimeTimers
            | StateKind::ProcessingTimeTimers
            | StateKind::OperatorList
            | StateKind::OperatorUnionList
            | StateKind::Broadcast => false,
        }
    }
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StateKind::Value => "value state",
            StateKind::List => "list state",
            StateKind::Map => "map state",
            StateKind::Reducing => "reducing state",
            StateKind::Aggregating => "aggregating state",
            StateKind::Slice => "slice state",
            StateKind::EventTimeTimers => "event-time timers",
            StateKind::ProcessingTimeTimers => "processing-time timers",
            StateKind::OperatorList => "operator list state",
            StateKind::OperatorUnionList => "operator union list state",
            StateKind::Broadcast => "broadcast state",
        })
    }
}

/// A state and the types of a row's parts. What a kind of state doesn't have is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDeclaration {
    /// The state's name, unique within its operator and kind.
    pub name: String,
    /// Its kind.
    pub kind: StateKind,
    /// The key's type; its bytes are the canonical key encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Schema>,
    /// The namespace's type; its bytes are the canonical key encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Schema>,
    /// The type of a map's keys; their bytes are the canonical key encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map_key: Option<Schema>,
    /// The type of the values, or of a list's elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Schema>,
    /// How long a value lives, of state with a time to live: its rows have their expiry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_live_ms: Option<i64>,
}
