//! REST and metrics of a running cluster.

use std::collections::BTreeMap;

use serde_json::Value;
use thalweg_integration_tests::{
    Cluster, DEADLINE, FraudInput, Process, Rest, application, try_within, wait_until,
};

fn running(input: &FraudInput) -> (Cluster, String) {
    let checkpoints = input.path("checkpoints");
    let settings = [
        ("execution.checkpointing.interval", "200 ms"),
        ("execution.checkpointing.dir", checkpoints.to_str().unwrap()),
    ];
    let mut cluster = Cluster::new(&application("fraud-detection"), &settings);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "2", "--rate", "1000"]));
    cluster.start_task_manager(2);
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_until("a checkpoint is complete", || {
        cluster.rest.completed_checkpoints(&job).filter(|&number| number > 0)
    });
    (cluster, job)
}

/// Paths with a field that their answers have; J is the job, V a vertex, T a TaskManager, C a
/// checkpoint.
const PATHS: [(&str, &str); 31] = [
    ("/config", "flink-version"),
    ("/overview", "jobs-running"),
    ("/jobs", "jobs"),
    ("/jobs/overview", "jobs"),
    ("/jobs/metrics", ""),
    ("/jobs/J", "vertices"),
    ("/jobs/J/plan", "plan"),
    ("/jobs/J/config", "execution-config"),
    ("/jobs/J/exceptions", "exceptionHistory"),
    ("/jobs/J/metrics", ""),
    ("/jobs/J/status", "status"),
    ("/jobs/J/accumulators", "job-accumulators"),
    ("/jobs/J/checkpoints", "counts"),
    ("/jobs/J/checkpoints/config", "mode"),
    ("/jobs/J/checkpoints/details/C", "tasks"),
    ("/jobs/J/checkpoints/details/C/subtasks/V", "subtasks"),
    ("/jobs/J/vertices/V", "subtasks"),
    ("/jobs/J/vertices/V/backpressure", "status"),
    ("/jobs/J/vertices/V/watermarks", ""),
    ("/jobs/J/vertices/V/subtasktimes", "subtasks"),
    ("/jobs/J/vertices/V/taskmanagers", "taskmanagers"),
    ("/jobs/J/vertices/V/metrics", ""),
    ("/jobs/J/vertices/V/subtasks/metrics", ""),
    ("/jobs/J/vertices/V/subtasks/0", "attempt"),
    ("/jobs/J/vertices/V/subtasks/0/metrics", ""),
    ("/jobmanager/config", ""),
    ("/jobmanager/metrics", ""),
    ("/taskmanagers", "taskmanagers"),
    ("/taskmanagers/metrics", ""),
    ("/taskmanagers/T", "hardware"),
    ("/taskmanagers/T/metrics", ""),
];

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} isn't text")).to_owned()
}

#[test]
fn every_rest_path_answers_while_a_job_runs() {
    let input = FraudInput::new(30_000, 71);
    let (mut cluster, job) = running(&input);
    let rest = cluster.rest.clone();
    let details = rest.json(&format!("/jobs/{job}")).unwrap();
    assert_eq!(details["delivery-guarantee"], "EXACTLY_ONCE", "{}", details["guarantees"]);
    let vertices = details["vertices"].as_array().unwrap();
    let vertex = text(&vertices[0]["id"]);
    let task_manager = text(&rest.task_managers()[0]["id"]);
    let checkpoints = rest.json(&format!("/jobs/{job}/checkpoints")).unwrap();
    let checkpoint = checkpoints["latest"]["completed"]["id"].as_u64().unwrap().to_string();
    for (path, field) in PATHS {
        let replace = |part: &str| match part {
            "J" => job.clone(),
            "V" => vertex.clone(),
            "T" => task_manager.clone(),
            "C" => checkpoint.clone(),
            other => other.to_owned(),
        };
        let path = path.split('/').map(replace).collect::<Vec<_>>().join("/");
        for path in [path.clone(), format!("/v1{path}")] {
            let (status, body) = rest.get(&path).unwrap();
            assert_eq!(status, 200, "{path}: {body}");
            let answer: Value = serde_json::from_str(&body).unwrap();
            let fits = if field.is_empty() { answer.is_array() } else { !answer[field].is_null() };
            assert!(fits, "{path} has no {field:?}: {body}");
        }
    }
    for (path, status) in [
        ("/jobs/0123456789abcdef0123456789abcdef", 404),
        ("/jobs/nonsense", 400),
        ("/nothing", 404),
    ] {
        let (found, body) = rest.get(path).unwrap();
        assert_eq!(found, status, "{path}: {body}");
        assert!(serde_json::from_str::<Value>(&body).unwrap()["errors"].is_array(), "{body}");
    }
    assert_eq!(rest.state(&job).as_deref(), Some("RUNNING"));
    cluster.task_managers.clear();
    drop(cluster.job_manager.take());
}

