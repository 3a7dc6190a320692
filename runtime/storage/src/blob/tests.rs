//! The contract, checked on the stores of this crate that need nothing else.

mod contract;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;

/// Runs a future that never waits, as those of the stores here.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits"),
    }
}

use now as run;

fn path(text: &str) -> BlobPath {
    BlobPath::parse(text).unwrap()
}

/// Tries a part of the contract on both stores.
fn on_each(part: impl Fn(&Arc<dyn BlobStore>)) {
    let folder = tempfile::tempdir().unwrap();
    part(&(Arc::new(DirectoryStore::open(folder.path().join("deep/store")).unwrap()) as _));
    part(&(Arc::new(MemoryStore::new()) as _));
}

#[test]
fn a_blob_is_read_whole_and_in_ranges_until_it_is_deleted() {
    on_each(contract::a_blob_is_read_whole_and_in_ranges_until_it_is_deleted);
}

#[test]
fn a_listing_holds_what_lies_within_the_folder_in_order() {
    on_each(contract::a_listing_holds_what_lies_within_the_folder_in_order);
}

#[test]
fn of_many_that_create_a_blob_at_once_exactly_one_does() {
    on_each(contract::of_many_that_create_a_blob_at_once_exactly_one_does);
}

#[test]
fn a_blob_that_is_written_in_pieces_appears_when_it_is_whole() {
    on_each(contract::a_blob_that_is_written_in_pieces_appears_when_it_is_whole);
}

#[test]
fn a_directory_is_removed_when_it_is_empty_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("savepoint");
    let store = DirectoryStore::open(&root).unwrap();
    now(store.put(&path("a/b"), b"1".to_vec())).unwrap();
    std::fs::write(root.join("notes"), "somebody's own").unwrap();
    now(store.remove_if_empty()).unwrap();
    now(store.delete(&path("a/b"))).unwrap();
    now(store.remove_if_empty()).unwrap();
    assert!(root.join("notes").exists() && !root.join("a").exists());
    std::fs::remove_file(root.join("notes")).unwrap();
    now(store.remove_if_empty()).unwrap();
    assert!(!root.exists());
    now(store.remove_if_empty()).unwrap();
}

#[test]
fn a_directory_leaves_no_temporary_file_and_lists_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(folder.path()).unwrap();
    let name = path("a");
    now(store.put(&name, b"1".to_vec())).unwrap();
    now(store.put_if_absent(&name, b"2".to_vec())).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let mut writer = store.writer(&path("job/chk-1/b"));
    now(writer.append(b"1".to_vec())).unwrap();
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nor an empty folder");
    std::fs::write(folder.path().join(".tmp-1-1"), b"left by a crash").unwrap();
    assert_eq!(now(store.list(&BlobPath::root())).unwrap(), [name]);
}

#[test]
fn a_directory_knows_what_writers_have_left_that_are_gone_and_can_discard_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(folder.path()).unwrap();
    let (name, root) = (path("job/chk-1/e1-manifest"), BlobPath::root());
    // Under way, and left by a process that is gone.
    let mut writer = store.writer(&name);
    now(writer.append(b"half".to_vec())).unwrap();
    let place = folder.path().join("job/chk-1");
    std::fs::write(place.join(".tmp-77-3-e2-shared-x"), b"half").unwrap();
    // These tell nothing, or aren't the store's.
    for strange in [".tmp-77-3", ".tmp-x-3-a", ".tmp-77-3-.a", ".hidden", "blob"] {
        std::fs::write(place.join(strange), b"").unwrap();
    }
    let found = now(store.unfinished(&root)).unwrap();
    let paths: Vec<_> = found.iter().map(|write| write.path.as_str()).collect();
    assert_eq!(paths, [name.as_str(), "job/chk-1/e2-shared-x"]);
    assert_eq!(now(store.unfinished(&path("job/chk-2"))).unwrap(), []);
    for write in &found {
        now(store.discard_unfinished(write)).unwrap();
        now(store.discard_unfinished(write)).expect("one that is gone is no error");
    }
    assert_eq!(now(store.unfinished(&root)).unwrap(), []);
    // Whoever is still at it fails, and there's no blob.
    now(writer.append(b"more".to_vec())).unwrap();
    now(writer.finish()).unwrap_err();
    assert_eq!(now(store.list(&root)).unwrap(), [path("job/chk-1/blob")]);
}

#[test]
fn an_error_names_the_file_and_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(folder.path()).unwrap();
    now(store.put(&path("a"), Vec::new())).unwrap();
    let error = now(store.put(&path("a/b"), Vec::new())).unwrap_err().to_string();
    assert!(error.starts_with("can't write /") && error.contains("/a/b: "), "{error}");
    let error = now(store.get(&path("c"))).unwrap_err().to_string();
    assert!(error.contains("/c: ") && error.contains("check that the configured"), "{error}");
    let error = DirectoryStore::open(folder.path().join("a/d")).unwrap_err().to_string();
    assert!(error.contains("can't create the folder /"), "{error}");
}

#[test]
fn a_path_cannot_leave_the_store_or_mean_two_things() {
    for good in ["a", "a/b-c/d_e.f=1", ""] {
        assert_eq!(path(good).as_str(), good);
    }
    let long = "x".repeat(1025);
    for bad in
        ["/a", "a/", "a//b", "..", "a/../b", ".", "a/.hidden", "a b", "a\\b", "ä", "a\0", &long]
    {
        let error = BlobPath::parse(bad).unwrap_err();
        assert!(error.to_string().contains("can't name a blob"), "{bad}: {error}");
    }
    assert!(path("a").join("../b").is_err());
    assert_eq!(BlobPath::root().join("a").unwrap().join("b/c").unwrap(), path("a/b/c"));
}

#[test]
fn a_directory_keeps_no_folder_in_which_there_is_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(folder.path()).unwrap();
    for name in ["job/chk-1/a", "job/chk-1/b", "job/chk-2/a"] {
        now(store.put(&path(name), vec![1])).unwrap();
    }
    now(store.delete(&path("job/chk-1/a"))).unwrap();
    assert!(folder.path().join("job/chk-1").is_dir(), "there is still a blob in it");
    now(store.delete(&path("job/chk-1/b"))).unwrap();
    assert!(!folder.path().join("job/chk-1").exists());
    assert!(folder.path().join("job/chk-2").is_dir());
    now(store.delete(&path("job/chk-2/a"))).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    now(store.delete(&path("job/chk-2/a"))).unwrap();
    assert!(folder.path().is_dir(), "the store's own folder stays");
}

#[test]
fn a_write_that_fails_leaves_no_folder_behind() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(folder.path()).unwrap();
    // Longer than a file's name may be, as a full disk would, fails after the folder was made.
    let name = format!("job/chk-1/{}", "x".repeat(300));
    now(store.put(&path(&name), vec![1])).unwrap_err();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_blob_can_be_written_while_its_folder_is_removed_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(folder.path()).unwrap();
    std::thread::scope(|scope| {
        for name in ["chk/a", "chk/b"] {
            let store = &store;
            scope.spawn(move || {
                for _ in 0..200 {
                    now(store.put(&path(name), vec![1])).unwrap();
                    now(store.delete(&path(name))).unwrap();
                }
            });
        }
    });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
