//! The figures of a TaskManager under Flink's names: for heartbeats, and for the Prometheus
//! endpoint. Counters are the tasks' own; rates are taken over the last seconds here.
//!
//! Not here: figures of the process that the system knows (the facade reads them).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::element::MIN_WATERMARK;
use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId, JobVertexId, OperatorId};
use thalweg_rpc::message::{JobInformation, MetricGroup, MetricScope, TaskDeployment};

use crate::task::{Activity, ActivityTimes, IoCounters, OperatorEntry, TaskMetrics};

/// Rates are taken over this time.
const WINDOW: Duration = Duration::from_secs(10);

/// Name and value of a metric.
pub type MetricValues = Vec<(String, f64)>;

/// What a task's figures are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskIdentity {
    /// The job.
    pub job: JobId,
    /// Its name.
    pub job_name: String,
    /// The vertex.
    pub vertex: JobVertexId,
    /// Its name.
    pub task_name: String,
    /// Which subtask.
    pub subtask: u32,
    /// The execution.
    pub attempt: ExecutionAttemptId,
    /// How many were before it.
    pub attempt_number: u32,
    /// Whether it reads from other tasks.
    pub has_inputs: bool,
}

impl TaskIdentity {
    pub(crate) fn of(job: &JobInformation, task: &TaskDeployment) -> Self {
        let vertex = job.graph.vertex(task.vertex);
        Self {
            job: job.job_id,
            job_name: job.job_name.clone(),
            vertex: task.vertex,
            task_name: vertex.map(|vertex| vertex.name.clone()).unwrap_or_default(),
            subtask: task.subtask,
            attempt: task.attempt,
            attempt_number: task.attempt_number,
            has_inputs: !task.inputs.is_empty(),
        }
    }
}

/// All figures at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsSnapshot {
    /// Of the process: `Status.…`.
    pub task_manager: MetricValues,
    /// Of each task.
    pub tasks: Vec<TaskMetricsSnapshot>,
}

/// One task's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskMetricsSnapshot {
    /// Whose.
    pub identity: TaskIdentity,
    /// The task's.
    pub values: MetricValues,
    /// Each operator's, with its name.
    pub operators: Vec<(OperatorId, Arc<str>, MetricValues)>,
}

/// Counters at one moment.
#[derive(Debug, Clone, Default)]
struct Sample {
    at: Duration,
    times: ActivityTimes,
    input: IoCounters,
    output: IoCounters,
    /// Rows in and out of each operator.
    operators: Vec<(u64, u64)>,
}

struct Entry {
    identity: TaskIdentity,
    metrics: Arc<TaskMetrics>,
    /// Oldest first; the first one is the window's begin.
    samples: VecDeque<Sample>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    network_used: u64,
    network_total: u64,
    state_used: u64,
    state_total: u64,
}

/// Where the figures of all tasks are found.
#[derive(Default)]
pub struct MetricsRegistry {
    entries: Mutex<BTreeMap<ExecutionAttemptId, Entry>>,
    memory: Mutex<Memory>,
    registered: AtomicBool,
}

impl MetricsRegistry {
    pub(crate) fn add(&self, identity: TaskIdentity, metrics: Arc<TaskMetrics>, now: Duration) {
        let first = Sample { at: now, ..Sample::default() };
        let entry = Entry { metrics, samples: VecDeque::from([first]), identity };
        self.entries.lock().insert(entry.identity.attempt, entry);
    }

    /// Keeps the figures of these executions only.
    pub(crate) fn retain(&self, keep: impl Fn(ExecutionAttemptId) -> bool) {
        self.entries.lock().retain(|attempt, _| keep(*attempt));
    }

    /// The highest checkpoint that the execution has seen; 0 for none.
    pub(crate) fn checkpoint(&self, attempt: ExecutionAttemptId) -> CheckpointId {
        let entries = self.entries.lock();
        entries.get(&attempt).map_or(CheckpointId(0), |entry| entry.metrics.checkpoint())
    }

    /// Whether the TaskManager is registered at a JobManager.
    pub fn is_registered(&self) -> bool {
        self.registered.load(Ordering::Relaxed)
    }

    pub(crate) fn set_registered(&self, registered: bool) {
        self.registered.store(registered, Ordering::Relaxed);
    }

