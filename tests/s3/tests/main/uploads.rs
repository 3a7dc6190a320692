//! Objects in parts: large blobs, and uploads that somebody completes later.

use thalweg_s3_tests::Fault;
use thalweg_storage::BlobStore;
use thalweg_storage::blob::{
    BlobErrorKind, CompleteOutcome, FinishedUpload, MultipartStore, PutOutcome, RequestKind,
    RequestOutcome, UploadId,
};

use crate::support::{World, path, run};

/// Bytes of which no two parts are the same.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7 % 251) as u8 ^ (at >> 20) as u8).collect()
}

/// Uploads an object in two parts and doesn't complete it.
fn upload(store: &dyn MultipartStore, name: &str) -> FinishedUpload {
    let name = path(name);
    let upload = run(store.begin_upload(&name, "note/1")).unwrap();
    let first = run(store.upload_part(&name, &upload, 1, content(5 << 20))).unwrap();
    let second = run(store.upload_part(&name, &upload, 2, b"end".to_vec())).unwrap();
    FinishedUpload { upload, parts: vec![first, second], note: "note/1".to_owned() }
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

#[test]
fn an_upload_is_invisible_until_it_is_completed_and_may_be_completed_again() {
    let world = World::new("upload");
    let store = world.store();
    let name = path("part-1");
    let finished = upload(&store, "part-1");
    assert_eq!(run(store.get(&name)).unwrap_err().kind, BlobErrorKind::NotFound);
    assert_eq!(run(store.list(&path(""))).unwrap(), []);
    assert_eq!(run(store.uploads(&name)).unwrap(), [(name.clone(), finished.upload.clone())]);

    let complete = |finished| run(store.complete_upload(&name, finished)).unwrap();
    assert_eq!(complete(&finished), CompleteOutcome::Completed);
    assert_eq!(complete(&finished), CompleteOutcome::CompletedBefore);
    let bytes = run(store.get(&name)).unwrap();
    assert_eq!((bytes.len(), &bytes[5 << 20..]), ((5 << 20) + 3, b"end".as_slice()));
    assert_eq!(run(store.uploads(&name)).unwrap(), []);

    // Somebody takes it away.
    run(store.delete(&name)).unwrap();
    assert_eq!(complete(&finished), CompleteOutcome::Gone);
}

#[test]
fn an_object_of_somebody_else_is_not_replaced_by_a_completion() {
    let world = World::new("taken");
    let store = world.store();
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
}

#[test]
fn a_completion_whose_answer_is_lost_is_found_to_be_done() {
    let world = World::new("lost-answer");
    let proxy = world.proxy();
    let store = world.through(&proxy);
    let finished = upload(&store, "part-1");
    let mut first = true;
    proxy.disturb(move |request| match request.method.as_str() {
        "POST" if std::mem::take(&mut first) => Fault::DropAnswer,
        _ => Fault::Forward,
    });
    let name = path("part-1");
    let outcome = run(store.complete_upload(&name, &finished)).unwrap();
    assert_eq!(outcome, CompleteOutcome::CompletedBefore);
    assert_eq!(proxy.take_disturbed().len(), 1);
    assert_eq!(run(store.get(&name)).unwrap().len(), (5 << 20) + 3);
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
