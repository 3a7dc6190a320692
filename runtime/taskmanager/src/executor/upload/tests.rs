//! What is stored comes back, and what was damaged doesn't.

use std::ops::Range;

use thalweg_core::SystemClock;
use thalweg_core::element::{Barrier, SavepointTarget, SnapshotKind};
use thalweg_operators::chain::ChainSnapshot;
use thalweg_rpc::message::{OperatorRestore, RestorePiece, TaskRestore};
use thalweg_state::StateKind;
use thalweg_state::run::{LastSnapshot, RowKey, RunKind, RunOrigin, RunWriter, StateDeclaration};
use thalweg_storage::blob::{BlobErrorKind, BlobFuture};
use thalweg_storage::{BlobError, MemoryStore, PutOutcome};

use super::*;
use crate::executor::restore::{RestoredSubtask, fetch};

fn run(subtask: u32, states: &[(&str, StateKind)]) -> Vec<u8> {
    let operator = "count".to_owned();
    let origin = RunOrigin { operator, subtask, parallelism: 2, max_parallelism: 128 };
    let mut writer = RunWriter::new(origin);
    for (name, kind) in states {
        let declaration = StateDeclaration {
            name: (*name).to_owned(),
            kind: *kind,
            key: None,
            namespace: None,
            map_key: None,
            value: None,
            time_to_live_ms: None,
        };
        writer.begin_state(declaration).unwrap();
    }
    writer.finish().unwrap()
}

fn barrier() -> Barrier {
    let (checkpoint, published) = (CheckpointId(4), CheckpointId(0));
    Barrier { checkpoint, triggered_ms: 0, published, kind: SnapshotKind::Checkpoint }
}

pub(super) fn snapshot(runs: Vec<Vec<u8>>) -> TaskSnapshot {
    let operators = (1_u128..).zip(runs);
    let operators = operators
        .map(|(id, run)| OperatorSnapshot {
            operator: OperatorId::new(id),
            run,
            ahead: 0,
            is_keyed: true,
            extends: None,
        })
        .collect();
    TaskSnapshot {
        chain: ChainSnapshot { barrier: barrier(), operators, input_ended: true },
        start_delay_ms: 3,
        alignment: Duration::from_millis(5),
        alignment_bytes: 6,
        synchronous: Duration::from_millis(7),
        taken: Duration::ZERO,
    }
}

const KEY_GROUPS: KeyGroupRange = KeyGroupRange { start: 0, end: 64 };

pub(super) fn owner() -> SnapshotOwner {
    let attempt = ExecutionAttemptId::new(8);
    SnapshotOwner { job: JobId::new(1), attempt, log_epoch: None, key_groups: KEY_GROUPS }
}

/// Three operators: keyed state, none at all, and keyed beside operator state.
fn three() -> TaskSnapshot {
    snapshot(vec![
        run(0, &[("a", StateKind::Value), ("t", StateKind::EventTimeTimers)]),
        run(0, &[]),
        run(0, &[("b", StateKind::Value), ("c", StateKind::OperatorList)]),
    ])
}

pub(super) fn to_store(
    store: Option<&Arc<MemoryStore>>,
    owner: SnapshotOwner,
    snapshot: TaskSnapshot,
    former: Vec<SnapshotHandle>,
) -> SnapshotToStore {
    let store = store.map(|store| Arc::clone(store) as Arc<dyn BlobStore>);
    SnapshotToStore { owner, snapshot, former, store, reserved: None }
}

/// Stores a snapshot that shares with nobody.
async fn store_snapshot(
    store: Option<&Arc<MemoryStore>>,
    snapshot: TaskSnapshot,
    former: Vec<SnapshotHandle>,
) -> Result<CheckpointAck, CheckpointDecline> {
    let stored = store_large(to_store(store, owner(), snapshot, former)).await?;
    let outcome = store_shared(vec![stored], &SystemClock::new()).await;
    outcome.into_iter().next().unwrap().1
}

