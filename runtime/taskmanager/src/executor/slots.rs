//! The memory for state of each slot, shared by the tasks in it, and how much of what they encode
//! may wait for a store.

use thalweg_state::{MemoryBudget, Reservation};

/// Parts of snapshots on their way to a store may take this share of what state may.
const UPLOADS_SHARE: usize = 8;

/// What the tasks of a slot share.
struct Slot {
    state: MemoryBudget,
    /// Snapshots that are being written, or are on their way to a store. As much as there may be
    /// state: a full snapshot of any state that fits goes through, and a second one waits for no
    /// third.
    snapshots: MemoryBudget,
    /// Parts of snapshots on their way to a store, while their tasks write the rest.
    uploads: MemoryBudget,
}

/// The budgets of each slot.
pub(super) struct SlotBudgets(Vec<Slot>);

/// A slot has more encoded snapshots than it may, since its store is too slow.
#[derive(Debug, thiserror::Error)]
#[error(
    "{waiting} bytes of snapshots of this slot are still being stored, and {bytes} more would \
     exceed the {limit} that may be: the store is too slow for this state; raise \
     execution.checkpointing.interval, or taskmanager.memory.process.size"
)]
pub(super) struct BuffersFull {
    waiting: usize,
    bytes: usize,
    limit: usize,
}

impl SlotBudgets {
    /// `bytes` of state for each of `slots`.
    pub(super) fn new(slots: u32, bytes: usize) -> Self {
        let slot = |_| Slot {
            state: MemoryBudget::new(bytes),
            snapshots: MemoryBudget::new(bytes),
            uploads: MemoryBudget::new(bytes / UPLOADS_SHARE),
        };
        Self((0..slots).map(slot).collect())
    }

    /// The slot's budget for state. It exists: deployments to others are refused.
    pub(super) fn of(&self, slot: u32) -> MemoryBudget {
        let budget = self.0.get(slot as usize).map(|slot| slot.state.clone());
        budget.unwrap_or_else(|| MemoryBudget::new(0))
    }

    /// The slot's budget for snapshots that aren't stored yet.
    pub(super) fn snapshots_of(&self, slot: u32) -> MemoryBudget {
        let budget = self.0.get(slot as usize).map(|slot| slot.snapshots.clone());
        budget.unwrap_or_else(|| MemoryBudget::new(0))
    }

    /// The slot's budget for parts of snapshots that are being uploaded.
    pub(super) fn uploads_of(&self, slot: u32) -> MemoryBudget {
        let budget = self.0.get(slot as usize).map(|slot| slot.uploads.clone());
        budget.unwrap_or_else(|| MemoryBudget::new(0))
    }

    /// Takes room for a snapshot of so many bytes, until it's stored.
    pub(super) fn reserve_snapshot(
        &self,
        slot: u32,
        bytes: usize,
    ) -> Result<Option<Reservation>, BuffersFull> {
        let Some(Slot { snapshots, .. }) = self.0.get(slot as usize) else { return Ok(None) };
        let reserved = snapshots.reserve(bytes).map(Some);
        let (waiting, limit) = (snapshots.drawn(), snapshots.limit());
        reserved.ok_or(BuffersFull { waiting, bytes, limit })
    }

    /// Bytes of state in use.
    pub(super) fn drawn(&self) -> u64 {
        self.0.iter().map(|slot| slot.state.drawn() as u64).sum()
    }

    /// Bytes of state in all.
    pub(super) fn limit(&self) -> u64 {
        self.0.iter().map(|slot| slot.state.limit() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_that_wait_for_a_slow_store_are_bounded_per_slot() {
        let slots = SlotBudgets::new(2, 1000);
        let first = slots.reserve_snapshot(0, 700).unwrap();
        let error = slots.reserve_snapshot(0, 400).unwrap_err().to_string();
        assert!(error.contains("700 bytes") && error.contains("too slow"), "{error}");
        assert!(slots.reserve_snapshot(1, 400).is_ok(), "another slot has its own");
        drop(first);
        assert!(slots.reserve_snapshot(0, 1000).is_ok());
        assert_eq!(slots.drawn(), 0, "it isn't state");
    }
}