#[test]
fn the_figures_of_a_running_job_are_those_of_its_work() {
    let input = FraudInput::new(30_000, 72);
    let (cluster, job) = running(&input);
    let overview = cluster.rest.json("/overview").unwrap();
    for (field, expected) in
        [("taskmanagers", 1), ("slots-total", 2), ("slots-available", 0), ("jobs-running", 1)]
    {
        assert_eq!(overview[field], expected, "{field}: {overview}");
    }
    wait_until("records are counted in and out of every vertex, in both directions", || {
        let details = cluster.rest.json(&format!("/jobs/{job}"))?;
        let vertices = details["vertices"].as_array()?;
        assert!(vertices.len() >= 2, "{vertices:?}");
        let read: u64 = vertices.iter().filter_map(|v| v["metrics"]["read-records"].as_u64()).sum();
        let written =
            vertices.iter().filter_map(|v| v["metrics"]["write-records"].as_u64()).sum::<u64>();
        (read > 0 && written > 0).then_some(())
    });
    wait_until("back pressure is measured", || {
        let details = cluster.rest.json(&format!("/jobs/{job}"))?;
        details["vertices"].as_array()?.iter().find_map(|vertex| {
            let path = format!("/jobs/{job}/vertices/{}/backpressure", text(&vertex["id"]));
            let answer = cluster.rest.json(&path)?;
            let first = &answer["subtasks"][0];
            let ratio = |name: &str| first[name].as_f64();
            let sum = ratio("ratio")? + ratio("idleRatio")? + ratio("busyRatio")?;
            assert!((0.9..=1.1).contains(&sum), "not all of the time: {answer}");
            (answer["status"] == "ok" && !answer["backpressureLevel"].is_null()).then_some(())
        })
    });
    wait_until("a vertex's watermark is in the data's time", || {
        let details = cluster.rest.json(&format!("/jobs/{job}"))?;
        let vertices = details["vertices"].as_array()?.clone();
        let of = |vertex: &Value| {
            let path = format!("/jobs/{job}/vertices/{}/watermarks", text(&vertex["id"]));
            cluster.rest.json(&path)?[0]["value"].as_str()?.parse::<i64>().ok()
        };
        vertices.iter().filter_map(of).find(|w| *w > 1_767_000_000_000)
    });
}

/// The values of a page in Prometheus's format, by name, each line checked.
fn parse(page: &str) -> BTreeMap<String, Vec<(String, f64)>> {
    let mut values: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => {
                let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no end: {line}"));
                (name, labels)
            }
            None => (series, ""),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        assert!(!name.is_empty() && name.chars().all(legal), "{line}");
        assert!(labels.is_empty() || labels.contains("=\""), "{line}");
        values.entry(name.to_owned()).or_default().push((labels.to_owned(), value));
    }
    values
}

fn metrics_of(process: &mut Process) -> Rest {
    let line = process.wait_for_line("metrics are served at");
    let (_, address) = line.split_once("http://").unwrap();
    Rest::new(address.strip_suffix("/metrics").unwrap())
}

/// Waits until the page has all of these names.
fn wait_for_metrics(page: &Rest, names: &[&str]) {
    let mut missing = names.to_vec();
    let found = try_within(DEADLINE / 2, || {
        let (status, text) = page.get("/metrics")?;
        assert_eq!(status, 200);
        let values = parse(&text);
        missing.retain(|name| !values.contains_key(*name));
        missing.is_empty().then_some(())
    });
    assert!(found.is_some(), "missing at {}: {missing:?}", page.address());
}

