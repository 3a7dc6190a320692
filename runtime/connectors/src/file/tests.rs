//! Files read from every position, and part files through a kill at every step.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use thalweg_core::ids::CheckpointId;
use thalweg_core::{Batch, Record};
use thalweg_operators::contract::{OperatorInstance, OutputTag, SourceStatus};
use thalweg_operators::harness::OperatorHarness;
use thalweg_operators::sink::{Committable, PrepareCommit, Sink, SinkDriver, SinkWriter};
use thalweg_operators::source::{
    BadRecord, BadRecords, ReadBuffer, ReadStatus, Source, SourceDriver, SourceOptions,
};
use thalweg_operators::time::WatermarkStrategy;

use super::part_name::WriterName;
use super::{FileSink, FileSource};
use crate::format::RowFormat;
use crate::testing::{read_all, reader_context, sink_context};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Record)]
#[record(crate = "thalweg_core")]
struct Payment {
    id: u64,
    place: String,
}

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn read_from<S: Source>(source: &S, file: usize, position: Option<&[u8]>) -> ReadBuffer<S::Row> {
    let splits = source.enumerate(1).unwrap();
    let context = reader_context(Arc::new(|| {}));
    read_all(&mut *source.open(&splits[file], position, &context).unwrap(), 5)
}

/// Reads row by row, and from each position on everything again.
fn check_every_position<S: Source>(source: &S) -> (Vec<S::Row>, Vec<BadRecord>)
where
    S::Row: PartialEq + std::fmt::Debug,
{
    let whole = read_from(source, 0, None);
    let splits = source.enumerate(1).unwrap();
    let mut reader = source.open(&splits[0], None, &reader_context(Arc::new(|| {}))).unwrap();
    let mut before = ReadBuffer::default();
    loop {
        let rest = read_from(source, 0, Some(&reader.position()));
        assert_eq!([before.rows.as_slice(), &rest.rows].concat(), whole.rows);
        assert_eq!([before.bad.as_slice(), &rest.bad].concat(), whole.bad);
        if reader.read(1, &mut before).unwrap() == ReadStatus::End {
            return (whole.rows, whole.bad);
        }
    }
}

#[test]
fn a_file_goes_on_at_every_position_with_the_same_rows_and_line_numbers() {
    let long = "x".repeat(2 << 20);
    let text = format!(
        "place,id\nRome,1\n\"two\nlines\",2\n\nbad,x\n{long}\n\"open,3\n\"a\"\"b\",4\r\n\
         last,5"
    );
    let csv = folder(&[("a.csv", text.as_bytes())]);
    let (rows, bad) = check_every_position(&FileSource::<Payment>::csv(csv.path()));
    let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, [1, 2, 4, 5]);
    let lines: Vec<u64> = bad.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, [6, 7, 8]);
    assert!(bad[0].source.ends_with("a.csv"), "{}", bad[0]);

    let json = folder(&[("a.jsonl", b"{\"id\":1,\"place\":\"a\"}\n\n{\"id\":2}\n")]);
    let (rows, bad) = check_every_position(&FileSource::<Payment>::json_lines(json.path()));
    assert_eq!((rows.len(), bad.len()), (1, 1));

    let lines = folder(&[("a.txt", b"a\n\nb\xff\r\nc")]);
    let (rows, bad) = check_every_position(&FileSource::lines(lines.path()));
    assert_eq!((rows.join("|").as_str(), bad.len()), ("a||c", 1));
}

#[test]
fn a_folder_is_read_in_the_order_of_names_and_hidden_ones_are_passed_over() {
    let folder = folder(&[
        ("b.txt", b"3"),
        ("a/z.txt", b"2"),
        ("a/b/c.txt", b"1"),
        (".hidden", b"x"),
        ("_SUCCESS", b"x"),
        ("a/.part.inprogress", b"x"),
        ("_tmp/x.txt", b"x"),
    ]);
    let source = FileSource::lines(folder.path());
    let splits = source.enumerate(4).unwrap();
    let names: Vec<_> = splits
        .iter()
        .map(|s| s.id.strip_prefix(folder.path().to_str().unwrap()).unwrap())
        .collect();
    assert_eq!(names, ["/a/b/c.txt", "/a/z.txt", "/b.txt"]);
    assert!(splits.iter().all(|split| split.weight == 1));
    assert_eq!(read_from(&source, 0, None).rows, ["1"]);
    // A name that is given is read, whatever it begins with.
    let hidden = FileSource::lines(folder.path().join(".hidden"));
    assert_eq!(read_from(&hidden, 0, None).rows, ["x"]);
}

