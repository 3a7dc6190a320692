//! The driver with a sink that writes down what it's asked.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use thalweg_core::Batch;
use thalweg_core::ids::CheckpointId;

use super::{
    Committable, DeliveryGuarantee, PrepareCommit, Sink, SinkContext, SinkDriver, SinkWriter,
};
use crate::contract::{FunctionResult, Operator};
use crate::source::rig::Rig;

/// What happened, in order, and what is visible.
#[derive(Default)]
struct Log {
    calls: Vec<String>,
    visible: BTreeSet<Vec<u8>>,
    fail_commits: bool,
}

#[derive(Clone, Default)]
struct LogSink(Arc<Mutex<Log>>);

struct Writer {
    log: LogSink,
    rows: Vec<u8>,
}

impl LogSink {
    fn call(&self, call: String) {
        self.0.lock().unwrap().calls.push(call);
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().calls)
    }

    fn visible(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().visible.iter().cloned().collect()
    }
}

impl Sink for LogSink {
    type Row = u8;

    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }

    fn writer(&self, context: &SinkContext) -> FunctionResult<Box<dyn SinkWriter<u8>>> {
        let from = context.restored_from.map(|id| id.0);
        self.call(format!("open {from:?}"));
        Ok(Box::new(Writer { log: self.clone(), rows: Vec::new() }))
    }
}

impl SinkWriter<u8> for Writer {
    fn write(&mut self, batch: Batch) -> FunctionResult {
        self.rows.extend(batch.into_parts::<u8>()?.0);
        Ok(())
    }

    fn flush(&mut self) -> FunctionResult {
        self.log.call("flush".to_owned());
        Ok(())
    }

    fn prepare_commit(&mut self, request: PrepareCommit) -> FunctionResult<Vec<Committable>> {
        let (checkpoint, ended) = (request.checkpoint.map(|id| id.0), request.input_ended);
        self.log.call(format!("prepare {checkpoint:?} {ended}"));
        let rows = std::mem::take(&mut self.rows);
        Ok(if rows.is_empty() { Vec::new() } else { vec![rows] })
    }

    fn commit(&mut self, committables: &[Committable]) -> FunctionResult {
        if self.log.0.lock().unwrap().fail_commits {
            return Err("the outside is away".into());
        }
        self.log.call(format!("commit {committables:?}"));
        self.log.0.lock().unwrap().visible.extend(committables.iter().cloned());
        Ok(())
    }

    fn close(&mut self) {
        self.log.call("close".to_owned());
    }
}

struct Subtask {
    rig: Rig,
    driver: SinkDriver<LogSink>,
}

impl Subtask {
    fn new(sink: &LogSink, runs: Option<&[Vec<u8>]>) -> Self {
        Self::start(Rig::new(0, 1), sink, runs)
    }

    fn start(rig: Rig, sink: &LogSink, runs: Option<&[Vec<u8>]>) -> Self {
        let mut driver = SinkDriver::new(Arc::new(sink.clone()));
        rig.open(Vec::new(), runs, |context| driver.open(context)).unwrap();
        Self { rig, driver }
    }

    fn write(&mut self, rows: &[u8]) {
        let mut batch = Batch::from_values(rows.to_vec());
        let driver = &mut self.driver;
        self.rig.call(|context, output| driver.process(0, &mut batch, context, output)).unwrap();
        assert!(batch.is_empty());
    }

    fn snapshot(&mut self, checkpoint: u64) -> Vec<u8> {
        let driver = &mut self.driver;
        self.rig.snapshot(checkpoint, |context, writer| driver.snapshot(context, writer))
    }

    fn completed(&mut self, checkpoint: u64) {
        self.driver.checkpoint_completed(CheckpointId(checkpoint)).unwrap();
    }
}

#[test]
fn what_a_checkpoint_holds_is_committed_when_it_was_published_and_not_before() {
    let sink = LogSink::default();
    let mut subtask = Subtask::new(&sink, None);
    subtask.write(&[1, 2]);
    subtask.snapshot(1);
    subtask.write(&[3]);
    assert_eq!(sink.calls(), ["open None", "prepare Some(1) false"]);
    subtask.completed(1);
    subtask.completed(1);
    assert_eq!(sink.calls(), ["commit [[1, 2]]"], "a repetition commits nothing");
    subtask.driver.close();
    assert_eq!(sink.calls(), ["close"]);
    assert_eq!(sink.visible(), [vec![1, 2]]);
}

