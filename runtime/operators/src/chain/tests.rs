//! A chain, driven by hand.

use std::sync::Arc;

use thalweg_core::clock::SystemClock;
use thalweg_core::element::{MAX_WATERMARK, SnapshotKind, Watermark};
use thalweg_core::ids::{CheckpointId, Epoch, JobId, JobVertexId};
use thalweg_core::job_graph::{ChainedEdge, JobVertex, OperatorNode};
use thalweg_core::key_group::KeyGroupRange;
use thalweg_state::{EncodingBudget, MemoryBudget, RestoredOperator, RunReader};

use super::*;
use crate::contract::{
    JobInfo, OpenContext, Operator, OperatorInstance, Output, Progress, RunContext, SubtaskInfo,
};
use crate::functions::{Filter, FlatMap, Map, Reduce};

/// What left the chain, by edge.
#[derive(Default)]
struct Wire {
    sent: Vec<(usize, String)>,
    full: bool,
}

impl Downstream for Wire {
    fn is_available(&self) -> bool {
        !self.full
    }
    fn batch(&mut self, edge: usize, batch: Batch) -> Result<(), DownstreamError> {
        let values = batch.values::<u64>().unwrap();
        match values {
            [one] => self.sent.push((edge, one.to_string())),
            many => self.sent.push((edge, format!("{} rows", many.len()))),
        }
        Ok(())
    }
    fn control(&mut self, edge: usize, control: Control) -> Result<(), DownstreamError> {
        self.sent.push((edge, format!("{control:?}")));
        Ok(())
    }
}

impl Wire {
    fn take(&mut self) -> Vec<String> {
        self.sent.drain(..).map(|(edge, what)| format!("{edge}: {what}")).collect()
    }
}

/// A tree: operator 0 feeds all the others, each of which has an edge out of its own.
fn chain(operators: Vec<Box<dyn Operator>>, inputs: usize) -> Chain {
    open(operators, inputs, None, |builder| builder).unwrap()
}

/// The same, whose first operator is restored, with options.
fn open(
    operators: Vec<Box<dyn Operator>>,
    inputs: usize,
    restored: Option<RestoredOperator>,
    options: impl FnOnce(ChainBuilder) -> ChainBuilder,
) -> Result<Chain, ChainError> {
    let restored = restored.map(Arc::new);
    let last = operators.len() - 1;
    let nodes = (0..operators.len()).map(|at| OperatorNode {
        id: thalweg_core::ids::OperatorId::new(at as u128),
        uid: None,
        name: format!("operator {at}"),
        stateful: false,
        guarantee: None,
        chained: (1..=last).filter(|_| at == 0).map(|to| ChainedEdge { tag: None, to }).collect(),
    });
    let vertex = JobVertex {
        id: JobVertexId::new(1),
        name: "vertex".into(),
        parallelism: 1,
        max_parallelism: 128,
        slot_sharing_group: "default".into(),
        operators: nodes.collect(),
        source_bounded: None,
    };
    let edges: Vec<EdgeTarget> = (0..=last)
        .filter(|at| last == 0 || *at > 0)
        .map(|operator| EdgeTarget { operator, tag: None })
        .collect();
    let instances = operators.into_iter().map(OperatorInstance::Operator).collect();
    let job = JobInfo { id: JobId::new(1), name: "job".into(), epoch: Epoch(1) };
    let builder = options(ChainBuilder::new(&vertex, instances, inputs, &edges));
    let opened = builder.open(|operator, name, metrics| OpenContext {
        job: &job,
        operator,
        name: Box::leak(name.to_string().into_boxed_str()),
        subtask: SubtaskInfo {
            index: 0,
            parallelism: 1,
            max_parallelism: 128,
            attempt: 0,
            key_groups: KeyGroupRange::all(128),
        },
        restored: restored.clone().filter(|_| operator.bits() == 0),
        splits: Vec::new(),
        checkpointing: true,
        state_budget: MemoryBudget::unlimited(),
        stores: Arc::new(thalweg_storage::LocalStores),
        clock: Arc::new(SystemClock::new()),
        wake: Arc::new(|| ()),
        metrics,
    });
    opened.map_err(|failed| failed.1)
}

