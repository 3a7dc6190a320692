//! The contract: what every store does. The file is part of two test binaries, that of this crate
//! and that of `tests/s3`; what is above it there says which stores it is tried on.

use std::ops::Range;
use std::sync::{Arc, Barrier};

use super::{BlobErrorKind, BlobPath, BlobStore, PutOutcome, path, run};

pub(super) fn a_blob_is_read_whole_and_in_ranges_until_it_is_deleted(store: &Arc<dyn BlobStore>) {
    let name = path("job/chk-1/a");
    run(store.put(&name, b"old".to_vec())).unwrap();
    run(store.put(&name, b"0123456789".to_vec())).unwrap();
    assert_eq!(run(store.get(&name)).unwrap(), b"0123456789");
    assert_eq!(run(store.get_range(&name, 3..6)).unwrap(), b"345");
    assert_eq!(run(store.get_range(&name, 10..10)).unwrap(), b"");
    for range in [5..11, u64::MAX - 1..u64::MAX, Range { start: 6, end: 3 }] {
        let error = run(store.get_range(&name, range)).unwrap_err();
        assert_eq!(error.kind, BlobErrorKind::Range, "{error}");
        assert!(error.to_string().contains("job/chk-1/a"), "{error}");
    }
    run(store.delete(&name)).unwrap();
    run(store.delete(&name)).unwrap();
    for error in
        [run(store.get(&name)).unwrap_err(), run(store.get_range(&name, 0..1)).unwrap_err()]
    {
        assert_eq!(error.kind, BlobErrorKind::NotFound, "{error}");
    }
}

pub(super) fn a_listing_holds_what_lies_within_the_folder_in_order(store: &Arc<dyn BlobStore>) {
    for name in ["b/2", "a/10", "a/1", "a/x/1", "ab/1", "a/x/0"] {
        run(store.put(&path(name), Vec::new())).unwrap();
    }
    let list = |folder: &str| -> Vec<String> {
        let found = run(store.list(&path(folder))).unwrap();
        found.iter().map(BlobPath::to_string).collect()
    };
    assert_eq!(list("a"), ["a/1", "a/10", "a/x/0", "a/x/1"]);
    assert_eq!(list("a/x"), ["a/x/0", "a/x/1"]);
    assert_eq!(list(""), ["a/1", "a/10", "a/x/0", "a/x/1", "ab/1", "b/2"]);
    assert!(list("c").is_empty());
    assert!(list("b/2").is_empty(), "a blob is no folder");
}

pub(super) fn of_many_that_create_a_blob_at_once_exactly_one_does(store: &Arc<dyn BlobStore>) {
    let name = path("log/7");
    let start = Barrier::new(8);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let (name, start) = (&name, &start);
        let threads: Vec<_> = (0..8u8)
            .map(|writer| {
                scope.spawn(move || {
                    start.wait();
                    run(store.put_if_absent(name, vec![writer; 1000])).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winners: Vec<_> =
        (0..8).filter(|&writer| outcomes[writer] == PutOutcome::Created).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert_eq!(run(store.get(&name)).unwrap(), vec![winners[0] as u8; 1000]);
    assert_eq!(run(store.list(&BlobPath::root())).unwrap(), [name]);
}

pub(super) fn a_blob_that_is_written_in_pieces_appears_when_it_is_whole(
    store: &Arc<dyn BlobStore>,
) {
    let name = path("job/chk-1/pieces");
    let mut writer = store.writer(&name);
    let mut all = Vec::new();
    for (number, length) in [(1_u8, 10), (2, 0), (3, 4_000_000), (4, 7_000_000), (5, 1)] {
        run(writer.append(vec![number; length])).unwrap();
        all.extend(std::iter::repeat_n(number, length));
        assert!(run(store.list(&path("job"))).unwrap().is_empty(), "it isn't whole yet");
    }
    run(writer.finish()).unwrap();
    assert!(run(store.get(&name)).unwrap() == all, "it isn't what was written");
    // It replaces an older one, may be empty, and counts only if it is finished.
    for pieces in [0, 1] {
        let mut writer = store.writer(&name);
        (0..pieces).for_each(|_| run(writer.append(b"new".to_vec())).unwrap());
        run(writer.finish()).unwrap();
        assert_eq!(run(store.get(&name)).unwrap(), b"new".repeat(pieces));
    }
    let mut writer = store.writer(&path("job/chk-2/given-up"));
    run(writer.append(vec![7; 9_000_000])).unwrap();
    drop(writer);
    assert_eq!(run(store.list(&BlobPath::root())).unwrap(), [name]);
}
