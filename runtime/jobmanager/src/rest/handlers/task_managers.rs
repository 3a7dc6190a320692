//! `/taskmanagers` and `/taskmanagers/:taskmanagerid`.
//!
//! The members are named after a JVM's memory. What stands where: heap of tasks = user code,
//! off-heap of tasks = snapshot buffers, managed = state, overhead = overhead, the rest is 0.

use serde::Serialize;

use crate::rest::json::Entries;
use crate::rest::model::{
    AllocatedSlotFacts, ClusterFacts, MetricValue, Metrics, ResourceFacts, TaskManagerFacts,
};

const MEBIBYTE: u64 = 1 << 20;

#[derive(Debug, Serialize)]
pub(crate) struct TaskManagers<'a> {
    taskmanagers: Vec<TaskManager<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskManager<'a> {
    id: &'a str,
    path: &'a str,
    data_port: i32,
    jmx_port: i32,
    /// A point in time in Flink too, in spite of its name.
    time_since_last_heartbeat: i64,
    slots_number: u32,
    free_slots: u64,
    total_resource: Resource,
    free_resource: Resource,
    hardware: Hardware,
    memory_configuration: MemoryConfiguration,
}

/// Memory in MiB.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    cpu_cores: f64,
    task_heap_memory: u64,
    task_off_heap_memory: u64,
    managed_memory: u64,
    network_memory: u64,
    extended_resources: Entries<'static, ()>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hardware {
    cpu_cores: u32,
    physical_memory: u64,
    free_memory: u64,
    managed_memory: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MemoryConfiguration {
    framework_heap: u64,
    task_heap: u64,
    framework_off_heap: u64,
    task_off_heap: u64,
    network_memory: u64,
    managed_memory: u64,
    jvm_metaspace: u64,
    jvm_overhead: u64,
    total_flink_memory: u64,
    total_process_memory: u64,
}

/// All registered TaskManagers.
pub(crate) fn task_managers(cluster: &ClusterFacts) -> TaskManagers<'_> {
    let all = cluster.task_managers.iter();
    TaskManagers { taskmanagers: all.map(|facts| task_manager(facts)).collect() }
}

fn task_manager(facts: &TaskManagerFacts) -> TaskManager<'_> {
    let memory = &facts.memory;
    TaskManager {
        id: &facts.id,
        path: &facts.path,
        data_port: facts.data_port.map_or(-1, i32::from),
        jmx_port: -1,
        time_since_last_heartbeat: facts.last_heartbeat_ms,
        slots_number: facts.slots,
        free_slots: facts.free_slots(),
        total_resource: resource(&facts.total_resource),
        free_resource: resource(&facts.free_resource),
        hardware: Hardware {
            cpu_cores: facts.hardware.cpu_cores,
            physical_memory: facts.hardware.physical_memory_bytes,
            free_memory: facts.hardware.free_memory_bytes,
            managed_memory: memory.state_bytes,
        },
        memory_configuration: MemoryConfiguration {
            framework_heap: 0,
            task_heap: memory.user_code_bytes,
            framework_off_heap: 0,
            task_off_heap: memory.snapshot_buffer_bytes,
            network_memory: memory.network_bytes,
            managed_memory: memory.state_bytes,
            jvm_metaspace: 0,
            jvm_overhead: memory.overhead_bytes,
            total_flink_memory: memory.process_bytes.saturating_sub(memory.overhead_bytes),
            total_process_memory: memory.process_bytes,
        },
    }
}

fn resource(facts: &ResourceFacts) -> Resource {
    Resource {
        cpu_cores: facts.cpu_cores,
        task_heap_memory: facts.user_code_bytes / MEBIBYTE,
        task_off_heap_memory: facts.snapshot_buffer_bytes / MEBIBYTE,
        managed_memory: facts.state_bytes / MEBIBYTE,
        network_memory: facts.network_bytes / MEBIBYTE,
        extended_resources: Entries(Vec::new()),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Details<'a> {
    #[serde(flatten)]
    task_manager: TaskManager<'a>,
    allocated_slots: Vec<AllocatedSlot<'a>>,
    metrics: ProcessMetrics<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AllocatedSlot<'a> {
    job_id: &'a str,
    resource: Resource,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessMetrics<'a> {
    #[serde(flatten)]
    numbers: Entries<'static, i64>,
    garbage_collectors: Vec<GarbageCollector<'a>>,
}

#[derive(Debug, Serialize)]
struct GarbageCollector<'a> {
    name: &'a str,
    count: i64,
    time: i64,
}

/// Member of `metrics`, metric.
const PROCESS_METRICS: [(&str, &str); 18] = [
    ("heapUsed", "Status.JVM.Memory.Heap.Used"),
    ("heapCommitted", "Status.JVM.Memory.Heap.Committed"),
    ("heapMax", "Status.JVM.Memory.Heap.Max"),
    ("nonHeapUsed", "Status.JVM.Memory.NonHeap.Used"),
    ("nonHeapCommitted", "Status.JVM.Memory.NonHeap.Committed"),
    ("nonHeapMax", "Status.JVM.Memory.NonHeap.Max"),
    ("directCount", "Status.JVM.Memory.Direct.Count"),
    ("directUsed", "Status.JVM.Memory.Direct.MemoryUsed"),
    ("directMax", "Status.JVM.Memory.Direct.TotalCapacity"),
    ("mappedCount", "Status.JVM.Memory.Mapped.Count"),
    ("mappedUsed", "Status.JVM.Memory.Mapped.MemoryUsed"),
    ("mappedMax", "Status.JVM.Memory.Mapped.TotalCapacity"),
    ("nettyShuffleMemorySegmentsAvailable", "Status.Shuffle.Netty.AvailableMemorySegments"),
    ("nettyShuffleMemorySegmentsUsed", "Status.Shuffle.Netty.UsedMemorySegments"),
    ("nettyShuffleMemorySegmentsTotal", "Status.Shuffle.Netty.TotalMemorySegments"),
    ("nettyShuffleMemoryAvailable", "Status.Shuffle.Netty.AvailableMemory"),
    ("nettyShuffleMemoryUsed", "Status.Shuffle.Netty.UsedMemory"),
    ("nettyShuffleMemoryTotal", "Status.Shuffle.Netty.TotalMemory"),
];

/// One TaskManager with its slots and the state of its process.
pub(crate) fn details(facts: &TaskManagerFacts) -> Details<'_> {
    Details {
        task_manager: task_manager(facts),
        allocated_slots: facts.allocated_slots.iter().map(allocated_slot).collect(),
        metrics: process_metrics(&facts.metrics),
    }
}

fn allocated_slot(facts: &AllocatedSlotFacts) -> AllocatedSlot<'_> {
    AllocatedSlot { job_id: &facts.job_id, resource: resource(&facts.resource) }
}

/// A metric that the process doesn't report is 0.
fn process_metrics(metrics: &Metrics) -> ProcessMetrics<'_> {
    let number = |name: &str| metrics.get(name).and_then(MetricValue::as_i64).unwrap_or(0);
    let collectors = metrics.keys().filter_map(|name| {
        let name = name.strip_prefix("Status.JVM.GarbageCollector.")?.strip_suffix(".Count")?;
        let of = |metric: &str| number(&format!("Status.JVM.GarbageCollector.{name}.{metric}"));
        Some(GarbageCollector { name, count: of("Count"), time: of("Time") })
    });
    ProcessMetrics {
        numbers: Entries::of(PROCESS_METRICS.map(|(member, name)| (member, number(name)))),
        garbage_collectors: collectors.collect(),
    }
}
