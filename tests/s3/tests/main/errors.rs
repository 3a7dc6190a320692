//! What users see when something is wrong with their store.

use std::time::Duration;

use thalweg_s3_tests::Fault;
use thalweg_storage::blob::s3::{
    RetrySettings, S3Client, S3Credentials, S3Location, S3Settings, S3Store,
};
use thalweg_storage::blob::{BlobErrorKind, RequestKind, RequestOutcome};
use thalweg_storage::log::{WriterId, probe};
use thalweg_storage::{BlobError, BlobStore};

use crate::support::{World, path, run};

fn write_with(world: &World, change: impl FnOnce(&mut S3Settings)) -> BlobError {
    let mut settings = world.settings();
    change(&mut settings);
    run(world.store_with(settings).put(&path("a/b"), b"x".to_vec())).unwrap_err()
}

fn keys(access: &str, secret: &str) -> S3Credentials {
    S3Credentials::Keys { access: access.to_owned(), secret: secret.to_owned() }
}

fn check(error: &BlobError, kind: BlobErrorKind, parts: &[&str]) {
    assert_eq!(error.kind, kind, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part:?} isn't in: {error}");
    }
}

#[test]
fn wrong_keys_are_told_apart() {
    let world = World::new("keys");
    let unknown = write_with(&world, |settings| settings.credentials = keys("nobody", "secret"));
    let parts = ["can't write s3://thalweg/keys/a/b: ", "403 InvalidAccessKeyId", "s3.access-key"];
    check(&unknown, BlobErrorKind::Permission, &parts);

    let access = thalweg_s3_tests::ACCESS_KEY;
    let wrong = write_with(&world, |settings| settings.credentials = keys(access, "secret"));
    let parts = ["403 SignatureDoesNotMatch", "the secret key is wrong"];
    check(&wrong, BlobErrorKind::Permission, &parts);

    let missing = write_with(&world, |settings| {
        settings.credentials = S3Credentials::Profile;
        settings.profile = Some("thalweg-tests-have-no-such-profile".to_owned());
    });
    let parts = ["no usable keys were found", "s3.credentials.source"];
    check(&missing, BlobErrorKind::Permission, &parts);
}

#[test]
fn a_missing_bucket_is_no_missing_blob() {
    let world = World::new("bucket");
    let client = S3Client::new(world.settings(), 1).unwrap();
    let location = S3Location::parse("s3://no-such-bucket/a").unwrap();
    let store = S3Store::new(client, location);
    let name = path("x");
    let parts = ["s3://no-such-bucket/a/", "404 NoSuchBucket", "create the bucket"];
    check(&run(store.get(&name)).unwrap_err(), BlobErrorKind::Other, &parts);
    check(&run(store.list(&path("x"))).unwrap_err(), BlobErrorKind::Other, &parts);
    check(&run(store.put(&name, Vec::new())).unwrap_err(), BlobErrorKind::Other, &parts);
    check(&run(store.delete(&name)).unwrap_err(), BlobErrorKind::Other, &parts);
}

#[test]
fn an_unreachable_server_is_named_after_the_tries_are_over() {
    let world = World::new("unreachable");
    let mut settings = world.settings();
    // Nobody listens on the discard port.
    settings.endpoint = Some("http://127.0.0.1:9".to_owned());
    settings.retry.timeout = Duration::from_millis(300);
    let store = world.store_with(settings);
    let error = run(store.put(&path("a/b"), b"x".to_vec())).unwrap_err();
    let parts = ["s3://thalweg/unreachable/a/b: ", " tries; check s3.endpoint", "onnect"];
    check(&error, BlobErrorKind::Other, &parts);
    let tries = store.client().requests().count(RequestKind::Put, RequestOutcome::Unreachable);
    assert!(tries > 2, "{tries} tries");
}

#[test]
fn a_server_that_is_silent_costs_no_more_than_the_time_for_tries() {
    let world = World::new("silent");
    let proxy = world.proxy();
    proxy.disturb(|_| Fault::Silent);
    let mut settings = world.settings();
    settings.endpoint = Some(proxy.endpoint());
    settings.request_timeout = Duration::from_millis(100);
    settings.retry.timeout = Duration::from_millis(400);
    let store = world.store_with(settings);
    let error = run(store.get(&path("a/b"))).unwrap_err();
    check(&error, BlobErrorKind::Other, &["tries; check s3.endpoint and the network"]);
    let requests = store.client().requests();
    let tries = requests.count(RequestKind::Get, RequestOutcome::Timeout);
    assert!((2..=4).contains(&tries), "{tries} tries in 400 ms of 100 ms each");
}

#[test]
fn a_store_that_may_only_be_read_is_found_by_the_probe() {
    let world = World::new("read-only");
    let proxy = world.proxy();
    proxy.disturb(|request| if request.writes() { Fault::Status(403) } else { Fault::Forward });
    let store = world.through(&proxy);
    let error = run(probe::probe(&store, WriterId(1))).unwrap_err().to_string();
    for part in ["can't write s3://thalweg/read-only/probe/", "403 AccessDenied", "s3:PutObject"] {
        assert!(error.contains(part), "{part:?} isn't in: {error}");
    }
}

#[test]
fn no_time_for_repetitions_means_none() {
    let world = World::new("once");
    let proxy = world.proxy();
    proxy.disturb(|_| Fault::Status(500));
    let mut settings = world.settings();
    settings.endpoint = Some(proxy.endpoint());
    settings.retry = RetrySettings { timeout: Duration::ZERO, ..settings.retry };
    let error = run(world.store_with(settings).get(&path("a"))).unwrap_err();
    check(&error, BlobErrorKind::Other, &["500 InternalError (the proxy says so); the server has"]);
    assert_eq!(proxy.take_disturbed().len(), 1);
}
