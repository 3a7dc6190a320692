//! What applications have written to the cluster's S3.

use std::env::var;
use std::fs;
use std::path::Path;

use futures::executor::block_on;
use serde_json::{Value, json};
use thalweg_s3_tests::{ACCESS_KEY, Minio, SECRET_KEY};
use thalweg_storage::blob::s3::{S3Client, S3Location, S3Store};
use thalweg_storage::{BlobPath, BlobStore};

fn store(location: &str) -> S3Store {
    let endpoint = var("THALWEG_TEST_S3_ENDPOINT").expect("run the tests by tests/cluster/enter");
    let location = S3Location::parse(location).expect("it is a location");
    let client = S3Client::new(Minio::client_settings(&endpoint), 1);
    S3Store::new(client.expect("a thread can be started"), location)
}

/// The names of the objects below a location.
///
/// # Panics
/// S3 doesn't answer.
pub fn list(location: &str) -> Vec<BlobPath> {
    block_on(store(location).list(&BlobPath::root())).expect("S3 answers")
}

/// Copies the objects below a location into a folder.
///
/// # Panics
/// S3 doesn't answer.
pub fn download(location: &str, to: &Path) {
    let store = store(location);
    // What begins with `_` isn't for readers.
    for name in list(location).into_iter().filter(|name| !name.as_str().starts_with('_')) {
        let bytes = block_on(store.get(&name)).expect("S3 answers");
        let file = to.join(name.as_str());
        fs::create_dir_all(file.parent().expect("it is in a folder")).expect("it can be made");
        fs::write(file, bytes).expect("a file can be written");
    }
}

/// The Secret with the keys to the S3.
pub fn secret(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s3", "namespace": namespace},
        "stringData": {"access-key-id": ACCESS_KEY, "secret-access-key": SECRET_KEY},
    })
}
