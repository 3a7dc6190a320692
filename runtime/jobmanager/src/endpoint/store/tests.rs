//! Manifests whose writes fail, and the deletion of what attempts have left.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::ids::ExecutionAttemptId;
use thalweg_storage::blob::BlobFuture;
use thalweg_storage::{DirectoryStore, MemoryStore, PutOutcome};

use super::*;
use crate::testing::job_id;

/// What happens to a conditional write, and to the read after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It isn't done.
    Lost,
    /// It's done, and nobody is told.
    AnswerLost,
    /// The same, and the next read fails.
    Silence,
    /// There's no room.
    Full,
}

struct Faulty {
    inner: MemoryStore,
    /// From the last to the first.
    faults: Mutex<Vec<Fault>>,
    silent: Mutex<bool>,
}

impl Faulty {
    fn new(faults: &[Fault]) -> Self {
        let faults = faults.iter().rev().copied().collect();
        Self { inner: MemoryStore::new(), faults: Mutex::new(faults), silent: Mutex::new(false) }
    }
}

fn failed<T>(kind: BlobErrorKind) -> Result<T, BlobError> {
    let (place, source) = ("it".to_owned(), io::ErrorKind::TimedOut.into());
    Err(BlobError { action: "write", place, kind, source })
}

impl BlobStore for Faulty {
    fn put<'s>(&'s self, path: &'s BlobPath, bytes: Vec<u8>) -> BlobFuture<'s, ()> {
        self.inner.put(path, bytes)
    }

    fn put_if_absent<'s>(
        &'s self,
        path: &'s BlobPath,
        bytes: Vec<u8>,
    ) -> BlobFuture<'s, PutOutcome> {
        Box::pin(async move {
            let fault = self.faults.lock().pop();
            match fault {
                None => return self.inner.put_if_absent(path, bytes).await,
                Some(Fault::Lost) => {}
                Some(Fault::Full) => return failed(BlobErrorKind::Full),
                Some(Fault::AnswerLost | Fault::Silence) => {
                    self.inner.put_if_absent(path, bytes).await?;
                }
            }
            *self.silent.lock() = fault == Some(Fault::Silence);
            failed(BlobErrorKind::Other)
        })
    }

    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move {
            let silent = std::mem::take(&mut *self.silent.lock());
            match silent {
                true => failed(BlobErrorKind::Other),
                false => self.inner.get(path).await,
            }
        })
    }

    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        self.inner.get_range(path, range)
    }

    fn list<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>> {
        self.inner.list(folder)
    }

    fn delete<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, ()> {
        self.inner.delete(path)
    }
}

fn manifest_of(checkpoint: u64) -> CheckpointManifest {
    CheckpointManifest {
        format_version: FORMAT_VERSION,
        job_id: job_id(),
        checkpoint_id: CheckpointId(checkpoint),
        kind: CheckpointKind::Checkpoint,
        trigger_time_ms: 1,
        completion_time_ms: 2,
        graph_fingerprint: 3,
        stopped_with: None,
        channel_state: Vec::new(),
        resource_requirements: Vec::new(),
        operators: Vec::new(),
    }
}

/// Writes it to a store with such faults; gives how long that took and what came of it.
async fn write(faults: &[Fault]) -> (Duration, Result<(), ManifestError>) {
    let (store, manifest) = (Faulty::new(faults), manifest_of(3));
    let path = layout::manifest(manifest.job_id, manifest.checkpoint_id).unwrap();
    let began = tokio::time::Instant::now();
    let written = save(&store, &path, &manifest).await;
    if written.is_ok() {
        assert_eq!(store.get(&path).await.unwrap(), manifest.to_bytes().unwrap());
    }
    (began.elapsed(), written)
}

