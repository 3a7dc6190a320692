//! Settings that can't be used: each is named, with what to do.

use std::fs;
use std::net::TcpListener;

use thalweg_integration_tests::{Cluster, Process, Settings, application};

/// Starts a process of this role with these settings, which can't start, and gives its end.
fn refused(role: &str, settings: Settings<'_>, parts: &[&str]) {
    let binary = application("fraud-detection");
    let cluster = Cluster::new(&binary, settings);
    let what = format!("{role} with {settings:?}");
    let ended = Process::run(&what, &binary, &[role, "--config", &cluster.config()]);
    ended.failed_with(parts);
}

#[test]
fn settings_that_cannot_be_used_are_named_with_what_to_do() {
    let cases: [(Settings<'_>, &[&str]); 8] = [
        (
            &[("taskmanager.numberOfTaskSlot", "2")],
            &["taskmanager.numberOfTaskSlot", "taskmanager.numberOfTaskSlots", "config.yaml"],
        ),
        (&[("parallelism.default", "many")], &["parallelism.default", "many", "an integer"]),
        (&[("parallelism.default", "0")], &["parallelism.default", "from 1"]),
        (
            &[("execution.checkpointing.interval", "10 parsecs")],
            &["execution.checkpointing.interval", "parsecs", "min"],
        ),
        (
            &[("execution.checkpointing.interval", "1 s")],
            &["execution.checkpointing.interval", "execution.checkpointing.dir"],
        ),
        (
            &[("heartbeat.interval", "20 s"), ("heartbeat.timeout", "10 s")],
            &["heartbeat.interval", "heartbeat.timeout"],
        ),
        (&[("metrics.port", "0")], &["metrics.port", "duplicate"]),
        (&[("execution.checkpointing.mode", "AT_LEAST_ONCE")], &["execution.checkpointing.mode"]),
    ];
    for (settings, parts) in cases {
        refused("jobmanager", settings, parts);
        refused("taskmanager", settings, parts);
    }
}

#[test]
fn too_little_memory_for_the_slots_is_named_with_the_least_that_is_possible() {
    let settings = [("taskmanager.memory.process.size", "1 kb")];
    refused("taskmanager", &settings, &["taskmanager.memory.process.size", "at least"]);
}

#[test]
fn a_checkpoint_directory_that_this_build_has_no_store_for_is_named() {
    let settings = [
        ("execution.checkpointing.interval", "1 s"),
        ("execution.checkpointing.dir", "gs://bucket/checkpoints"),
    ];
    refused("jobmanager", &settings, &["gs://", "s3://BUCKET/PREFIX"]);
}

#[test]
fn a_bucket_without_a_region_to_find_it_in_is_an_error_and_no_panic() {
    let binary = application("fraud-detection");
    let settings =
        [("execution.checkpointing.dir", "s3://bucket/checkpoints"), ("s3.retry.timeout", "1 s")];
    let cluster = Cluster::new(&binary, &settings);
    let arguments = ["jobmanager", "--config", &cluster.config()];
    let mut process = Process::start_with("a bucket alone", &binary, &arguments, |command| {
        // Nobody else may say where it is: neither the shell nor the machine's metadata service.
        for variable in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"] {
            command.env_remove(variable);
        }
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    });
    process.wait().failed_with(&["s3://bucket"]);
}

#[test]
fn a_checkpoint_directory_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let directory = file.join("checkpoints");
    let settings = [
        ("execution.checkpointing.interval", "1 s"),
        ("execution.checkpointing.dir", directory.to_str().unwrap()),
    ];
    refused("jobmanager", &settings, &[directory.to_str().unwrap()]);
}

#[test]
fn a_configuration_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.yaml");
    let broken = folder.path().join("broken.yaml");
    fs::write(&broken, "rest.port: [8081\n").unwrap();
    for path in [missing, broken] {
        let path = path.to_str().unwrap();
        for role in ["jobmanager", "taskmanager"] {
            let binary = application("fraud-detection");
            Process::run(role, &binary, &[role, "--config", path]).failed_with(&[path]);
        }
    }
}

#[test]
fn ports_that_are_set_and_taken_are_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let binary = application("fraud-detection");
    for (role, key) in [
        ("jobmanager", "rest.port"),
        ("jobmanager", "jobmanager.rpc.port"),
        ("jobmanager", "metrics.port"),
        ("taskmanager", "metrics.port"),
        ("taskmanager", "taskmanager.data.port"),
    ] {
        let cluster = Cluster::new(&binary, &[]);
        let definition = format!("{key}={port}");
        let arguments = [role, "--config", &cluster.config(), "-D", &definition];
        let ended = Process::run(&format!("{role} with {definition}"), &binary, &arguments);
        ended.failed_with(&[key, &port]);
    }
}

#[test]
fn a_task_manager_that_finds_no_job_manager_gives_up_in_time() {
    let settings = [("taskmanager.registration.timeout", "1 s")];
    refused("taskmanager", &settings, &["taskmanager.registration.timeout", "127.0.0.1"]);
}
