//! Facts to JSON where the sample job shows too little: other states, many subtasks, failures.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use thalweg_core::status::ExecutionState::{self, *};

use super::facts::{DAY, TASK_MANAGER, checkpoint, cluster, job, operator};
use crate::rest::handlers::backpressure::{Level, back_pressure};
use crate::rest::handlers::metrics::{aggregate, aggregations, subtask_filter};
use crate::rest::handlers::states;
use crate::rest::handlers::{
    checkpoint_tasks, checkpoints, exceptions, job_manager, jobs, plan, task_managers, vertices,
};
use crate::rest::model::*;

fn written(answer: impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap()
}

fn in_states(states: &[ExecutionState]) -> Vec<SubtaskFacts> {
    let template = job().vertices.remove(0).subtasks.remove(0);
    let of = |state: &ExecutionState| SubtaskFacts { state: *state, ..template.clone() };
    states.iter().map(of).collect()
}

#[test]
fn the_state_of_a_vertex_is_that_of_its_worst_subtask() {
    let table: [(&[ExecutionState], ExecutionState); 11] = [
        (&[], Created),
        (&[Created, Scheduled], Created),
        (&[Deploying, Deploying], Created),
        (&[Running, Initializing], Initializing),
        (&[Running, Deploying], Running),
        (&[Running, Finished], Running),
        (&[Finished, Created], Running),
        (&[Finished, Finished], Finished),
        (&[Running, Canceled], Canceled),
        (&[Canceled, Canceling], Canceling),
        (&[Running, Canceling, Failed], Failed),
    ];
    for (subtasks, expected) in table {
        assert_eq!(states::aggregate(&in_states(subtasks)), expected, "{subtasks:?}");
    }
}

#[test]
fn a_job_promises_what_its_weakest_connector_does() {
    use thalweg_core::job_graph::DeliveryGuarantee::{AtLeastOnce, ExactlyOnce};
    let mut job = job();
    let said = |job: &JobFacts| written(jobs::details(job, DAY));
    assert_eq!(said(&job).get("delivery-guarantee"), None);
    job.vertices[0].operators[0].guarantee = Some(ExactlyOnce);
    let sink = OperatorFacts { guarantee: Some(AtLeastOnce), ..operator("Sink: out", Some(0)) };
    job.vertices[1].operators.push(sink);
    assert_eq!(said(&job)["delivery-guarantee"], "AT_LEAST_ONCE");
    let sink = json!({"operator": "Sink: out", "guarantee": "AT_LEAST_ONCE"});
    assert_eq!(said(&job)["guarantees"][1], sink);
}

#[test]
fn a_vertex_ends_with_its_last_subtask_and_has_no_times_before_its_first() {
    let mut subtasks = in_states(&[Finished, Running]);
    subtasks[0].timestamps.insert(Finished, DAY + 30_000);
    let span = states::span(&subtasks, DAY + 40_000);
    assert_eq!((span.start, span.end, span.duration), (DAY + 22_246, -1, 17_754));
    subtasks[1].state = Canceled;
    subtasks[1].timestamps.insert(Canceled, DAY + 35_000);
    let span = states::span(&subtasks, DAY + 40_000);
    assert_eq!((span.end, span.duration), (DAY + 35_000, 12_754));
    subtasks.iter_mut().for_each(|subtask| subtask.timestamps.clear());
    let span = states::span(&subtasks, DAY);
    assert_eq!((span.start, span.end, span.duration), (-1, -1, -1));
}

#[test]
fn a_subtask_without_a_slot_is_unassigned_and_its_numbers_are_incomplete() {
    let mut vertex = job().vertices.remove(0);
    vertex.subtasks[1] = SubtaskFacts {
        state: Scheduled,
        task_manager_id: None,
        endpoint: None,
        timestamps: BTreeMap::from([(Created, DAY), (Scheduled, DAY + 5)]),
        metrics: Metrics::new(),
        ..vertex.subtasks[1].clone()
    };
    let subtask = written(vertices::subtask(&vertex.subtasks[1], DAY + 7));
    assert_eq!(subtask["endpoint"], "(unassigned)");
    assert_eq!(subtask["taskmanager-id"], "(unassigned)");
    assert_eq!((&subtask["start-time"], &subtask["duration"]), (&json!(-1), &json!(-1)));
    assert_eq!(subtask["metrics"]["read-bytes-complete"], json!(false));
    assert_eq!(subtask["status-duration"], json!({"CREATED": 5, "SCHEDULED": 2}));
    let shares = written(vertices::task_managers(&vertex, DAY + 7));
    let ids: Vec<_> = shares["taskmanagers"].as_array().unwrap().iter().collect();
    assert_eq!(ids[0]["taskmanager-id"], "(unassigned)");
    assert_eq!(ids[1]["taskmanager-id"], TASK_MANAGER);
    assert_eq!(ids[1]["metrics"]["write-records"], json!(220_517));
}

