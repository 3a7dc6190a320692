//! A TaskManager: its slots, its memory, its metrics.

use super::Metrics;

/// What is known of a registered TaskManager.
#[derive(Debug, Clone, Default)]
pub struct TaskManagerFacts {
    /// Its id.
    pub id: String,
    /// The address of its TaskExecutor.
    pub path: String,
    /// The port of its data plane; none within one process.
    pub data_port: Option<u16>,
    /// When its last heartbeat came.
    pub last_heartbeat_ms: i64,
    /// How many slots it has.
    pub slots: u32,
    /// What it offers to slots in total.
    pub total_resource: ResourceFacts,
    /// What of that no slot has taken.
    pub free_resource: ResourceFacts,
    /// The machine or container it runs on.
    pub hardware: HardwareFacts,
    /// How its memory is divided.
    pub memory: MemoryFacts,
    /// The slots that are taken.
    pub allocated_slots: Vec<AllocatedSlotFacts>,
    /// Its process' metrics (`Status.JVM.CPU.Load`, `Status.Shuffle.Netty.UsedMemory`, ...).
    pub metrics: Metrics,
}

impl TaskManagerFacts {
    /// How many of its slots nobody has taken.
    pub fn free_slots(&self) -> u64 {
        let taken = u64::try_from(self.allocated_slots.len()).unwrap_or(u64::MAX);
        u64::from(self.slots).saturating_sub(taken)
    }
}

/// A slot that a job has taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AllocatedSlotFacts {
    /// The job.
    pub job_id: String,
    /// What the slot holds.
    pub resource: ResourceFacts,
}

/// An amount of processor and memory.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ResourceFacts {
    /// Processor cores.
    pub cpu_cores: f64,
    /// Memory of user code.
    pub user_code_bytes: u64,
    /// Memory of snapshots on their way out.
    pub snapshot_buffer_bytes: u64,
    /// Memory of keyed and operator state.
    pub state_bytes: u64,
    /// Memory of the data plane.
    pub network_bytes: u64,
}

/// The machine or container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HardwareFacts {
    /// Processor cores.
    pub cpu_cores: u32,
    /// Its memory.
    pub physical_memory_bytes: u64,
    /// What of it the process may still take.
    pub free_memory_bytes: u64,
}

/// How `taskmanager.memory.process.size` was divided. The parts add up to `process_bytes`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryFacts {
    /// The whole.
    pub process_bytes: u64,
    /// The process itself, threads' stacks, the allocator's slack.
    pub overhead_bytes: u64,
    /// The data plane.
    pub network_bytes: u64,
    /// Keyed and operator state of all slots.
    pub state_bytes: u64,
    /// Snapshots on their way out, of all slots.
    pub snapshot_buffer_bytes: u64,
    /// User code of all slots.
    pub user_code_bytes: u64,
}
