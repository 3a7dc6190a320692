//! High availability, savepoints and local copies with a real S3 server: what is recorded there is
//! gone on with, the store then holds what is referenced and nothing else, and what a TaskManager
//! has a copy of isn't read.

use std::sync::{Arc, Mutex};

use thalweg_integration_tests::{Cluster, FraudInput, Process, S3, application, wait_until};
use thalweg_s3_tests::{Fault, FaultProxy, Request};

use crate::high_availability::{self, all_end, restored, stand_by, wait_for_checkpoints};
use crate::s3::check;

/// A cluster with these settings and what it needs for S3, without any process yet.
pub(crate) fn cluster(s3: &S3, proxy: Option<&FaultProxy>, more: &[(&str, &str)]) -> Cluster {
    let mut settings = s3.settings(proxy);
    let own = [
        ("heartbeat.interval", "200 ms"),
        ("heartbeat.timeout", "2 s"),
        ("execution.checkpointing.interval", "200 ms"),
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "100"),
        ("restart-strategy.fixed-delay.delay", "100 ms"),
    ];
    let own = own.iter().filter(|(key, _)| more.iter().all(|(other, _)| other != key));
    let all = own.chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    settings.extend(all);
    let settings: Vec<_> = settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    Cluster::new(&application("fraud-detection"), &settings)
}

/// One that is recorded in S3, with three slots and a JobManager.
pub(crate) fn recorded(s3: &S3, proxy: Option<&FaultProxy>, arguments: &[String]) -> Cluster {
    let storage = s3.location("storage");
    let settings = [
        ("high-availability.storageDir", storage.as_str()),
        ("high-availability.leader-election.lease-duration", "2 s"),
        ("high-availability.leader-election.retry-period", "200 ms"),
    ];
    let mut cluster = cluster(s3, proxy, &settings);
    cluster.start_task_manager(2);
    cluster.start_task_manager(1);
    cluster.start_job_manager(arguments);
    cluster
}

/// The store holds what is referenced, and the logs.
pub(crate) fn check_store(s3: &S3, input: &FraudInput, job: &str) {
    let storage = input.path("storage");
    s3.download("storage", &storage);
    high_availability::check_store(&storage, job);
}

#[test]
fn a_job_that_is_recorded_in_s3_outlives_killed_job_managers_and_one_that_stood_by() {
    let input = FraudInput::new(36_000, 94);
    let s3 = S3::new("recorded");
    let rate = ["--parallelism", "3", "--rate", "3000"];
    let arguments = input.arguments_in(&s3.location("output"), "run", &rate);
    let mut cluster = recorded(&s3, None, &arguments);
    for checkpoints in [2, 1] {
        let job = cluster.rest.wait_for_job("RUNNING");
        wait_for_checkpoints(&cluster.rest, &job, checkpoints);
        assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was short");
        cluster.job_manager.as_mut().unwrap().kill();
        cluster.start_job_manager(&arguments);
    }
    let (job, mut standby, rest) = stand_by(&mut cluster, &arguments);
    assert!(restored(&cluster.rest, &job) >= 3);
    cluster.job_manager.as_mut().unwrap().kill();
    assert_eq!(rest.wait_for_job("RUNNING"), job);
    assert!(restored(&rest, &job) >= 5);
    rest.wait_for_task_managers(2);
    standby.wait().succeeded();
    all_end(&mut cluster);
    check(&s3, &input);
    check_store(&s3, &input, &job);
}

#[test]
fn a_job_manager_killed_between_its_last_savepoint_and_the_jobs_end_is_followed_by_its_end_alone() {
    let input = FraudInput::new(24_000, 95);
    for drain in [false, true] {
        let name = if drain { "drained" } else { "stopped" };
        let s3 = S3::new(name);
        let proxy = s3.proxy();
        let rate = ["--parallelism", "3", "--rate", "3000"];
        let arguments = input.arguments_in(&s3.location("output"), "run", &rate);
        let mut cluster = recorded(&s3, Some(&proxy), &arguments);
        let job = cluster.rest.wait_for_job("RUNNING");
        wait_for_checkpoints(&cluster.rest, &job, 2);
        assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was short");
        // The savepoint is published; the job's result doesn't get through.
        proxy.disturb(|request| {
            let path = request.target.split('?').next().unwrap_or_default();
            let result = request.method == "PUT" && path.ends_with("-result");
            if result { Fault::Silent } else { Fault::Forward }
        });
        let (target, rest) = (s3.location("savepoints"), cluster.rest.address().to_owned());
        let words = ["stop", "--target", &rest, "-p", &target, "--drain", &job];
        let words: Vec<&str> = words.into_iter().filter(|w| drain || *w != "--drain").collect();
        let mut stop = Process::start("stop", &application("fraud-detection"), &words);
        let mut reached = Vec::new();
        wait_until("the result is to be stored", || {
            reached.extend(proxy.take_disturbed());
            (!reached.is_empty()).then_some(())
        });
        let output = || {
            let mut objects = s3.list("output");
            objects.sort();
            objects
        };
        let written = output();
        cluster.job_manager.as_mut().unwrap().kill();
        proxy.heal();
        // Its savepoint is published, so it is done; whether it has heard of that is open.
        stop.wait();
        cluster.start_job_manager(&arguments);
        cluster.wait().succeeded();
        assert_eq!(output(), written, "nothing was committed that wasn't before");
        cluster.start_job_manager(&arguments);
        let ended = cluster.job_manager.as_mut().unwrap().wait().succeeded();
        assert!(ended.stderr.contains("already and isn't run"), "{}", ended.stderr);
        if drain {
            continue;
        }
        // It goes on from the savepoint, under another name.
        let savepoints = s3.list("savepoints");
        let savepoint = savepoints[0].as_str().split('/').next().unwrap();
        let savepoint = format!("{target}/{savepoint}");
        let another =
            ["-D", "high-availability.cluster-id=another", "--from-savepoint", &savepoint];
        let config = cluster.config();
        let words = ["taskmanager", "--config", &config, another[0], another[1]];
        let slots = ["-D", "taskmanager.numberOfTaskSlots=3"];
        let words = [&words[..], &slots].concat();
        let mut task_manager =
            Process::start("a TaskManager", &application("fraud-detection"), &words);
        cluster.task_managers.clear();
        cluster.start_job_manager_with(&another, &arguments);
        cluster.wait().succeeded();
        task_manager.wait().succeeded();
        check(&s3, &input);
    }
}