fn restore_of(handles: Vec<SnapshotHandle>) -> TaskRestore {
    let operator = |handle: SnapshotHandle| OperatorRestore {
        operator: handle.operator,
        old_parallelism: 2,
        pieces: vec![RestorePiece { old_subtask: 0, handle }],
    };
    let operators = handles.into_iter().map(operator).collect();
    TaskRestore {
        checkpoint: CheckpointId(4),
        finished: false,
        rewrites: false,
        directory: None,
        operators,
    }
}

fn subtask(key_groups: KeyGroupRange) -> RestoredSubtask {
    RestoredSubtask { index: 0, parallelism: 2, key_groups, continued: true }
}

#[tokio::test]
async fn all_runs_of_a_task_share_an_object_and_come_back_from_it() {
    let store = Arc::new(MemoryStore::new());
    let ack = store_snapshot(Some(&store), three(), Vec::new()).await.unwrap();
    assert_eq!(store.list(&BlobPath::root()).await.unwrap().len(), 1);
    assert!(ack.input_ended);
    let operators: Vec<_> = ack.handles.iter().map(|h| (h.operator.bits(), h.key_groups)).collect();
    assert_eq!(operators, [(1, Some(KEY_GROUPS)), (3, None)]);
    let measures = ack.measures;
    assert_eq!((measures.start_delay_ms, measures.alignment_ms), (3, 5));
    assert_eq!((measures.processed_bytes, measures.synchronous_ms), (6, 7));
    let lengths: u64 = ack.handles.iter().map(|handle| handle.length).sum();
    assert_eq!(measures.checkpointed_bytes, lengths);
    let restore = restore_of(ack.handles.clone());
    let spec = fetch(Some(store.as_ref()), &restore, subtask(KEY_GROUPS)).await.unwrap();
    assert_eq!(spec.operators.len(), 2);
    for restored in spec.operators.values() {
        assert_eq!((restored.old_parallelism(), restored.unclaimed().len()), (Some(2), 2));
    }
    // A subtask of other key groups is given no purely keyed piece, but the mixed one.
    let other = subtask(KeyGroupRange { start: 64, end: 128 });
    let spec = fetch(Some(store.as_ref()), &restore, other).await.unwrap();
    let pieces: Vec<_> = spec.operators.values().map(|r| r.old_parallelism()).collect();
    assert_eq!(pieces, [None, Some(2)]);
}

