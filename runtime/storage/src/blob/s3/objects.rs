//! Requests that are about whole objects. Not here: uploads in parts.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;

use super::super::{
    BlobError, BlobErrorKind, BlobPath, PutOutcome, RequestKind, RequestMetrics, RequestOutcome,
};
use super::client::Repeat;
use super::failure::Failure;
use super::{Object, S3Store};

/// Most names that a listing gives: more are an error, and a sign that nothing is ever deleted.
const LIST_MAX: usize = 1_000_000;

/// Most bytes that are reserved at once for an answer, whatever length it announces.
const RESERVED_BYTES_MAX: usize = 64 << 20;

/// Reads a body to its end. No pause in it is longer than `timeout`.
async fn read(
    mut body: ByteStream,
    length: Option<i64>,
    timeout: Duration,
    requests: &RequestMetrics,
) -> Result<Vec<u8>, Failure> {
    let announced = length.and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(RESERVED_BYTES_MAX));
    loop {
        let next = tokio::time::timeout(timeout, body.next()).await.map_err(|_| {
            let text = format!("nothing more came for {timeout:?} within the answer");
            Failure::new(RequestOutcome::Timeout, text)
        })?;
        match next {
            Some(Ok(piece)) => {
                requests.note_received(piece.len() as u64);
                bytes.extend_from_slice(&piece);
            }
            Some(Err(error)) => {
                return Err(Failure::new(RequestOutcome::Unreachable, error));
            }
            None if announced.is_some_and(|announced| announced != bytes.len()) => {
                let text = format!("the answer ended after {} bytes", bytes.len());
                return Err(Failure::new(RequestOutcome::Unreachable, text));
            }
            None => return Ok(bytes),
        }
    }
}

impl S3Store {
    pub(super) async fn put_object(&self, object: &Object, bytes: Bytes) -> Result<(), BlobError> {
        if bytes.len() as u64 > self.client.settings().part_bytes {
            return self.put_in_parts(object, bytes).await;
        }
        let attempt = |client: aws_sdk_s3::Client| {
            let request = client
                .put_object()
                .bucket(&object.bucket)
                .key(&object.key)
                .body(ByteStream::from(bytes.clone()));
            async move { Ok(request.send().await?) }
        };
        let what = ("write", object.place());
        self.client.request(RequestKind::Put, Repeat::Yes, (what.0, &what.1), attempt).await?;
        self.client.requests().note_sent(bytes.len() as u64);
        Ok(())
    }

    pub(super) async fn create_object(
        &self,
        object: &Object,
        bytes: Bytes,
    ) -> Result<PutOutcome, BlobError> {
        if bytes.len() as u64 > self.client.settings().part_bytes {
            return self.create_in_parts(object, bytes).await;
        }
        let attempt = |client: aws_sdk_s3::Client| {
            let request = client
                .put_object()
                .bucket(&object.bucket)
                .key(&object.key)
                .if_none_match("*")
                .body(ByteStream::from(bytes.clone()));
            async move {
                match request.send().await.map_err(Failure::from) {
                    Ok(_) => Ok(PutOutcome::Created),
                    Err(failure) if failure.outcome == RequestOutcome::Exists => {
                        Ok(PutOutcome::AlreadyExists)
                    }
                    Err(failure) => Err(failure),
                }
            }
        };
        let place = object.place();
        let kind = RequestKind::PutIfAbsent;
        let outcome = self.client.request(kind, Repeat::No, ("create", &place), attempt).await?;
        if outcome == PutOutcome::Created {
            self.client.requests().note_sent(bytes.len() as u64);
        }
        Ok(outcome)
    }

    pub(super) async fn get_object(&self, object: &Object) -> Result<Vec<u8>, BlobError> {
        self.get_bytes(object, None).await
    }

    async fn get_bytes(&self, object: &Object, range: Option<&str>) -> Result<Vec<u8>, BlobError> {
        let timeout = self.client.settings().request_timeout;
        let requests = self.client.requests();
        let attempt = |client: aws_sdk_s3::Client| {
            let request = client
                .get_object()
                .bucket(&object.bucket)
                .key(&object.key)
                .set_range(range.map(str::to_owned));
            async move {
                let answer = request.send().await?;
                read(answer.body, answer.content_length, timeout, requests).await
            }
        };
        let place = object.place();
        self.client.request(RequestKind::Get, Repeat::Yes, ("read", &place), attempt).await
    }

