//! A TaskManager's facts.

use thalweg_core::ids::TaskManagerId;
use thalweg_rpc::message::{MetricScope, TaskManagerResources};

use super::metric_value;
use crate::resource_manager::TaskManager;
use crate::resource_manager::slot_manager::SlotManager;
use crate::rest::model::{
    AllocatedSlotFacts, HardwareFacts, MemoryFacts, ResourceFacts, TaskManagerFacts,
};

pub(super) fn facts(
    id: &TaskManagerId,
    task_manager: &TaskManager,
    slots: &SlotManager,
) -> TaskManagerFacts {
    let registration = &task_manager.registration;
    let resources = &registration.resources;
    let count = u64::from(registration.slots);
    let slot = share(resources, 1, count);
    let allocated: Vec<AllocatedSlotFacts> = slots
        .jobs_on(id)
        .map(|job| AllocatedSlotFacts { job_id: job.to_string(), resource: slot })
        .collect();
    let free = count.saturating_sub(u64::try_from(allocated.len()).unwrap_or(u64::MAX));
    let metrics = task_manager.metrics.iter().filter(|g| g.scope == MetricScope::TaskManager);
    let metrics = metrics.flat_map(|group| &group.values);
    let port = registration.data_address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    TaskManagerFacts {
        id: id.to_string(),
        path: registration.data_address.clone(),
        data_port: port,
        last_heartbeat_ms: task_manager.last_heard.wall_ms,
        slots: registration.slots,
        total_resource: share(resources, count, count),
        free_resource: share(resources, free, count),
        hardware: HardwareFacts {
            cpu_cores: resources.cpu_cores,
            physical_memory_bytes: resources.physical_bytes,
            free_memory_bytes: resources.process_bytes,
        },
        memory: MemoryFacts {
            process_bytes: resources.process_bytes,
            overhead_bytes: resources.overhead_bytes,
            network_bytes: resources.network_bytes,
            state_bytes: resources.state_bytes,
            snapshot_buffer_bytes: resources.snapshot_buffer_bytes,
            user_code_bytes: resources.user_code_bytes,
        },
        allocated_slots: allocated,
        metrics: metrics.map(|(name, value)| (name.clone(), metric_value(*value))).collect(),
    }
}

/// What `part` of `count` slots have of a TaskManager.
fn share(resources: &TaskManagerResources, part: u64, count: u64) -> ResourceFacts {
    let of = |bytes: u64| bytes / count.max(1) * part;
    ResourceFacts {
        cpu_cores: f64::from(resources.cpu_cores) * part as f64 / count.max(1) as f64,
        user_code_bytes: of(resources.user_code_bytes),
        snapshot_buffer_bytes: of(resources.snapshot_buffer_bytes),
        state_bytes: of(resources.state_bytes),
        network_bytes: of(resources.network_bytes),
    }
}
