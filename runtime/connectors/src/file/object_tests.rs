//! Part objects through a kill at every step, in a store of memory. On S3 itself: `tests/s3`.

use std::sync::Arc;

use futures::executor::block_on;
use thalweg_core::Batch;
use thalweg_core::ids::CheckpointId;
use thalweg_operators::sink::{Committable, PrepareCommit, Sink, SinkContext, SinkWriter};
use thalweg_storage::blob::MultipartStore;
use thalweg_storage::{BlobError, BlobPath, BlobStore, LocalStores, MemoryStore};

use super::FileSink;
use super::object_name::ObjectName;
use crate::format::RowFormat;
use crate::testing::sink_context;

const LOCATION: &str = "s3://bucket/out";
const ROWS_A_CHECKPOINT: u64 = 600;
const ROWS: u64 = 2_400;

/// What one run does before the process is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kill {
    AfterWriting,
    AfterPreparing,
    AfterPublishing,
    AfterCompletingOne,
    AfterCommitting,
    Never,
}

/// What survives a kill: the store and the last published checkpoint.
struct World {
    store: MemoryStore,
    attempt: u32,
    /// Its id, rows read before it, and its committables.
    published: (u64, u64, Vec<Committable>),
    next_checkpoint: u64,
}

fn context(store: &MemoryStore, index: u32, attempt: u32, from: Option<u64>) -> SinkContext {
    let store = store.clone();
    let open = move |location: &str| -> Result<Arc<dyn BlobStore>, BlobError> {
        assert_eq!(location, LOCATION);
        Ok(Arc::new(store.clone()))
    };
    SinkContext { stores: Arc::new(open), ..sink_context(index, attempt, from) }
}

fn sink(max_part_bytes: u64) -> FileSink<u64> {
    FileSink::new(LOCATION, RowFormat::lines()).with_max_part_bytes(max_part_bytes)
}

fn prepare(writer: &mut dyn SinkWriter<u64>, checkpoint: u64) -> Vec<Committable> {
    let request = PrepareCommit { checkpoint: Some(CheckpointId(checkpoint)), input_ended: false };
    writer.prepare_commit(request).unwrap()
}

impl World {
    fn new() -> Self {
        let (store, published) = (MemoryStore::new(), (0, 0, Vec::new()));
        Self { store, attempt: 0, published, next_checkpoint: 1 }
    }

    /// Runs from the last published checkpoint until a checkpoint at which it's killed.
    fn run(&mut self, kill: Kill, at: u64, max_part_bytes: u64) {
        let restored_from = Some(self.published.0).filter(|id| *id > 0);
        let context = context(&self.store, 0, self.attempt, restored_from);
        let mut writer = sink(max_part_bytes).writer(&context).unwrap();
        writer.commit(&self.published.2).unwrap();
        self.attempt += 1;
        for done in 0.. {
            let from = self.published.1;
            let to = (from + ROWS_A_CHECKPOINT).min(ROWS);
            let killed = |step| kill == step && done == at;
            for row in from..to {
                writer.write(Batch::from_values(vec![row])).unwrap();
            }
            if killed(Kill::AfterWriting) {
                return;
            }
            let checkpoint = self.next_checkpoint;
            let committables = prepare(writer.as_mut(), checkpoint);
            if killed(Kill::AfterPreparing) {
                // Another leader may use the same number again.
                return;
            }
            self.next_checkpoint += 1;
            self.published = (checkpoint, to, committables.clone());
            if killed(Kill::AfterPublishing) {
                return;
            }
            if killed(Kill::AfterCompletingOne) {
                writer.commit(&committables[..1]).unwrap();
                return;
            }
            writer.commit(&committables).unwrap();
            if killed(Kill::AfterCommitting) {
                return;
            }
            if to == ROWS {
                writer.close();
                return;
            }
        }
    }

    fn names(&self) -> Vec<BlobPath> {
        block_on(self.store.list(&BlobPath::root())).unwrap()
    }

    fn visible(&self) -> Vec<u64> {
        let mut rows = Vec::new();
        for name in self.names() {
            let text = String::from_utf8(block_on(self.store.get(&name)).unwrap()).unwrap();
            rows.extend(text.lines().map(|line| line.parse::<u64>().unwrap()));
        }
        rows.sort_unstable();
        rows
    }

    fn uploads(&self) -> Vec<BlobPath> {
        let store: &dyn MultipartStore = &self.store;
        let found = block_on(store.uploads(&BlobPath::root())).unwrap();
        found.into_iter().map(|(path, _)| path).collect()
    }
}

