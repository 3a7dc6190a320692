//! What the status says of facts, and when it is written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use thalweg_core::ids::{CheckpointId, TriggerId};
use thalweg_core::status::JobStatus;
use thalweg_jobmanager::high_availability::EarlierRun;
use thalweg_jobmanager::high_availability::lineage::Entered;
use thalweg_jobmanager::rest::model::{
    CheckpointFacts, CheckpointKind, CheckpointOutcome, CheckpointStatistics, ClusterFacts,
    ExecutionConfigFacts, JobFacts, JobType, OperationFacts, OperationOutcome,
    SubtaskCheckpointStatistics, TaskCheckpointStatistics, TaskManagerFacts, VertexFacts,
};

use super::*;

fn statistics(id: u64, outcome: CheckpointOutcome) -> CheckpointStatistics {
    let subtask = SubtaskCheckpointStatistics {
        acknowledged_ms: 1_000_250,
        state_size: 4096,
        ..SubtaskCheckpointStatistics::default()
    };
    let vertex_id = "v".to_owned();
    CheckpointStatistics {
        id,
        kind: CheckpointKind::Checkpoint,
        savepoint_format: None,
        trigger_ms: 1_000_000,
        outcome,
        metadata_size: 0,
        tasks: vec![TaskCheckpointStatistics { vertex_id, subtasks: vec![Some(subtask)] }],
    }
}

fn cluster(state: JobStatus) -> ClusterFacts {
    let path = |id: u64| format!("s3://bucket/chk-{id}");
    let done = |id| CheckpointOutcome::Completed { external_path: path(id), discarded: false };
    let failed = CheckpointOutcome::Failed { at_ms: 1_000_900, message: "disk".to_owned() };
    let latest = Arc::new(statistics(7, done(7)));
    let savepoint = Arc::new(statistics(6, done(6)));
    let history = vec![Arc::new(statistics(8, failed)), Arc::clone(&latest), savepoint];
    let outcome = OperationOutcome::Completed { checkpoint: 6, location: path(6) };
    let operation = OperationFacts { trigger: TriggerId::new(5), is_savepoint: true, outcome };
    let failed = OperationOutcome::Failed { message: "disk".to_owned() };
    let other = OperationFacts { trigger: TriggerId::new(6), is_savepoint: true, outcome: failed };
    let job = JobFacts {
        id: "abc".to_owned(),
        name: "fraud detection".to_owned(),
        job_type: JobType::Streaming,
        state,
        timestamps: BTreeMap::from([(JobStatus::Initializing, 500_000), (state, 900_000)]),
        max_parallelism: None,
        restarts: 2,
        vertices: vec![VertexFacts {
            parallelism: 4,
            max_parallelism: 128,
            ..VertexFacts::default()
        }],
        checkpoints: Some(CheckpointFacts {
            latest_completed: Some(latest),
            history,
            ..CheckpointFacts::default()
        }),
        operations: vec![operation, other],
        rescale: None,
        exceptions: Vec::new(),
        exceptions_truncated: false,
        execution_config: ExecutionConfigFacts::default(),
        accumulators: Vec::new(),
        metrics: BTreeMap::new(),
    };
    let task_manager = TaskManagerFacts { slots: 2, ..TaskManagerFacts::default() };
    ClusterFacts {
        jobs: vec![Arc::new(job)],
        task_managers: vec![Arc::new(task_manager)],
        ..ClusterFacts::default()
    }
}

fn status(state: JobStatus) -> serde_json::Value {
    status_after(state, None)
}

fn status_after(state: JobStatus, earlier: Option<&EarlierRun>) -> serde_json::Value {
    let leader = LeaderFacts {
        pod: "app-jm-0".to_owned(),
        epoch: 3,
        version: "0.1.0".to_owned(),
        selector: "a=b".to_owned(),
        lineage: Entered { place: 2, elsewhere: None },
    };
    let pods = PodCounts { desired: 2, pending: 1, standby: 0 };
    report(&leader, &cluster(state), earlier, pods, 10)
}

#[test]
fn what_an_earlier_resource_has_left_and_where_is_told() {
    let earlier = EarlierRun {
        owner: "uid-1".to_owned(),
        ended: true,
        checkpoint: Some((CheckpointId(4), "s3://bucket/chk-4".to_owned())),
        stopped: true,
    };
    let told = status_after(JobStatus::Finished, Some(&earlier))["job"]["earlier"].clone();
    let path = "s3://bucket/chk-4";
    let expected = json!({
        "uid": "uid-1", "ended": true, "stopped": true, "checkpointId": 4, "path": path,
    });
    assert_eq!(told, expected);
    let leader = LeaderFacts {
        pod: String::new(),
        epoch: 1,
        version: String::new(),
        selector: String::new(),
        lineage: Entered { place: 3, elsewhere: Some("app-x".to_owned()) },
    };
    let told = report(&leader, &ClusterFacts::default(), None, PodCounts::default(), 10);
    assert_eq!(told["jobManager"]["stateElsewhere"], "app-x");
    assert_eq!(told["job"], serde_json::Value::Null);
}

#[test]
fn the_status_tells_of_the_job_its_newest_checkpoint_its_savepoints_and_who_runs_it() {
    let expected = json!({
        "job": {
            "id": "abc", "name": "fraud detection", "state": "FINISHED",
            "startedAt": "1970-01-01T00:08:20Z", "endedAt": "1970-01-01T00:15:00Z",
            "parallelism": 4, "maxParallelism": 128,
            "tasks": {"running": 0, "total": 0}, "restarts": 2,
        },
        "checkpoint": {
            "id": 7, "path": "s3://bucket/chk-7", "completedAt": "1970-01-01T00:16:40.25Z",
            "sizeBytes": 4096, "durationMillis": 250, "failedSinceLast": 1,
        },
        "savepoints": [{
            "token": TriggerId::new(5).to_string(), "path": "s3://bucket/chk-6",
            "completedAt": "1970-01-01T00:16:40.25Z",
        }],
        "taskManagers": {
            "desired": 2, "pending": 1, "registered": 1, "standby": 0,
            "slotsTotal": 2, "slotsFree": 2,
        },
        "jobManager": {
            "leader": "app-jm-0", "epoch": 3, "version": "0.1.0", "protocol": 1, "lineage": 2,
        },
        "replicas": 4,
        "selector": "a=b",
    });
    assert_eq!(status(JobStatus::Finished), expected);
    let running = status(JobStatus::Running);
    assert_eq!(running["job"]["endedAt"], serde_json::Value::Null);
}

#[test]
fn a_change_of_state_is_written_at_once_and_the_rest_every_ten_seconds() {
    let at = Duration::from_secs;
    let mut schedule = StatusSchedule::default();
    let running = status(JobStatus::Running);
    assert!(schedule.is_due(&running, at(0)));
    schedule.written(running.clone(), at(0));
    assert!(!schedule.is_due(&running, at(3600)), "nothing is new");
    let mut other = running.clone();
    other["taskManagers"]["pending"] = json!(0);
    assert!(!schedule.is_due(&other, at(9)));
    assert!(schedule.is_due(&other, at(10)));
    assert!(schedule.is_due(&status(JobStatus::Restarting), at(1)));
    schedule.forget();
    assert!(schedule.is_due(&running, at(1)));
}