fn rows(values: Vec<u64>) -> StreamElement {
    StreamElement::Batch(Batch::from_values(values))
}

fn control(control: Control) -> StreamElement {
    StreamElement::Control(control)
}

fn run(chain: &mut Chain, wire: &mut Wire) -> ChainStatus {
    loop {
        match chain.run(0, wire).unwrap() {
            ChainStatus::Busy => {}
            status => return status,
        }
    }
}

fn plus_one() -> Box<dyn Operator> {
    Box::new(Map::new(Arc::new(|n: u64| n + 1)))
}

#[test]
fn each_branch_of_a_chain_gets_every_row_and_control_element_in_order() {
    let even = Box::new(Filter::new(Arc::new(|n: &u64| n.is_multiple_of(2))));
    let mut chain = chain(vec![plus_one(), plus_one(), even], 1);
    let mut wire = Wire::default();
    chain.push(0, rows(vec![1]));
    chain.push(0, control(Control::Watermark(5)));
    chain.push(0, rows(vec![2]));
    chain.push(0, control(Control::EndOfInput));
    assert_eq!(run(&mut chain, &mut wire), ChainStatus::Idle);
    let mut by_edge = wire.take();
    by_edge.sort_by_key(|line| line.as_bytes()[0]);
    assert_eq!(
        by_edge,
        [
            "0: 3",
            "0: Watermark(5)",
            "0: 4",
            "0: EndOfInput",
            "1: 2",
            "1: Watermark(5)",
            "1: EndOfInput"
        ]
    );
    assert!(chain.has_ended());
}

#[test]
fn an_exploding_row_stays_bounded_and_nothing_runs_while_downstream_is_full() {
    let explode = Box::new(FlatMap::<u64, u64, _, _>::new(Arc::new(|n: u64| 0..n)));
    let mut chain = chain(vec![explode], 1);
    let mut wire = Wire::default();
    chain.push(0, rows(vec![1, 10_000]));
    chain.push(0, control(Control::Watermark(1)));
    assert_eq!(chain.run(0, &mut wire).unwrap(), ChainStatus::Busy);
    assert_eq!(wire.take(), ["0: 4096 rows"]);
    wire.full = true;
    assert_eq!(run(&mut chain, &mut wire), ChainStatus::Blocked);
    assert!(wire.take().is_empty());
    wire.full = false;
    run(&mut chain, &mut wire);
    assert_eq!(wire.take(), ["0: 4096 rows", "0: 1809 rows", "0: Watermark(1)"]);
}

#[test]
fn a_snapshot_is_complete_when_the_barrier_has_passed_every_operator() {
    let mut chain = chain(vec![plus_one(), plus_one(), plus_one()], 1);
    let mut wire = Wire::default();
    let barrier = Barrier {
        checkpoint: CheckpointId(7),
        triggered_ms: 0,
        published: CheckpointId(0),
        kind: SnapshotKind::Checkpoint,
    };
    chain.push(0, rows(vec![1]));
    chain.push_barrier(barrier.clone());
    let mut complete = None;
    while chain.run(0, &mut wire).unwrap() == ChainStatus::Busy {
        assert!(complete.is_none(), "it was complete before the last operator");
        complete = chain.take_snapshot();
    }
    let snapshot = complete.unwrap();
    assert_eq!((snapshot.barrier, snapshot.operators.len()), (barrier.clone(), 3));
    assert!(!snapshot.input_ended);
    assert!(chain.take_snapshot().is_none());
    let barriers = wire.take().iter().filter(|line| line.contains("Barrier")).count();
    assert_eq!(barriers, 2);

    // After the end of input a barrier is for the operators alone: nothing follows on the edges.
    chain.push(0, control(Control::EndOfInput));
    chain.push_barrier(barrier);
    run(&mut chain, &mut wire);
    assert!(chain.take_snapshot().unwrap().input_ended);
    assert_eq!(wire.take(), ["1: EndOfInput", "0: EndOfInput"]);
}

