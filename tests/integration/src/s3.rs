//! A place in a real S3 server, perhaps behind a proxy that disturbs it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use futures::executor::block_on;
use thalweg_s3_tests::{BUCKET, FaultProxy, Minio};
use thalweg_storage::blob::s3::{S3Client, S3Location, S3Store};
use thalweg_storage::{BlobPath, BlobStore};

/// A prefix of a test's own, on the server that all tests of this process share.
#[derive(Debug)]
pub struct S3 {
    minio: Arc<Minio>,
    prefix: String,
}

impl S3 {
    /// The place of this name.
    pub fn new(prefix: &str) -> S3 {
        S3 { minio: Minio::shared(), prefix: prefix.to_owned() }
    }

    /// Its name, for configurations and arguments.
    pub fn location(&self, folder: &str) -> String {
        format!("s3://{BUCKET}/{}/{folder}", self.prefix)
    }

    /// A proxy before the server.
    pub fn proxy(&self) -> FaultProxy {
        FaultProxy::start(&self.minio.address())
    }

    /// The configuration keys by which a process reaches the server, or a proxy before it.
    pub fn settings(&self, proxy: Option<&FaultProxy>) -> Vec<(String, String)> {
        let endpoint = proxy.map_or_else(|| self.minio.endpoint(), FaultProxy::endpoint);
        Minio::settings(&endpoint)
    }

    /// A store on a folder of it.
    pub fn store(&self, folder: &str) -> S3Store {
        let settings = Minio::client_settings(&self.minio.endpoint());
        let location = S3Location::parse(&self.location(folder)).expect("it is a location");
        S3Store::new(S3Client::new(settings, 1).expect("a thread can be started"), location)
    }

    /// The objects in a folder.
    pub fn list(&self, folder: &str) -> Vec<BlobPath> {
        block_on(self.store(folder).list(&BlobPath::root())).expect("the server runs")
    }

    /// Copies the objects of a folder, and of those in it, into one of this machine.
    pub fn download(&self, folder: &str, to: &Path) {
        fs::create_dir_all(to).expect("a folder can be made");
        let store = self.store(folder);
        // What begins with `_` isn't for readers.
        for name in self.list(folder).into_iter().filter(|name| !name.as_str().starts_with('_')) {
            let bytes = block_on(store.get(&name)).expect("the server runs");
            let file = to.join(name.as_str());
            fs::create_dir_all(file.parent().expect("it is in a folder"))
                .expect("a folder can be made");
            fs::write(file, bytes).expect("a file can be written");
        }
    }
}