#[test]
fn each_row_is_visible_once_in_a_store_whenever_the_process_is_killed() {
    let kills = [
        Kill::AfterWriting,
        Kill::AfterPreparing,
        Kill::AfterPublishing,
        Kill::AfterCompletingOne,
        Kill::AfterCommitting,
    ];
    // Parts of several pieces, and several parts a checkpoint.
    for max_part_bytes in [1_200, u64::MAX] {
        for (first, second) in kills.iter().flat_map(|a| kills.map(|b| (*a, b))) {
            for at in [0, 1] {
                let case = format!("{first:?}, {second:?} at {at}, parts of {max_part_bytes}");
                let mut world = World::new();
                world.run(first, at, max_part_bytes);
                let committed = world.published.1;
                let visible = world.visible().len() as u64;
                assert!(visible <= committed, "{case}: unpublished rows are visible");
                world.run(second, at, max_part_bytes);
                world.run(Kill::Never, 0, max_part_bytes);
                assert_eq!(world.visible(), (0..ROWS).collect::<Vec<_>>(), "{case}");
                assert_eq!(world.uploads(), [], "{case}");
            }
        }
    }
}

#[test]
fn an_upload_that_another_subtask_is_still_to_commit_is_not_aborted() {
    let mut world = World::new();
    world.run(Kill::AfterPublishing, 1, u64::MAX);
    let restored_from = Some(world.published.0);
    // After a rescale the commit of subtask 0 is dealt to subtask 1, which opens later.
    sink(u64::MAX).writer(&context(&world.store, 0, 1, restored_from)).unwrap();
    let mut other = sink(u64::MAX).writer(&context(&world.store, 1, 1, restored_from)).unwrap();
    other.commit(&world.published.2).unwrap();
    other.commit(&world.published.2).unwrap();
    assert_eq!(world.visible(), (0..2 * ROWS_A_CHECKPOINT).collect::<Vec<_>>());
}

#[test]
fn only_uploads_that_no_checkpoint_can_refer_to_count_as_left_over() {
    // Attempt 2 of subtask 0 in epoch 1, restored from checkpoint 5.
    let name = |index, attempt| ObjectName::new(&sink_context(index, attempt, None), "txt");
    let table = [
        (name(0, 1).part(5, 3), true),
        (name(0, 0).part(6, 3), true),
        (name(0, 1).part(4, 3), false),
        (name(0, 2).part(5, 3), false),
        (name(0, 3).part(5, 3), false),
        (name(1, 1).part(5, 3), false),
        ("part-".to_owned(), false),
        (name(0, 1).prefix(), false),
        (String::new(), false),
    ];
    for (upload, left_over) in table {
        assert_eq!(name(0, 2).is_left_over(&upload, 5), left_over, "{upload}");
    }
}

#[test]
fn what_was_not_described_is_thrown_away_when_the_writer_closes() {
    let world = World::new();
    let mut writer = sink(u64::MAX).writer(&context(&world.store, 0, 0, None)).unwrap();
    for row in 0..ROWS {
        writer.write(Batch::from_values(vec![row])).unwrap();
    }
    assert_eq!(world.uploads().len(), 1, "enough for a first piece");
    writer.close();
    assert_eq!((world.uploads().len(), world.names().len()), (0, 0));
}

#[test]
fn an_aborted_upload_and_a_taken_name_are_errors_that_say_so() {
    let world = World::new();
    let mut writer = sink(u64::MAX).writer(&context(&world.store, 0, 0, None)).unwrap();
    let mut written = |checkpoint| {
        writer.write(Batch::from_values(vec![1u64])).unwrap();
        let committables = prepare(writer.as_mut(), checkpoint);
        let store: &dyn MultipartStore = &world.store;
        let uploads = block_on(store.uploads(&BlobPath::root())).unwrap();
        (committables, uploads[0].clone())
    };
    let (aborted, (path, upload)) = written(1);
    block_on(world.store.abort_upload(&path, &upload)).unwrap();
    let (taken, (path, _)) = written(2);
    block_on(world.store.put(&path, b"another's".to_vec())).unwrap();

    let error = writer.commit(&aborted).unwrap_err().to_string();
    assert!(error.contains("neither its upload nor the object is there"), "{error}");
    let error = writer.commit(&taken).unwrap_err().to_string();
    assert!(error.contains("another object has that name already"), "{error}");
    // After a restart the first one may have been committed and then taken away by a reader.
    let mut other = sink(u64::MAX).writer(&context(&world.store, 0, 1, Some(1))).unwrap();
    other.commit(&aborted).unwrap();
}

#[test]
fn a_location_that_cannot_be_opened_is_named_with_what_to_do() {
    let context = SinkContext { stores: Arc::new(LocalStores), ..sink_context(0, 0, None) };
    for (location, part) in [
        ("s3a://bucket/x", "write s3:// in its place"),
        ("ftp://host/x", "there is no store for ftp://"),
    ] {
        let sink = FileSink::<u64>::new(location, RowFormat::lines());
        let Err(error) = sink.writer(&context) else { panic!("{location} was opened") };
        let error = error.to_string();
        assert!(error.contains(location) && error.contains(part), "{error}");
    }
}
