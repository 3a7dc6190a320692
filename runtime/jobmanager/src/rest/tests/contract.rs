//! Flink's real answers against ours to the same facts, over HTTP.

use std::sync::atomic::Ordering;

use serde_json::Value;

use super::client::Api;
use super::facts::{DAY, JOB, SOURCE, TASK_MANAGER, WINDOW, cluster};
use super::like::differences;

macro_rules! sample {
    ($name:literal) => {
        ($name, include_str!(concat!("../samples/", $name, ".json")))
    };
}

/// How close an answer must be to its sample.
enum Close {
    /// Every value is the same, numbers within this much (Flink takes the time more than once).
    Within(f64),
    /// Members and kinds are the same; the numbers follow from other facts than the sample's.
    Shape,
    /// The same entries in any order (a list of metrics or of configuration entries).
    AnyOrder,
}
use Close::{AnyOrder, Shape, Within};

/// Path, ms of [`DAY`], sample, how close. `J`, `S`, `W`, `T` stand for the ids.
const CONTRACT: &[(&str, i64, (&str, &str), Close)] = &[
    ("/config", 0, sample!("config"), Shape),
    ("/overview", 0, sample!("overview"), Within(0.0)),
    ("/datasets", 0, sample!("datasets"), Within(0.0)),
    ("/jobs", 0, sample!("jobs"), Within(0.0)),
    ("/jobs/overview", 44_959, sample!("jobs-overview"), Within(0.0)),
    ("/jobs/metrics", 0, sample!("jobs-metrics"), AnyOrder),
    ("/jobs/J", 45_005, sample!("job"), Within(0.0)),
    ("/jobs/J/plan", 0, sample!("job-plan"), Within(0.0)),
    ("/jobs/J/config", 0, sample!("job-config"), Within(0.0)),
    ("/jobs/J/status", 0, sample!("job-status"), Within(0.0)),
    ("/jobs/J/exceptions", 0, sample!("job-exceptions"), Within(0.0)),
    ("/jobs/J/accumulators", 0, sample!("job-accumulators"), Within(0.0)),
    ("/jobs/J/accumulators?includeSerializedValue=true", 0, sample!("job-accumulators"), Shape),
    ("/jobs/J/metrics", 0, sample!("job-metrics"), AnyOrder),
    (
        "/jobs/J/metrics?get=numRestarts,lastCheckpointDuration,uptime,nonsense",
        44_480,
        sample!("job-metrics-get"),
        Within(0.0),
    ),
    ("/jobs/J/jobmanager/config", 0, sample!("jobmanager-config"), AnyOrder),
    ("/jobs/J/checkpoints", 0, sample!("checkpoints"), Shape),
    ("/jobs/J/checkpoints/config", 0, sample!("checkpoints-config"), Within(0.0)),
    ("/jobs/J/checkpoints/details/11", 0, sample!("checkpoint-details"), Within(0.0)),
    (
        "/jobs/J/checkpoints/details/11/subtasks/W",
        0,
        sample!("checkpoint-details-subtasks"),
        Within(0.0),
    ),
    ("/jobs/J/vertices/W", 45_547, sample!("vertex"), Within(2.0)),
    ("/jobs/J/vertices/W/subtasktimes", 45_633, sample!("vertex-subtasktimes"), Within(0.0)),
    ("/jobs/J/vertices/W/taskmanagers", 45_650, sample!("vertex-taskmanagers"), Within(2.0)),
    ("/jobs/J/vertices/W/accumulators", 0, sample!("vertex-accumulators"), Within(0.0)),
    ("/jobs/J/vertices/W/backpressure", 44_428, sample!("vertex-backpressure"), Within(0.0)),
    ("/jobs/J/vertices/S/backpressure", 0, sample!("vertex-backpressure-source"), Shape),
    ("/jobs/J/vertices/W/watermarks", 0, sample!("vertex-watermarks"), Within(0.0)),
    ("/jobs/J/vertices/W/metrics", 0, sample!("vertex-metrics"), AnyOrder),
    ("/jobs/J/vertices/W/subtasks/metrics", 0, sample!("vertex-subtasks-metrics"), AnyOrder),
    (
        "/jobs/J/vertices/W/subtasks/metrics?get=numRecordsInPerSecond,busyTimeMsPerSecond",
        0,
        sample!("vertex-subtasks-metrics-get"),
        Within(1e-9),
    ),
    ("/jobs/J/vertices/W/subtasks/0", 50_752, sample!("vertex-subtask"), Within(0.0)),
    ("/jobs/J/vertices/W/subtasks/0/attempts/0", 50_752, sample!("vertex-subtask"), Within(0.0)),
    ("/jobs/J/vertices/W/subtasks/1/metrics", 0, sample!("vertex-subtask-metrics"), AnyOrder),
    ("/taskmanagers", 0, sample!("taskmanagers"), Shape),
    ("/taskmanagers/metrics", 0, sample!("taskmanagers-metrics"), AnyOrder),
    ("/taskmanagers/T", 0, sample!("taskmanager"), Shape),
    ("/taskmanagers/T/metrics", 0, sample!("taskmanager-metrics"), AnyOrder),
    ("/taskmanagers/T/logs", 0, sample!("taskmanager-logs"), Within(0.0)),
    ("/jobmanager/config", 0, sample!("jobmanager-config"), AnyOrder),
    ("/jobmanager/metrics", 0, sample!("jobmanager-metrics"), AnyOrder),
    ("/jobmanager/logs", 0, sample!("jobmanager-logs"), Within(0.0)),
];

#[tokio::test]
async fn every_answer_is_like_flinks_with_and_without_the_version_prefix() {
    let api = Api::serve(cluster()).await;
    let mut found = Vec::new();
    for (path, now_ms, (name, sample), close) in CONTRACT {
        let path = path
            .replace("/T", &format!("/{TASK_MANAGER}"))
            .replace("/W", &format!("/{WINDOW}"))
            .replace("/S", &format!("/{SOURCE}"))
            .replace("/J", &format!("/{JOB}"));
        api.gateway.now_ms.store(DAY + now_ms, Ordering::Relaxed);
        let (mut sample, answer): (Value, _) =
            (serde_json::from_str(sample).unwrap(), api.get(&path).await);
        let prefixed = api.get(&format!("/v1{path}")).await;
        assert_eq!((answer.status, prefixed.status), (200, 200), "{path}: {answer:?}");
        assert_eq!(answer.body, prefixed.body, "{path}");
        let mut ours = answer.body;
        let tolerance = match close {
            Within(tolerance) => Some(*tolerance),
            Shape => None,
            AnyOrder => {
                sort(&mut ours);
                sort(&mut sample);
                Some(0.0)
            }
        };
        let differ = differences(&ours, &sample, tolerance);
        found.extend(differ.into_iter().map(|text| format!("{name} {text}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn members_stand_in_flinks_order() {
    let sample = include_str!("../samples/job.json").replace(['\n', ' '], "");
    let job = super::facts::job();
    let ours = crate::rest::handlers::jobs::details(&job, DAY + 45_005);
    assert_eq!(serde_json::to_string(&ours).unwrap().replace(' ', ""), sample);
}

fn sort(list: &mut Value) {
    list.as_array_mut().unwrap().sort_by_key(ToString::to_string);
}
