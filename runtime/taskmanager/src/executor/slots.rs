//! The memory for state of each slot, shared by the tasks in it.

use thalweg_state::MemoryBudget;

/// A budget for each slot.
pub(super) struct SlotBudgets(Vec<MemoryBudget>);

impl SlotBudgets {
    /// `bytes` for each of `slots`.
    pub(super) fn new(slots: u32, bytes: usize) -> Self {
        Self((0..slots).map(|_| MemoryBudget::new(bytes)).collect())
    }

    /// The slot's budget, which exists: deployments to others are refused.
    pub(super) fn of(&self, slot: u32) -> MemoryBudget {
        let budget = self.0.get(slot as usize).cloned();
        budget.unwrap_or_else(|| MemoryBudget::new(0))
    }

    /// Bytes in use.
    pub(super) fn drawn(&self) -> u64 {
        self.0.iter().map(|budget| budget.drawn() as u64).sum()
    }

    /// Bytes in all.
    pub(super) fn limit(&self) -> u64 {
        self.0.iter().map(|budget| budget.limit() as u64).sum()
    }
}
