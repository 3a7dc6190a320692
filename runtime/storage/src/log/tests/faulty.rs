//! A store that fails as told, and lets others act right before a request.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::blob::{
    BlobError, BlobErrorKind, BlobFuture, BlobPath, BlobStore, PutOutcome, UnfinishedWrite,
};

/// What happens to the next conditional write.
pub(super) enum Fault {
    /// It's done, and the answer is lost.
    AnswerLost,
    /// It's never done.
    RequestLost,
    /// It's done, and said to have been refused, as after a repeated request.
    DoneButRefused,
    /// It isn't done, and said to have been refused, as some do on a conflict.
    NotDoneButRefused,
    /// Somebody else acts first.
    After(Box<dyn FnOnce() + Send>),
}

pub(super) struct FaultyStore {
    inner: Arc<dyn BlobStore>,
    faults: Mutex<VecDeque<Fault>>,
    /// Reads fail as long as this is more than 0: so many.
    failing_reads: Mutex<u32>,
    /// As long as this is more than 0, what is read is cut short: so often.
    cut_reads: Mutex<u32>,
    /// What listings end with, if they are old.
    stale: Mutex<Option<usize>>,
    /// So many deletions are done; then each fails, done or not.
    deletions: Mutex<(usize, bool)>,
    /// Conditional writes are made without their condition.
    ignores_conditions: bool,
}

impl FaultyStore {
    pub(super) fn new(inner: Arc<dyn BlobStore>) -> FaultyStore {
        let (faults, failing_reads) = (Mutex::default(), Mutex::default());
        let cut_reads = Mutex::default();
        let (stale, deletions) = (Mutex::default(), Mutex::new((usize::MAX, false)));
        FaultyStore {
            inner,
            faults,
            failing_reads,
            cut_reads,
            stale,
            deletions,
            ignores_conditions: false,
        }
    }

    pub(super) fn ignoring_conditions(self) -> FaultyStore {
        FaultyStore { ignores_conditions: true, ..self }
    }

    pub(super) fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    pub(super) fn fail_reads(&self, count: u32) {
        *self.failing_reads.lock().unwrap() = count;
    }

    pub(super) fn cut_reads(&self, count: u32) {
        *self.cut_reads.lock().unwrap() = count;
    }

    /// From now on listings hold only so many names.
    pub(super) fn list_only(&self, names: Option<usize>) {
        *self.stale.lock().unwrap() = names;
    }

    /// From now on deletions fail after so many, as if the process had ended: then they are
    /// done all the same, or not.
    pub(super) fn fail_deletions_after(&self, count: usize, done: bool) {
        *self.deletions.lock().unwrap() = (count, done);
    }

    fn timed_out(path: &BlobPath) -> BlobError {
        BlobError {
            action: "reach",
            place: path.to_string(),
            kind: BlobErrorKind::Other,
            source: io::ErrorKind::TimedOut.into(),
        }
    }
}

impl BlobStore for FaultyStore {
    fn put<'s>(&'s self, path: &'s BlobPath, bytes: Vec<u8>) -> BlobFuture<'s, ()> {
        self.inner.put(path, bytes)
    }

    fn put_if_absent<'s>(
        &'s self,
        path: &'s BlobPath,
        bytes: Vec<u8>,
    ) -> BlobFuture<'s, PutOutcome> {
        Box::pin(async move {
            if self.ignores_conditions {
                self.inner.put(path, bytes).await?;
                return Ok(PutOutcome::Created);
            }
            let fault = self.faults.lock().unwrap().pop_front();
            match fault {
                None => self.inner.put_if_absent(path, bytes).await,
                Some(Fault::After(act)) => {
                    act();
                    self.inner.put_if_absent(path, bytes).await
                }
                Some(Fault::RequestLost) => Err(FaultyStore::timed_out(path)),
                Some(Fault::NotDoneButRefused) => Ok(PutOutcome::AlreadyExists),
                Some(Fault::AnswerLost) => {
                    self.inner.put_if_absent(path, bytes).await?;
                    Err(FaultyStore::timed_out(path))
                }
                Some(Fault::DoneButRefused) => {
                    self.inner.put_if_absent(path, bytes).await?;
                    Ok(PutOutcome::AlreadyExists)
                }
            }
        })
    }

    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        let fails = {
            let mut failing = self.failing_reads.lock().unwrap();
            let fails = *failing > 0;
            *failing = failing.saturating_sub(1);
            fails
        };
        Box::pin(async move {
            match fails {
                true => Err(FaultyStore::timed_out(path)),
                false => {
                    let mut bytes = self.inner.get(path).await?;
                    let mut cut = self.cut_reads.lock().unwrap();
                    if *cut > 0 {
                        *cut -= 1;
                        bytes.truncate(bytes.len() / 2);
                    }
                    Ok(bytes)
                }
            }
        })
    }

    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        self.inner.get_range(path, range)
    }

    fn list<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>> {
        Box::pin(async move {
            let mut names = self.inner.list(folder).await?;
            names.truncate(self.stale.lock().unwrap().unwrap_or(usize::MAX));
            Ok(names)
        })
    }

    fn delete<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            let (left, done) = {
                let mut deletions = self.deletions.lock().unwrap();
                let (left, done) = *deletions;
                deletions.0 = left.saturating_sub(1);
                (left, done)
            };
            if left > 0 || done {
                self.inner.delete(path).await?;
            }
            if left > 0 { Ok(()) } else { Err(FaultyStore::timed_out(path)) }
        })
    }

    fn unfinished<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<UnfinishedWrite>> {
        self.inner.unfinished(folder)
    }

    fn discard_unfinished<'s>(&'s self, write: &'s UnfinishedWrite) -> BlobFuture<'s, ()> {
        self.inner.discard_unfinished(write)
    }
}