#[tokio::test]
async fn a_damaged_object_is_refused_by_its_checksum() {
    let store = Arc::new(MemoryStore::new());
    let ack = store_snapshot(Some(&store), three(), Vec::new()).await.unwrap();
    let path = store.list(&BlobPath::root()).await.unwrap().remove(0);
    let mut bytes = store.get(&path).await.unwrap();
    bytes[20] ^= 1;
    store.put(&path, bytes).await.unwrap();
    let failed = fetch(Some(store.as_ref()), &restore_of(ack.handles), subtask(KEY_GROUPS)).await;
    let (operator, error) = failed.unwrap_err();
    assert_eq!(operator, OperatorId::new(1));
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[tokio::test]
async fn without_a_directory_snapshots_go_inline_as_long_as_they_fit_a_message() {
    let ack = store_snapshot(None, three(), Vec::new()).await.unwrap();
    assert!(ack.handles.iter().all(|h| matches!(h.data, SnapshotData::Inline(_))));
    let spec = fetch(None, &restore_of(ack.handles), subtask(KEY_GROUPS)).await.unwrap();
    assert_eq!(spec.operators.len(), 2);
    let garbage = snapshot(vec![vec![1, 2, 3]]);
    let declined = store_snapshot(None, garbage, Vec::new()).await.unwrap_err();
    let DeclineReason::Failed(reason) = declined.reason else { panic!("{declined:?}") };
    assert!(reason.contains("isn't readable"), "{reason}");
    // The bound is checked on what the operators wrote, whatever it is.
    let large = run(0, &[("a".repeat(INLINE_BYTES_MAX).as_str(), StateKind::Value)]);
    let declined = store_snapshot(None, snapshot(vec![large]), Vec::new()).await;
    let DeclineReason::Failed(reason) = declined.unwrap_err().reason else { panic!() };
    assert!(reason.contains("execution.checkpointing.dir"), "{reason}");
}

/// The objects that handles are in.
fn objects(handles: &[SnapshotHandle]) -> Vec<&str> {
    let mut objects = Vec::new();
    for handle in handles {
        let SnapshotData::Object { path, .. } = &handle.data else { panic!("{handle:?}") };
        objects.push(path.as_str());
    }
    objects
}

/// A run of so many bytes, about.
fn large_run(bytes: usize) -> Vec<u8> {
    run(0, &[("a".repeat(bytes).as_str(), StateKind::Value)])
}

const FOLDER: &str = "00000000000000000000000000000001/chk-4";

#[tokio::test]
async fn small_runs_of_several_tasks_share_an_object_and_large_ones_have_their_own() {
    let store = Arc::new(MemoryStore::new());
    let of = |attempt, runs: Vec<Vec<u8>>| {
        let attempt = ExecutionAttemptId::new(attempt);
        let owner = SnapshotOwner { attempt, log_epoch: Some(Epoch(3)), ..owner() };
        store_large(to_store(Some(&store), owner, snapshot(runs), Vec::new()))
    };
    let small = || run(0, &[("a", StateKind::Value)]);
    let stored = vec![
        of(8, vec![large_run(LARGE_RUN_BYTES), large_run(LARGE_RUN_BYTES + 7)]).await.unwrap(),
        of(9, vec![small(), large_run(LARGE_RUN_BYTES), small()]).await.unwrap(),
        of(10, vec![small()]).await.unwrap(),
    ];
    let waiting: Vec<_> = stored.iter().map(StoredSnapshot::waiting_bytes).collect();
    let length = small().len();
    assert_eq!(waiting, [None, Some(2 * length), Some(length)]);
    let told = store_shared(stored, &SystemClock::new()).await;
    let acks: Vec<_> = told.into_iter().map(|(_, told)| told.unwrap()).collect();
    let number = |number: u128| format!("{number:032x}");
    let own = |attempt, id| format!("{FOLDER}/e3-{}-{}", number(attempt), number(id));
    let shared = format!("{FOLDER}/e3-shared-{}", number(9));
    assert_eq!(objects(&acks[0].handles), [own(8, 1), own(8, 2)]);
    assert_eq!(objects(&acks[1].handles), [shared.clone(), own(9, 2), shared.clone()]);
    assert_eq!(objects(&acks[2].handles), [shared.as_str()]);
    assert_eq!(store.list(&BlobPath::root()).await.unwrap().len(), 4);
    // Each is where it says, and the object is as long as it says.
    let object = store.get(&BlobPath::parse(&shared).unwrap()).await.unwrap();
    for handle in acks.iter().flat_map(|ack| &ack.handles) {
        let SnapshotData::Object { path, offset, object_length } = &handle.data else { panic!() };
        let path = BlobPath::parse(path).unwrap();
        let run = store.get_range(&path, *offset..offset + handle.length).await.unwrap();
        assert_eq!(crc32c::crc32c(&run), handle.crc32c);
        if path.as_str() == shared {
            assert_eq!(*object_length, Some(object.len() as u64));
        } else {
            assert_eq!(*object_length, Some(handle.length));
        }
    }
}

#[tokio::test]
async fn if_the_shared_object_cannot_be_stored_all_that_share_it_decline() {
    let full: Arc<dyn BlobStore> = Arc::new(FullStore);
    let mut stored = Vec::new();
    for attempt in [8, 9] {
        let owner = SnapshotOwner { attempt: ExecutionAttemptId::new(attempt), ..owner() };
        let (snapshot, former, store) = (three(), Vec::new(), Some(Arc::clone(&full)));
        let to_store = SnapshotToStore { owner, snapshot, former, store, reserved: None };
        stored.push(store_large(to_store).await.unwrap());
    }
    let told = store_shared(stored, &SystemClock::new()).await;
    let reasons: Vec<_> = told.into_iter().map(|(_, told)| told.unwrap_err().reason).collect();
    assert_eq!(reasons.len(), 2);
    for reason in reasons {
        let DeclineReason::Failed(reason) = reason else { panic!() };
        assert!(reason.contains("the disk is full"), "{reason}");
    }
}

/// Takes nothing.
struct FullStore;

impl FullStore {
    fn refuse<T>() -> BlobFuture<'static, T> {
        let source = std::io::Error::other("the disk is full");
        let (action, place, kind) = ("write", "it".to_owned(), BlobErrorKind::Full);
        Box::pin(async move { Err(BlobError { action, place, kind, source }) })
    }
}

