//! Objects that are put together from parts and appear only when they are completed: what a
//! sink needs to commit in two phases on a store without renames. Not here: what the parts hold.

use serde::{Deserialize, Serialize};

use super::{BlobFuture, BlobPath};

/// An upload under way, as its store calls it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub String);

/// What the store answered to a part: the upload is completed with all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartReceipt {
    /// The part's number, from 1; the object is the parts in this order.
    pub number: u32,
    /// What the store calls its content.
    pub tag: String,
    /// Its length in bytes.
    pub length: u64,
}

/// All that it takes to complete an upload that is sealed, by any process and at any later time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedUpload {
    /// The upload.
    pub upload: UploadId,
    /// Its parts, in order.
    pub parts: Vec<PartReceipt>,
    /// The note that it was begun with.
    pub note: String,
}

/// What became of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompleteOutcome {
    /// The object is there now.
    Completed,
    /// It was there already: the same upload was completed before.
    CompletedBefore,
    /// Another object has that name; it's untouched.
    Taken,
    /// Neither the upload nor its object is there: it was completed and the object was taken
    /// away, or it was aborted.
    Gone,
}

/// A store with uploads. What is uploaded is durable when a method returns, and invisible to all
/// readers until the upload is completed.
///
/// A method's work begins when it is called, in the background if need be, and ends when its
/// future is dropped.
pub trait MultipartStore: Send + Sync {
    /// Begins an upload. `note` tells the object of this upload from others of that name: it's
    /// never used for another upload, and has at most 200 letters, digits and `-_.=/`.
    fn begin_upload(&self, path: &BlobPath, note: &str) -> BlobFuture<'static, UploadId>;

    /// Uploads a part, replacing the one of that number. All but the last have at least
    /// [`least_part_bytes`](MultipartStore::least_part_bytes).
    fn upload_part(
        &self,
        path: &BlobPath,
        upload: &UploadId,
        number: u32,
        bytes: Vec<u8>,
    ) -> BlobFuture<'static, PartReceipt>;

    /// Makes sure that the upload can be completed whatever becomes of whoever completes it, and
    /// of the connection. To be called when all parts are there, and before anything that is to
    /// last refers to it. After an error the upload may be lost: begin another one.
    fn seal_upload(&self, path: &BlobPath, finished: &FinishedUpload) -> BlobFuture<'static, ()>;

    /// Makes the object of a sealed upload appear under its name, unless there's one of that
    /// name (one that comes at the same moment may be replaced). Can be repeated, by anybody and
    /// at any time. After an error it's unknown whether it did: repeat it.
    fn complete_upload(
        &self,
        path: &BlobPath,
        finished: &FinishedUpload,
    ) -> BlobFuture<'static, CompleteOutcome>;

    /// Throws an upload away, sealed or not, with a single try. One that isn't there is no error.
    fn abort_upload(&self, path: &BlobPath, upload: &UploadId) -> BlobFuture<'static, ()>;

    /// The uploads that aren't completed and whose path begins with `prefix`, which may end within
    /// a name.
    fn uploads(&self, prefix: &BlobPath) -> BlobFuture<'static, Vec<(BlobPath, UploadId)>>;

    /// The least size of a part that isn't an object's last, and a good one: bytes.
    fn least_part_bytes(&self) -> u64;
}
