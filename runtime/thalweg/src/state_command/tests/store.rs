//! A checkpoint store in a folder, made with the engine's own writers: an operator `count` of two
//! subtasks with a value and a map state, and one of one subtask with a list, in one object a
//! subtask.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;

use thalweg_core::ids::{CheckpointId, Epoch, JobId, OperatorId};
use thalweg_core::key_group::{KeyGroupRange, key_group, key_group_range};
use thalweg_core::record::Key;
use thalweg_state::run::{LastSnapshot, RunKind};
use thalweg_state::{KeyedState, OperatorState, RunOrigin, RunWriter};
use thalweg_storage::manifest::{self, FORMAT_VERSION};
use thalweg_storage::{
    BlobPath, BlobStore, CheckpointKind, CheckpointManifest, DirectoryStore, OperatorManifest,
    SubtaskManifest, layout,
};

pub(super) const JOB: JobId = JobId::new(10);
pub(super) const MAX_PARALLELISM: u32 = 8;
pub(super) const KEYS: u32 = 5_000;

/// Waits for a future of a store in a folder, which never has to.
pub(super) fn now<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match work.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("a folder doesn't wait"),
    }
}

/// What the value state holds at a checkpoint, by key group and key.
pub(super) fn counts(checkpoint: u64) -> BTreeMap<(u32, u32), u64> {
    let group = |key: u32| key_group(key.key_hash(), MAX_PARALLELISM);
    (0..KEYS).map(|key| ((group(key), key), u64::from(key) * checkpoint)).collect()
}

/// In a delta so many of them have other values, and ...
pub(super) const CHANGED: u32 = 100;
/// ... so many are removed.
pub(super) const REMOVED: u32 = 50;

fn origin(operator: &str, subtask: u32, parallelism: u32) -> RunOrigin {
    let operator = operator.to_owned();
    RunOrigin { operator, subtask, parallelism, max_parallelism: MAX_PARALLELISM }
}

/// A base, and perhaps a delta.
fn count_runs(checkpoint: u64, subtask: u32, groups: KeyGroupRange, delta: bool) -> Vec<Vec<u8>> {
    let mut state = KeyedState::<u32>::new(groups, MAX_PARALLELISM, None).unwrap();
    let count = state.value_state::<u64>("count").unwrap();
    let names = state.map_state::<String, bool>("names").unwrap();
    for ((group, key), value) in counts(checkpoint) {
        if groups.contains(group) {
            state.set_current_key(key, key.key_hash());
            count.set(&mut state, value).unwrap();
            names.put(&mut state, format!("name {key}"), key % 2 == 0).unwrap();
        }
    }
    let snapshot = |state: &mut KeyedState<u32>, kind| {
        let origin = origin("count", subtask, 2);
        let mut writer = RunWriter::incremental(origin, kind, LastSnapshot::Published);
        state.snapshot(&mut writer).unwrap();
        writer.finish().unwrap()
    };
    let mut runs = vec![snapshot(&mut state, RunKind::Base)];
    if delta {
        for ((group, key), value) in counts(checkpoint) {
            if !groups.contains(group) || key >= CHANGED + REMOVED {
                continue;
            }
            state.set_current_key(key, key.key_hash());
            match key < CHANGED {
                true => count.set(&mut state, value + 1).unwrap(),
                false => count.clear(&mut state).unwrap(),
            }
        }
        runs.push(snapshot(&mut state, RunKind::Delta));
    }
    runs
}

fn position_run() -> Vec<u8> {
    let mut state = OperatorState::new(None);
    let positions = state.list_state::<String>("positions").unwrap();
    positions.add(&mut state, "file 1, line 7".to_owned()).unwrap();
    let mut writer = RunWriter::new(origin("source", 0, 1));
    state.snapshot(&mut writer).unwrap();
    writer.finish().unwrap()
}