impl BlobStore for FullStore {
    fn put<'s>(&'s self, _: &'s BlobPath, _: Vec<u8>) -> BlobFuture<'s, ()> {
        Self::refuse()
    }

    fn put_if_absent<'s>(&'s self, _: &'s BlobPath, _: Vec<u8>) -> BlobFuture<'s, PutOutcome> {
        Self::refuse()
    }

    fn get<'s>(&'s self, _: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        Self::refuse()
    }

    fn get_range<'s>(&'s self, _: &'s BlobPath, _: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        Self::refuse()
    }

    fn list<'s>(&'s self, _: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>> {
        Self::refuse()
    }

    fn delete<'s>(&'s self, _: &'s BlobPath) -> BlobFuture<'s, ()> {
        Self::refuse()
    }
}

/// Two values of state `a`: all of them, or as a delta.
fn counted(kind: RunKind, values: &[u8]) -> Vec<u8> {
    let operator = "count".to_owned();
    let origin = RunOrigin { operator, subtask: 0, parallelism: 2, max_parallelism: 128 };
    let mut writer = RunWriter::incremental(origin, kind, LastSnapshot::Published);
    let declaration = StateDeclaration {
        name: "a".to_owned(),
        kind: StateKind::Value,
        key: None,
        namespace: None,
        map_key: None,
        value: None,
        time_to_live_ms: None,
    };
    writer.begin_state(declaration).unwrap();
    for value in values {
        let key = RowKey { key_group: 3, key: &[*value], namespace: &[], sub_key: &[] };
        writer.put(key, &[*value]).unwrap();
    }
    writer.finish().unwrap()
}

