//! State that belongs to an operator rather than to a key: lists that are split between the
//! subtasks or given to each, and maps that all subtasks hold equally.
//!
//! Not here: keyed state. Operator state is small (positions of sources, transactions of sinks,
//! rules); it isn't counted against the slot's budget for state.

mod broadcast;
mod list;

use std::any::{Any, type_name};
use std::sync::Arc;

use thalweg_core::Record;
use thalweg_core::key_group::KeyGroupRange;
use thalweg_core::record::Key;

use self::broadcast::Broadcast;
pub use self::broadcast::BroadcastState;
use self::list::ListItems;
pub use self::list::OperatorListState;
use crate::error::StateError;
use crate::restore::RestoredOperator;
use crate::run::{RowKey, RowOperation, RunError, RunKind, RunWriter, StateDeclaration, StateKind};

/// All rows of operator state are in key group 0.
const KEY_GROUP: u16 = 0;
const KEY_GROUPS: KeyGroupRange = KeyGroupRange { start: 0, end: 1 };

/// The operator state of one subtask.
pub struct OperatorState {
    states: Vec<Registered>,
    restored: Option<Arc<RestoredOperator>>,
}

struct Registered {
    description: String,
    name: String,
    state: Box<dyn AnyState>,
}

/// An operator state whose types aren't known.
trait AnyState: Send {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn snapshot(&self, writer: &mut RunWriter) -> Result<(), RunError>;
}

impl OperatorState {
    /// The state of a subtask. States take their rows from `restored` when they're registered.
    pub fn new(restored: Option<Arc<RestoredOperator>>) -> OperatorState {
        OperatorState { states: Vec::new(), restored }
    }

    /// Lets the snapshot go, once all states are registered: states registered later start
    /// empty. Ask [`RestoredOperator::unclaimed`] first.
    pub fn finish_restore(&mut self) {
        self.restored = None;
    }

    /// A list. Restored at another parallelism, its elements are dealt out one by one to the
    /// subtasks; at the same parallelism each subtask gets its own ones.
    ///
    /// # Errors
    /// The name is taken by a state of another kind or type; the snapshot's state of that name
    /// can't be read as this one. The same for the others.
    pub fn list_state<T: Record>(
        &mut self,
        name: &str,
    ) -> Result<OperatorListState<T>, StateError> {
        self.register_list(name, StateKind::OperatorList)
    }

    /// A list of which each subtask gets the elements of all subtasks when it's restored.
    ///
    /// # Errors
    /// As [`list_state`](Self::list_state).
    pub fn union_list_state<T: Record>(
        &mut self,
        name: &str,
    ) -> Result<OperatorListState<T>, StateError> {
        self.register_list(name, StateKind::OperatorUnionList)
    }

    /// A map that all subtasks hold equally, because all get the same input. Restored, each
    /// subtask gets the map of one of them.
    ///
    /// # Errors
    /// As [`list_state`](Self::list_state).
    pub fn broadcast_state<MK: Key, MV: Record>(
        &mut self,
        name: &str,
    ) -> Result<BroadcastState<MK, MV>, StateError> {
        let kind = StateKind::Broadcast;
        let description = format!("{kind} of {} to {}", type_name::<MK>(), type_name::<MV>());
        let declaration = StateDeclaration {
            name: name.to_owned(),
            kind,
            key: None,
            namespace: None,
            map_key: Some(MK::schema()),
            value: Some(MV::schema()),
        };
        let index = self.register(name, description, |restored| {
            Broadcast::<MK, MV>::restore(declaration, restored)
        })?;
        Ok(BroadcastState::new(index))
    }

    fn register_list<T: Record>(
        &mut self,
        name: &str,
        kind: StateKind,
    ) -> Result<OperatorListState<T>, StateError> {
        let description = format!("{kind} of {}", type_name::<T>());
        let declaration = StateDeclaration {
            name: name.to_owned(),
            kind,
            key: None,
            namespace: None,
            map_key: None,
            value: Some(T::schema()),
        };
        let index = self.register(name, description, |restored| {
            ListItems::<T>::restore(declaration, restored)
        })?;
        Ok(OperatorListState::new(index))
    }

    fn register<S: AnyState + 'static>(
        &mut self,
        name: &str,
        description: String,
        make: impl FnOnce(Option<&RestoredOperator>) -> Result<S, StateError>,
    ) -> Result<usize, StateError> {
        if let Some(index) = self.states.iter().position(|state| state.name == name) {
            let registered = &self.states[index];
            if registered.description == description && registered.state.as_any().is::<S>() {
                return Ok(index);
            }
            return Err(StateError::Registered {
                state: name.to_owned(),
                registered: registered.description.clone(),
                requested: description,
            });
        }
        let state = Box::new(make(self.restored.as_deref())?);
        self.states.push(Registered { description, name: name.to_owned(), state });
        Ok(self.states.len() - 1)
    }

    /// Writes all states.
    ///
    /// # Errors
    /// As [`RunWriter::put`].
    pub fn snapshot(&self, writer: &mut RunWriter) -> Result<(), RunError> {
        self.states.iter().try_for_each(|registered| registered.state.snapshot(writer))
    }

    fn state<S: 'static>(&self, index: u32) -> Result<&S, StateError> {
        let registered = self.states.get(index as usize);
        let state = registered.and_then(|registered| registered.state.as_any().downcast_ref());
        state.ok_or_else(foreign_handle::<S>)
    }

    fn state_mut<S: 'static>(&mut self, index: u32) -> Result<&mut S, StateError> {
        let registered = self.states.get_mut(index as usize);
        let state = registered.and_then(|registered| registered.state.as_any_mut().downcast_mut());
        state.ok_or_else(foreign_handle::<S>)
    }
}

/// Operator state is written whole, also in a delta: there it hides what older runs have.
fn begin_whole_state(
    writer: &mut RunWriter,
    declaration: &StateDeclaration,
) -> Result<(), RunError> {
    writer.begin_state(declaration.clone())?;
    if writer.kind() == RunKind::Delta {
        let all = RowKey { key_group: KEY_GROUP, key: &[], namespace: &[], sub_key: &[] };
        writer.write(all, RowOperation::DeleteRange)?;
    }
    Ok(())
}

fn foreign_handle<S>() -> StateError {
    StateError::ForeignHandle { requested: type_name::<S>().to_owned() }
}