#[test]
fn back_pressure_is_ok_up_to_a_tenth_and_high_above_half() {
    for (ratio, level) in [
        (0.0, Level::Ok),
        (0.1, Level::Ok),
        (0.101, Level::Low),
        (0.5, Level::Low),
        (0.501, Level::High),
    ] {
        assert_eq!(Level::of(ratio), level, "{ratio}");
    }
    let mut vertex = job().vertices.remove(1);
    let metrics = &mut vertex.subtasks[1].metrics;
    metrics.insert("backPressuredTimeMsPerSecond".into(), 700.into());
    metrics.insert("busyTimeMsPerSecond".into(), f64::NAN.into());
    vertex.subtasks[0].metrics.insert("backPressuredTimeMsPerSecond".into(), 200.into());
    let answer = written(back_pressure(&vertex, DAY));
    assert_eq!(answer["backpressure-level"], "high");
    assert_eq!(answer["subtasks"][0]["backpressure-level"], "low");
    assert_eq!(answer["subtasks"][1]["ratio"], json!(0.7));
    assert_eq!(answer["subtasks"][1]["busyRatio"], "NaN");
    vertex.subtasks.iter_mut().for_each(|subtask| subtask.metrics.clear());
    assert_eq!(written(back_pressure(&vertex, DAY)), json!({"status": "deprecated"}));
}

#[test]
fn metrics_are_aggregated_over_those_components_that_have_them_as_numbers() {
    let of = |entries: &[(&str, MetricValue)]| -> Metrics {
        entries.iter().map(|(id, value)| ((*id).to_owned(), value.clone())).collect()
    };
    let text = MetricValue::from("text".to_owned());
    let components =
        [of(&[("a", 1.into()), ("t", text)]), of(&[("a", 3.into())]), of(&[("b", 0.0.into())])];
    let answer = |get: &[&str], by: &[&str]| {
        written(aggregate(&components, get, &aggregations(by).unwrap()))
    };
    assert_eq!(answer(&[], &["sum"]), json!([{"id": "a"}, {"id": "b"}, {"id": "t"}]));
    assert_eq!(
        answer(&["b", "a", "t", "c"], &[]),
        json!([
            {"id": "b", "min": 0.0, "max": 0.0, "avg": 0.0, "sum": 0.0, "skew": 0.0},
            {"id": "a", "min": 1.0, "max": 3.0, "avg": 2.0, "sum": 4.0, "skew": 50.0},
        ])
    );
    assert_eq!(
        answer(&["a"], &["SUM", "min", "sum"]),
        json!([{"id": "a", "min": 1.0, "sum": 4.0}])
    );
}

#[test]
fn subtasks_are_chosen_by_indices_and_ranges() {
    let chosen = |ranges: &[&str]| {
        let filter = subtask_filter(ranges).unwrap();
        (0..8).filter(|index| filter(*index)).collect::<Vec<_>>()
    };
    assert_eq!(chosen(&[]), (0..8).collect::<Vec<_>>());
    assert_eq!(chosen(&["0", "3-4", "7-4000000000"]), [0, 3, 4, 7]);
    for bad in ["x", "1-", "-1", "2-1", "1-2-3"] {
        assert!(subtask_filter(&[bad]).is_err(), "{bad}");
    }
}