#[test]
fn a_failed_checkpoint_is_committed_with_the_next_one_oldest_first() {
    let sink = LogSink::default();
    let mut subtask = Subtask::new(&sink, None);
    for checkpoint in 1..=3 {
        subtask.write(&[checkpoint]);
        subtask.snapshot(u64::from(checkpoint));
    }
    sink.calls();
    subtask.completed(2);
    assert_eq!(sink.calls(), ["commit [[1]]", "commit [[2]]"]);
    assert_eq!(sink.visible(), [vec![1], vec![2]]);
}

#[test]
fn a_restored_sink_commits_what_its_checkpoint_holds_first_and_nothing_else() {
    let sink = LogSink::default();
    let mut subtask = Subtask::new(&sink, None);
    subtask.write(&[1]);
    subtask.snapshot(6);
    subtask.write(&[2]);
    // 7 is published, but the process ends before it hears of it, and after pre-committing 8.
    let run = subtask.snapshot(7);
    subtask.write(&[3]);
    subtask.snapshot(8);
    drop(subtask);
    sink.calls();
    for _ in 0..2 {
        let restored = Subtask::new(&sink, Some(std::slice::from_ref(&run)));
        assert_eq!(sink.calls(), ["open Some(7)", "commit [[1]]", "commit [[2]]"]);
        drop(restored);
    }
    assert_eq!(sink.visible(), [vec![1], vec![2]]);
}

#[test]
fn at_another_parallelism_each_commit_goes_to_one_subtask_and_all_know_the_checkpoint() {
    let sink = LogSink::default();
    let mut runs = Vec::new();
    for index in 0..3 {
        let mut subtask = Subtask::start(Rig::new(index, 3), &sink, None);
        subtask.write(&[index as u8]);
        runs.push(subtask.snapshot(4));
    }
    sink.calls();
    for parallelism in [1, 2, 5] {
        let mut calls = Vec::new();
        for index in 0..parallelism {
            Subtask::start(Rig::new(index, parallelism), &sink, Some(&runs));
            let mut of_subtask = sink.calls();
            assert_eq!(of_subtask.remove(0), "open Some(4)");
            calls.extend(of_subtask);
        }
        calls.sort();
        assert_eq!(calls, ["commit [[0]]", "commit [[1]]", "commit [[2]]"], "{parallelism}");
    }
}

#[test]
fn a_commit_that_fails_stays_and_is_in_the_next_snapshot() {
    let sink = LogSink::default();
    let mut subtask = Subtask::new(&sink, None);
    subtask.write(&[1]);
    subtask.snapshot(1);
    sink.0.lock().unwrap().fail_commits = true;
    let error = subtask.driver.checkpoint_completed(CheckpointId(1)).unwrap_err();
    assert_eq!(error.to_string(), "the outside is away");
    let run = subtask.snapshot(2);
    sink.0.lock().unwrap().fail_commits = false;
    sink.calls();
    Subtask::new(&sink, Some(&[run]));
    assert_eq!(sink.calls(), ["open Some(2)", "commit [[1]]"]);
}

#[test]
fn without_checkpoints_everything_is_committed_at_the_end() {
    let sink = LogSink::default();
    let mut subtask = Subtask::new(&sink, None);
    subtask.write(&[1]);
    let driver = &mut subtask.driver;
    let _ = subtask.rig.call(|context, out| driver.end_of_input(0, context, out)).unwrap();
    driver.commit_without_checkpoints().unwrap();
    assert_eq!(sink.calls(), ["open None", "flush", "prepare None true", "commit [[1]]"]);
}

#[test]
fn rows_are_flushed_a_while_after_they_came() {
    let sink = LogSink::default();
    let mut subtask = Subtask::new(&sink, None);
    assert_eq!(subtask.driver.next_processing_time(), None);
    subtask.write(&[1]);
    subtask.rig.clock.advance(60);
    subtask.write(&[2]);
    assert_eq!(subtask.driver.next_processing_time(), Some(1_000_100));
    for (advance, calls) in [(0, vec![]), (40, vec!["flush"]), (500, vec![])] {
        sink.calls();
        subtask.rig.clock.advance(advance);
        let driver = &mut subtask.driver;
        let _ = subtask.rig.call(|context, out| driver.processing_time(context, out)).unwrap();
        assert_eq!(sink.calls(), calls);
    }
    assert_eq!(subtask.driver.next_processing_time(), None);
}
