//! Whatever is damaged in what a task is to be restored from: it isn't loaded, and the error names
//! the object, the subtask, its key groups, and with them the operator.

use std::ops::Range;

use thalweg_core::ids::CheckpointId;
use thalweg_core::key_group::{key_group, key_group_range};
use thalweg_core::record::Key;
use thalweg_state::run::{LastSnapshot, RunKind};
use thalweg_state::{KeyedState, RunOrigin, RunWriter};
use thalweg_storage::MemoryStore;

use super::*;

const MAX_PARALLELISM: u32 = 8;
const OPERATOR: OperatorId = OperatorId::new(7);
/// Something is before a run in its object.
const OFFSET: u64 = 9;
/// Of a run, behind its index.
const FOOTER_LENGTH: usize = 56;
const HEADER_LENGTH: usize = 16;

/// Waits for a future of a store in memory, which never has to.
fn now<T>(work: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(work).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("memory doesn't wait"),
    }
}

fn groups() -> KeyGroupRange {
    key_group_range(MAX_PARALLELISM, 2, 1)
}

fn keys() -> impl Iterator<Item = u32> {
    let owned = |key: &u32| groups().contains(key_group(key.key_hash(), MAX_PARALLELISM));
    (0..20_000).filter(owned)
}

/// The runs of subtask 1 of 2: a base of many blocks, and a delta of some of its rows.
fn runs() -> [Vec<u8>; 2] {
    let mut state = KeyedState::<u32>::new(groups(), MAX_PARALLELISM, None).unwrap();
    let count = state.value_state::<String>("count").unwrap();
    [(RunKind::Base, 1), (RunKind::Delta, 50)].map(|(kind, step)| {
        for key in keys().step_by(step) {
            state.set_current_key(key, key.key_hash());
            count.set(&mut state, format!("value of {key}, {kind:?}")).unwrap();
        }
        let origin = RunOrigin {
            operator: "count per key".into(),
            subtask: 1,
            parallelism: 2,
            max_parallelism: MAX_PARALLELISM,
        };
        let mut writer = RunWriter::incremental(origin, kind, LastSnapshot::Published);
        state.snapshot(&mut writer).unwrap();
        writer.finish().unwrap()
    })
}

const OBJECTS: [&str; 2] = ["job/chk-1/base", "job/chk-2/delta"];

/// A store with both runs, each in an object of its own, and what a deployment says of them.
struct Stored {
    store: MemoryStore,
    restore: TaskRestore,
}

impl Stored {
    fn new(runs: &[Vec<u8>; 2]) -> Stored {
        let store = MemoryStore::default();
        let pieces = OBJECTS.iter().zip(runs).map(|(path, run)| {
            let object = [&[0; OFFSET as usize][..], run, b"behind"].concat();
            now(store.put(&BlobPath::parse(path).unwrap(), object)).unwrap();
            let handle = SnapshotHandle {
                operator: OPERATOR,
                key_groups: Some(groups()),
                data: SnapshotData::Object {
                    path: (*path).to_owned(),
                    offset: OFFSET,
                    object_length: None,
                },
                length: run.len() as u64,
                crc32c: crc32c::crc32c(run),
            };
            RestorePiece { old_subtask: 1, handle }
        });
        let pieces = pieces.collect();
        let operator = OperatorRestore { operator: OPERATOR, old_parallelism: 2, pieces };
        let (checkpoint, finished) = (CheckpointId(2), false);
        let restore = TaskRestore {
            checkpoint,
            finished,
            rewrites: false,
            directory: None,
            operators: vec![operator],
        };
        Stored { store, restore }
    }

    /// Changes the object of one of the runs.
    fn damage(&self, which: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let path = BlobPath::parse(OBJECTS[which]).unwrap();
        let mut object = now(self.store.get(&path)).unwrap();
        change(&mut object);
        now(self.store.put(&path, object)).unwrap();
    }

    /// Puts the checksum of what is there now into the deployment: only the run's own remain.
    fn seal(&mut self) {
        for piece in &mut self.restore.operators[0].pieces {
            let SnapshotData::Object { path, .. } = &piece.handle.data else { continue };
            let range = OFFSET..OFFSET + piece.handle.length;
            let bytes = now(self.store.get_range(&BlobPath::parse(path).unwrap(), range)).unwrap();
            piece.handle.crc32c = crc32c::crc32c(&bytes);
        }
    }

