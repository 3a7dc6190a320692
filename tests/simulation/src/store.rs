//! The durable store that all hosts share, with faults: errors, delay, and writes that were done
//! although an error says otherwise. It notes which checkpoints are
//! published, and whether anything is deleted that one of them needs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::ids::CheckpointId;
use thalweg_storage::blob::{BlobErrorKind, BlobFuture};
use thalweg_storage::{
    BlobError, BlobPath, BlobStore, CheckpointManifest, MemoryStore, PutOutcome, layout,
};

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

#[derive(Default)]
struct Books {
    published: BTreeSet<CheckpointId>,
    /// The objects that each manifest that is there refers to.
    referenced: BTreeMap<BlobPath, Vec<String>>,
    violations: Vec<String>,
}

/// The store. Clones are the same one.
#[derive(Clone)]
pub struct FaultyStore {
    blobs: MemoryStore,
    books: Arc<Mutex<Books>>,
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
            books: Arc::default(),
            dice: Arc::new(Mutex::new(Dice::new(seed, "store"))),
            faults,
            heal_at,
            trace,
        }
    }

    /// The highest checkpoint whose manifest was ever written.
    pub fn highest_published(&self) -> Option<CheckpointId> {
        self.books.lock().published.last().copied()
    }

    /// What was done to it that must never be: deletions of what a manifest refers to.
    pub fn violations(&self) -> Vec<String> {
        self.books.lock().violations.clone()
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

    fn wrote(&self, path: &BlobPath, bytes: &[u8]) {
        let Some((_, checkpoint)) = layout::checkpoint_of_manifest(path) else { return };
        let mut books = self.books.lock();
        books.published.insert(checkpoint);
        match CheckpointManifest::from_bytes(bytes, path.as_str()) {
            Ok(manifest) => {
                let subtasks = manifest.operators.into_iter().flat_map(|o| o.subtasks);
                let objects = subtasks.map(|subtask| subtask.object).collect();
                books.referenced.insert(path.clone(), objects);
            }
            Err(error) => books.violations.push(error.to_string()),
        }
    }

    fn deleted(&self, path: &BlobPath) {
        let mut books = self.books.lock();
        books.referenced.remove(path);
        let mut refers = books.referenced.iter();
        let by = refers.find(|(_, objects)| objects.iter().any(|o| o == path.as_str()));
        if let Some((manifest, _)) = by {
            let violation = format!("{path} is deleted although {manifest} refers to it");
            books.violations.push(violation);
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
                self.wrote(path, &bytes);
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
            let outcome = self.blobs.put_if_absent(path, bytes.clone()).await?;
            if outcome == PutOutcome::Created {
                self.wrote(path, &bytes);
            }
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
                self.deleted(path);
            }
            if fate == Fate::Done { Ok(()) } else { Err(failed("delete", path)) }
        })
    }
}
