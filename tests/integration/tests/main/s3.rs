//! Checkpoints and output in a real S3 server: exactly once after a TaskManager is killed, and
//! after the server was away.

use thalweg_integration_tests::{Cluster, FraudInput, Process, Rest, S3, application, wait_until};
use thalweg_s3_tests::{Fault, FaultProxy};

/// A cluster of two TaskManagers with three tasks in parallel, checkpoints and output in S3.
fn start(
    s3: &S3,
    proxy: Option<&FaultProxy>,
    input: &FraudInput,
    more: &[(&str, &str)],
) -> Cluster {
    let mut settings = s3.settings(proxy);
    let checkpoints = s3.location("checkpoints");
    for (key, value) in [
        ("heartbeat.interval", "200 ms"),
        ("heartbeat.timeout", "2 s"),
        ("execution.checkpointing.interval", "200 ms"),
        ("execution.checkpointing.dir", &checkpoints),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "1000"),
        ("restart-strategy.fixed-delay.delay", "100 ms"),
    ]
    .iter()
    .chain(more)
    {
        settings.push(((*key).to_owned(), (*value).to_owned()));
    }
    let settings: Vec<_> = settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let mut cluster = Cluster::new(&application("fraud-detection"), &settings);
    cluster.start_task_manager(2);
    cluster.start_task_manager(2);
    let arguments = ["--parallelism", "3", "--rate", "3000"];
    cluster.start_job_manager(&input.arguments_in(&s3.location("output"), "run", &arguments));
    cluster
}

/// Waits until the running job has so many more checkpoints.
fn wait_for_checkpoints(cluster: &Cluster, job: &str, more: u64) {
    let completed = || cluster.rest.completed_checkpoints(job);
    let before = wait_until("checkpoints are counted", completed);
    wait_until(&format!("{more} checkpoints are complete"), || {
        completed().filter(|&now| now >= before + more)
    });
}

/// Compares the output with the oracle's: what is visible in the bucket.
pub(crate) fn check(s3: &S3, input: &FraudInput) {
    for output in ["run-alerts", "run-late"] {
        s3.download(&format!("output/{output}"), &input.path(output));
    }
    input.check("run");
}

fn metrics_of(process: &mut Process) -> Rest {
    let line = process.wait_for_line("metrics are served at");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    Rest::new(address.expect("the line has an address"))
}

#[test]
fn output_in_s3_is_exactly_once_after_a_task_manager_is_killed() {
    let input = FraudInput::new(24_000, 91);
    let s3 = S3::new("killed");
    let mut cluster = start(&s3, None, &input, &[]);
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster, &job, 2);
    let (_, metrics) = metrics_of(&mut cluster.task_managers[1]).get("/metrics").unwrap();
    for (name, kind) in [
        ("flink_taskmanager_Status_S3_numRequests", "upload_part"),
        ("flink_taskmanager_Status_S3_numRequests", "complete_upload"),
        ("flink_taskmanager_Status_S3_requestTimeMs", "upload_part"),
    ] {
        let line = |line: &&str| line.starts_with(name) && line.contains(&format!("\"{kind}\""));
        let line = metrics.lines().find(line).unwrap_or_else(|| panic!("no {name} {kind}"));
        let number: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(number > 0.0, "{line}");
    }
    cluster.start_task_manager(2);
    cluster.rest.wait_for_task_managers(3);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    assert_eq!(cluster.rest.job_metric(&job, "numRestarts"), Some(0.0), "it restarted by itself");
    cluster.task_managers.remove(0).kill();
    wait_until("the job is restored from a checkpoint", || {
        let checkpoints = cluster.rest.json(&format!("/jobs/{job}/checkpoints"))?;
        checkpoints["latest"]["restored"]["id"].as_u64()
    });
    wait_for_checkpoints(&cluster, &job, 1);
    cluster.wait().succeeded();
    check(&s3, &input);
}

#[test]
fn a_job_goes_on_after_its_store_was_away() {
    let input = FraudInput::new(24_000, 92);
    let s3 = S3::new("away");
    let proxy = s3.proxy();
    // It doesn't outwait the server: its checkpoints fail, and its restarts too.
    let impatient = [
        ("s3.retry.timeout", "300 ms"),
        ("s3.request.timeout", "2 s"),
        ("s3.connection.timeout", "2 s"),
    ];
    let mut cluster = start(&s3, Some(&proxy), &input, &impatient);
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster, &job, 2);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    proxy.disturb(|_| Fault::Close);
    wait_until("the job has restarted twice without its store", || {
        cluster.rest.job_metric(&job, "numRestarts").filter(|&restarts| restarts >= 2.0)
    });
    assert!(!proxy.take_disturbed().is_empty());
    proxy.heal();
    let state = cluster.rest.state(&job);
    assert!(state.as_deref().is_some_and(|state| state != "FINISHED"), "the input was too short");
    cluster.wait().succeeded();
    check(&s3, &input);
}

#[test]
fn a_job_goes_on_while_its_store_answers_errors_and_loses_answers() {
    let input = FraudInput::new(24_000, 93);
    let s3 = S3::new("disturbed");
    let proxy = s3.proxy();
    let mut cluster = start(&s3, Some(&proxy), &input, &[]);
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster, &job, 1);
    // Every fourth request, in turn.
    let faults =
        [Fault::Status(500), Fault::DropAnswer, Fault::Status(503), Fault::Close, Fault::CutAnswer];
    let mut number = 0;
    proxy.disturb(move |_| {
        number += 1;
        if number % 4 == 0 { faults[number / 4 % faults.len()] } else { Fault::Forward }
    });
    cluster.wait().succeeded();
    let disturbed = proxy.take_disturbed();
    let lost = disturbed.iter().any(|(fault, what)| {
        *fault == Fault::DropAnswer && what.starts_with("POST") && what.contains("uploadId=")
    });
    assert!(disturbed.len() > 20 && lost, "the faults came too late: {disturbed:?}");
    check(&s3, &input);
}
