//! The durable store that all hosts share, with faults: errors, delay, and writes that were done
//! although an error says otherwise. It notes which checkpoints are published.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::ids::CheckpointId;
use thalweg_storage::blob::{BlobErrorKind, BlobFuture};
use thalweg_storage::{BlobError, BlobPath, BlobStore, MemoryStore, PutOutcome, layout};

use crate::dice::Dice;
use crate::plan::StoreFaults;
use crate::trace::Trace;

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Failed,
    DoneButFailed,
}

/// The store. Clones are the same one.
#[derive(Clone)]
pub struct FaultyStore {
    blobs: MemoryStore,
    published: Arc<Mutex<BTreeSet<CheckpointId>>>,
    dice: Arc<Mutex<Dice>>,
    faults: StoreFaults,
    heal_at: Duration,
    trace: Trace,
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultyStore")
    }
}

impl FaultyStore {
    /// An empty one.
    pub fn new(seed: u64, faults: StoreFaults, heal_at: Duration, trace: Trace) -> Self {
        Self {
            blobs: MemoryStore::new(),
            published: Arc::default(),
            dice: Arc::new(Mutex::new(Dice::new(seed, "store"))),
            faults,
            heal_at,
            trace,
        }
    }

    /// The highest checkpoint whose manifest was ever written.
    pub fn highest_published(&self) -> Option<CheckpointId> {
        self.published.lock().last().copied()
    }

    async fn fate(&self, action: &'static str, path: &BlobPath) -> Fate {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        let (delay, fate) = {
            let mut dice = self.dice.lock();
            let StoreFaults { fail, done_but_failed, slow, slow_ms } = self.faults;
            if now >= self.heal_at {
                (Duration::from_millis(1), Fate::Done)
            } else {
                let slow = dice.chance(slow);
                let delay = if slow { dice.millis(1..slow_ms + 1) } else { dice.millis(0..10) };
                let fate = match (dice.chance(fail), dice.chance(done_but_failed)) {
                    (true, _) => Fate::Failed,
                    (_, true) => Fate::DoneButFailed,
                    _ => Fate::Done,
                };
                (delay, fate)
            }
        };
        tokio::time::sleep(delay).await;
        self.trace.event("store", format_args!("{action} {path}: {fate:?}"));
        fate
    }

    fn note(&self, path: &BlobPath) {
        if let Some((_, checkpoint)) = layout::checkpoint_of_manifest(path) {
            self.published.lock().insert(checkpoint);
        }
    }
}

fn failed(action: &'static str, path: &BlobPath) -> BlobError {
    BlobError {
        action,
        place: path.to_string(),
        kind: BlobErrorKind::Other,
        source: io::Error::new(io::ErrorKind::TimedOut, "injected"),
    }
}

impl BlobStore for FaultyStore {
    fn put<'s>(&'s self, path: &'s BlobPath, bytes: Vec<u8>) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            let fate = self.fate("put", path).await;
            if fate != Fate::Failed {
                self.note(path);
                self.blobs.put(path, bytes).await?;
            }
            if fate == Fate::Done { Ok(()) } else { Err(failed("put", path)) }
        })
    }

    fn put_if_absent<'s>(
        &'s self,
        path: &'s BlobPath,
        bytes: Vec<u8>,
    ) -> BlobFuture<'s, PutOutcome> {
        Box::pin(async move {
            let fate = self.fate("put-if-absent", path).await;
            if fate == Fate::Failed {
                return Err(failed("put", path));
            }
            self.note(path);
            let outcome = self.blobs.put_if_absent(path, bytes).await?;
            if fate == Fate::Done { Ok(outcome) } else { Err(failed("put", path)) }
        })
    }

    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move {
            match self.fate("get", path).await {
                Fate::Done => self.blobs.get(path).await,
                _ => Err(failed("read", path)),
            }
        })
    }

    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move {
            match self.fate("get", path).await {
                Fate::Done => self.blobs.get_range(path, range).await,
                _ => Err(failed("read", path)),
            }
        })
    }

    fn list<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>> {
        Box::pin(async move {
            // The job isn't taken in without a list; that isn't what is tried here.
            self.blobs.list(folder).await
        })
    }

    fn delete<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            let fate = self.fate("delete", path).await;
            if fate != Fate::Failed {
                self.blobs.delete(path).await?;
            }
            if fate == Fate::Done { Ok(()) } else { Err(failed("delete", path)) }
        })
    }
}
