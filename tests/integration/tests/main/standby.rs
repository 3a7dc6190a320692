//! REST and the command line at a JobManager that stands by: it answers for the leader, before and
//! after a takeover, and says so when there is nobody to answer for.

use std::path::Path;

use thalweg_integration_tests::{
    Ended, FraudInput, Process, Rest, application, free_port, wait_until,
};

use crate::high_availability::{
    all_end, check_store, cluster, restored, running, stand_by, wait_for_checkpoints,
};

/// Who answered through this JobManager; none if it answered itself.
fn leader(rest: &Rest) -> Option<String> {
    rest.header("/jobs", "thalweg-leader")
}

/// Runs a command of the application against this JobManager.
fn command(rest: &Rest, words: &[&str]) -> Ended {
    let target = ["--target", rest.address()];
    let words = [&words[..1], &target, &words[1..]].concat();
    Process::run(words[0], &application("fraud-detection"), &words)
}

fn last_line(ended: &Ended) -> String {
    ended.stdout.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn any_job_manager_may_be_asked_before_and_after_a_takeover() {
    let input = FraudInput::new(36_000, 53);
    let storage = input.path("storage");
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    let mut cluster = running(&storage, "2 s", &arguments);
    let (job, mut standby, rest) = stand_by(&mut cluster, &arguments);
    // Before: reading, commands that wait for an outcome, refusals.
    assert_eq!(leader(&rest).as_deref(), Some(cluster.rest.address()));
    assert_eq!(leader(&cluster.rest), None);
    assert_eq!(rest.wait_for_job("RUNNING"), job);
    assert_eq!(rest.get("/jobs"), cluster.rest.get("/jobs"));
    let nobody = format!("/jobs/{}", "0".repeat(32));
    assert_eq!(rest.get(&nobody), cluster.rest.get(&nobody));
    let listed = command(&rest, &["list"]).succeeded();
    assert!(listed.stdout.contains(&job), "{}", listed.stdout);
    let taken: u64 = last_line(&command(&rest, &["checkpoint", &job]).succeeded()).parse().unwrap();
    assert!(taken >= 3, "{taken}");
    let folder = input.path("savepoints").to_str().unwrap().to_owned();
    let savepoint = last_line(&command(&rest, &["savepoint", &job, &folder]).succeeded());
    assert!(Path::new(&savepoint).join("manifest").exists(), "{savepoint}");
    let refused = command(&rest, &["cancel", "nonsense"]);
    refused.failed_with(&[rest.address(), "nonsense"]);
    // One more that waits for its turn ends when it is told to, as a container's first process
    // does only if it asks for the signal.
    let (mut third, _) = cluster.standby(&arguments);
    third.wait_for_line("standing by");
    third.terminate();
    third.wait().succeeded();
    // The takeover, seen through the JobManager that takes over.
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    cluster.job_manager.as_mut().unwrap().kill();
    wait_until("it answers itself", || {
        let answers = rest.get("/jobs").is_some_and(|(status, _)| status == 200);
        (answers && leader(&rest).is_none()).then_some(())
    });
    assert_eq!(rest.wait_for_job("RUNNING"), job);
    assert!(restored(&rest, &job) >= taken);
    // After: the killed one is started again in its place, and stands by now.
    cluster.start_job_manager(&arguments);
    cluster.job_manager.as_mut().unwrap().wait_for_line("standing by");
    wait_for_checkpoints(&rest, &job, 1);
    assert_eq!(leader(&cluster.rest).as_deref(), Some(rest.address()));
    let words = ["rescale", "--parallelism", "2", &job];
    let rescaled = command(&cluster.rest, &words);
    assert_eq!(rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    rescaled.succeeded();
    standby.wait().succeeded();
    all_end(&mut cluster);
    // It leads at last, and finds that everything has ended.
    cluster.job_manager.as_mut().unwrap().wait().succeeded();
    input.check("run");
    check_store(&storage, &job);
}

#[test]
fn who_asks_for_a_leader_that_stands_still_is_answered_at_the_takeover() {
    let input = FraudInput::new(30_000, 54);
    let storage = input.path("storage");
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "2000"]);
    let mut cluster = running(&storage, "2 s", &arguments);
    let (job, mut standby, rest) = stand_by(&mut cluster, &arguments);
    // It stands still: it takes connections and answers none.
    cluster.job_manager.as_mut().unwrap().pause();
    let target = ["--target", rest.address()];
    let words = ["list", target[0], target[1]];
    let mut list = Process::start("list", &application("fraud-detection"), &words);
    let ended = list.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("has taken over"), "{}", ended.stderr);
    assert_eq!(rest.wait_for_job("RUNNING"), job);
    let listed = command(&rest, &["list"]).succeeded();
    assert!(listed.stdout.contains(&job), "{}", listed.stdout);
    let old = cluster.job_manager.as_mut().unwrap();
    old.resume();
    old.wait();
    assert_eq!(leader(&rest), None);
    standby.wait().succeeded();
    all_end(&mut cluster);
    input.check("run");
    check_store(&storage, &job);
}

#[test]
fn who_stands_by_for_nobody_refuses_with_a_reason_and_clients_are_told() {
    let input = FraudInput::new(30_000, 55);
    let storage = input.path("storage");
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "3000"]);
    // Nobody could wait that long.
    let mut cluster = cluster(&application("fraud-detection"), &storage, "1 h");
    cluster.start_task_manager(2);
    cluster.start_task_manager(1);
    cluster.start_job_manager(&arguments);
    let (job, standby, rest) = stand_by(&mut cluster, &arguments);
    cluster.job_manager.as_mut().unwrap().kill();
    let (status, body) = rest.get("/jobs").unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let error = body["errors"][0].as_str().unwrap();
    let gone = cluster.rest.address();
    assert_eq!(status, 503, "{error}");
    assert!(error.contains(gone) && error.contains("try again"), "{error}");
    let ended = command(&rest, &["list"]);
    ended.failed_with(&[rest.address(), gone, "can't answer now"]);
    drop(standby);
    // A leader whose REST the others can't reach: the same, and what to look at.
    let port = free_port();
    let elsewhere = format!("rest.port={port}");
    let unreachable = ["-D", "rest.address=127.0.0.77", "-D", &elsewhere];
    cluster.start_job_manager_with(&unreachable, &arguments);
    cluster.job_manager.as_mut().unwrap().wait_for_line("this JobManager leads");
    let (mut standby, rest) = cluster.standby(&arguments);
    standby.wait_for_line("standing by");
    let (status, body) = rest.get("/jobs").unwrap();
    assert_eq!(status, 503, "{body}");
    assert!(body.contains(&format!("127.0.0.77:{port}")) && body.contains("rest.bind-host"));
    let own = Rest::new(&format!("127.0.0.1:{port}"));
    assert_eq!(own.wait_for_job("RUNNING"), job);
    cluster.job_manager.as_mut().unwrap().wait().succeeded();
    all_end(&mut cluster);
    input.check("run");
    check_store(&storage, &job);
}
