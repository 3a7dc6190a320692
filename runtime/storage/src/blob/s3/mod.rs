//! A store in a bucket of S3, or of a server that speaks its language. Built in by the cargo
//! feature `s3` only.
//!
//! Conditional writes are S3's `If-None-Match: *`: a server that ignores them is found by the log's
//! probe. They are never repeated here, because what an unknown outcome means is the log's to
//! decide; everything else is, for as long as the settings say. Large objects are written in
//! parts. Uploads that somebody completes later are committed in one of two ways: see
//! `staged`. Not here: what objects are for, and which may be deleted.

mod client;
mod failure;
mod objects;
mod retry;
mod server;
mod settings;
mod staged;
mod upload;
mod writer;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use self::client::Repeat;
pub use self::client::S3Client;
pub use self::settings::{
    RetrySettings, S3Credentials, S3Location, S3LocationError, S3Settings, UploadCommit,
};
use super::{
    BlobError, BlobFuture, BlobPath, BlobStore, BlobWriter, CompleteOutcome, FinishedUpload,
    MultipartStore, PartReceipt, PutOutcome, UnfinishedWrite, UploadId,
};

/// Blobs as objects of a bucket, all keys below a prefix. Clones are the same store.
#[derive(Debug, Clone)]
pub struct S3Store {
    client: S3Client,
    location: Arc<S3Location>,
}

impl S3Store {
    /// The store at a location. Nothing is asked of the server yet.
    pub fn new(client: S3Client, location: S3Location) -> S3Store {
        S3Store { client, location: Arc::new(location) }
    }

    /// Where it is.
    pub fn location(&self) -> &S3Location {
        &self.location
    }

    /// The client of its requests.
    pub fn client(&self) -> &S3Client {
        &self.client
    }

    /// Does something with an object, beginning now.
    fn with<T, F>(
        &self,
        path: &BlobPath,
        work: impl FnOnce(S3Store, Object) -> F,
    ) -> BlobFuture<'static, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BlobError>> + Send + 'static,
    {
        match Object::new(&self.location, path) {
            Ok(object) => self.client.spawn(work(self.clone(), object)),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }
}

/// A name in the bucket.
#[derive(Debug, Clone)]
struct Object {
    bucket: String,
    key: String,
}

impl Object {
    fn new(location: &S3Location, path: &BlobPath) -> Result<Object, BlobError> {
        let key = location.key(path).map_err(|error| {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
            BlobError::new("name", format!("{location}/{path}"), source)
        })?;
        Ok(Object { bucket: location.bucket.clone(), key })
    }

    /// As it is called in errors.
    fn place(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl BlobStore for S3Store {
    fn unfinished<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<UnfinishedWrite>> {
        let within = folder.clone();
        self.with(folder, |store, object| async move {
            let uploads = store.list_uploads(&object).await?.into_iter();
            let uploads = uploads.filter(|(path, _)| path.is_within(&within));
            Ok(uploads.map(|(path, UploadId(id))| UnfinishedWrite { path, id }).collect())
        })
    }

    fn discard_unfinished<'s>(&'s self, write: &'s UnfinishedWrite) -> BlobFuture<'s, ()> {
        let upload = UploadId(write.id.clone());
        self.with(&write.path, |store, object| async move { store.abort(&object, &upload).await })
    }

    fn writer<'s>(&'s self, path: &BlobPath) -> Box<dyn BlobWriter + 's> {
        Box::new(writer::ObjectWriter::new(self.clone(), path))
    }

    fn put<'s>(&'s self, path: &'s BlobPath, bytes: Vec<u8>) -> BlobFuture<'s, ()> {
        self.with(
            path,
            |store, object| async move { store.put_object(&object, bytes.into()).await },
        )
    }

    fn put_if_absent<'s>(
        &'s self,
        path: &'s BlobPath,
        bytes: Vec<u8>,
    ) -> BlobFuture<'s, PutOutcome> {
        self.with(
            path,
            |store, object| async move { store.create_object(&object, bytes.into()).await },
        )
    }

    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        self.with(path, |store, object| async move { store.get_object(&object).await })
    }

    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        self.with(path, |store, object| async move { store.get_part(&object, range).await })
    }

    fn list<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>> {
        self.with(folder, |store, object| async move { store.list_objects(&object).await })
    }

    fn delete<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, ()> {
        self.with(
            path,
            |store, object| async move { store.delete_object(&object, Repeat::Yes).await },
        )
    }

    fn multipart(&self) -> Option<Arc<dyn MultipartStore>> {
        Some(Arc::new(self.clone()))
    }
}

impl MultipartStore for S3Store {
    fn begin_upload(&self, path: &BlobPath, note: &str) -> BlobFuture<'static, UploadId> {
        let (of, note) = (path.clone(), note.to_owned());
        self.with(path, |store, object| async move { store.begin_at(&of, &object, &note).await })
    }

    fn upload_part(
        &self,
        path: &BlobPath,
        upload: &UploadId,
        number: u32,
        bytes: Vec<u8>,
    ) -> BlobFuture<'static, PartReceipt> {
        let (of, upload) = (path.clone(), upload.clone());
        self.with(path, move |store, object| async move {
            let (object, upload) = match store.staged_upload(&of, &upload)? {
                Some(staged) => staged,
                None => (object, upload),
            };
            store.send_part(&object, &upload, number, bytes.into()).await
        })
    }

    fn seal_upload(&self, path: &BlobPath, finished: &FinishedUpload) -> BlobFuture<'static, ()> {
        let (of, finished) = (path.clone(), finished.clone());
        self.with(path, |store, _| async move { store.seal(&of, &finished).await })
    }

    fn complete_upload(
        &self,
        path: &BlobPath,
        finished: &FinishedUpload,
    ) -> BlobFuture<'static, CompleteOutcome> {
        let (of, finished) = (path.clone(), finished.clone());
        self.with(path, |store, object| async move { store.commit(&of, &object, &finished).await })
    }

    fn abort_upload(&self, path: &BlobPath, upload: &UploadId) -> BlobFuture<'static, ()> {
        let (of, upload) = (path.clone(), upload.clone());
        self.with(path, |store, object| async move { store.discard(&of, &object, &upload).await })
    }

    fn uploads(&self, prefix: &BlobPath) -> BlobFuture<'static, Vec<(BlobPath, UploadId)>> {
        let of = prefix.clone();
        self.with(prefix, |store, object| async move { store.all_uploads(&of, &object).await })
    }

    fn least_part_bytes(&self) -> u64 {
        self.client.settings().part_bytes
    }
}
