//! Writing an object whose bytes come over time: parts are uploaded while the next ones come. So
//! many of them are in memory as may be uploaded at a time, and one more. Not here: the requests.

use std::collections::VecDeque;

use bytes::Bytes;

use super::super::{
    BlobError, BlobFuture, BlobPath, BlobWriter, FinishedUpload, PartReceipt, UploadId,
};
use super::upload::{PARTS_MAX, PartUnderWay, first_done};
use super::{Object, S3Store};

/// An object on its way.
pub(super) struct ObjectWriter {
    store: S3Store,
    object: Result<Object, Option<BlobError>>,
    /// What isn't under way yet.
    rest: Pieces,
    upload: Option<Upload>,
}

/// Bytes as they came. They are put together once, when they are sent: a buffer that grows is
/// copied several times, each time to fresh memory, which was most of what an upload of some
/// megabytes cost on this side.
#[derive(Default)]
struct Pieces {
    pieces: VecDeque<Bytes>,
    length: usize,
}

impl Pieces {
    fn push(&mut self, bytes: Vec<u8>) {
        self.length += bytes.len();
        if !bytes.is_empty() {
            self.pieces.push_back(bytes.into());
        }
    }

    /// Takes so many bytes from the front, or all if there are fewer.
    fn take(&mut self, length: usize) -> Bytes {
        let length = length.min(self.length);
        self.length -= length;
        if let Some(first) = self.pieces.front_mut().filter(|first| first.len() > length) {
            return first.split_to(length);
        }
        if self.pieces.front().is_some_and(|first| first.len() == length) {
            return self.pieces.pop_front().unwrap_or_default();
        }
        let mut taken = Vec::with_capacity(length);
        while let Some(mut piece) = self.pieces.pop_front() {
            let rest = piece.split_off(piece.len().min(length - taken.len()));
            taken.extend_from_slice(&piece);
            if !rest.is_empty() {
                self.pieces.push_front(rest);
                break;
            }
        }
        taken.into()
    }
}

/// Begun once there is more than a part.
struct Upload {
    id: UploadId,
    note: String,
    number: u32,
    under_way: Vec<PartUnderWay>,
    done: Vec<PartReceipt>,
}

impl ObjectWriter {
    /// Nothing is asked of the server yet.
    pub(super) fn new(store: S3Store, path: &BlobPath) -> Self {
        let object = Object::new(&store.location, path).map_err(Some);
        Self { store, object, rest: Pieces::default(), upload: None }
    }

    fn object(&mut self) -> Result<Object, BlobError> {
        match &mut self.object {
            Ok(object) => Ok(object.clone()),
            Err(error) => Err(error.take().unwrap_or_else(|| {
                let text = "it was refused before";
                BlobError::new("name", "the object", std::io::Error::other(text))
            })),
        }
    }

    async fn take(&mut self, bytes: Vec<u8>) -> Result<(), BlobError> {
        let object = self.object()?;
        self.rest.push(bytes);
        let part_bytes = self.store.client.settings().part_bytes.max(1);
        let part_bytes = usize::try_from(part_bytes).unwrap_or(usize::MAX);
        // The last part isn't empty: what is exactly one stays.
        while self.rest.length > part_bytes {
            let piece = self.rest.take(part_bytes);
            self.send(&object, piece).await?;
        }
        Ok(())
    }

    /// Sends a part, once fewer are under way than may be.
    async fn send(&mut self, object: &Object, piece: Bytes) -> Result<(), BlobError> {
        let at_a_time = self.store.client.settings().concurrent_parts.max(1);
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let note = self.store.note();
                let id = self.store.begin_aside(object.clone(), note.clone()).await?;
                let (under_way, done) = (Vec::new(), Vec::new());
                self.upload.insert(Upload { id, note, number: 0, under_way, done })
            }
        };
        if u64::from(upload.number) >= PARTS_MAX {
            let text =
                format!("it needs more than {PARTS_MAX} parts; raise s3.upload.min.part.size");
            return Err(BlobError::new("write", object, std::io::Error::other(text)));
        }
        while upload.under_way.len() >= at_a_time {
            upload.done.push(first_done(&mut upload.under_way).await?);
        }
        upload.number += 1;
        let (number, id) = (upload.number, upload.id.clone());
        let (store, object) = (self.store.clone(), object.clone());
        let send = async move { store.send_part(&object, &id, number, piece).await };
        upload.under_way.push(self.store.client.spawn(send));
        Ok(())
    }

    async fn complete(mut self: Box<Self>) -> Result<(), BlobError> {
        let object = self.object()?;
        let rest = self.rest.take(self.rest.length);
        if self.upload.is_none() {
            return self.store.put_whole(object, rest).await;
        }
        self.send(&object, rest).await?;
        if let Some(upload) = &mut self.upload {
            while !upload.under_way.is_empty() {
                upload.done.push(first_done(&mut upload.under_way).await?);
            }
        }
        let Some(Upload { id, note, mut done, .. }) = self.upload.take() else { return Ok(()) };
        done.sort_by_key(|part| part.number);
        let finished = FinishedUpload { upload: id, parts: done, note };
        let store = self.store.clone();
        let replace = async move { store.replace_by(&object, &finished).await };
        self.store.client.spawn(replace).await
    }
}

/// Requests on the client's thread: whoever awaits them may have no runtime.
impl S3Store {
    async fn begin_aside(&self, object: Object, note: String) -> Result<UploadId, BlobError> {
        let store = self.clone();
        self.client.spawn(async move { store.begin(&object, &note).await }).await
    }

    async fn put_whole(&self, object: Object, bytes: Bytes) -> Result<(), BlobError> {
        let store = self.clone();
        self.client.spawn(async move { store.put_object(&object, bytes).await }).await
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        // Nobody will complete it. What can't be thrown away costs space until a collector or the
        // bucket's own rule for such uploads removes it.
        if let (Some(upload), Ok(object)) = (self.upload.take(), &self.object) {
            let (store, object) = (self.store.clone(), object.clone());
            drop(upload.under_way);
            let client = self.store.client.clone();
            client.spawn_alone(async move { store.give_up(&object, &upload.id).await });
        }
    }
}

impl BlobWriter for ObjectWriter {
    fn append(&mut self, bytes: Vec<u8>) -> BlobFuture<'_, ()> {
        Box::pin(self.take(bytes))
    }

    fn finish<'w>(self: Box<Self>) -> BlobFuture<'w, ()>
    where
        Self: 'w,
    {
        Box::pin(self.complete())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_taken_in_the_order_in_which_they_came_wherever_they_are_cut() {
        let all: Vec<u8> = (0..100).collect();
        for came in [1, 7, 33, 100] {
            for taken in [1, 7, 10, 33, 64, 99, 100, 1000] {
                let mut pieces = Pieces::default();
                all.chunks(came).for_each(|piece| pieces.push(piece.to_vec()));
                let mut out = Vec::new();
                while pieces.length > 0 {
                    let piece = pieces.take(taken);
                    assert_eq!(piece.len(), taken.min(all.len() - out.len()), "{came}, {taken}");
                    out.extend_from_slice(&piece);
                }
                assert_eq!(out, all, "{came}, {taken}");
                assert!(pieces.take(taken).is_empty());
            }
        }
    }
}