#[test]
fn metrics_have_the_names_that_public_dashboards_read() {
    let input = FraudInput::new(30_000, 73);
    let (mut cluster, _) = running(&input);
    let job_manager = metrics_of(cluster.job_manager.as_mut().unwrap());
    let task_manager = metrics_of(&mut cluster.task_managers[0]);
    let names = [
        "flink_jobmanager_numRegisteredTaskManagers",
        "flink_jobmanager_numRunningJobs",
        "flink_jobmanager_taskSlotsAvailable",
        "flink_jobmanager_taskSlotsTotal",
        "flink_jobmanager_Status_JVM_CPU_Time",
        "flink_jobmanager_job_uptime",
        "flink_jobmanager_job_numRestarts",
        "flink_jobmanager_job_fullRestarts",
        "flink_jobmanager_job_downtime",
        "flink_jobmanager_job_lastCheckpointRestoreTimestamp",
        "flink_jobmanager_job_runningTime",
        "flink_jobmanager_job_lastCheckpointDuration",
        "flink_jobmanager_job_lastCheckpointSize",
        "flink_jobmanager_job_numberOfCompletedCheckpoints",
        "flink_jobmanager_job_numberOfFailedCheckpoints",
        "flink_jobmanager_job_numberOfInProgressCheckpoints",
        "flink_jobmanager_job_totalNumberOfCheckpoints",
    ];
    wait_for_metrics(&job_manager, &names);
    let names = [
        "flink_taskmanager_job_task_numRecordsIn",
        "flink_taskmanager_job_task_numRecordsOut",
        "flink_taskmanager_job_task_numRecordsInPerSecond",
        "flink_taskmanager_job_task_numBytesIn",
        "flink_taskmanager_job_task_numBytesOut",
        "flink_taskmanager_job_task_numBuffersOut",
        "flink_taskmanager_job_task_busyTimeMsPerSecond",
        "flink_taskmanager_job_task_idleTimeMsPerSecond",
        "flink_taskmanager_job_task_backPressuredTimeMsPerSecond",
        "flink_taskmanager_job_task_isBackPressured",
        "flink_taskmanager_job_task_currentInputWatermark",
        "flink_taskmanager_job_task_checkpointAlignmentTime",
        "flink_taskmanager_job_task_initializationTime",
        "flink_taskmanager_job_task_operator_numRecordsIn",
        "flink_taskmanager_job_task_operator_numRecordsOut",
        "flink_taskmanager_job_task_operator_currentInputWatermark",
        "flink_taskmanager_job_task_operator_currentOutputWatermark",
        "flink_taskmanager_Status_JVM_CPU_Time",
        "flink_taskmanager_Status_JVM_Threads_Count",
        "flink_taskmanager_Status_Shuffle_Netty_UsedMemory",
        "flink_taskmanager_Status_Flink_Memory_Managed_Used",
    ];
    wait_for_metrics(&task_manager, &names);
    let value = |page: &Rest, name: &str| {
        let (_, text) = page.get("/metrics").unwrap();
        let values = parse(&text).remove(name).unwrap_or_default();
        values.iter().map(|(_, value)| value).sum::<f64>()
    };
    assert_eq!(value(&job_manager, "flink_jobmanager_numRegisteredTaskManagers"), 1.0);
    assert_eq!(value(&job_manager, "flink_jobmanager_taskSlotsTotal"), 2.0);
    assert!(value(&job_manager, "flink_jobmanager_job_numberOfCompletedCheckpoints") >= 1.0);
    wait_until("records go in", || {
        let number = value(&task_manager, "flink_taskmanager_job_task_numRecordsIn");
        (number > 0.0).then_some(())
    });
    let (_, text) = task_manager.get("/metrics").unwrap();
    let (labels, _) = parse(&text)["flink_taskmanager_job_task_operator_numRecordsIn"][0].clone();
    for label in ["tm_id", "job_id", "job_name", "task_name", "subtask_index", "operator_name"] {
        assert!(labels.contains(&format!("{label}=\"")), "{label} is missing: {labels}");
    }
    let tm_id = text_of_label(&labels, "tm_id");
    let known = cluster.rest.task_managers();
    assert!(known.iter().any(|t| t["id"] == tm_id.as_str()), "{tm_id} isn't in {known:?}");
}

fn text_of_label(labels: &str, label: &str) -> String {
    let (_, rest) = labels.split_once(&format!("{label}=\"")).unwrap();
    rest.split('"').next().unwrap_or_default().to_owned()
}