#[test]
fn a_path_that_cannot_be_read_is_named_with_what_to_do() {
    let folder = folder(&[("empty/_x", b""), ("short.csv", b"place,id\nRome,1\n")]);
    let error = |path: &Path| FileSource::lines(path).enumerate(1).unwrap_err().to_string();
    let missing = error(&folder.path().join("missing.csv"));
    assert!(missing.starts_with("no such file or folder: "), "{missing}");
    assert!(missing.contains("missing.csv"), "{missing}");
    let empty = error(&folder.path().join("empty"));
    assert!(empty.ends_with("has no file to read: names that start with . or _ are passed over"));

    // The file shrinks after the checkpoint.
    let source = FileSource::<Payment>::csv(folder.path().join("short.csv"));
    let context = reader_context(Arc::new(|| {}));
    let splits = source.enumerate(1).unwrap();
    let mut reader = source.open(&splits[0], None, &context).unwrap();
    reader.read(1, &mut ReadBuffer::default()).unwrap();
    fs::write(folder.path().join("short.csv"), "place,id\n").unwrap();
    let Err(error) = source.open(&splits[0], Some(&reader.position()), &context) else {
        panic!("it was opened")
    };
    assert!(error.to_string().contains("must not be changed"), "{error}");
}

#[test]
fn only_what_no_checkpoint_can_refer_to_counts_as_left_over() {
    // Attempt 2 of subtask 0 in epoch 1, restored from checkpoint 5.
    let name = |attempt| WriterName::new(&sink_context(0, attempt, None), "txt");
    let other = WriterName::new(&sink_context(1, 0, None), "txt");
    let table = [
        (name(1).in_progress(3), true),
        (name(0).pending(3, 6), true),
        (name(0).pending(3, 5), false),
        (name(0).final_name(3), false),
        (name(2).in_progress(3), false),
        (name(3).in_progress(3), false),
        (name(3).pending(3, 6), false),
        (other.in_progress(3), false),
        (other.pending(3, 6), false),
        (format!("{}x", name(1).in_progress(3)), false),
        (".part-".to_owned(), false),
        (String::new(), false),
    ];
    for (file, left_over) in table {
        assert_eq!(name(2).is_left_over(&file, 5), left_over, "{file}");
    }
}

#[test]
fn what_a_subtask_left_that_there_is_not_any_more_falls_to_another_one_under_the_next_leader() {
    let name = |index, parallelism, epoch| {
        let mut context = sink_context(index, 0, None);
        context.subtask.parallelism = parallelism;
        context.job.epoch = thalweg_core::ids::Epoch(epoch);
        WriterName::new(&context, "txt")
    };
    // Subtask 0 of 2 in epoch 2, restored from checkpoint 5.
    let table = [
        (name(2, 4, 1).pending(3, 6), true),
        (name(2, 4, 1).in_progress(3), true),
        (name(2, 4, 1).pending(3, 5), false),
        (name(2, 4, 2).pending(3, 6), false),
        (name(3, 4, 1).pending(3, 6), false),
        (name(1, 4, 1).pending(3, 6), false),
        (name(0, 4, 1).pending(3, 6), true),
    ];
    for (file, left_over) in table {
        assert_eq!(name(0, 2, 2).is_left_over(&file, 5), left_over, "{file}");
    }
}

/// A sink subtask, its source, and the store of checkpoints: what survives a kill is only the
/// folder and the last published checkpoint.
struct World {
    folder: TempDir,
    attempt: u32,
    /// The last published checkpoint: its id, rows read before it, and its committables.
    published: (u64, u64, Vec<Committable>),
    next_checkpoint: u64,
}

/// What one run does before the process is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kill {
    AfterWriting,
    AfterRolling,
    AfterPreparing,
    AfterPublishing,
    AfterLinking,
    AfterCommitting,
    Never,
}

const ROWS_A_CHECKPOINT: u64 = 10;
const ROWS: u64 = 40;