/// Emits the watermarks that it fires at as rows, in two calls each.
struct Fires(bool);

impl Operator for Fires {
    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let (values, columns) = batch.take_parts::<u64>()?;
        output.emit_rows(values, columns);
        Ok(())
    }

    fn watermark(
        &mut self,
        watermark: Watermark,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        output.emit(Batch::from_values(vec![watermark as u64]));
        self.0 = !self.0;
        Ok(if self.0 { Progress::More } else { Progress::Done })
    }
}

#[test]
fn the_lowest_watermark_of_both_inputs_fires_completely_before_it_goes_on() {
    let mut chain = chain(vec![Box::new(Fires(false))], 2);
    let mut wire = Wire::default();
    chain.push(0, control(Control::Watermark(9)));
    run(&mut chain, &mut wire);
    assert!(wire.take().is_empty(), "the other input has said nothing yet");
    chain.push(1, control(Control::Watermark(4)));
    chain.push(1, rows(vec![8]));
    run(&mut chain, &mut wire);
    assert_eq!(wire.take(), ["0: 4", "0: 4", "0: Watermark(4)", "0: 8"]);
    // An idle input holds nothing back, and an ended one doesn't either.
    chain.push(1, control(Control::Idle));
    run(&mut chain, &mut wire);
    assert_eq!(wire.take(), ["0: 9", "0: 9", "0: Watermark(9)"]);
    chain.push(1, control(Control::Watermark(MAX_WATERMARK)));
    chain.push(1, control(Control::EndOfInput));
    chain.push(0, control(Control::Watermark(10)));
    run(&mut chain, &mut wire);
    assert_eq!(wire.take(), ["0: 10", "0: 10", "0: Watermark(10)"]);
    chain.push(0, control(Control::EndOfInput));
    run(&mut chain, &mut wire);
    assert_eq!(wire.take(), ["0: EndOfInput"]);
}

#[test]
fn event_time_ends_when_all_inputs_have_said_so_idle_ones_included() {
    let mut chain = chain(vec![Box::new(Fires(false))], 2);
    let mut wire = Wire::default();
    let end = Control::Watermark(MAX_WATERMARK);
    chain.push(1, control(Control::Watermark(3)));
    chain.push(1, control(Control::Idle));
    chain.push(0, control(Control::Watermark(9)));
    chain.push(0, control(end.clone()));
    chain.push(0, control(Control::EndOfInput));
    run(&mut chain, &mut wire);
    // The idle input will say more, and that mustn't be late.
    assert_eq!(wire.take(), ["0: 9", "0: 9", "0: Watermark(9)", "0: Idle"]);
    chain.push(1, control(Control::Active));
    chain.push(1, control(Control::Watermark(12)));
    run(&mut chain, &mut wire);
    assert_eq!(wire.take(), ["0: Active", "0: 12", "0: 12", "0: Watermark(12)"]);
    chain.push(1, control(end));
    chain.push(1, control(Control::EndOfInput));
    run(&mut chain, &mut wire);
    let max = MAX_WATERMARK;
    let last = format!("0: Watermark({max})");
    assert_eq!(wire.take(), [&format!("0: {max}"), &format!("0: {max}"), &last, "0: EndOfInput"]);
}

#[test]
fn an_idle_input_whose_time_ends_is_active_before_it_fires() {
    let mut chain = chain(vec![Box::new(Fires(false))], 1);
    let mut wire = Wire::default();
    chain.push(0, control(Control::Idle));
    chain.push(0, control(Control::Watermark(4)));
    run(&mut chain, &mut wire);
    assert_eq!(wire.take(), ["0: Idle", "0: Active", "0: 4", "0: 4", "0: Watermark(4)"]);
}

