//! Slots on TaskManagers that are about to go: what is deployed from now on goes elsewhere, and
//! what runs there keeps its slot until it has ended. Not here: when it ends (`relocation`).

use std::collections::BTreeSet;

use thalweg_core::ids::{AllocationId, TaskManagerId};

use super::{HeldSlot, Scheduler, SharedSlot, SlotDemand};
use crate::job_master::execution_graph::ExecutionGraph;

impl Scheduler {
    /// A TaskManager is about to go: nothing is deployed there any more.
    pub fn leaving(&mut self, id: TaskManagerId) {
        self.leaving.insert(id);
    }

    /// Whether the job has a slot for a shared one that isn't about to go.
    pub(super) fn stays(&self, shared: &SharedSlot) -> bool {
        self.held.get(shared).is_some_and(|held| !self.is_on_leaving(held))
    }

    pub(super) fn is_on_leaving(&self, held: &HeldSlot) -> bool {
        self.leaving.contains(&held.slot.task_manager)
    }

    /// Whether the job has slots of a TaskManager.
    pub fn has_slots_on(&self, id: &TaskManagerId) -> bool {
        let held = self.held.values().map(|held| &held.slot);
        held.chain(&self.left).any(|slot| slot.task_manager == *id)
    }

    /// Asks for slots in the place of all that are about to go; None if others are there already.
    pub fn replace_leaving(&mut self) -> Option<SlotDemand> {
        let leaving = self.held.iter().filter(|(_, held)| self.is_on_leaving(held));
        let missing: Vec<SharedSlot> = leaving.map(|(shared, _)| *shared).collect();
        (!missing.is_empty()).then(|| self.ask_for(&missing))
    }

    /// Gives up slots on TaskManagers that are about to go in which nothing of the job runs.
    pub fn release_leaving(&mut self, graph: &ExecutionGraph) -> Vec<AllocationId> {
        if self.leaving.is_empty() && self.left.is_empty() {
            return Vec::new();
        }
        let live = graph.tasks().filter(|(_, execution)| !execution.state.is_terminal());
        let in_use: BTreeSet<AllocationId> =
            live.filter_map(|(_, execution)| Some(execution.slot.as_ref()?.allocation)).collect();
        let mut released = Vec::new();
        self.left.retain(|slot| {
            let keep = in_use.contains(&slot.allocation);
            released.extend((!keep).then_some(slot.allocation));
            keep
        });
        let leaving = &self.leaving;
        self.held.retain(|_, held| {
            let allocation = held.slot.allocation;
            let keep = in_use.contains(&allocation) || !leaving.contains(&held.slot.task_manager);
            released.extend((!keep).then_some(allocation));
            keep
        });
        released
    }
}
