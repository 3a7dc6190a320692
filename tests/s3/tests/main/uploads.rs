//! Objects in parts: large blobs, and uploads that somebody completes later.

use std::time::Duration;

use thalweg_s3_tests::Fault;
use thalweg_storage::blob::s3::{S3Settings, UploadCommit};
use thalweg_storage::blob::{
    BlobErrorKind, CompleteOutcome, FinishedUpload, MultipartStore, PutOutcome, RequestKind,
    RequestOutcome, UploadId,
};
use thalweg_storage::{BlobPath, BlobStore};

use crate::support::{World, path, run};

/// Bytes of which no two parts are the same.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7 % 251) as u8 ^ (at >> 20) as u8).collect()
}

/// Uploads an object in two parts, seals it, and doesn't complete it.
fn upload(store: &dyn MultipartStore, name: &str) -> FinishedUpload {
    let name = path(name);
    let upload = run(store.begin_upload(&name, "note/1")).unwrap();
    let first = run(store.upload_part(&name, &upload, 1, content(5 << 20))).unwrap();
    let second = run(store.upload_part(&name, &upload, 2, b"end".to_vec())).unwrap();
    let parts = vec![first, second];
    let finished = FinishedUpload { upload, parts, note: "note/1".to_owned() };
    run(store.seal_upload(&name, &finished)).unwrap();
    finished
}

#[test]
fn a_large_blob_goes_in_parts_and_is_read_whole_and_in_ranges() {
    let world = World::new("large");
    let store = world.store();
    let (name, bytes) = (path("blob"), content(12 << 20));
    run(store.put(&name, b"old".to_vec())).unwrap();
    run(store.put(&name, bytes.clone())).unwrap();
    assert_eq!(run(store.get(&name)).unwrap(), bytes);
    let range = (5 << 20) - 3..(5 << 20) + 3;
    let part = &bytes[range.start as usize..range.end as usize];
    assert_eq!(run(store.get_range(&name, range)).unwrap(), part);
    let requests = store.client().requests();
    assert_eq!(requests.count(RequestKind::UploadPart, RequestOutcome::Success), 3);
    assert_eq!(requests.sent_bytes(), 3 + (12 << 20));
}

#[test]
fn a_large_blob_is_created_once() {
    let world = World::new("large-once");
    let store = world.store();
    let (name, bytes) = (path("blob"), content(6 << 20));
    let created = run(store.put_if_absent(&name, bytes.clone())).unwrap();
    assert_eq!(created, PutOutcome::Created);
    let again = run(store.put_if_absent(&name, vec![0; 6 << 20])).unwrap();
    assert_eq!(again, PutOutcome::AlreadyExists);
    assert!(run(store.get(&name)).unwrap() == bytes, "it was replaced");
    assert_eq!(run(store.uploads(&name)).unwrap(), [], "the second one's parts are left");
}

/// How uploads are committed here: by the setting, and by what the server is known for.
const COMMITS: [UploadCommit; 3] =
    [UploadCommit::Completion, UploadCommit::Copy, UploadCommit::Auto];

/// Something for each way of committing, each in a place of its own.
fn each_commit(name: &str, check: impl Fn(&World, S3Settings)) {
    for commit in COMMITS {
        println!("{commit:?}");
        let world = World::new(&format!("{name}-{commit:?}"));
        check(&world, S3Settings { upload_commit: commit, ..world.settings() });
    }
}

/// What readers of the folder see.
fn visible(store: &dyn BlobStore) -> Vec<BlobPath> {
    let names = run(store.list(&path(""))).unwrap().into_iter();
    names.filter(|name| !name.as_str().starts_with('_')).collect()
}

#[test]
fn an_upload_is_invisible_until_it_is_completed_and_may_be_completed_again() {
    each_commit("upload", |world, settings| {
        let store = world.store_with(settings);
        let name = path("part-1");
        let finished = upload(&store, "part-1");
        assert_eq!(run(store.get(&name)).unwrap_err().kind, BlobErrorKind::NotFound);
        assert_eq!(visible(&store), []);
        let under_way = run(store.uploads(&name)).unwrap();
        assert!(under_way.len() == 1 && under_way[0].0 == name, "{under_way:?}");

        let complete = |finished| run(store.complete_upload(&name, finished)).unwrap();
        assert_eq!(complete(&finished), CompleteOutcome::Completed);
        assert_eq!(complete(&finished), CompleteOutcome::CompletedBefore);
        let bytes = run(store.get(&name)).unwrap();
        assert_eq!((bytes.len(), &bytes[5 << 20..]), ((5 << 20) + 3, b"end".as_slice()));
        assert_eq!(run(store.uploads(&name)).unwrap(), []);
        assert_eq!(run(store.list(&path(""))).unwrap(), std::slice::from_ref(&name));

        // Somebody takes it away.
        run(store.delete(&name)).unwrap();
        assert_eq!(complete(&finished), CompleteOutcome::Gone);
    });
}