#[test]
fn a_chain_is_drawn_as_a_tree() {
    let mut job = job();
    job.vertices[0].operators = vec![
        operator("source", None),
        operator("map <T>", Some(0)),
        operator("sink a", Some(1)),
        operator("sink b", Some(1)),
        operator("sink c", Some(0)),
        operator("lost", Some(99)),
    ];
    let answer = written(plan::answer(&job));
    assert_eq!(
        answer["plan"]["nodes"][1]["description"],
        "source<br/>:- map &lt;T&gt;<br/>:  :- sink a<br/>:  +- sink b<br/>+- sink c<br/>"
    );
}

#[test]
fn exceptions_are_shown_latest_first_up_to_a_number_and_by_label() {
    let of = |n: i64, team: &str| ExceptionFacts {
        name: "UserCodePanic".into(),
        stacktrace: format!("panic {n}"),
        timestamp_ms: n,
        task_name: Some("map (1/2)".into()),
        failure_labels: BTreeMap::from([("team".into(), team.into())]),
        ..Default::default()
    };
    let mut job = job();
    job.exceptions = vec![of(3, "a"), of(2, "b"), of(1, "a")];
    job.exceptions[0].concurrent = vec![of(4, "a")];
    let history = |max, labels: &[(&str, &str)]| {
        written(exceptions::exceptions(&job, max, labels))["exceptionHistory"].take()
    };
    let all = history(20, &[]);
    assert_eq!((all["entries"].as_array().unwrap().len(), &all["truncated"]), (3, &json!(false)));
    assert_eq!(
        history(1, &[("team", "a")]),
        json!({"truncated": true, "entries": [{
            "exceptionName": "UserCodePanic",
            "stacktrace": "panic 3",
            "timestamp": 3,
            "taskName": "map (1/2)",
            "failureLabels": {"team": "a"},
            "concurrentExceptions": [{
                "exceptionName": "UserCodePanic",
                "stacktrace": "panic 4",
                "timestamp": 4,
                "taskName": "map (1/2)",
                "failureLabels": {"team": "a"},
            }],
        }]})
    );
}

#[test]
fn a_failed_a_pending_and_a_restored_checkpoint_have_their_own_members() {
    let mut pending = checkpoint(7);
    pending.outcome = CheckpointOutcome::InProgress;
    pending.tasks[0].subtasks[1] = None;
    let mut failed = pending.clone();
    failed.outcome = CheckpointOutcome::Failed { at_ms: DAY + 44_120, message: "expired".into() };

    let answer = written(checkpoints::details(&pending));
    assert_eq!(answer["className"], "in_progress");
    assert_eq!(answer["num_acknowledged_subtasks"], json!(3));
    assert!(answer.get("external_path").is_none() && answer.get("failure_message").is_none());
    let of = |index: usize| &answer["tasks"][&pending.tasks[index].vertex_id]["status"];
    assert_eq!((of(0), of(1)), (&json!("IN_PROGRESS"), &json!("COMPLETED")));

    let answer = written(checkpoints::details(&failed));
    assert_eq!((&answer["className"], &answer["status"]), (&json!("failed"), &json!("FAILED")));
    assert_eq!(answer["failure_timestamp"], json!(DAY + 44_120));
    assert_eq!(answer["failure_message"], "expired");
    assert_eq!(answer["end_to_end_duration"], json!(1_000));

    let task = written(checkpoint_tasks::task_details(&pending, &pending.tasks[0]));
    assert_eq!(
        task["subtasks"][1],
        json!({"className": "pending_or_failed", "index": 1, "status": "pending_or_failed"})
    );

    let facts = CheckpointFacts {
        latest_failed: Some(Arc::new(failed)),
        latest_restored: Some(RestoredCheckpointFacts {
            id: 3,
            restore_ms: DAY,
            is_savepoint: false,
            external_path: Some("file:/c/chk-3".into()),
        }),
        ..Default::default()
    };
    let answer = written(checkpoints::checkpoints(&facts));
    assert_eq!(answer["latest"]["failed"]["id"], json!(7));
    assert_eq!(
        answer["latest"]["restored"],
        json!({"id": 3, "restore_timestamp": DAY, "is_savepoint": false,
               "external_path": "file:/c/chk-3"})
    );
    assert_eq!(answer["summary"]["state_size"]["p50"], "NaN");
}

