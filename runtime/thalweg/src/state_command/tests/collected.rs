//! What a dry run of a collection says is what a leader's collection does.

use std::collections::BTreeSet;

use thalweg_core::ids::Epoch;
use thalweg_storage::log::collect::CollectorView;
use thalweg_storage::log::collector;
use thalweg_storage::{BlobPath, BlobStore, inventory, layout};

use super::*;

/// The objects of a list, as a dry run with `words` gives them.
fn decided(path: &str, list: &str, words: &[&str]) -> BTreeSet<String> {
    let collections = json(&[&["gc", "--dry-run", path], words].concat());
    let decisions = collections[0][list].as_array().unwrap();
    decisions.iter().map(|one| one["object"].as_str().unwrap().to_owned()).collect()
}

fn why(path: &str, object: &str) -> String {
    let collections = json(&["gc", "--dry-run", path]);
    let lists = ["delete", "keep"].map(|list| collections[0][list].as_array().unwrap());
    let found = lists.into_iter().flatten().find(|one| one["object"] == object).unwrap();
    found["why"].as_str().unwrap().to_owned()
}

fn all(folder: &Path) -> BTreeSet<String> {
    let store = DirectoryStore::open(folder).unwrap();
    let listed = now(store.list(&BlobPath::root())).unwrap();
    listed.iter().map(ToString::to_string).collect()
}

/// The garbage by the rules themselves, with the manifests as roots.
fn garbage(folder: &Path, view: &CollectorView, roots: &[BlobPath]) -> BTreeSet<String> {
    let store: Arc<dyn BlobStore> = Arc::new(DirectoryStore::open(folder).unwrap());
    let log = Log::new(Arc::clone(&store), JOB);
    let mut referenced: BTreeSet<BlobPath> = roots.iter().cloned().collect();
    for root in roots {
        let manifest = now(inventory::read_manifest(store.as_ref(), root, None)).unwrap();
        referenced.extend(manifest.objects().unwrap());
    }
    let plan = collector::plan(&log, store.as_ref(), view, &referenced, layout::origin_of);
    now(plan).unwrap().garbage.iter().map(ToString::to_string).collect()
}

#[test]
fn a_dry_run_names_what_a_leader_would_delete_and_why_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let of = |epoch, id| store::checkpoint_of(folder.path(), Epoch(epoch), id);
    let mut first = claim_as(folder.path(), 1);
    for id in [1, 2] {
        now(first.publish(CheckpointId(id), &of(1, id))).unwrap();
    }
    let abandoned = of(1, 3);
    let mut second = claim_as(folder.path(), 2);
    let superseded = of(2, 3);
    let latest = [4, 5].map(|id| {
        let manifest = of(2, id);
        now(second.publish(CheckpointId(id), &manifest)).unwrap();
        manifest
    });
    let next = of(2, 6);
    let later = of(3, 6);
    let strange = format!("{JOB}/chk-1/notes");
    std::fs::write(folder.path().join(&strange), b"by hand").unwrap();

    let view = now(second.collector_view(None)).unwrap();
    let before = all(folder.path());
    let one = garbage(folder.path(), &view, &latest[1..]);
    assert_eq!(decided(path, "delete", &[]), one, "one is retained unless configured otherwise");
    let two = garbage(folder.path(), &view, &latest);
    assert_eq!(decided(path, "delete", &["--retained", "2"]), two);
    let configured = ["-D", "execution.checkpointing.num-retained=2"];
    assert_eq!(decided(path, "delete", &configured), two);
    assert!(two.len() < one.len() && two.len() == 16, "{two:#?}");
    assert_eq!(&decided(path, "keep", &[]) | &one, before, "all objects are accounted for");
    assert_eq!(all(folder.path()), before, "nothing is deleted");

    for (object, expected) in [
        (abandoned.as_str(), "epoch 1, whose leader is fenced"),
        (superseded.as_str(), "checkpoint 3: a later one is published"),
        (latest[1].as_str(), "retained checkpoints refer to it: 5"),
        (next.as_str(), "may still be published"),
        (later.as_str(), "epoch 3, later than"),
        (&strange, "doesn't tell whose"),
        (&format!("{JOB}/log/{:020}", 0), "last segment"),
    ] {
        assert!(why(path, object).contains(expected), "{object}: {}", why(path, object));
    }
    let (_, text) = run(&["gc", "--dry-run", path]).unwrap();
    assert!(text.contains("20 objects would be deleted"), "{text}");
}