#[test]
fn a_savepoint_in_s3_is_looked_at_and_begun_from_at_another_parallelism() {
    let input = FraudInput::new(15_000, 96);
    let s3 = S3::new("savepoint");
    let checkpoints = s3.location("checkpoints");
    let settings = [("execution.checkpointing.dir", checkpoints.as_str())];
    let arguments = |parallelism, rate| {
        let more = ["--parallelism", parallelism, "--rate", rate];
        input.arguments_in(&s3.location("output"), "run", &more)
    };
    let mut first = cluster(&s3, None, &settings);
    first.start_task_manager(3);
    first.start_job_manager(&arguments("3", "3000"));
    let job = first.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&first.rest, &job, 2);
    let binary = application("fraud-detection");
    let (target, rest) = (s3.location("savepoints"), first.rest.address().to_owned());
    let run = |words: &[&str]| {
        let ended = Process::run(&words.join(" "), &binary, words);
        assert_eq!(ended.code, Some(0), "{words:?}: {ended:?}");
        ended.stdout
    };
    let last = |text: String| text.lines().last().unwrap_or_default().to_owned();
    let taken = last(run(&["savepoint", "--target", &rest, &job, &target]));
    let stopped = last(run(&["stop", "--target", &rest, "-p", &target, &job]));
    first.wait().succeeded();
    let config = first.config();
    for place in [&taken, &stopped, &checkpoints] {
        assert!(place.starts_with("s3://"), "{place}");
        run(&["state", "verify", "--config", &config, place]);
    }
    let listed = run(&["state", "ls", "--config", &config, &checkpoints]);
    assert!(listed.contains(&job), "{listed}");
    let shown = run(&["state", "show", "--config", &config, &stopped]);
    assert!(shown.contains("rules"), "{shown}");
    let mut check_words = vec!["check", "--config", &config, "--from-savepoint", &stopped, "--"];
    let own = arguments("2", "100000");
    check_words.extend(own.iter().map(String::as_str));
    run(&check_words);
    let mut second = cluster(&s3, None, &settings);
    second.start_task_manager(2);
    second.start_job_manager_with(&["--from-savepoint", &stopped], &own);
    second.wait().succeeded();
    check(&s3, &input);
}

/// Makes the tasks of a job with its checkpoints in S3 restart on a TaskManager that lives. Gives
/// which pieces of objects were read then.
fn reads_of_a_restart(name: &str, copies: Option<&str>) -> Vec<String> {
    let input = FraudInput::new(24_000, 97);
    let s3 = S3::new(name);
    let proxy = s3.proxy();
    let checkpoints = s3.location("checkpoints");
    let mut settings = vec![
        ("execution.checkpointing.dir", checkpoints.as_str()),
        ("execution.checkpointing.tolerable-failed-checkpoints", "0"),
        ("s3.retry.timeout", "1500 ms"),
    ];
    settings.extend(copies.map(|folder| ("execution.checkpointing.local-backup.dirs", folder)));
    let mut cluster = cluster(&s3, Some(&proxy), &settings);
    // One: what isn't of key groups is read by all subtasks, wherever it was written.
    cluster.start_task_manager(3);
    let rate = ["--parallelism", "3", "--rate", "3000"];
    cluster.start_job_manager(&input.arguments_in(&s3.location("output"), "run", &rate));
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster.rest, &job, 3);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "the input was too short");
    // A checkpoint fails, and the job with it; what was written can still be read.
    let reads = Arc::new(Mutex::new(Vec::new()));
    let note = |reads: &Mutex<Vec<String>>, request: &Request| {
        if let Some(range) = request.header("range").filter(|_| request.method == "GET") {
            reads.lock().unwrap().push(format!("{} {range}", request.target));
        }
    };
    let counted = reads.clone();
    proxy.disturb(move |request| {
        note(&counted, request);
        if request.method == "PUT" { Fault::Status(503) } else { Fault::Forward }
    });
    wait_until("the job has restarted", || {
        let restarts = cluster.rest.job_metric(&job, "numRestarts")?;
        let runs = cluster.rest.state(&job)? == "RUNNING";
        (restarts >= 1.0 && runs).then_some(())
    });
    proxy.disturb({
        let counted = reads.clone();
        move |request| {
            note(&counted, request);
            Fault::Forward
        }
    });
    wait_for_checkpoints(&cluster.rest, &job, 4);
    let read = std::mem::take(&mut *reads.lock().unwrap());
    cluster.wait().succeeded();
    check(&s3, &input);
    read
}

#[test]
fn a_restart_reads_local_copies_instead_of_s3() {
    let folder = tempfile::tempdir().unwrap();
    assert!(!reads_of_a_restart("no-copies", None).is_empty());
    assert_eq!(reads_of_a_restart("copies", folder.path().to_str()), [""; 0]);
}
