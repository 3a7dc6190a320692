//! Uploads in parts: of large blobs, and of whoever commits in two phases.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use super::super::{
    BlobError, BlobErrorKind, BlobPath, CompleteOutcome, FinishedUpload, PartReceipt, PutOutcome,
    RequestKind, RequestOutcome, UploadId,
};
use super::client::Repeat;
use super::failure::Failure;
use super::{Object, S3Store};

/// The metadata that says which upload made an object.
pub(super) const NOTE: &str = "thalweg-upload";

/// Most parts of an object, by S3.
pub(super) const PARTS_MAX: u64 = 10_000;

/// Most uploads under way that are listed at a time: the rest is found the next time.
const UPLOADS_MAX: usize = 10_000;

/// A part on its way.
pub(super) type PartUnderWay = Pin<Box<dyn Future<Output = Result<PartReceipt, BlobError>> + Send>>;

impl S3Store {
    /// Writes a large object in parts, replacing one of that name.
    pub(super) async fn put_in_parts(
        &self,
        object: &Object,
        bytes: Bytes,
    ) -> Result<(), BlobError> {
        let finished = self.upload_all(object, bytes).await?;
        self.replace_by(object, &finished).await
    }

    /// Completes an upload, replacing an object of that name; throws it away if that fails.
    pub(super) async fn replace_by(
        &self,
        object: &Object,
        finished: &FinishedUpload,
    ) -> Result<(), BlobError> {
        let completed = self.finish(object, finished, None, Repeat::Yes).await;
        match self.judge(object, finished, completed).await {
            Ok(CompleteOutcome::Completed | CompleteOutcome::CompletedBefore) => Ok(()),
            Ok(CompleteOutcome::Taken | CompleteOutcome::Gone) => {
                let text = "the upload was aborted or replaced by somebody else; try again";
                Err(BlobError::new("write", object, std::io::Error::other(text)))
            }
            Err(error) => {
                self.give_up(object, &finished.upload).await;
                Err(error)
            }
        }
    }

    /// Writes a large object in parts unless there's one of that name.
    pub(super) async fn create_in_parts(
        &self,
        object: &Object,
        bytes: Bytes,
    ) -> Result<PutOutcome, BlobError> {
        let finished = self.upload_all(object, bytes).await?;
        match self.finish(object, &finished, Some("*"), Repeat::No).await? {
            Completion::Done => Ok(PutOutcome::Created),
            Completion::Exists => {
                self.give_up(object, &finished.upload).await;
                Ok(PutOutcome::AlreadyExists)
            }
            Completion::NoUpload => {
                let text = "the upload was aborted by somebody else; try again";
                Err(BlobError::new("create", object, std::io::Error::other(text)))
            }
        }
    }

    /// What no other upload has.
    pub(super) fn note(&self) -> String {
        format!("{:016x}{:016x}", self.client.random(), self.client.random())
    }

    /// Uploads all parts of an object, so many at a time.
    async fn upload_all(&self, object: &Object, bytes: Bytes) -> Result<FinishedUpload, BlobError> {
        let note = self.note();
        let upload = self.begin(object, &note).await?;
        match self.upload_parts(object, &upload, bytes).await {
            Ok(parts) => Ok(FinishedUpload { upload, parts, note }),
            Err(error) => {
                self.give_up(object, &upload).await;
                Err(error)
            }
        }
    }

    async fn upload_parts(
        &self,
        object: &Object,
        upload: &UploadId,
        mut rest: Bytes,
    ) -> Result<Vec<PartReceipt>, BlobError> {
        let settings = self.client.settings();
        let length = rest.len() as u64;
        let part_bytes = settings.part_bytes.max(length.div_ceil(PARTS_MAX));
        let part_bytes = usize::try_from(part_bytes).unwrap_or(usize::MAX);
        let mut under_way: Vec<PartUnderWay> = Vec::new();
        let mut parts = Vec::new();
        let mut number = 0;
        while !rest.is_empty() || !under_way.is_empty() {
            if !rest.is_empty() && under_way.len() < settings.concurrent_parts {
                number += 1;
                let piece = rest.split_to(part_bytes.min(rest.len()));
                let (store, object, upload) = (self.clone(), object.clone(), upload.clone());
                let send = async move { store.send_part(&object, &upload, number, piece).await };
                under_way.push(self.client.spawn(send));
                continue;
            }
            parts.push(first_done(&mut under_way).await?);
        }
        parts.sort_by_key(|part: &PartReceipt| part.number);
        Ok(parts)
    }

