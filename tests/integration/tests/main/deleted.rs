//! The state of an application that is deleted by `state delete`, in a directory and in S3: not
//! while a JobManager leads, and nothing goes on with it afterwards.

use std::path::Path;

use thalweg_integration_tests::{Cluster, Ended, FraudInput, Process, S3, application};
use thalweg_storage::{BlobPath, BlobStore, DirectoryStore};

use crate::high_availability::{self, wait_for_checkpoints};
use crate::s3_recorded;

fn state(words: &[&str]) -> Ended {
    Process::run("state", &application("fraud-detection"), &[&["state"], words].concat())
}

/// A job is running; everything of it dies; its state is deleted.
fn delete(
    mut cluster: Cluster,
    arguments: &[String],
    location: &str,
    list: impl Fn() -> Vec<String>,
) {
    let config = cluster.config();
    let delete = ["delete", "--config", &config, location];
    let job = cluster.rest.wait_for_job("RUNNING");
    wait_for_checkpoints(&cluster.rest, &job, 2);
    let led = state(&delete).failed_with(&["leads an application", "stop it before"]);
    assert!(led.stderr.contains(location), "{}", led.stderr);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"), "it was disturbed");
    cluster.job_manager.as_mut().unwrap().kill();
    cluster.task_managers.drain(..).for_each(|mut process| process.kill());

    let planned = state(&["delete", "--dry-run", "--config", &config, location]).succeeded();
    assert!(planned.stdout.contains("would be deleted"), "{}", planned.stdout);
    assert!(list().iter().any(|name| name.contains("manifest")), "a dry run deletes nothing");
    let deleted = state(&delete).succeeded();
    assert!(deleted.stdout.contains("are deleted"), "{}", deleted.stdout);
    let left = list();
    let of_log = |name: &String| name.split('/').nth(1) == Some("log");
    assert!(!left.is_empty() && left.iter().all(of_log), "{left:#?}");

    // It isn't begun again under that identity, and says why.
    cluster.start_job_manager(arguments);
    let ended = cluster.wait();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("the job's state was deleted"), "{}", ended.stderr);
    state(&delete).succeeded();
}

#[test]
fn state_in_a_directory_is_deleted_when_nobody_leads_and_nothing_goes_on_with_it() {
    let input = FraudInput::new(60_000, 101);
    let storage = input.path("storage");
    let arguments = input.arguments("run", &["--parallelism", "3", "--rate", "1000"]);
    let cluster = high_availability::running(&storage, "2 s", &arguments);
    let list = || names(&storage);
    delete(cluster, &arguments, storage.to_str().unwrap(), list);
}

fn names(storage: &Path) -> Vec<String> {
    let store = DirectoryStore::open(storage).unwrap();
    let listed = futures::executor::block_on(store.list(&BlobPath::root())).unwrap();
    listed.iter().map(ToString::to_string).collect()
}

#[test]
fn state_in_s3_is_deleted_when_nobody_leads_and_nothing_goes_on_with_it() {
    let input = FraudInput::new(60_000, 102);
    let s3 = S3::new("deleted");
    let rate = ["--parallelism", "3", "--rate", "1000"];
    let arguments = input.arguments_in(&s3.location("output"), "run", &rate);
    let cluster = s3_recorded::recorded(&s3, None, &arguments);
    let list = || s3.list("storage").iter().map(ToString::to_string).collect();
    delete(cluster, &arguments, &s3.location("storage"), list);
}
