//! The facts of the job and the cluster that the samples show.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::status::{ExecutionState, JobStatus};

use crate::rest::model::*;

pub(super) const JOB: &str = "c74e5ad3838095263a07ea8f4696e1c4";
pub(super) const SOURCE: &str = "f362c87ffabe89c8a91fa7d0a523ba6c";
pub(super) const WINDOW: &str = "1fda57489fc99cc8f66c9108fd52ccef";
pub(super) const TASK_MANAGER: &str = "465089d6-beb9-4fef-9ee4-00bcd961d0f7";
/// The samples' times are this and some seconds.
pub(super) const DAY: i64 = 1_795_341_300_000;

pub(super) fn cluster() -> ClusterFacts {
    ClusterFacts {
        version: "2.2.0".into(),
        commit: "5a33689".into(),
        build_time: "2025-11-27T02:56:12+01:00".into(),
        refresh_interval_ms: 3000,
        task_managers: vec![Arc::new(task_manager())],
        jobs: vec![Arc::new(job())],
        configuration: configuration(),
        job_manager_metrics: named(include_str!("../samples/jobmanager-metrics.json")),
        environment: EnvironmentFacts {
            version: "thalweg 0.1.0".into(),
            architecture: "x86_64".into(),
            options: vec!["jobmanager".into()],
        },
    }
}

pub(super) fn job() -> JobFacts {
    JobFacts {
        id: JOB.into(),
        name: "sample job".into(),
        job_type: JobType::Streaming,
        state: JobStatus::Running,
        timestamps: BTreeMap::from([
            (JobStatus::Initializing, DAY + 21_803),
            (JobStatus::Created, DAY + 21_983),
            (JobStatus::Running, DAY + 22_107),
        ]),
        max_parallelism: None,
        restarts: 0,
        vertices: vec![source(), window()],
        checkpoints: Some(checkpoints()),
        operations: vec![],
        rescale: None,
        exceptions: vec![],
        exceptions_truncated: false,
        execution_config: ExecutionConfigFacts {
            restart_strategy: "Cluster level default restart strategy".into(),
            parallelism: 2,
            ..Default::default()
        },
        accumulators: vec![],
        metrics: Metrics::from([("numRescales".into(), MetricValue::Integer(0))]),
    }
}

fn vertex(id: &str, name: &str) -> VertexFacts {
    VertexFacts {
        id: id.into(),
        name: name.into(),
        parallelism: 2,
        max_parallelism: 128,
        slot_sharing_group_id: "3cf1027e727cc20a4aa138af0423240c".into(),
        ..Default::default()
    }
}

fn source() -> VertexFacts {
    let written = [("numBytesOut", 6_335_750), ("numRecordsOut", 220_517)];
    let spent = [("accumulateIdleTimeMs", 19_489), ("numBytesIn", 0), ("numRecordsIn", 0)];
    let of = |index, bytes: i64, busy: f64| {
        let mut subtask = subtask(index, [22_017, 22_110, 22_246, 22_386, 22_500]);
        let numbers = written.iter().chain(&spent);
        subtask.metrics.extend(numbers.map(|(name, value)| ((*name).into(), (*value).into())));
        subtask.metrics.insert("numBytesOut".into(), bytes.into());
        subtask.metrics.insert("accumulateBusyTimeMs".into(), busy.into());
        subtask
    };
    let mut subtasks = vec![of(0, 6_335_750, 2_481.0), of(1, 6_335_751, 2_482.0)];
    subtasks[1].metrics.insert("numRecordsOut".into(), 220_518.into());
    VertexFacts {
        subtasks,
        operators: vec![operator("Source: generator", None), operator("enrich", Some(0))],
        ..vertex(SOURCE, "Source: generator -> enrich")
    }
}

fn window() -> VertexFacts {
    let of = |index, running, [bytes, records, idle]: [i64; 3], busy: f64, rate: f64| {
        let mut subtask = subtask(index, [22_017, 22_110, 22_247, 22_386, running]);
        let names = include_str!("../samples/vertex-subtask-metrics.json");
        subtask.metrics.extend(named(names));
        subtask.metrics.extend([
            ("numBytesIn".into(), bytes.into()),
            ("numRecordsIn".into(), records.into()),
            ("numBytesOut".into(), 0.into()),
            ("numRecordsOut".into(), 0.into()),
            ("numRecordsInPerSecond".into(), rate.into()),
            ("accumulateBackPressuredTimeMs".into(), 0.into()),
            ("accumulateIdleTimeMs".into(), idle.into()),
            ("accumulateBusyTimeMs".into(), busy.into()),
            ("busyTimeMsPerSecond".into(), 0.0.into()),
            ("idleTimeMsPerSecond".into(), 1000.into()),
            ("backPressuredTimeMsPerSecond".into(), 0.into()),
            ("currentInputWatermark".into(), 21_921.into()),
        ]);
        subtask
    };
    let description = "Window(TumblingEventTimeWindows(5000), EventTimeTrigger, \
                       RestJob$$Lambda$191/0x00007fd674142260, PassThroughWindowFunction)";
    VertexFacts {
        subtasks: vec![
            of(0, 22_531, [6_406_994, 220_804, 21_296], 649.0, 3_093.233_333_333_333),
            of(1, 22_532, [6_377_559, 219_789, 21_261], 687.0, 3_078.133_333_333_333),
        ],
        inputs: vec![InputFacts {
            vertex_id: SOURCE.into(),
            ship_strategy: "HASH".into(),
            exchange: "pipelined_bounded".into(),
        }],
        operators: vec![
            OperatorFacts { description: description.into(), ..operator("sum per key", None) },
            operator("discard: Writer", Some(0)),
        ],
        ..vertex(WINDOW, "sum per key -> discard: Writer")
    }
}