    pub(super) async fn get_part(
        &self,
        object: &Object,
        range: Range<u64>,
    ) -> Result<Vec<u8>, BlobError> {
        let Range { start, end } = range;
        let wanted = end.checked_sub(start);
        if wanted.is_none_or(|wanted| wanted == 0) {
            // No range of HTTP is empty.
            let size = self.object_size(object).await?;
            return match wanted {
                Some(_) if end <= size => Ok(Vec::new()),
                _ => Err(BlobError::range(object, start, end, size)),
            };
        }
        let header = format!("bytes={start}-{}", end - 1);
        match self.get_bytes(object, Some(&header)).await {
            Ok(bytes) if Some(bytes.len() as u64) == wanted => Ok(bytes),
            Ok(bytes) => {
                let size = start.saturating_add(bytes.len() as u64);
                Err(BlobError::range(object, start, end, size))
            }
            Err(error) if error.kind == BlobErrorKind::Range => {
                let size = self.object_size(object).await?;
                Err(BlobError::range(object, start, end, size))
            }
            Err(error) => Err(error),
        }
    }

    async fn object_size(&self, object: &Object) -> Result<u64, BlobError> {
        Ok(self.look_at(object).await?.length)
    }

    /// What an object is, without its content.
    pub(super) async fn look_at(&self, object: &Object) -> Result<Look, BlobError> {
        let attempt = |client: aws_sdk_s3::Client| {
            let request = client.head_object().bucket(&object.bucket).key(&object.key);
            async move { Ok(request.send().await?) }
        };
        let place = object.place();
        let kind = RequestKind::Head;
        let answer = self.client.request(kind, Repeat::Yes, ("read", &place), attempt).await?;
        let length = answer.content_length.and_then(|length| u64::try_from(length).ok());
        let note = answer.metadata.and_then(|mut notes| notes.remove(super::upload::NOTE));
        Ok(Look { length: length.unwrap_or(0), note })
    }

    pub(super) async fn list_objects(&self, folder: &Object) -> Result<Vec<BlobPath>, BlobError> {
        let prefix = if folder.key.is_empty() { String::new() } else { format!("{}/", folder.key) };
        self.list_from(&Object { bucket: folder.bucket.clone(), key: prefix }).await
    }

    /// The objects whose key begins so.
    pub(super) async fn list_from(&self, begin: &Object) -> Result<Vec<BlobPath>, BlobError> {
        let (prefix, place) = (&begin.key, begin.place());
        let mut found = Vec::new();
        let mut from: Option<String> = None;
        loop {
            let attempt = |client: aws_sdk_s3::Client| {
                let request = client
                    .list_objects_v2()
                    .bucket(&begin.bucket)
                    .prefix(prefix)
                    .set_continuation_token(from.clone());
                async move { Ok(request.send().await?) }
            };
            let kind = RequestKind::List;
            let page = self.client.request(kind, Repeat::Yes, ("list", &place), attempt).await?;
            let keys = page.contents.iter().flatten().filter_map(|object| object.key.as_deref());
            found.extend(keys.filter_map(|key| self.location.path(key)));
            if found.len() > LIST_MAX {
                let text = format!("more than {LIST_MAX} objects are there; delete old ones");
                let source = std::io::Error::other(text);
                return Err(BlobError::new("list", place, source));
            }
            from = page.next_continuation_token.filter(|_| page.is_truncated == Some(true));
            if from.is_none() {
                break;
            }
        }
        found.sort();
        Ok(found)
    }

    /// Copies an object, with its note. It can be made again, whatever became of it.
    pub(super) async fn copy_object(&self, from: &Object, to: &Object) -> Result<(), BlobError> {
        // No escapes: a path has nothing but letters, digits and `-_.=/`.
        let source = format!("{}/{}", from.bucket, from.key);
        let attempt = |client: aws_sdk_s3::Client| {
            let request = client.copy_object().copy_source(&source).bucket(&to.bucket).key(&to.key);
            async move { Ok(request.send().await.map(drop)?) }
        };
        let place = from.place();
        self.client.request(RequestKind::Copy, Repeat::Yes, ("copy", &place), attempt).await
    }

    pub(super) async fn delete_object(
        &self,
        object: &Object,
        repeat: Repeat,
    ) -> Result<(), BlobError> {
        let attempt = |client: aws_sdk_s3::Client| {
            let request = client.delete_object().bucket(&object.bucket).key(&object.key);
            async move {
                match request.send().await.map_err(Failure::from) {
                    Ok(_) => Ok(()),
                    Err(failure) if failure.is_missing_object() => Ok(()),
                    Err(failure) => Err(failure),
                }
            }
        };
        let place = object.place();
        self.client.request(RequestKind::Delete, repeat, ("delete", &place), attempt).await
    }
}

/// What HEAD says of an object.
pub(super) struct Look {
    pub(super) length: u64,
    /// The note of the upload that made it.
    pub(super) note: Option<String>,
}