    pub(super) async fn begin(&self, object: &Object, note: &str) -> Result<UploadId, BlobError> {
        let attempt = |client: aws_sdk_s3::Client| {
            let request = client
                .create_multipart_upload()
                .bucket(&object.bucket)
                .key(&object.key)
                .metadata(NOTE, note);
            async move {
                let answer = request.send().await?;
                answer.upload_id.ok_or_else(|| {
                    let text = "the server began an upload and didn't name it";
                    Failure::new(RequestOutcome::Refused, text)
                })
            }
        };
        let place = object.place();
        let kind = RequestKind::BeginUpload;
        let what = ("begin an upload to", place.as_str());
        Ok(UploadId(self.client.request(kind, Repeat::Yes, what, attempt).await?))
    }

    pub(super) async fn send_part(
        &self,
        object: &Object,
        upload: &UploadId,
        number: u32,
        bytes: Bytes,
    ) -> Result<PartReceipt, BlobError> {
        let part_number = i32::try_from(number).unwrap_or(i32::MAX);
        let length = bytes.len() as u64;
        let attempt = |client: aws_sdk_s3::Client| {
            let request = client
                .upload_part()
                .bucket(&object.bucket)
                .key(&object.key)
                .upload_id(&upload.0)
                .part_number(part_number)
                .body(ByteStream::from(bytes.clone()));
            async move {
                let answer = request.send().await?;
                answer.e_tag.ok_or_else(|| {
                    let text = "the server took a part and gave no ETag for it";
                    Failure::new(RequestOutcome::Refused, text)
                })
            }
        };
        let place = object.place();
        let kind = RequestKind::UploadPart;
        let what = ("upload a part of", place.as_str());
        let tag = self.client.request(kind, Repeat::Yes, what, attempt).await?;
        self.client.requests().note_sent(length);
        Ok(PartReceipt { number, tag, length })
    }

    pub(super) async fn complete(
        &self,
        object: &Object,
        finished: &FinishedUpload,
    ) -> Result<CompleteOutcome, BlobError> {
        let completed = self.finish(object, finished, Some("*"), Repeat::Yes).await;
        self.judge(object, finished, completed).await
    }

    /// Completes an upload; what the server says, taken literally.
    async fn finish(
        &self,
        object: &Object,
        finished: &FinishedUpload,
        if_none_match: Option<&str>,
        repeat: Repeat,
    ) -> Result<Completion, BlobError> {
        let mut parts = CompletedMultipartUpload::builder();
        for part in &finished.parts {
            let number = i32::try_from(part.number).unwrap_or(i32::MAX);
            let part = CompletedPart::builder().part_number(number).e_tag(&part.tag).build();
            parts = parts.parts(part);
        }
        let parts = parts.build();
        let attempt = |client: aws_sdk_s3::Client| {
            let request = client
                .complete_multipart_upload()
                .bucket(&object.bucket)
                .key(&object.key)
                .upload_id(&finished.upload.0)
                .set_if_none_match(if_none_match.map(str::to_owned))
                .multipart_upload(parts.clone());
            async move {
                match request.send().await.map_err(Failure::from) {
                    Ok(_) => Ok(Completion::Done),
                    Err(failure) if failure.outcome == RequestOutcome::Exists => {
                        Ok(Completion::Exists)
                    }
                    Err(failure) if failure.is_missing_upload() => Ok(Completion::NoUpload),
                    Err(failure) => Err(failure),
                }
            }
        };
        let place = object.place();
        let kind = RequestKind::CompleteUpload;
        self.client.request(kind, repeat, ("complete the upload of", &place), attempt).await
    }