#[tokio::test]
async fn a_delta_refers_to_the_runs_that_it_goes_on_from_and_is_restored_with_them() {
    let store = Arc::new(MemoryStore::new());
    let mut stored = StoredRuns::new();
    let base = snapshot(vec![counted(RunKind::Base, &[1, 2]), run(0, &[])]);
    let base = store_snapshot(Some(&store), base, Vec::new()).await.unwrap();
    stored.insert(CheckpointId(4), base.handles.clone());
    // A checkpoint that was given up in between is forgotten, and a savepoint forgets nothing.
    stored.insert(CheckpointId(5), Vec::new());
    let mut savepoint = snapshot(vec![counted(RunKind::Base, &[1, 2])]).chain;
    let target = SavepointTarget { directory: "/savepoints/1".to_owned(), stop: false };
    savepoint.barrier.kind = SnapshotKind::Savepoint(target.into());
    assert!(take_former(&mut stored, &savepoint).is_empty() && stored.len() == 2);

    let mut delta = snapshot(vec![counted(RunKind::Delta, &[2, 3])]);
    delta.chain.barrier.checkpoint = CheckpointId(6);
    delta.chain.operators[0].extends = Some(CheckpointId(4));
    let former = take_former(&mut stored, &delta.chain);
    assert_eq!((&former, stored.len()), (&base.handles, 1));
    let ack = store_snapshot(Some(&store), delta.clone(), former).await.unwrap();
    assert_eq!((ack.handles.len(), &ack.handles[0]), (2, &base.handles[0]));
    let lengths: Vec<u64> = ack.handles.iter().map(|handle| handle.length).collect();
    let measures = ack.measures;
    assert_eq!(
        (measures.checkpointed_bytes, measures.state_bytes),
        (lengths[1], lengths.iter().sum())
    );

    let operator = ack.handles[0].operator;
    let pieces = ack.handles.into_iter().map(|handle| RestorePiece { old_subtask: 0, handle });
    let operator = OperatorRestore { operator, old_parallelism: 2, pieces: pieces.collect() };
    let restore = TaskRestore {
        checkpoint: CheckpointId(6),
        finished: false,
        rewrites: false,
        directory: None,
        operators: vec![operator],
    };
    let spec = fetch(Some(store.as_ref()), &restore, subtask(KEY_GROUPS)).await.unwrap();
    let restored = spec.operators.values().next().unwrap();
    assert_eq!(restored.continued_lengths(), lengths, "the next snapshot goes on from these");

    // Without what it goes on from it's refused, not stored.
    let declined = store_snapshot(Some(&store), delta, Vec::new()).await;
    let DeclineReason::Failed(reason) = declined.unwrap_err().reason else { panic!() };
    assert!(reason.contains("goes on from checkpoint 4"), "{reason}");
}

#[tokio::test]
async fn a_savepoints_objects_are_directly_in_its_own_directory_and_of_no_epoch() {
    let store = Arc::new(MemoryStore::new());
    let target = SavepointTarget { directory: "/savepoints/1".to_owned(), stop: false };
    let mut snapshot =
        snapshot(vec![run(0, &[("a", StateKind::Value)]), large_run(LARGE_RUN_BYTES)]);
    snapshot.chain.barrier.kind = SnapshotKind::Savepoint(target.into());
    let owner = SnapshotOwner { log_epoch: Some(Epoch(3)), ..owner() };
    let stored = store_large(to_store(Some(&store), owner, snapshot, Vec::new())).await.unwrap();
    let told = store_shared(vec![stored], &SystemClock::new()).await;
    let ack = told.into_iter().next().unwrap().1.unwrap();
    let attempt = owner.attempt;
    let expected = [format!("shared-{attempt}"), format!("{attempt}-{}", OperatorId::new(2))];
    assert_eq!(objects(&ack.handles), expected);
}

#[test]
fn who_has_a_run_of_a_checkpoint_in_an_object_is_found() {
    let handle = |id: u128, path: &str| SnapshotHandle {
        operator: OperatorId::new(id),
        key_groups: None,
        data: SnapshotData::Object { path: path.to_owned(), offset: 0, object_length: Some(9) },
        length: 1,
        crc32c: 0,
    };
    let four = vec![handle(1, "a"), handle(1, "b"), handle(2, "c"), handle(3, "a")];
    let stored = StoredRuns::from([(CheckpointId(4), four), (CheckpointId(5), Vec::new())]);
    let of = |checkpoint, objects: &[&str]| -> Vec<u128> {
        let objects: Vec<String> = objects.iter().map(|name| (*name).to_owned()).collect();
        let found = operators_in(&stored, CheckpointId(checkpoint), &objects);
        found.into_iter().map(OperatorId::bits).collect()
    };
    assert_eq!(of(4, &["a"]), [1, 3]);
    assert_eq!(of(4, &["b", "c"]), [1, 2]);
    assert!(of(4, &["d"]).is_empty() && of(5, &["a"]).is_empty() && of(3, &["a"]).is_empty());
}
