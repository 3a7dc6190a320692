//! One memory number, divided once at the start.
//!
//! Pure arithmetic: measuring what a part uses, and refusing what doesn't fit into it, is the
//! matter of whoever uses the part.

use super::options::{network, taskmanager};
use super::{Configuration, MemorySize};

const MIB: u64 = 1 << 20;

/// The overhead's bounds: code, thread stacks, allocator, RPC, REST, metrics.
const OVERHEAD_MIN: u64 = 32 * MIB;
const OVERHEAD_MAX: u64 = 1024 * MIB;
const OVERHEAD_DIVISOR: u64 = 10;

/// The least that the network gets: 16 channels at their default size.
const NETWORK_MIN: u64 = 8 * MIB;

/// The least with which a slot is of use.
const SLOT_MIN: u64 = 32 * MIB;

/// A slot's parts in percent; state has the rest.
const SNAPSHOT_BUFFERS_PERCENT: u64 = 10;
const USER_CODE_PERCENT: u64 = 30;

/// The process's memory as it is divided; the parts add up to the whole exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// For the process itself: the larger of 32 MiB and a tenth, at most 1 GiB, and what
    /// remains of the division.
    pub overhead: MemorySize,
    /// For data in flight between tasks, of all slots together.
    pub network: MemorySize,
    /// For each slot.
    pub per_slot: SlotMemory,
}

/// One slot's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotMemory {
    /// For keyed and operator state and timers.
    pub state: MemorySize,
    /// For encoded snapshot rows that wait for their upload.
    pub snapshot_buffers: MemorySize,
    /// For what user functions hold, and the batches that they work on.
    pub user_code: MemorySize,
}

/// The memory can't be divided.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MemoryPlanError {
    /// It is too little for this number of slots.
    #[error(
        "taskmanager.memory.process.size is {process_size}, too little for {slots} slots: \
         at least {least} are needed; raise it or lower taskmanager.numberOfTaskSlots"
    )]
    TooSmall {
        /// The size given.
        process_size: MemorySize,
        /// The number of slots.
        slots: u32,
        /// The least size that can be divided, in whole MiB.
        least: MemorySize,
    },
    /// The number of slots or the fraction is outside its option's bounds.
    #[error(
        "memory can't be divided for {slots} slots with a network fraction of \
         {network_fraction}: from 1 to 1024 slots and from 0.01 to 0.8 are possible"
    )]
    OutOfBounds {
        /// The number of slots.
        slots: u32,
        /// The fraction.
        network_fraction: f64,
    },
}

impl MemoryPlan {
    /// The plan that a TaskManager's configuration asks for.
    ///
    /// # Errors
    /// When the process's memory is too small for its slots.
    pub fn of(configuration: &Configuration) -> Result<Self, MemoryPlanError> {
        Self::divide(
            configuration.get(&taskmanager::MEMORY_PROCESS_SIZE),
            configuration.get(&taskmanager::NUMBER_OF_TASK_SLOTS),
            configuration.get(&network::MEMORY_FRACTION),
        )
    }

    /// Divides a process's memory among its parts.
    ///
    /// 1. The overhead is a tenth, at least 32 MiB and at most 1 GiB.
    /// 2. The network gets its fraction of the rest, at least 8 MiB.
    /// 3. The slots get equal parts of what is left, at least 32 MiB each: of it, user code 30 %,
    ///    snapshot buffers 10 %, state the rest.
    ///
    /// # Errors
    /// When that doesn't work out, with the least size with which it does.
    pub fn divide(
        process_size: MemorySize,
        slots: u32,
        network_fraction: f64,
    ) -> Result<Self, MemoryPlanError> {
        let in_bounds = (1..=taskmanager::SLOTS_MAX).contains(&slots)
            && (0.01..=0.8).contains(&network_fraction);
        if !in_bounds {
            return Err(MemoryPlanError::OutOfBounds { slots, network_fraction });
        }
        let Some((network, slot)) = parts(process_size.bytes(), slots, network_fraction) else {
            let least = least(slots, network_fraction);
            return Err(MemoryPlanError::TooSmall { process_size, slots, least });
        };
        let snapshot_buffers = slot / 100 * SNAPSHOT_BUFFERS_PERCENT;
        let user_code = slot / 100 * USER_CODE_PERCENT;
        // Slots have whole bytes; what can't be shared among them stays with the overhead.
        let overhead = process_size.bytes() - network - slot * u64::from(slots);
        Ok(Self {
            overhead: MemorySize::from_bytes(overhead),
            network: MemorySize::from_bytes(network),
            per_slot: SlotMemory {
                state: MemorySize::from_bytes(slot - snapshot_buffers - user_code),
                snapshot_buffers: MemorySize::from_bytes(snapshot_buffers),
                user_code: MemorySize::from_bytes(user_code),
            },
        })
    }
}

impl SlotMemory {
    /// All of the slot's memory.
    pub const fn total(self) -> MemorySize {
        MemorySize::from_bytes(
            self.state.bytes() + self.snapshot_buffers.bytes() + self.user_code.bytes(),
        )
    }
}

/// The network's bytes and each slot's; none when a part would be below its least.
fn parts(process_size: u64, slots: u32, network_fraction: f64) -> Option<(u64, u64)> {
    let overhead = (process_size / OVERHEAD_DIVISOR).clamp(OVERHEAD_MIN, OVERHEAD_MAX);
    let divisible = process_size.checked_sub(overhead)?;
    let network = ((divisible as f64 * network_fraction) as u64).max(NETWORK_MIN);
    let slot = divisible.checked_sub(network)? / u64::from(slots);
    (slot >= SLOT_MIN).then_some((network, slot))
}

/// The least size in whole MiB that can be divided. The parts never shrink when the whole grows,
/// so halving finds it.
fn least(slots: u32, network_fraction: f64) -> MemorySize {
    let fits = |mib: u64| parts(mib * MIB, slots, network_fraction).is_some();
    let mut too_small = 0_u64;
    // With the highest fraction, 0.8, the slots have 18 % of the whole: eight times their least
    // plus the lower bounds is enough, as a test shows.
    let mut enough = (OVERHEAD_MAX + NETWORK_MIN + 8 * SLOT_MIN * u64::from(slots)) / MIB;
    while enough - too_small > 1 {
        let middle = too_small.midpoint(enough);
        if fits(middle) { enough = middle } else { too_small = middle }
    }
    MemorySize::from_bytes(enough * MIB)
}

#[cfg(test)]
mod tests;