    fn fetch(&self) -> Result<Arc<RestoredOperator>, String> {
        let subtask =
            RestoredSubtask { index: 1, parallelism: 2, key_groups: groups(), continued: false };
        let fetched = now(fetch(Some(&self.store), &self.restore, subtask));
        match fetched {
            Ok(restored) => Ok(Arc::clone(&restored.operators[&OPERATOR])),
            Err((operator, error)) => {
                assert_eq!(operator, OPERATOR);
                Err(error.to_string())
            }
        }
    }
}

/// Takes up the state; gives how many keys it has.
fn load(restored: Arc<RestoredOperator>) -> Result<usize, StateError> {
    let mut state = KeyedState::<u32>::new(groups(), MAX_PARALLELISM, Some(restored))?;
    let count = state.value_state::<String>("count")?;
    let mut found = 0;
    for key in keys() {
        state.set_current_key(key, key.key_hash());
        found += usize::from(count.get(&mut state)?.is_some());
    }
    Ok(found)
}

/// The parts of a run: header, blocks, description and index, footer.
fn parts(run: &[u8]) -> [(&'static str, Range<usize>); 4] {
    let footer = run.len() - FOOTER_LENGTH;
    let offset = run[footer..footer + 8].try_into().unwrap();
    let description = u64::from_le_bytes(offset) as usize;
    [
        ("header", 0..HEADER_LENGTH),
        ("block", HEADER_LENGTH..description),
        ("description or index", description..footer),
        ("footer", footer..run.len()),
    ]
}

fn assert_named(error: &str, which: usize) {
    let named = format!("subtask 1, key groups 4 to 7, in {}", OBJECTS[which]);
    assert!(error.contains(&named), "{error}");
}

#[test]
fn a_flipped_bit_anywhere_is_noticed_before_anything_is_read() {
    let runs = runs();
    assert_eq!(load(Stored::new(&runs).fetch().unwrap()).unwrap(), keys().count());
    for (which, run) in runs.iter().enumerate() {
        for (part, range) in parts(run) {
            let places = [range.start, range.start + range.len() / 2, range.end - 1];
            for place in places {
                let stored = Stored::new(&runs);
                stored.damage(which, |object| object[OFFSET as usize + place] ^= 4);
                let error = stored.fetch().err().unwrap_or_else(|| panic!("{part} at {place}"));
                assert_named(&error, which);
                assert!(error.contains("is damaged"), "{part} at {place}: {error}");
            }
        }
    }
}

#[test]
fn a_cut_anywhere_and_a_missing_object_are_noticed() {
    let runs = runs();
    for (which, run) in runs.iter().enumerate() {
        for (_, range) in parts(run) {
            for length in [range.start, range.end - 1] {
                let stored = Stored::new(&runs);
                stored.damage(which, |object| object.truncate(OFFSET as usize + length));
                let error = stored.fetch().err().unwrap();
                assert_named(&error, which);
                assert!(error.contains("can't be read"), "cut to {length}: {error}");
            }
        }
        let stored = Stored::new(&runs);
        now(stored.store.delete(&BlobPath::parse(OBJECTS[which]).unwrap())).unwrap();
        assert_named(&stored.fetch().err().unwrap(), which);
    }
}

/// As if the bytes had been damaged before the manifest was written: its checksum fits them.
#[test]
fn what_only_the_runs_own_checksums_protect_is_noticed_too() {
    let runs = runs();
    for (which, run) in runs.iter().enumerate() {
        for (part, range) in parts(run) {
            for place in [range.start, range.start + range.len() / 2, range.end - 1] {
                let mut stored = Stored::new(&runs);
                stored.damage(which, |object| object[OFFSET as usize + place] ^= 4);
                stored.seal();
                let error = match (part, stored.fetch()) {
                    ("block", Ok(restored)) => {
                        let error = load(restored).unwrap_err().to_string();
                        // Of the whole run the block's own key groups are known here.
                        assert!(error.contains("(state \"count\", key groups "), "{error}");
                        assert!(error.contains("count per key"), "{error}");
                        error
                    }
                    (_, Err(error)) => {
                        assert_named(&error, which);
                        error
                    }
                    (part, Ok(_)) => panic!("{part} at {place} was loaded"),
                };
                assert!(error.contains(OBJECTS[which]), "{part} at {place}: {error}");
            }
        }
    }
}

#[test]
fn runs_that_were_exchanged_are_not_loaded() {
    let runs = runs();
    let exchanged = [runs[1].clone(), runs[0].clone()];
    let error = Stored::new(&exchanged).fetch().err().expect("a delta stands for a base");
    assert!(error.contains("count per key"), "{error}");
}
