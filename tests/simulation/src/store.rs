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
use crate::faults::times;
use crate::plan::{Plan, StoreFaults};
use crate::trace::Trace;

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Failed,
    DoneButFailed,
    /// Nothing was done, and who asked dies.
    Dies,
    /// It was done, and who asked dies.
    DoneAndDies,
}

#[derive(Default)]
struct Books {
    published: BTreeSet<CheckpointId>,
    /// The objects that each manifest that is there refers to.
    referenced: BTreeMap<BlobPath, Vec<String>>,
    /// All objects.
    there: BTreeSet<BlobPath>,
    violations: Vec<String>,
    /// Steps of TaskManagers.
    steps: u64,
    /// Who is to die.
    dies: Option<String>,
}

/// The store. Clones are the same one.
#[derive(Clone)]
pub struct FaultyStore {
    blobs: MemoryStore,
    books: Arc<Mutex<Books>>,
    dice: Arc<Mutex<Dice>>,
    faults: StoreFaults,
    crash_at: Option<(u64, bool)>,
    outages: Arc<Vec<Range<Duration>>>,
    heal_at: Duration,
    /// The TaskManager that this one is used by; empty: the JobManager.
    host: String,
    trace: Trace,
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultyStore")
    }
}

impl FaultyStore {
    /// An empty one.
    pub fn new(plan: &Plan, trace: Trace) -> Self {
        let Plan { seed, store: faults, heal_at, crash_at, .. } = *plan;
        let mut dice = Dice::new(seed, "outages");
        let from = times(faults.outage, heal_at, &mut dice);
        let outages = from.into_iter().map(|at| at..at + dice.millis(100..faults.outage_ms));
        Self {
            blobs: MemoryStore::new(),
            books: Arc::default(),
            dice: Arc::new(Mutex::new(Dice::new(seed, "store"))),
            faults,
            crash_at,
            outages: Arc::new(outages.collect()),
            heal_at,
            host: String::new(),
            trace,
        }
    }

    /// The same store, as this TaskManager uses it.
    pub fn on(&self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self.clone() }
    }

    /// How many steps TaskManagers have made in it.
    pub fn steps(&self) -> u64 {
        self.books.lock().steps
    }

    /// The host that dies now.
    pub fn take_crash(&self) -> Option<String> {
        self.books.lock().dies.take()
    }

    /// Objects that no manifest refers to, and those that a manifest refers to and aren't there.
    pub fn orphans_and_missing(&self) -> (Vec<String>, Vec<String>) {
        let books = self.books.lock();
        let there = &books.there;
        let named: BTreeSet<&str> =
            books.referenced.values().flatten().map(String::as_str).collect();
        let orphans = there
            .iter()
            .filter(|path| !named.contains(path.as_str()) && !books.referenced.contains_key(*path));
        let orphans = orphans.map(ToString::to_string).collect();
        let there: BTreeSet<&str> = there.iter().map(BlobPath::as_str).collect();
        let missing = named.difference(&there).map(ToString::to_string).collect();
        (orphans, missing)
    }

    /// The highest checkpoint whose manifest was ever written.
    pub fn highest_published(&self) -> Option<CheckpointId> {
        self.books.lock().published.last().copied()
    }

    /// What was done to it that must never be: deletions of what a manifest refers to.
    pub fn violations(&self) -> Vec<String> {
        self.books.lock().violations.clone()
    }

    /// Whether the step is the one at which the TaskManager dies.
    fn crash(&self) -> Option<Fate> {
        if self.host.is_empty() {
            return None;
        }
        let mut books = self.books.lock();
        books.steps += 1;
        if turmoil::sim_elapsed().unwrap_or_default() >= self.heal_at {
            return None;
        }
        let (_, done) = self.crash_at.filter(|(step, _)| step + 1 == books.steps)?;
        Some(if done { Fate::DoneAndDies } else { Fate::Dies })
    }

    /// The end of a step: who dies in it gets no answer.
    async fn end(&self, fate: Fate) {
        if matches!(fate, Fate::Dies | Fate::DoneAndDies) {
            self.books.lock().dies = Some(self.host.clone());
            std::future::pending::<()>().await;
        }
    }

    async fn fate(&self, action: &'static str, path: &BlobPath) -> Fate {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        let crash = self.crash();
        let (delay, fate) = {
            let mut dice = self.dice.lock();
            let StoreFaults { fail, done_but_failed, slow, slow_ms, hang, .. } = self.faults;
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
                let hangs = hang > 0 && dice.chance(hang);
                let delay = if hangs { self.heal_at.saturating_sub(now) } else { delay };
                let out = self.outages.iter().any(|outage| outage.contains(&now));
                (delay, if out { Fate::Failed } else { fate })
            }
        };
        tokio::time::sleep(delay).await;
        let fate = crash.unwrap_or(fate);
        self.trace.event("store", format_args!("{action} {path}: {fate:?}"));
        fate
    }

    /// What a read gives: sometimes less than there is.
    fn read(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        if now < self.heal_at && self.faults.cut > 0 {
            let mut dice = self.dice.lock();
            if dice.chance(self.faults.cut) {
                let length = dice.within(0..bytes.len() as u64 + 1);
                bytes.truncate(length as usize);
                self.trace.event("store", format_args!("the answer is cut to {length} bytes"));
            }
        }
        bytes
    }

    fn wrote(&self, path: &BlobPath, bytes: &[u8]) {
        self.books.lock().there.insert(path.clone());
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
        books.there.remove(path);
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
            if !matches!(fate, Fate::Failed | Fate::Dies) {
                self.wrote(path, &bytes);
                self.blobs.put(path, bytes).await?;
            }
            self.end(fate).await;
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
            if matches!(fate, Fate::Failed | Fate::Dies) {
                self.end(fate).await;
                return Err(failed("put", path));
            }
            let outcome = self.blobs.put_if_absent(path, bytes.clone()).await?;
            if outcome == PutOutcome::Created {
                self.wrote(path, &bytes);
            }
            self.end(fate).await;
            if fate == Fate::Done { Ok(outcome) } else { Err(failed("put", path)) }
        })
    }

    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move {
            let fate = self.fate("get", path).await;
            self.end(fate).await;
            match fate {
                Fate::Done => self.blobs.get(path).await.map(|bytes| self.read(bytes)),
                _ => Err(failed("read", path)),
            }
        })
    }

    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move {
            let fate = self.fate("get", path).await;
            self.end(fate).await;
            match fate {
                Fate::Done => self.blobs.get_range(path, range).await.map(|bytes| self.read(bytes)),
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
            if !matches!(fate, Fate::Failed | Fate::Dies) {
                self.blobs.delete(path).await?;
                self.deleted(path);
            }
            self.end(fate).await;
            if fate == Fate::Done { Ok(()) } else { Err(failed("delete", path)) }
        })
    }
}