    /// What a completion has come to, by a look at the object where the answer alone doesn't
    /// tell: a repeated request finds that its first try has done it.
    async fn judge(
        &self,
        object: &Object,
        finished: &FinishedUpload,
        completed: Result<Completion, BlobError>,
    ) -> Result<CompleteOutcome, BlobError> {
        let completion = completed?;
        if completion == Completion::Done {
            return Ok(CompleteOutcome::Completed);
        }
        self.find(object, &finished.note).await
    }

    /// What is there under an upload's name: its object, another one, or nothing.
    pub(super) async fn find(
        &self,
        object: &Object,
        note: &str,
    ) -> Result<CompleteOutcome, BlobError> {
        match self.look_at(object).await {
            Ok(look) if look.note.as_deref() == Some(note) => Ok(CompleteOutcome::CompletedBefore),
            Ok(_) => Ok(CompleteOutcome::Taken),
            Err(error) if error.kind == BlobErrorKind::NotFound => Ok(CompleteOutcome::Gone),
            Err(error) => Err(error),
        }
    }

    /// Asked once: whoever aborts has given up already, and shouldn't wait for a server that is
    /// away.
    pub(super) async fn abort(&self, object: &Object, upload: &UploadId) -> Result<(), BlobError> {
        let attempt = |client: aws_sdk_s3::Client| {
            let request = client
                .abort_multipart_upload()
                .bucket(&object.bucket)
                .key(&object.key)
                .upload_id(&upload.0);
            async move {
                match request.send().await.map_err(Failure::from) {
                    Ok(_) => Ok(()),
                    Err(failure) if failure.is_missing_upload() => Ok(()),
                    Err(failure) => Err(failure),
                }
            }
        };
        let place = object.place();
        let kind = RequestKind::AbortUpload;
        self.client.request(kind, Repeat::No, ("abort an upload to", &place), attempt).await
    }

    /// Throws an upload away after a failure, which is what is reported. What can't be thrown
    /// away costs space until the bucket's own rule for such uploads removes it.
    pub(super) async fn give_up(&self, object: &Object, upload: &UploadId) {
        let _ = self.abort(object, upload).await;
    }

    pub(super) async fn list_uploads(
        &self,
        prefix: &Object,
    ) -> Result<Vec<(BlobPath, UploadId)>, BlobError> {
        let place = prefix.place();
        let mut found = Vec::new();
        let (mut key, mut upload): (Option<String>, Option<String>) = (None, None);
        loop {
            let attempt = |client: aws_sdk_s3::Client| {
                let request = client
                    .list_multipart_uploads()
                    .bucket(&prefix.bucket)
                    .prefix(&prefix.key)
                    .set_key_marker(key.clone())
                    .set_upload_id_marker(upload.clone());
                async move { Ok(request.send().await?) }
            };
            let kind = RequestKind::ListUploads;
            let what = ("list the uploads to", place.as_str());
            let page = self.client.request(kind, Repeat::Yes, what, attempt).await?;
            for entry in page.uploads.into_iter().flatten() {
                let path = entry.key.as_deref().and_then(|key| self.location.path(key));
                found.extend(path.zip(entry.upload_id.map(UploadId)));
            }
            let more = page.is_truncated == Some(true) && found.len() < UPLOADS_MAX;
            (key, upload) = (page.next_key_marker, page.next_upload_id_marker);
            if !more || key.is_none() {
                break;
            }
        }
        found.sort();
        Ok(found)
    }
}

/// What the server says about a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Completion {
    Done,
    /// There's an object of that name.
    Exists,
    /// There's no such upload.
    NoUpload,
}

/// Waits for any of the parts and takes it out.
pub(super) async fn first_done(
    under_way: &mut Vec<PartUnderWay>,
) -> Result<PartReceipt, BlobError> {
    poll_fn(|context| {
        for index in 0..under_way.len() {
            if let Poll::Ready(done) = under_way[index].as_mut().poll(context) {
                drop(under_way.swap_remove(index));
                return Poll::Ready(done);
            }
        }
        Poll::Pending
    })
    .await
}
