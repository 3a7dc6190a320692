//! The example applications as clusters of processes.

use std::path::Path;

use thalweg_integration_tests::{Cluster, FraudInput, PersonalisationInput, Settings, application};

const PARALLELISMS: [&str; 3] = ["2", "3", "7"];

/// Runs an application with a JobManager and two TaskManagers, of 2 and 5 slots.
fn run(binary: &Path, arguments: &[String]) {
    // The default is too little for the 49 channels of each shuffle at parallelism 7.
    let mut cluster = Cluster::new(binary, &[("taskmanager.memory.process.size", "2 gb")]);
    cluster.start_job_manager(arguments);
    cluster.start_task_manager(2);
    cluster.start_task_manager(5);
    cluster.wait().succeeded();
}

#[test]
fn fraud_detection_gives_the_oracles_output_with_two_task_managers() {
    let input = FraudInput::new(30_000, 11);
    for parallelism in PARALLELISMS {
        let arguments = input.arguments(parallelism, &["--parallelism", parallelism]);
        run(&application("fraud-detection"), &arguments);
        input.check(parallelism);
    }
}

#[test]
fn personalisation_gives_the_oracles_output_with_two_task_managers() {
    let input = PersonalisationInput::new(20_000, 12);
    for parallelism in PARALLELISMS {
        let arguments = input.arguments(parallelism, &["--parallelism", parallelism]);
        run(&application("personalisation"), &arguments);
        input.check(parallelism);
    }
}

#[test]
fn the_output_does_not_depend_on_how_records_travel() {
    let input = PersonalisationInput::new(6_000, 21);
    let folder = input.path("checkpoints");
    let cases: [(&str, Settings<'_>); 6] = [
        ("one row in a batch", &[("taskmanager.network.batch-rows", "1")]),
        (
            "hardly any memory for a channel",
            &[
                ("taskmanager.network.memory.per-channel", "4 kb"),
                ("taskmanager.network.batch-rows", "65536"),
            ],
        ),
        ("no waiting", &[("execution.buffer-timeout.interval", "0 ms")]),
        ("no chains", &[("pipeline.operator-chaining.enabled", "false")]),
        ("few key groups", &[("pipeline.max-parallelism", "3")]),
        (
            "checkpoints all the time",
            &[
                ("execution.checkpointing.interval", "10 ms"),
                ("execution.checkpointing.dir", folder.to_str().unwrap()),
            ],
        ),
    ];
    for (name, settings) in cases {
        let mut cluster = Cluster::new(&application("personalisation"), settings);
        cluster.start_job_manager(&input.arguments(name, &["--parallelism", "3"]));
        cluster.start_task_manager(1);
        cluster.start_task_manager(2);
        cluster.wait().succeeded();
        input.check(name);
    }
}

#[test]
fn task_managers_that_are_started_first_wait_for_their_job_manager() {
    let input = FraudInput::new(5_000, 13);
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    cluster.start_task_manager(1);
    cluster.start_task_manager(2);
    for task_manager in &mut cluster.task_managers {
        task_manager.wait_for_line("data port");
        assert!(task_manager.is_running());
    }
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "3"]));
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn a_job_waits_for_a_task_manager_that_comes_late() {
    let input = FraudInput::new(5_000, 14);
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "3"]));
    cluster.start_task_manager(2);
    cluster.rest.wait_for_task_managers(1);
    let job = cluster.rest.wait_for_job("CREATED");
    assert_eq!(cluster.rest.json("/overview").unwrap()["slots-total"], 2);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("CREATED"));
    assert!(cluster.job_manager.as_mut().unwrap().is_running());
    cluster.start_task_manager(1);
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn a_job_that_gets_too_few_slots_fails_and_says_how_many_it_needs() {
    let input = FraudInput::new(1_000, 15);
    let settings = [("slot.request.timeout", "2 s")];
    let mut cluster = Cluster::new(&application("fraud-detection"), &settings);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "7"]));
    cluster.start_task_manager(2);
    cluster.start_task_manager(3);
    let ended = cluster.wait().failed_with(&[]);
    let said = ended.stderr.lines().last().unwrap_or_default();
    for part in ["needs 7", "5 are registered", "2s", "taskmanager.numberOfTaskSlots"] {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
    assert!(!input.path("run-alerts").exists());
}

#[test]
fn a_job_that_needs_more_network_memory_than_there_is_is_refused_with_the_numbers() {
    let input = FraudInput::new(1_000, 16);
    let settings = [
        ("taskmanager.memory.process.size", "128 mb"),
        ("taskmanager.memory.network.fraction", "0.02"),
    ];
    let mut cluster = Cluster::new(&application("fraud-detection"), &settings);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "7"]));
    for _ in 0..7 {
        cluster.start_task_manager(1);
    }
    let ended = cluster.wait().failed_with(&["8388608", "bytes of network memory"]);
    assert!(ended.stderr.contains("taskmanager.memory.process.size"), "{}", ended.stderr);
}

#[test]
fn a_job_manager_that_is_terminated_ends_its_task_managers() {
    let input = FraudInput::new(10_000, 17);
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "2", "--rate", "500"]));
    cluster.start_task_manager(1);
    cluster.start_task_manager(1);
    cluster.rest.wait_for_job("RUNNING");
    cluster.job_manager.as_mut().unwrap().terminate();
    let ended = cluster.wait();
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    assert!(ended.stderr.contains("SIGTERM"), "the signal isn't named:\n{}", ended.stderr);
}

#[test]
fn task_managers_follow_a_job_manager_that_takes_the_place_of_a_killed_one() {
    // Slow enough for the old tasks to be cancelled long before the end of their input: without
    // checkpoints they would commit their output there, beside the new ones'.
    let input = FraudInput::new(4_000, 18);
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    let arguments = input.arguments("run", &["--parallelism", "2", "--rate", "500"]);
    cluster.start_job_manager(&arguments);
    cluster.start_task_manager(1);
    cluster.start_task_manager(1);
    cluster.rest.wait_for_job("RUNNING");
    cluster.job_manager.as_mut().unwrap().kill();
    // Nothing was committed, and nothing is kept of the job: it is run from its beginning.
    cluster.start_job_manager(&arguments);
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn task_managers_give_up_when_their_job_manager_does_not_come_back() {
    let input = FraudInput::new(10_000, 19);
    let settings = [("taskmanager.registration.timeout", "2 s")];
    let mut cluster = Cluster::new(&application("fraud-detection"), &settings);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "1", "--rate", "500"]));
    cluster.start_task_manager(1);
    cluster.rest.wait_for_job("RUNNING");
    cluster.job_manager.as_mut().unwrap().kill();
    let parts = ["taskmanager.registration.timeout", "127.0.0.1"];
    cluster.task_managers[0].wait().failed_with(&parts);
}

#[test]
fn logs_are_json_lines_when_that_is_configured_and_plain_text_otherwise() {
    let input = FraudInput::new(1_000, 20);
    for format in ["json", "text"] {
        let settings = [("env.log.format", format)];
        let mut cluster = Cluster::new(&application("fraud-detection"), &settings);
        cluster.start_job_manager(&input.arguments(format, &["--parallelism", "1"]));
        cluster.start_task_manager(1);
        let logged = cluster.wait().succeeded().stderr;
        assert!(logged.lines().count() > 3, "{logged}");
        assert!(!logged.contains('\x1b'), "colours in a file:\n{logged}");
        let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert!(logged.lines().all(|line| json(line) == (format == "json")), "{logged}");
    }
}