#[tokio::test(start_paused = true)]
async fn a_manifests_write_that_fails_for_a_moment_is_tried_again_or_found_to_be_done() {
    for faults in [
        vec![],
        vec![Fault::Lost],
        vec![Fault::AnswerLost],
        vec![Fault::Silence],
        vec![Fault::Lost, Fault::Lost, Fault::AnswerLost],
        vec![Fault::Lost, Fault::Silence],
        vec![Fault::Lost; 8],
    ] {
        let (took, written) = write(&faults).await;
        written.unwrap_or_else(|error| panic!("{faults:?}: {error}"));
        assert!(took < WRITE_MAX, "{faults:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_cannot_be_written_fails_within_the_time_for_it() {
    let (took, written) = write(&[Fault::Lost; 100]).await;
    assert!(matches!(written, Err(ManifestError::Store(_))));
    assert!(took > WRITE_MAX / 2 && took <= WRITE_MAX, "{took:?}");
    // What a repeat can't cure is said at once.
    let (took, written) = write(&[Fault::Full]).await;
    assert!(matches!(written, Err(ManifestError::Store(_))));
    assert_eq!(took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn another_leaders_manifest_is_never_taken_for_the_own_one() {
    let store = Faulty::new(&[Fault::Lost]);
    let (own, other) = (manifest_of(3), manifest_of(3));
    let other = CheckpointManifest { completion_time_ms: 9, ..other };
    let path = layout::manifest(job_id(), CheckpointId(3)).unwrap();
    store.put(&path, other.to_bytes().unwrap()).await.unwrap();
    let written = save(&store, &path, &own).await;
    assert!(matches!(written, Err(ManifestError::Exists { .. })), "{written:?}");
}

#[tokio::test]
async fn of_an_abandoned_checkpoint_goes_what_its_attempts_have_made_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Arc::new(DirectoryStore::open(folder.path()).unwrap());
    let place = layout::checkpoint_folder(job_id(), CheckpointId(3)).unwrap();
    let [one, two, other] = [1, 2, 9].map(ExecutionAttemptId::new);
    let operator = OperatorId::new(5);
    let theirs = [
        layout::shared_runs(&place, one).unwrap(),
        layout::own_run(&place, two, operator).unwrap(),
    ];
    let others = [
        layout::shared_runs(&place, other).unwrap(),
        layout::shared_runs(&place, two).unwrap(),
        layout::manifest(job_id(), CheckpointId(3)).unwrap(),
        place.join("strange").unwrap(),
    ];
    for path in theirs.iter().chain(&others) {
        blobs.put(path, vec![1]).await.unwrap();
    }
    // One was killed while it wrote, another one writes.
    let temporary = |number: u32, attempt| {
        let name = format!(".tmp-77-{number}-shared-{attempt}");
        folder.path().join(place.as_str()).join(name)
    };
    let (left, under_way) = (temporary(1, one), temporary(2, other));
    [&left, &under_way].into_iter().for_each(|path| std::fs::write(path, b"half").unwrap());

    let store = CheckpointStore { store: blobs.clone(), name: "it".into(), blocking: true };
    let abandoned = AbandonedCheckpoint {
        job: job_id(),
        checkpoint: CheckpointId(3),
        attempts: vec![one, two],
        kept_objects: vec![others[1].to_string()],
    };
    delete_abandoned(&store, &abandoned).await.unwrap();
    let mut expected = others.to_vec();
    expected.sort();
    assert_eq!(blobs.list(&BlobPath::root()).await.unwrap(), expected);
    assert!(!left.exists() && under_way.exists());
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_deletions_that_are_under_way_but_not_for_ever() {
    let discards = Discards::default();
    let limit = Duration::from_secs(5);
    let begun = tokio::time::Instant::now();
    discards.ended(limit).await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "nothing is under way");
    let (first, second) = (discards.begin(), discards.clone().begin());
    let slow = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop((first, second));
    });
    discards.ended(limit).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    slow.await.unwrap();
    let _hangs = discards.begin();
    discards.ended(limit).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(7));
}