    pub(crate) fn set_memory(
        &self,
        network_used: u64,
        network_total: u64,
        state_used: u64,
        state_total: u64,
    ) {
        *self.memory.lock() = Memory { network_used, network_total, state_used, state_total };
    }

    /// Notes the counters, for rates. About once a second.
    pub(crate) fn sample(&self, now: Duration) {
        for entry in self.entries.lock().values_mut() {
            let sample = take_sample(&entry.metrics, &entry.metrics.operators(), now);
            entry.samples.push_back(sample);
            let begin = now.saturating_sub(WINDOW);
            // The first one that isn't younger than the window stays.
            while entry.samples.get(1).is_some_and(|second| second.at <= begin) {
                entry.samples.pop_front();
            }
        }
    }

    /// All figures now.
    pub fn snapshot(&self, now: Duration) -> MetricsSnapshot {
        let entries = self.entries.lock();
        MetricsSnapshot {
            task_manager: memory_values(*self.memory.lock()),
            tasks: entries.values().map(|entry| task_snapshot(entry, now)).collect(),
        }
    }

    /// One execution's figures now.
    pub(crate) fn groups_of(&self, attempt: ExecutionAttemptId, now: Duration) -> Vec<MetricGroup> {
        let entries = self.entries.lock();
        entries
            .get(&attempt)
            .map(|entry| task_groups(task_snapshot(entry, now)))
            .unwrap_or_default()
    }

    /// All figures now, as heartbeats carry them.
    pub(crate) fn groups(&self, now: Duration) -> Vec<MetricGroup> {
        let snapshot = self.snapshot(now);
        let process =
            MetricGroup { scope: MetricScope::TaskManager, values: snapshot.task_manager };
        let mut groups = vec![process];
        groups.extend(snapshot.tasks.into_iter().flat_map(task_groups));
        groups
    }
}

fn task_groups(task: TaskMetricsSnapshot) -> Vec<MetricGroup> {
    let attempt = task.identity.attempt;
    let mut groups = vec![MetricGroup { scope: MetricScope::Task(attempt), values: task.values }];
    groups.extend(task.operators.into_iter().map(|(operator, _, values)| {
        let scope = MetricScope::Operator(attempt, operator);
        MetricGroup { scope, values }
    }));
    groups
}

impl std::fmt::Debug for MetricsRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MetricsRegistry({} tasks)", self.entries.lock().len())
    }
}

fn take_sample(metrics: &TaskMetrics, operators: &[OperatorEntry], at: Duration) -> Sample {
    let counts = |entry: &OperatorEntry| (entry.metrics.records_in(), entry.metrics.records_out());
    Sample {
        at,
        times: metrics.activity.times(at),
        input: metrics.input(),
        output: metrics.output(),
        operators: operators.iter().map(counts).collect(),
    }
}

fn task_snapshot(entry: &Entry, now: Duration) -> TaskMetricsSnapshot {
    let operators = entry.metrics.operators();
    let current = take_sample(&entry.metrics, &operators, now);
    let base = entry.samples.front().cloned().unwrap_or_default();
    let seconds = now.saturating_sub(base.at).as_secs_f64();
    let mut values = Values { seconds, values: Vec::with_capacity(32) };
    task_values(entry, &current, &base, &mut values);
    let operator = |(at, operator): (usize, &OperatorEntry)| {
        let mut values = Values { seconds, values: Vec::with_capacity(10) };
        let counts = current.operators.get(at).copied().unwrap_or_default();
        let before = base.operators.get(at).copied().unwrap_or_default();
        values.counter("numRecordsIn", counts.0, before.0);
        values.counter("numRecordsOut", counts.1, before.1);
        let metrics = &operator.metrics;
        values.put("numLateRecordsDropped", metrics.late_records_dropped() as f64);
        values.put("numRecordsInErrors", metrics.record_errors() as f64);
        values.put("stateBytes", metrics.state_bytes() as f64);
        if metrics.watermark() != MIN_WATERMARK {
            let is_source = at == 0 && !entry.identity.has_inputs;
            let name = if is_source { "currentOutputWatermark" } else { "currentInputWatermark" };
            values.put(name, metrics.watermark() as f64);
        }
        (operator.id, operator.name.clone(), values.values)
    };
    TaskMetricsSnapshot {
        identity: entry.identity.clone(),
        values: values.values,
        operators: operators.iter().enumerate().map(operator).collect(),
    }
}

