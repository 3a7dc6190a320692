//! State that belongs to an operator rather than to a key: lists that are split between the
//! subtasks or given to each, and maps that all subtasks hold equally.
//!
//! Not here: keyed state. Operator state is small (positions of sources, transactions of sinks,
//! rules), but it counts against the slot's budget for state as well.

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
pub use self::list::{ListMut, OperatorListState};
use crate::budget::{MemoryAccount, MemoryBudget};
use crate::error::StateError;
use crate::keyed::over_budget;
use crate::restore::RestoredOperator;
use crate::run::{RowKey, RowOperation, RunError, RunKind, RunWriter, StateDeclaration, StateKind};

/// All rows of operator state are in key group 0.
const KEY_GROUP: u16 = 0;
const KEY_GROUPS: KeyGroupRange = KeyGroupRange { start: 0, end: 1 };

/// The operator state of one subtask.
pub struct OperatorState {
    states: Vec<Registered>,
    restored: Option<Arc<RestoredOperator>>,
    account: MemoryAccount,
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
    /// Approximate bytes that it uses, as far as it was told of.
    fn bytes(&self) -> usize;
}

impl OperatorState {
    /// The state of a subtask. States take their rows from `restored` when they're registered.
    pub fn new(restored: Option<Arc<RestoredOperator>>) -> OperatorState {
        OperatorState::with_budget(restored, &MemoryBudget::unlimited())
    }

    /// The same, which draws on `budget`.
    pub fn with_budget(
        restored: Option<Arc<RestoredOperator>>,
        budget: &MemoryBudget,
    ) -> OperatorState {
        let account = MemoryAccount::new(budget.clone());
        OperatorState { states: Vec::new(), restored, account }
    }

    /// Approximate bytes that all states use.
    pub fn bytes(&self) -> usize {
        self.account.used()
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
    /// can't be read as this one, or doesn't fit the budget. The same for the others.
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
            time_to_live_ms: None,
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
            time_to_live_ms: None,
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
        let bytes = state.bytes();
        self.states.push(Registered { description, name: name.to_owned(), state });
        let index = self.states.len() - 1;
        self.charge(index as u32, 0, bytes)?;
        Ok(index)
    }

    /// Notes that a state uses `after` bytes where it used `before`, and refuses what the budget
    /// doesn't hold.
    fn charge(&mut self, index: u32, before: usize, after: usize) -> Result<(), StateError> {
        self.account.change(before, after);
        self.account.check().map_err(|overdrawn| {
            let name = self.states.get(index as usize).map_or("", |state| state.name.as_str());
            over_budget(name, &overdrawn)
        })
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
        self.state_and_account(index).map(|(state, _)| state)
    }

    fn state_and_account<S: 'static>(
        &mut self,
        index: u32,
    ) -> Result<(&mut S, &mut MemoryAccount), StateError> {
        let registered = self.states.get_mut(index as usize);
        let state = registered.and_then(|registered| registered.state.as_any_mut().downcast_mut());
        Ok((state.ok_or_else(foreign_handle::<S>)?, &mut self.account))
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
