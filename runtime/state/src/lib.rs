//! What an operator remembers, how that is snapshotted, and how it comes back.
//!
//! Read from top to bottom: [`KeyedState`] is what user functions keep per key, [`TimerService`]
//! and [`SliceState`] what time and windows need, [`OperatorState`] what belongs to no key. Each
//! one writes its rows to a [`run::RunWriter`]; the bytes of that run are the operator's
//! snapshot, and a [`RestoredOperator`] over such runs brings it back at any parallelism.
//!
//! One thread owns all of it: nothing here is shared but the [`MemoryBudget`]. This is the
//! `memory` backend: live values in hash tables, and every access takes `&mut`, so that another
//! backend can load what it needs behind the same handles. Not here: checkpoint coordination and
//! where the bytes of a run are stored.

pub mod aggregate;
mod budget;
mod changes;
mod encoding;
mod error;
mod handle;
pub mod keyed;
pub mod operator_state;
mod restore;
pub mod run;
mod snapshot;
mod sorted;
mod table;
#[cfg(test)]
mod tests;
pub mod timers;
pub mod ttl;
mod value_mut;
pub mod windows;

pub use self::aggregate::AggregateFunction;
pub use self::budget::{MemoryBudget, Reservation};
pub use self::encoding::EncodingBudget;
pub use self::error::StateError;
pub use self::keyed::{
    AggregatingState, KeyedState, KeyedStateAccess, ListState, MapState, ReducingState,
    StatesWithTimeToLive, ValueState,
};
pub use self::operator_state::{BroadcastState, ListMut, OperatorListState, OperatorState};
pub use self::restore::{RestoredOperator, UnclaimedState};
pub use self::run::{
    LastSnapshot, ReadAt, RunError, RunKind, RunOrigin, RunReader, RunWriter, StateKind,
};
pub use self::snapshot::OperatorSnapshot;
pub use self::timers::{Timer, TimerService};
pub use self::ttl::{Forever, Lifetime, StateTtlConfig, StateVisibility, TimeToLive, UpdateType};
pub use self::value_mut::ValueMut;
pub use self::windows::{SliceCursor, SliceState};
