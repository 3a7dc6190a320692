//! What `state delete` deletes and refuses.

use std::sync::atomic::{AtomicBool, Ordering};

use thalweg_core::ids::{Epoch, cluster_log_id, job_id};
use thalweg_storage::{BlobPath, BlobStore, layout};

use super::*;

/// A lease of a second, so that it isn't waited for long.
const BRIEFLY: [&str; 4] = [
    "-D",
    "high-availability.leader-election.lease-duration=1 s",
    "-D",
    "high-availability.leader-election.retry-period=100 ms",
];

fn open(folder: &Path) -> DirectoryStore {
    DirectoryStore::open(folder).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let listed = now(open(folder).list(&BlobPath::root())).unwrap();
    listed.iter().map(ToString::to_string).collect()
}

/// A cluster with the store's job; its log, its name and its hint.
fn cluster(folder: &Path) {
    let log = Log::new(Arc::new(open(folder)), cluster_log_id("app"));
    now(Leader::claim(log, WriterId(1), "jm-0:6123")).unwrap();
    let application = layout::application(cluster_log_id("app")).unwrap();
    now(open(folder).put(&application, b"app".to_vec())).unwrap();
    hint(folder, 1);
}

fn hint(folder: &Path, counter: u64) {
    hint_of(folder, counter, "");
}

fn hint_of(folder: &Path, counter: u64, revision: &str) {
    let path = layout::leader(cluster_log_id("app")).unwrap();
    let hint = thalweg_jobmanager::high_availability::LeaderHint {
        address: "jm-0:6123".to_owned(),
        counter,
        revision: revision.to_owned(),
        ..Default::default()
    };
    let bytes = sealed::to_bytes(&hint, 1, path.as_str()).unwrap();
    now(open(folder).put(&path, bytes)).unwrap();
}

#[test]
fn delete_removes_everything_but_the_ends_of_logs_and_a_dry_run_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    cluster(folder.path());
    let manifest = store::checkpoint_of(folder.path(), Epoch(1), 1);
    now(claim(folder.path()).publish(CheckpointId(1), &manifest)).unwrap();
    std::fs::write(folder.path().join("notes"), "somebody's own").unwrap();
    let before = names(folder.path());
    let planned = json(&["delete", "--dry-run", path]);
    assert_eq!(names(folder.path()), before);
    assert_eq!(planned[0]["foreign"], serde_json::json!(["notes"]));
    let doomed = planned[0]["objects"].as_array().unwrap().len();

    let (sound, text) = run(&[&["delete", path], &BRIEFLY[..]].concat()).unwrap();
    assert!(sound && text.contains(&format!("{doomed} objects of 1 jobs are deleted")), "{text}");
    let left = names(folder.path());
    assert!(left.iter().all(|name| name.contains("/log/") || name == "notes"), "{left:?}");
    let (_, again) = run(&[&["delete", "--stopped", path], &BRIEFLY[..]].concat()).unwrap();
    assert!(again.contains("0 objects"), "{again}");
}

#[test]
fn delete_refuses_what_somebody_leads_and_what_is_no_applications_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    cluster(folder.path());
    store::checkpoint(folder.path(), 1);
    drop(claim(folder.path()));
    let before = names(folder.path());
    let (shown, ends) = (folder.path().to_owned(), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&ends);
    let leads = std::thread::Builder::new().name("leads".to_owned());
    let shows = leads.spawn(move || {
        let mut counters = 2..;
        while !ended.load(Ordering::Relaxed) {
            hint(&shown, counters.next().unwrap());
        }
    });
    let shows = shows.unwrap();
    let refused = run(&[&["delete", &path], &BRIEFLY[..]].concat()).unwrap_err();
    ends.store(true, Ordering::Relaxed);
    shows.join().unwrap();
    assert!(refused.contains("jm-0:6123 leads") && refused.contains("stop it before"), "{refused}");
    assert_eq!(names(folder.path()), before);

    for (below, says) in [
        (format!("{path}/{}", job_id("app", 0)), "isn't a place of whole applications"),
        (format!("{path}/nowhere"), "isn't a directory"),
    ] {
        let refused = run(&["delete", &below]).unwrap_err();
        assert!(refused.contains(says), "{below}: {refused}");
    }
    let other = tempfile::tempdir().unwrap();
    store::checkpoint(other.path(), 1);
    let refused = run(&["delete", other.path().to_str().unwrap()]).unwrap_err();
    assert!(refused.contains("there is no log at"), "{refused}");
    std::fs::write(other.path().join("manifest"), "a savepoint's").unwrap();
    let refused = run(&["delete", other.path().to_str().unwrap()]).unwrap_err();
    assert!(refused.contains("is a savepoint"), "{refused}");
}

#[test]
fn delete_refuses_what_a_leader_in_kubernetes_may_have_unless_it_is_told_that_none_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    cluster(folder.path());
    // It is written once there: that it doesn't change says nothing.
    hint_of(folder.path(), 1, "app-r3");
    let before = names(folder.path());
    let refused = run(&[&["delete", path], &BRIEFLY[..]].concat()).unwrap_err();
    assert!(refused.contains("revision app-r3") && refused.contains("--stopped"), "{refused}");
    assert_eq!(names(folder.path()), before);
    run(&[&["delete", "--stopped", path], &BRIEFLY[..]].concat()).unwrap();
    let left = names(folder.path());
    assert!(left.iter().all(|name| name.contains("/log/")), "{left:?}");
}