impl World {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { folder, attempt: 0, published: (0, 0, Vec::new()), next_checkpoint: 1 }
    }

    fn writer(&self, max_part_bytes: u64) -> Box<dyn SinkWriter<u64>> {
        let sink = FileSink::new(self.folder.path(), RowFormat::lines());
        let sink = sink.with_max_part_bytes(max_part_bytes);
        let restored_from = Some(self.published.0).filter(|id| *id > 0);
        let mut writer = sink.writer(&sink_context(0, self.attempt, restored_from)).unwrap();
        writer.commit(&self.published.2).unwrap();
        writer
    }

    /// Runs from the last published checkpoint until a checkpoint at which it's killed.
    fn run(&mut self, kill: Kill, at: u64, max_part_bytes: u64) {
        let mut writer = self.writer(max_part_bytes);
        self.attempt += 1;
        let mut pending: Vec<Committable> = Vec::new();
        for done in 0.. {
            let from = self.published.1;
            let to = (from + ROWS_A_CHECKPOINT).min(ROWS);
            let killed = |step| kill == step && done == at;
            for row in from..to {
                writer.write(Batch::from_values(vec![row])).unwrap();
                if killed(Kill::AfterRolling) && row == (from + to) / 2 {
                    return;
                }
            }
            if killed(Kill::AfterWriting) {
                writer.flush().unwrap();
                return;
            }
            let checkpoint = self.next_checkpoint;
            self.next_checkpoint += 1;
            let request = PrepareCommit {
                checkpoint: Some(CheckpointId(checkpoint)),
                input_ended: to == ROWS,
            };
            pending.extend(writer.prepare_commit(request).unwrap());
            if killed(Kill::AfterPreparing) {
                // Another leader may use the same number again.
                self.next_checkpoint -= 1;
                return;
            }
            self.published = (checkpoint, to, pending.clone());
            if killed(Kill::AfterPublishing) {
                return;
            }
            if killed(Kill::AfterLinking) {
                self.link_first(&pending);
                return;
            }
            writer.commit(&pending).unwrap();
            pending.clear();
            if killed(Kill::AfterCommitting) {
                return;
            }
            if to == ROWS {
                writer.close();
                return;
            }
        }
    }

    /// The first half of a commit: the final name is there beside the first one.
    fn link_first(&self, pending: &[Committable]) {
        let commit: serde_json::Value = serde_json::from_slice(&pending[0]).unwrap();
        let path = |field: &str| self.folder.path().join(commit[field].as_str().unwrap());
        fs::hard_link(path("pending"), path("name")).unwrap();
    }

    fn visible(&self) -> Vec<u64> {
        let mut rows = Vec::new();
        for (name, content) in self.files() {
            if !name.starts_with('.') {
                assert!(name.starts_with("part-") && name.ends_with(".txt"), "{name}");
                rows.extend(content.lines().map(|line| line.parse::<u64>().unwrap()));
            }
        }
        rows.sort_unstable();
        rows
    }

    fn files(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap());
        let file = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        };
        entries.map(file).collect()
    }
}

#[test]
fn each_row_is_visible_once_whenever_the_process_is_killed() {
    let kills = [
        Kill::AfterWriting,
        Kill::AfterRolling,
        Kill::AfterPreparing,
        Kill::AfterPublishing,
        Kill::AfterLinking,
        Kill::AfterCommitting,
    ];
    // Every pair of kills with several parts a checkpoint; alone, each one also elsewhere.
    let pairs = kills.iter().flat_map(|first| kills.map(|second| (*first, second, 1, 12)));
    let alone = kills.iter().flat_map(|kill| {
        [(0, u64::MAX), (2, 1)].map(|(at, bytes)| (*kill, Kill::Never, at, bytes))
    });
    for (first, second, at, max_part_bytes) in pairs.chain(alone) {
        let case = format!("{first:?}, {second:?} at {at}, parts of {max_part_bytes}");
        let mut world = World::new();
        world.run(first, at, max_part_bytes);
        let committed = world.published.1;
        assert!(world.visible().len() as u64 <= committed, "{case}: unpublished rows are visible");
        world.run(second, at, max_part_bytes);
        world.run(Kill::Never, 0, max_part_bytes);
        assert_eq!(world.visible(), (0..ROWS).collect::<Vec<_>>(), "{case}");
        let names = world.files().into_iter().map(|(name, _)| name);
        let hidden: Vec<_> = names.filter(|name| name.starts_with('.')).collect();
        assert!(hidden.is_empty(), "{case}: {hidden:?}");
    }
}