fn task_values(entry: &Entry, current: &Sample, base: &Sample, values: &mut Values) {
    let metrics = &entry.metrics;
    values.counter("numRecordsIn", current.input.records, base.input.records);
    values.counter("numRecordsOut", current.output.records, base.output.records);
    values.counter("numBytesIn", current.input.bytes, base.input.bytes);
    values.counter("numBytesOut", current.output.bytes, base.output.bytes);
    values.counter("numBuffersIn", current.input.batches, base.input.batches);
    values.counter("numBuffersOut", current.output.batches, base.output.batches);
    let (times, before) = (current.times, base.times);
    values.time("busyTimeMsPerSecond", times.busy, before.busy);
    values.time("idleTimeMsPerSecond", times.idle, before.idle);
    let (blocked, blocked_before) = (times.back_pressured, before.back_pressured);
    values.time("backPressuredTimeMsPerSecond", blocked, blocked_before);
    // A task never waits in the middle of an emission, which is what Flink calls hard.
    values.time("softBackPressuredTimeMsPerSecond", blocked, blocked_before);
    values.put("hardBackPressuredTimeMsPerSecond", 0.0);
    values.put("accumulateBusyTimeMs", ms(times.busy));
    values.put("accumulateIdleTimeMs", ms(times.idle));
    values.put("accumulateBackPressuredTimeMs", ms(times.back_pressured));
    let blocked_now = metrics.activity.current() == Some(Activity::BackPressured);
    values.put("isBackPressured", f64::from(u8::from(blocked_now)));
    if entry.identity.has_inputs && metrics.watermark() != MIN_WATERMARK {
        values.put("currentInputWatermark", metrics.watermark() as f64);
    }
    values.put("checkpointAlignmentTime", metrics.checkpoint_alignment_ns() as f64);
    values.put("checkpointStartDelayNanos", metrics.checkpoint_start_delay_ms() as f64 * 1e6);
    values.put("initializationTime", metrics.initialization_ms() as f64);
    let input_queue = metrics.input_queued_bytes() as f64;
    values.put("Shuffle.Netty.Input.Buffers.inputQueueSize", input_queue);
    let output_queue = metrics.output_queued_bytes() as f64;
    values.put("Shuffle.Netty.Output.Buffers.outputQueueSize", output_queue);
    if let Some(latency) = metrics.latency_ms() {
        values.put("latency", latency as f64);
    }
}

fn memory_values(memory: Memory) -> MetricValues {
    let Memory { network_used, network_total, state_used, state_total } = memory;
    let usage = 100.0 * network_used as f64 / network_total.max(1) as f64;
    let values = [
        ("Status.Flink.Memory.Managed.Used", state_used as f64),
        ("Status.Flink.Memory.Managed.Total", state_total as f64),
        ("Status.Shuffle.Netty.UsedMemory", network_used as f64),
        ("Status.Shuffle.Netty.TotalMemory", network_total as f64),
        ("Status.Shuffle.Netty.AvailableMemory", network_total.saturating_sub(network_used) as f64),
        ("Status.Shuffle.Netty.RequestedMemoryUsage", usage.floor()),
    ];
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Gathers values; rates are over `seconds`.
struct Values {
    seconds: f64,
    values: MetricValues,
}

impl Values {
    fn put(&mut self, name: &str, value: f64) {
        self.values.push((name.to_owned(), value));
    }

    fn rate(&self, amount: f64) -> f64 {
        if self.seconds > 0.0 { amount / self.seconds } else { 0.0 }
    }

    fn counter(&mut self, name: &str, now: u64, before: u64) {
        self.put(name, now as f64);
        let rate = self.rate(now.saturating_sub(before) as f64);
        self.values.push((format!("{name}PerSecond"), rate));
    }

    fn time(&mut self, name: &str, now: Duration, before: Duration) {
        let rate = self.rate(ms(now.saturating_sub(before)));
        self.put(name, rate.clamp(0.0, 1000.0).round());
    }
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).floor()
}

#[cfg(test)]
mod tests;