/// Something like a sum, for 500 keys.
fn sums() -> Vec<Box<dyn Operator>> {
    let key = |n: &u64| n % 500;
    let sum = |a: u64, b: u64| a + 500 * (1 + b / 500);
    vec![Box::new(Reduce::<u64, _, _, _>::new(Arc::new(key), Arc::new(sum)))]
}

/// Gives the chain rows, and then a barrier if `published` is the newest published checkpoint.
fn snapshot(
    chain: &mut Chain,
    wire: &mut Wire,
    values: Vec<u64>,
    (checkpoint, published): (u64, u64),
) -> OperatorSnapshot {
    let (checkpoint, published) = (CheckpointId(checkpoint), CheckpointId(published));
    chain.push(0, rows(values));
    let kind = SnapshotKind::Checkpoint;
    chain.push_barrier(Barrier { checkpoint, triggered_ms: 0, published, kind });
    run(chain, wire);
    wire.take();
    while chain.is_encoding() {
        chain.encode(&mut EncodingBudget::new(50, 1000)).unwrap();
    }
    chain.take_snapshot().unwrap().operators.remove(0)
}

fn restored(runs: &[&OperatorSnapshot]) -> RestoredOperator {
    let open =
        |snapshot: &&OperatorSnapshot| RunReader::open(Arc::new(snapshot.run.clone())).unwrap();
    RestoredOperator::new(runs.iter().map(open).collect(), 0, 1).unwrap()
}

#[test]
fn snapshots_go_on_from_the_last_published_one_also_after_a_restore() {
    let mut chain = open(sums(), 1, None, |builder| builder.incremental(None)).unwrap();
    let mut wire = Wire::default();
    let base = snapshot(&mut chain, &mut wire, (1..2000).collect(), (1, 0));
    let given_up = snapshot(&mut chain, &mut wire, vec![20, 31], (2, 1));
    let delta = snapshot(&mut chain, &mut wire, vec![40], (3, 1));
    let extends = [&base, &given_up, &delta].map(|s| s.extends.map(|checkpoint| checkpoint.0));
    assert_eq!(extends, [None, Some(1), Some(1)]);

    let from = restored(&[&base, &delta]).continued();
    let options = |builder: ChainBuilder| builder.incremental(Some(CheckpointId(3)));
    let mut again = open(sums(), 1, Some(from), options).unwrap();
    for value in [50, 51, 52] {
        let emitted = [&mut chain, &mut again].map(|chain| {
            chain.push(0, rows(vec![value]));
            run(chain, &mut wire);
            wire.take()
        });
        assert_eq!(emitted[0], emitted[1]);
    }
    let next = snapshot(&mut again, &mut wire, vec![], (4, 3));
    assert_eq!(next.extends, Some(CheckpointId(3)));
    let rows = RunReader::open(Arc::new(next.run)).unwrap().row_count();
    assert_eq!(rows, 3, "what was restored isn't written again");
}

#[test]
fn state_that_no_operator_asks_for_is_refused_unless_it_may_be_dropped() {
    let mut chain = open(sums(), 1, None, |builder| builder.incremental(None)).unwrap();
    let base = snapshot(&mut chain, &mut Wire::default(), vec![1, 2], (1, 0));
    let from = || Some(restored(&[&base]).continued());
    let error = open(vec![plus_one()], 1, from(), |builder| builder).unwrap_err().to_string();
    assert!(error.contains("operator 0") && error.contains("doesn't register"), "{error}");
    assert!(error.contains("ignore-unclaimed-state"), "{error}");
    let options =
        |builder: ChainBuilder| builder.incremental(Some(CheckpointId(1))).allow_unclaimed();
    let mut chain = open(vec![plus_one()], 1, from(), options).unwrap();
    // What was dropped stays dropped: nothing goes on from the runs that have it.
    let next = snapshot(&mut chain, &mut Wire::default(), vec![1], (2, 1));
    assert_eq!(next.extends, None);
}