#[test]
fn a_part_that_another_subtask_is_still_to_commit_is_not_removed() {
    let mut world = World::new();
    world.run(Kill::AfterPublishing, 0, u64::MAX);
    let sink = FileSink::<u64>::new(world.folder.path(), RowFormat::lines());
    // After a rescale the commit of subtask 0 is dealt to subtask 1, which opens later.
    let restored_from = Some(world.published.0);
    sink.writer(&sink_context(0, 1, restored_from)).unwrap();
    let mut other = sink.writer(&sink_context(1, 1, restored_from)).unwrap();
    other.commit(&world.published.2).unwrap();
    assert_eq!(world.visible(), (0..ROWS_A_CHECKPOINT).collect::<Vec<_>>());
}

#[test]
fn a_part_that_is_gone_is_an_error_only_while_it_must_be_there() {
    let world = World::new();
    let mut writer = world.writer(u64::MAX);
    writer.write(Batch::from_values(vec![1u64])).unwrap();
    let request = PrepareCommit { checkpoint: Some(CheckpointId(1)), input_ended: false };
    let committables = writer.prepare_commit(request).unwrap();
    for (name, _) in world.files() {
        fs::remove_file(world.folder.path().join(name)).unwrap();
    }
    let error = writer.commit(&committables).unwrap_err().to_string();
    assert!(error.contains("its rows are lost"), "{error}");
    // After a restart, a reader of the folder may have taken it away after the commit.
    world.writer(u64::MAX).commit(&committables).unwrap();
}

#[test]
fn a_file_with_the_final_name_is_never_replaced() {
    let world = World::new();
    let mut writer = world.writer(u64::MAX);
    writer.write(Batch::from_values(vec![1u64])).unwrap();
    let request = PrepareCommit { checkpoint: Some(CheckpointId(1)), input_ended: false };
    let committables = writer.prepare_commit(request).unwrap();
    let commit: serde_json::Value = serde_json::from_slice(&committables[0]).unwrap();
    let taken = world.folder.path().join(commit["name"].as_str().unwrap());
    fs::write(&taken, "foreign").unwrap();
    let error = writer.commit(&committables).unwrap_err().to_string();
    assert!(error.contains("Nothing was overwritten"), "{error}");
    assert_eq!(fs::read_to_string(taken).unwrap(), "foreign");
}