pub(super) fn operator(name: &str, chained_to: Option<usize>) -> OperatorFacts {
    OperatorFacts { name: name.into(), chained_to, ..Default::default() }
}

/// Entered created, scheduled, deploying, initializing, running at these ms of [`DAY`].
fn subtask(index: u32, entered: [i64; 5]) -> SubtaskFacts {
    use ExecutionState::{Created, Deploying, Initializing, Running, Scheduled};
    let states = [Created, Scheduled, Deploying, Initializing, Running];
    SubtaskFacts {
        index,
        attempt: 0,
        attempt_id: format!("44cdeac77db507f7d984ee7e5f2e6706_{index}_0"),
        state: Running,
        task_manager_id: Some(TASK_MANAGER.into()),
        endpoint: Some("localhost:-1".into()),
        timestamps: states.into_iter().zip(entered.map(|at| DAY + at)).collect(),
        metrics: Metrics::new(),
    }
}

fn checkpoints() -> CheckpointFacts {
    let completed: Vec<_> = (1..=11).map(|id| Arc::new(checkpoint(id))).collect();
    let mut summary = CheckpointSummary::default();
    completed.iter().for_each(|statistics| summary.add(statistics));
    let mut running = checkpoint(12);
    running.outcome = CheckpointOutcome::InProgress;
    let mut history = vec![Arc::new(running)];
    history.extend(completed.iter().rev().take(9).cloned());
    CheckpointFacts {
        counts: CheckpointCounts { restored: 0, in_progress: 1, completed: 11, failed: 0 },
        summary,
        latest_completed: completed.last().cloned(),
        history,
        configuration: CheckpointConfigurationFacts {
            exactly_once: true,
            interval_ms: 2_000,
            timeout_ms: 600_000,
            max_concurrent: 1,
            delete_on_cancellation: true,
            state_backend: "HashMapStateBackend".into(),
            checkpoint_storage: "FileSystemCheckpointStorage".into(),
            after_tasks_finish: true,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// A completed checkpoint with the numbers of the one that the samples show in detail.
pub(super) fn checkpoint(id: u64) -> CheckpointStatistics {
    let of = |at: i64, size, async_ms, start_delay_ms| {
        Some(SubtaskCheckpointStatistics {
            acknowledged_ms: DAY + at,
            checkpointed_size: size,
            state_size: size,
            async_ms,
            start_delay_ms,
            ..Default::default()
        })
    };
    let window = vec![of(43_183, 2_064_083, 58, 4), of(43_187, 2_051_267, 62, 3)];
    let source = vec![of(43_130, 265, 5, 2), of(43_132, 265, 6, 2)];
    let task = |id: &str, subtasks| TaskCheckpointStatistics { vertex_id: id.into(), subtasks };
    CheckpointStatistics {
        id,
        kind: CheckpointKind::Checkpoint,
        savepoint_format: None,
        trigger_ms: DAY + 43_120,
        outcome: CheckpointOutcome::Completed {
            external_path: format!("file:/checkpoints/{JOB}/chk-{id}"),
            discarded: true,
        },
        metadata_size: 1_000,
        tasks: vec![task(WINDOW, window), task(SOURCE, source)],
    }
}

const MIB: u64 = 1 << 20;

pub(super) fn resource(of_whole: u64) -> ResourceFacts {
    ResourceFacts {
        cpu_cores: 1_000_000.0 / of_whole as f64,
        user_code_bytes: 1_048_576 * MIB / of_whole,
        snapshot_buffer_bytes: 1_048_576 * MIB / of_whole,
        state_bytes: 128 * MIB / of_whole,
        network_bytes: 64 * MIB / of_whole,
    }
}

fn task_manager() -> TaskManagerFacts {
    let slot = || AllocatedSlotFacts { job_id: JOB.into(), resource: resource(4) };
    let mut metrics = named(include_str!("../samples/taskmanager-metrics.json"));
    metrics.insert("Status.JVM.Memory.NonHeap.Max".into(), (-1).into());
    metrics.insert("Status.JVM.Memory.Heap.Used".into(), 59_344_384.into());
    TaskManagerFacts {
        id: TASK_MANAGER.into(),
        path: "pekko://flink/user/rpc/taskmanager_0".into(),
        data_port: None,
        last_heartbeat_ms: DAY + 41_750,
        slots: 4,
        total_resource: resource(1),
        free_resource: resource(2),
        hardware: HardwareFacts {
            cpu_cores: 2,
            physical_memory_bytes: 25_276_063_744,
            free_memory_bytes: 2_147_483_648,
        },
        memory: MemoryFacts {
            process_bytes: 2_200_835_194_880,
            overhead_bytes: 1_073_741_824,
            network_bytes: 67_108_864,
            state_bytes: 134_217_728,
            snapshot_buffer_bytes: 1_099_511_627_776,
            user_code_bytes: 1_099_511_627_776,
        },
        allocated_slots: vec![slot(), slot()],
        metrics,
    }
}

fn configuration() -> BTreeMap<String, String> {
    let sample = include_str!("../samples/jobmanager-config.json");
    let entries: Vec<BTreeMap<String, String>> = serde_json::from_str(sample).unwrap();
    entries.into_iter().map(|entry| (entry["key"].clone(), entry["value"].clone())).collect()
}

/// Metrics with the names that a sample lists, each 7.
fn named(sample: &str) -> Metrics {
    let listed: Vec<BTreeMap<String, String>> = serde_json::from_str(sample).unwrap();
    listed.into_iter().map(|entry| (entry["id"].clone(), MetricValue::Integer(7))).collect()
}