#[test]
fn an_object_of_somebody_else_is_not_replaced_by_a_completion() {
    each_commit("taken", |world, settings| {
        let store = world.store_with(settings);
        let name = path("part-1");
        let finished = upload(&store, "part-1");
        run(store.put(&name, b"another's".to_vec())).unwrap();
        let outcome = run(store.complete_upload(&name, &finished)).unwrap();
        assert_eq!(outcome, CompleteOutcome::Taken);
        assert_eq!(run(store.get(&name)).unwrap(), b"another's");
        run(store.abort_upload(&name, &finished.upload)).unwrap();
        run(store.abort_upload(&name, &finished.upload)).unwrap();
        run(store.abort_upload(&name, &UploadId("unknown".to_owned()))).unwrap();
        assert_eq!(run(store.uploads(&name)).unwrap(), []);
        assert_eq!(run(store.list(&path(""))).unwrap(), [name]);
    });
}

#[test]
fn what_an_earlier_process_has_left_is_found_by_the_begin_of_its_name_and_thrown_away() {
    // This server lists uploads by their whole name alone: those that are sealed are objects.
    let world = World::new("left");
    let settings = S3Settings { upload_commit: UploadCommit::Copy, ..world.settings() };
    let store = world.store_with(settings);
    upload(&store, "part-1");
    upload(&store, "part-2");
    upload(&store, "other");
    let left = run(world.store().uploads(&path("part-"))).unwrap();
    assert_eq!(left.len(), 2, "{left:?}");
    for (name, upload) in left {
        run(world.store().abort_upload(&name, &upload)).unwrap();
    }
    let rest = run(world.store().uploads(&BlobPath::root())).unwrap();
    assert!(rest.len() == 1 && rest[0].0 == path("other"), "{rest:?}");
}

#[test]
fn a_completion_whose_answer_is_lost_is_found_to_be_done() {
    each_commit("lost-answer", |world, settings| {
        let proxy = world.proxy();
        let store = world.store_with(S3Settings { endpoint: Some(proxy.endpoint()), ..settings });
        let finished = upload(&store, "part-1");
        let mut first = true;
        proxy.disturb(move |request| {
            let commits = request.method == "POST" || request.header("x-amz-copy-source").is_some();
            if commits && std::mem::take(&mut first) { Fault::DropAnswer } else { Fault::Forward }
        });
        let name = path("part-1");
        let outcome = run(store.complete_upload(&name, &finished)).unwrap();
        // A copy is made again.
        let done = [CompleteOutcome::CompletedBefore, CompleteOutcome::Completed];
        assert!(done.contains(&outcome), "{outcome:?}");
        assert_eq!(proxy.take_disturbed().len(), 1);
        assert_eq!(run(store.get(&name)).unwrap().len(), (5 << 20) + 3);
        assert_eq!(run(store.uploads(&name)).unwrap(), []);
    });
}

/// As when a process is killed while it commits: the server sees the connection close. Of
/// 64 completions that were broken off within 6 ms MinIO has lost 17.
#[test]
fn a_commit_that_is_broken_off_at_any_moment_can_be_made_again() {
    const TIMES: u64 = 120;
    let world = World::new("broken-off");
    let proxy = world.proxy();
    let (mut settings, direct) = (world.settings(), world.store());
    settings.endpoint = Some(proxy.endpoint());
    settings.retry.timeout = Duration::ZERO;
    let store = world.store_with(settings);
    for time in 0..TIMES {
        proxy.heal();
        let name = path(&format!("part-{time}"));
        let bytes = content(3_000 + usize::try_from(time).unwrap());
        let note = name.to_string();
        let upload = run(store.begin_upload(&name, &note)).unwrap();
        let part = run(store.upload_part(&name, &upload, 1, bytes.clone())).unwrap();
        let finished = FinishedUpload { upload, parts: vec![part], note };
        run(store.seal_upload(&name, &finished)).unwrap();
        let after = Duration::from_micros(time * 50);
        proxy.disturb(move |request| match request.writes() {
            true => Fault::CutOff(after),
            false => Fault::Forward,
        });
        let broken_off = run(store.complete_upload(&name, &finished));
        assert!(broken_off.is_err(), "{time}: {broken_off:?}");
        assert_eq!(proxy.take_disturbed().len(), 1, "{time}");
        let outcome = run(direct.complete_upload(&name, &finished)).unwrap();
        let done = [CompleteOutcome::CompletedBefore, CompleteOutcome::Completed];
        assert!(done.contains(&outcome), "{time}: {outcome:?}");
        assert!(run(direct.get(&name)).unwrap() == bytes, "{time}: it has another content");
        assert_eq!(run(direct.uploads(&name)).unwrap(), [], "{time}");
    }
}

#[test]
fn parts_that_fail_for_good_leave_no_upload_behind() {
    let world = World::new("failed-parts");
    let proxy = world.proxy();
    let store = world.through(&proxy);
    proxy.disturb(|request| {
        let second = request.target.contains("partNumber=2");
        if second { Fault::Status(403) } else { Fault::Forward }
    });
    let name = path("blob");
    let error = run(store.put(&name, content(12 << 20))).unwrap_err();
    assert_eq!(error.kind, BlobErrorKind::Permission, "{error}");
    assert!(error.to_string().starts_with("can't upload a part of s3://"), "{error}");
    assert_eq!(run(store.uploads(&name)).unwrap(), []);
    assert_eq!(run(store.get(&name)).unwrap_err().kind, BlobErrorKind::NotFound);
}
