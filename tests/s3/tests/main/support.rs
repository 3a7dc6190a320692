//! A server, perhaps a proxy before it, and a store on it.

use std::future::Future;
use std::sync::Arc;

use thalweg_s3_tests::{BUCKET, FaultProxy, Minio};
use thalweg_storage::BlobPath;
use thalweg_storage::blob::s3::{S3Client, S3Location, S3Settings, S3Store};

/// Waits for a future here: a store's need no runtime around them.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

pub(crate) fn path(text: &str) -> BlobPath {
    BlobPath::parse(text).unwrap()
}

/// The server, and a prefix of the test's own.
pub(crate) struct World {
    minio: Arc<Minio>,
    prefix: String,
}

impl World {
    pub(crate) fn new(prefix: &str) -> World {
        World { minio: Minio::shared(), prefix: prefix.to_owned() }
    }

    pub(crate) fn settings(&self) -> S3Settings {
        Minio::client_settings(&self.minio.endpoint())
    }

    /// A proxy before the server.
    pub(crate) fn proxy(&self) -> FaultProxy {
        FaultProxy::start(&self.minio.address())
    }

    /// The store, directly at the server.
    pub(crate) fn store(&self) -> S3Store {
        self.store_with(self.settings())
    }

    pub(crate) fn store_with(&self, settings: S3Settings) -> S3Store {
        let location = S3Location::parse(&format!("s3://{BUCKET}/{}", self.prefix)).unwrap();
        S3Store::new(S3Client::new(settings, 1).unwrap(), location)
    }

    /// The same store through a proxy. Time-outs are short.
    pub(crate) fn through(&self, proxy: &FaultProxy) -> S3Store {
        self.store_with(Minio::client_settings(&proxy.endpoint()))
    }
}
