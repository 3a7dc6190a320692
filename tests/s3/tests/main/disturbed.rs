//! A store whose server fails now and then.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_s3_tests::Fault;
use thalweg_storage::BlobStore;
use thalweg_storage::blob::{BlobErrorKind, PutOutcome, RequestKind, RequestOutcome};

use crate::support::{World, path, run};

/// Each request fails in each of these ways, in this order, before it is served.
fn each_in_turn(faults: &'static [Fault]) -> impl FnMut(&thalweg_s3_tests::Request) -> Fault {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    move |request| {
        let tries = seen.entry(format!("{} {}", request.method, request.target)).or_default();
        *tries += 1;
        faults.get(*tries - 1).copied().unwrap_or(Fault::Forward)
    }
}

#[test]
fn what_fails_for_a_passing_reason_is_repeated_and_counted() {
    const FAULTS: &[Fault] = &[
        Fault::Status(500),
        Fault::Status(503),
        Fault::Close,
        Fault::DropAnswer,
        Fault::CutAnswer,
    ];
    let world = World::new("passing");
    let proxy = world.proxy();
    let store = world.through(&proxy);
    proxy.disturb(each_in_turn(FAULTS));
    let (name, bytes) = (path("a/b"), vec![7; 1 << 16]);
    run(store.put(&name, bytes.clone())).unwrap();
    assert_eq!(run(store.get(&name)).unwrap(), bytes);
    assert_eq!(run(store.list(&path("a"))).unwrap(), std::slice::from_ref(&name));
    run(store.delete(&name)).unwrap();
    assert_eq!(run(store.get(&name)).unwrap_err().kind, BlobErrorKind::NotFound);
    let requests = store.client().requests();
    for (kind, outcome, least) in [
        (RequestKind::Put, RequestOutcome::ServerError, 1),
        (RequestKind::Put, RequestOutcome::Throttled, 1),
        (RequestKind::Put, RequestOutcome::Unreachable, 2),
        (RequestKind::Put, RequestOutcome::Success, 1),
        (RequestKind::Get, RequestOutcome::Unreachable, 3),
        (RequestKind::Get, RequestOutcome::NotFound, 1),
        (RequestKind::List, RequestOutcome::Success, 1),
        (RequestKind::Delete, RequestOutcome::Throttled, 1),
    ] {
        let count = requests.count(kind, outcome);
        assert!(count >= least, "{kind} {outcome}: {count}; all: {:?}", requests.counts());
    }
}

#[test]
fn an_answer_that_comes_too_late_is_asked_for_again() {
    const SLOWLY: &[Fault] = &[Fault::Slowly(Duration::from_secs(30))];
    let world = World::new("late");
    let proxy = world.proxy();
    let mut settings = world.settings();
    settings.endpoint = Some(proxy.endpoint());
    settings.request_timeout = Duration::from_millis(300);
    let store = world.store_with(settings);
    run(store.put(&path("a"), b"x".to_vec())).unwrap();
    proxy.disturb(each_in_turn(SLOWLY));
    assert_eq!(run(store.get(&path("a"))).unwrap(), b"x");
    let timeouts = store.client().requests().count(RequestKind::Get, RequestOutcome::Timeout);
    assert_eq!(timeouts, 1);
}

#[test]
fn a_conditional_write_is_asked_once_and_what_is_unknown_goes_to_the_caller() {
    let world = World::new("conditional");
    let proxy = world.proxy();
    let store = world.through(&proxy);
    let name = path("log/1");
    for (fault, is_there) in [
        (Fault::Status(500), false),
        (Fault::Status(503), false),
        (Fault::Status(409), false),
        (Fault::Close, false),
        (Fault::DropAnswer, true),
    ] {
        proxy.disturb(move |_| fault);
        run(store.put_if_absent(&name, b"mine".to_vec())).unwrap_err();
        assert_eq!(proxy.take_disturbed().len(), 1, "{fault:?}");
        proxy.heal();
        assert_eq!(run(store.get(&name)).is_ok(), is_there, "{fault:?}");
    }
    let again = run(store.put_if_absent(&name, b"other".to_vec())).unwrap();
    assert_eq!(again, PutOutcome::AlreadyExists);
    assert_eq!(run(store.get(&name)).unwrap(), b"mine");
}