#[test]
fn once_a_job_has_ended_what_is_left_of_it_is_its_last_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let of = |id| store::checkpoint_of(folder.path(), Epoch(1), id);
    let mut leader = claim_as(folder.path(), 1);
    let kept = [1, 2].map(|id| {
        let manifest = of(id);
        now(leader.publish(CheckpointId(id), &manifest)).unwrap();
        manifest
    });
    let unpublished = of(3);
    let last = Some(CheckpointId(2));
    now(leader.terminal(TerminalStatus::Finished, None, None, last)).unwrap();
    let deleted = decided(path, "delete", &[]);
    let tail = now(leader.log().tail()).unwrap().unwrap();
    let view = CollectorView::of_terminal(&tail.header).unwrap();
    assert_eq!(deleted, garbage(folder.path(), &view, &kept));
    assert!(deleted.len() == 4 && deleted.contains(unpublished.as_str()), "{deleted:?}");
    assert!(why(path, unpublished.as_str()).contains("the job has ended"));
}

#[test]
fn what_a_collection_has_deleted_in_part_is_not_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let of = |id| store::checkpoint_of(folder.path(), Epoch(1), id);
    let mut leader = claim(folder.path());
    for id in [1, 2] {
        now(leader.publish(CheckpointId(id), &of(id))).unwrap();
    }
    of(3);
    for id in [1, 3] {
        std::fs::remove_file(folder.path().join(format!("{JOB}/chk-{id}/e1-count-1"))).unwrap();
    }
    let (sound, text) = run(&["verify", path]).unwrap();
    assert!(sound && text.contains("3 checkpoints"), "{text}");
    let two = ["-D", "execution.checkpointing.num-retained=2"];
    let (sound, text) = run(&[&["verify", path][..], &two].concat()).unwrap();
    assert!(!sound && text.contains("chk-1/e1-count-1: operator \"count\""), "{text}");
    assert!(text.contains("1 problem\n") && !text.contains("chk-3/e1"), "{text}");
    std::fs::remove_file(folder.path().join(format!("{JOB}/chk-2/e1-source-0"))).unwrap();
    let (sound, text) = run(&["verify", path]).unwrap();
    assert!(!sound && text.contains("chk-2/e1-source-0: operator \"source\""), "{text}");
}

#[test]
fn nothing_is_decided_without_a_log_or_with_a_root_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let manifest = store::checkpoint_of(folder.path(), Epoch(1), 1);
    let error = run(&["gc", "--dry-run", path]).unwrap_err();
    assert!(error.contains("no job") && error.contains("high-availability.type"), "{error}");
    let mut leader = claim_as(folder.path(), 1);
    now(leader.publish(CheckpointId(1), &manifest)).unwrap();
    let file = folder.path().join(manifest.as_str());
    std::fs::write(&file, b"{}").unwrap();
    let error = run(&["gc", "--dry-run", path]).unwrap_err();
    assert!(error.contains("is damaged"), "{error}");
    std::fs::remove_file(&file).unwrap();
    let error = run(&["gc", "--dry-run", path]).unwrap_err();
    assert!(error.contains("publishes checkpoint 1"), "{error}");
}

#[test]
fn logs_may_be_in_another_directory_than_the_checkpoints() {
    let (checkpoints, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = checkpoints.path().to_str().unwrap();
    let manifests = [1, 2].map(|id| store::checkpoint_of(checkpoints.path(), Epoch(1), id));
    let mut leader = claim_as(logs.path(), 1);
    for (id, manifest) in (1..).zip(&manifests) {
        now(leader.publish(CheckpointId(id), manifest)).unwrap();
    }
    let elsewhere = ["--logs", logs.path().to_str().unwrap()];
    let deleted = decided(path, "delete", &elsewhere);
    assert!(deleted.len() == 4 && deleted.contains(manifests[0].as_str()), "{deleted:?}");
    let kept = decided(path, "keep", &elsewhere);
    assert!(kept.contains(&format!("{JOB}/log/{:020}", 2)), "{kept:?}");
    let listing = json(&[&["ls", path][..], &elsewhere].concat());
    assert_eq!(listing["checkpoints"][1]["standing"].as_str(), Some("latest"));
}