/// Writes a checkpoint's objects below `folder` and gives its manifest.
fn write_runs(
    store: &DirectoryStore,
    checkpoint: u64,
    folder: &BlobPath,
    deltas: bool,
) -> CheckpointManifest {
    let place = |name: &str, subtask: u32, groups: Option<KeyGroupRange>, run: Vec<u8>| {
        let object = folder.join(name).unwrap();
        // Something before and behind it: a run is a part of an object.
        let bytes = [b"before".as_slice(), &run, b"behind"].concat();
        let object_length = Some(bytes.len() as u64);
        now(store.put(&object, bytes)).unwrap();
        SubtaskManifest {
            index: subtask,
            key_groups: groups.map(Into::into),
            object: object.to_string(),
            object_length,
            offset: 6,
            length: run.len() as u64,
            crc32c: crc32c::crc32c(&run),
        }
    };
    let operator = |number: u128, name: &str, subtasks: Vec<SubtaskManifest>| OperatorManifest {
        operator_id: OperatorId::new(number),
        uid: Some(format!("{name}-uid")),
        name: name.to_owned(),
        parallelism: subtasks.last().map_or(0, |last| last.index) + 1,
        max_parallelism: MAX_PARALLELISM,
        finished: false,
        finished_subtasks: Vec::new(),
        subtasks,
        coordinator_state: None,
    };
    let groups = |subtask| key_group_range(MAX_PARALLELISM, 2, subtask);
    let mut counts = Vec::new();
    for subtask in 0..2u32 {
        let runs = count_runs(checkpoint, subtask, groups(subtask), deltas);
        for (run, name) in runs.into_iter().zip(["count", "delta"]) {
            let name = format!("{name}-{subtask}");
            counts.push(place(&name, subtask, Some(groups(subtask)), run));
        }
    }
    let positions = vec![place("source-0", 0, None, position_run())];
    CheckpointManifest {
        format_version: FORMAT_VERSION,
        job_id: JOB,
        checkpoint_id: CheckpointId(checkpoint),
        kind: CheckpointKind::Checkpoint,
        trigger_time_ms: 1_763_827_199_000,
        completion_time_ms: 1_763_827_200_000,
        graph_fingerprint: 7,
        stopped_with: None,
        resource_requirements: Vec::new(),
        channel_state: Vec::new(),
        operators: vec![operator(1, "source", positions), operator(2, "count", counts)],
    }
}

/// Writes a checkpoint; gives its manifest's name.
pub(super) fn checkpoint(folder: &Path, checkpoint: u64) -> BlobPath {
    let store = DirectoryStore::open(folder).unwrap();
    let place = layout::checkpoint_folder(JOB, CheckpointId(checkpoint)).unwrap();
    now(manifest::save(&store, &write_runs(&store, checkpoint, &place, false))).unwrap()
}

/// The same with a delta after each base.
pub(super) fn checkpoint_with_deltas(folder: &Path, checkpoint: u64) -> BlobPath {
    let store = DirectoryStore::open(folder).unwrap();
    let place = layout::checkpoint_folder(JOB, CheckpointId(checkpoint)).unwrap();
    now(manifest::save(&store, &write_runs(&store, checkpoint, &place, true))).unwrap()
}

/// Writes a checkpoint as a leader's tasks do where a log decides what counts: the names of all
/// its objects hold the epoch.
pub(super) fn checkpoint_of(folder: &Path, epoch: Epoch, checkpoint: u64) -> BlobPath {
    let store = DirectoryStore::open(folder).unwrap();
    let place = layout::checkpoint_folder(JOB, CheckpointId(checkpoint)).unwrap();
    let mut manifest = write_runs(&store, checkpoint, &place, false);
    for operator in &mut manifest.operators {
        for run in &mut operator.subtasks {
            let plain = BlobPath::parse(&run.object).unwrap();
            let named = layout::of_epoch(&plain, Some(epoch)).unwrap();
            let root = store.root();
            std::fs::rename(root.join(&run.object), root.join(named.as_str())).unwrap();
            run.object = named.to_string();
        }
    }
    let path = layout::manifest(JOB, CheckpointId(checkpoint)).unwrap();
    let path = layout::of_epoch(&path, Some(epoch)).unwrap();
    now(manifest::save_to(&store, &path, &manifest)).unwrap();
    path
}

/// Writes a savepoint into a folder of its own.
pub(super) fn savepoint(folder: &Path) {
    let store = DirectoryStore::open(folder).unwrap();
    let mut manifest = write_runs(&store, 3, &BlobPath::root(), false);
    manifest.kind = CheckpointKind::Savepoint;
    // The engine's names there are ids.
    let runs = manifest.operators.iter_mut().flat_map(|operator| &mut operator.subtasks);
    for (number, run) in (20u128..).zip(runs) {
        let id = JobId::new(number).to_string();
        std::fs::rename(folder.join(&run.object), folder.join(&id)).unwrap();
        run.object = id;
    }
    let bytes = manifest.to_bytes().unwrap();
    now(store.put(&layout::savepoint_manifest().unwrap(), bytes)).unwrap();
}