/// From CSV files through the drivers to part files, with a restart at another parallelism.
#[test]
fn files_go_through_a_restart_at_another_parallelism_into_part_files_exactly_once() {
    let file = |offset: u64| {
        let row = |id: u64| match id % 100 {
            7 => format!("{id},no time\n"),
            _ => format!("{id},{}\n", id * 10 + offset),
        };
        let rows: String = (0..6000).map(|id| row(id + offset * 10_000)).collect();
        format!("id,time\n{rows}").into_bytes()
    };
    let (a, b, c) = (file(0), file(1), file(2));
    let input = folder(&[("a.csv", &a), ("b.csv", &b), ("c.csv", &c)]);
    let ids = (0..3).flat_map(|file| (0..6000).map(move |id| file * 10_000 + id));
    let (bad_ids, good): (Vec<u64>, Vec<u64>) = ids.partition(|id| id % 100 == 7);
    let source = Arc::new(FileSource::<(u64, i64)>::csv(input.path()));
    let splits = source.enumerate(2).unwrap();
    let make_source = move || {
        let strategy = WatermarkStrategy::monotonous_timestamps();
        let options = SourceOptions {
            bad_records: BadRecords::DeadLetter(OutputTag::new("bad")),
            ..SourceOptions::new(strategy.with_timestamps(|row: &(u64, i64)| row.1))
        };
        OperatorInstance::Source(Box::new(SourceDriver::new(source.clone(), options)))
    };
    let output = TempDir::new().unwrap();
    let sink = Arc::new(FileSink::<u64>::new(output.path(), RowFormat::lines()));
    let make_sink = move || OperatorInstance::Operator(Box::new(SinkDriver::new(sink.clone())));

    for polls in [0, 1, 2, 5] {
        let before = OperatorHarness::builder(make_source.clone()).parallelism(2);
        let mut source = before.splits(splits.clone()).open().unwrap();
        let mut sink = OperatorHarness::builder(make_sink.clone()).parallelism(2).open().unwrap();
        let mut bad = Vec::new();
        for _ in 0..polls {
            source.poll().unwrap();
        }
        move_rows(&mut source, &mut sink, &mut bad);
        let (of_source, of_sink) = (source.snapshot().unwrap(), sink.snapshot().unwrap());
        // Rows after the snapshot are lost with the processes, which end here.
        source.poll().unwrap();
        move_rows(&mut source, &mut sink, &mut Vec::new());
        drop((source, sink));

        let mut source = of_source.restore_at(3).open().unwrap();
        let mut sink = of_sink.restore_at(1).open().unwrap();
        while source.poll().unwrap().iter().any(|status| *status != SourceStatus::End) {
            move_rows(&mut source, &mut sink, &mut bad);
        }
        move_rows(&mut source, &mut sink, &mut bad);
        assert_eq!(source.watermarks().last(), Some(&i64::MAX));
        let last = sink.snapshot().unwrap().checkpoint();
        sink.checkpoint_completed(last).unwrap();

        let mut visible = Vec::new();
        for part in FileSource::lines(output.path()).enumerate(1).unwrap() {
            let text = fs::read_to_string(&part.id).unwrap();
            visible.extend(text.lines().map(|line| line.parse::<u64>().unwrap()));
            fs::remove_file(&part.id).unwrap();
        }
        visible.sort_unstable();
        assert!(visible == good, "{polls} polls: {} rows of {}", visible.len(), good.len());
        bad.sort_unstable();
        assert_eq!(bad, bad_ids, "{polls} polls");
    }
}

/// Moves what the source has emitted into the sink; adds the ids of bad records.
fn move_rows(source: &mut OperatorHarness, sink: &mut OperatorHarness, bad: &mut Vec<u64>) {
    let rows = source.output::<(u64, i64)>().unwrap().into_iter().map(|((id, _), _)| id);
    sink.push_batch::<u64>(0, Batch::from_values(rows.collect::<Vec<_>>())).unwrap();
    let side = OutputTag::<BadRecord>::new("bad");
    for (record, _) in source.side(&side).unwrap() {
        let id: u64 = record.raw.split(',').next().unwrap().parse().unwrap();
        // The header is line 1, the first row line 2.
        assert_eq!((record.line, record.field.as_deref()), (id % 10_000 + 2, Some("time")));
        bad.push(id);
    }
}

#[test]
fn a_csv_part_begins_with_a_header_and_two_runs_share_a_folder() {
    let folder = TempDir::new().unwrap();
    let sink = FileSink::<Payment>::new(folder.path(), RowFormat::csv());
    for run in 0..2 {
        let mut writer = sink.writer(&sink_context(0, run, None)).unwrap();
        for id in 0..2 {
            let row = Payment { id, place: "a,b".to_owned() };
            writer.write(Batch::from_values(vec![row])).unwrap();
        }
        let request = PrepareCommit { checkpoint: None, input_ended: true };
        let committables = writer.prepare_commit(request).unwrap();
        assert!(writer.prepare_commit(request).unwrap().is_empty());
        writer.commit(&committables).unwrap();
    }
    let source = FileSource::<Payment>::csv(folder.path());
    assert_eq!(source.enumerate(1).unwrap().len(), 2);
    for file in 0..2 {
        let ids: Vec<_> = read_from(&source, file, None).rows.iter().map(|row| row.id).collect();
        assert_eq!(ids, [0, 1]);
    }
}

#[test]
fn a_file_where_the_folder_should_be_is_refused() {
    let folder = folder(&[("out", b"x")]);
    let sink = FileSink::<u64>::new(folder.path().join("out"), RowFormat::lines());
    let Err(error) = sink.writer(&sink_context(0, 0, None)) else { panic!("it was opened") };
    assert!(error.to_string().contains("is a file: move it away"), "{error}");
}