/// The members that all kinds of checkpoints share, and those that only the outcome adds.
#[test]
fn checkpoints_and_savepoints_of_every_outcome_have_flinks_members_and_no_others() {
    let sample: Value = serde_json::from_str(include_str!("../samples/checkpoints.json")).unwrap();
    let members =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let of_class = |class: &str| {
        let history = sample["history"].as_array().unwrap();
        members(history.iter().find(|one| one["className"] == class).unwrap())
    };
    // The one that failed isn't in the sample: Flink's class adds these two to what all have.
    let shared = of_class("in_progress");
    let mut failed = shared.clone();
    failed.extend(["failure_timestamp", "failure_message"].map(str::to_owned));
    let outcomes = [
        (CheckpointOutcome::InProgress, shared.clone(), "IN_PROGRESS"),
        (
            CheckpointOutcome::Completed { external_path: "file:/c".into(), discarded: false },
            of_class("completed"),
            "COMPLETED",
        ),
        (CheckpointOutcome::Failed { at_ms: DAY, message: "full".into() }, failed, "FAILED"),
    ];
    let kinds = [
        (CheckpointKind::Checkpoint, false, Value::Null, "CHECKPOINT"),
        (CheckpointKind::Savepoint, true, json!("CANONICAL"), "SAVEPOINT"),
        (CheckpointKind::SyncSavepoint, true, json!("CANONICAL"), "SYNC_SAVEPOINT"),
    ];
    for (outcome, expected, status) in outcomes {
        for (kind, is_savepoint, format, name) in &kinds {
            let mut facts = checkpoint(9);
            (facts.kind, facts.outcome) = (*kind, outcome.clone());
            facts.savepoint_format = format.as_str().map(str::to_owned);
            let answer = written(checkpoints::details(&facts));
            let mut sorted = members(&answer);
            sorted.sort();
            let mut expected = expected.clone();
            expected.sort();
            assert_eq!(sorted, expected, "{name} {status}");
            let described = (&answer["status"], &answer["checkpoint_type"]);
            assert_eq!(described, (&json!(status), &json!(name)));
            let savepoint = (&answer["is_savepoint"], &answer["savepointFormat"]);
            assert_eq!(savepoint, (&json!(is_savepoint), format));
        }
    }
    let facts = CheckpointFacts {
        latest_savepoint: Some(Arc::new(checkpoint(4))),
        ..CheckpointFacts::default()
    };
    let latest = &written(checkpoints::checkpoints(&facts))["latest"];
    assert_eq!((&latest["savepoint"]["id"], &latest["completed"]), (&json!(4), &Value::Null));
}

#[test]
fn secrets_in_the_configuration_are_hidden() {
    let mut cluster = cluster();
    cluster.configuration = ["s3.secret-key", "security.PASSWORD", "a.token", "rest.port"]
        .map(|key| (key.to_owned(), "value".to_owned()))
        .into();
    let answer = written(job_manager::configuration(&cluster));
    let shown: Vec<_> = answer.as_array().unwrap().iter().map(|entry| &entry["value"]).collect();
    assert_eq!(shown, ["******", "value", "******", "******"]);
}

#[test]
fn the_parts_of_a_task_managers_memory_stand_where_flinks_tools_look_for_them() {
    let facts = TaskManagerFacts {
        memory: MemoryFacts {
            process_bytes: 100,
            overhead_bytes: 10,
            network_bytes: 20,
            state_bytes: 40,
            snapshot_buffer_bytes: 5,
            user_code_bytes: 25,
        },
        slots: 1,
        data_port: Some(6_121),
        ..Default::default()
    };
    let answer = written(task_managers::details(&facts));
    assert_eq!(
        answer["memoryConfiguration"],
        json!({"frameworkHeap": 0, "taskHeap": 25, "frameworkOffHeap": 0, "taskOffHeap": 5,
               "networkMemory": 20, "managedMemory": 40, "jvmMetaspace": 0, "jvmOverhead": 10,
               "totalFlinkMemory": 90, "totalProcessMemory": 100})
    );
    assert_eq!((&answer["freeSlots"], &answer["dataPort"]), (&json!(1), &json!(6_121)));
    assert_eq!(answer["metrics"]["heapUsed"], json!(0));
    assert_eq!(answer["metrics"]["garbageCollectors"], json!([]));
}
