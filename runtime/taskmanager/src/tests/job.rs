//! The job of these tests: `numbers` (parallelism 1), then by key `count -> collect`. Every running
//! count of every key is collected, so that a row lost or repeated shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use thalweg_core::ids::{AllocationId, ExecutionAttemptId, JobId, JobVertexId, OperatorId};
use thalweg_core::job_graph::{
    ChainedEdge, JobEdge, JobGraph, JobVertex, OperatorNode, ShipStrategy,
};
use thalweg_core::{Batch, Record, RowType};
use thalweg_operators::code::{EdgeCode, JobCode};
use thalweg_operators::contract::{
    OpenContext, OperatorError, OperatorFactory, OperatorInstance, Output, RunContext,
    SnapshotContext, SourceOperator, SourceStatus,
};
use thalweg_operators::functions::{Collect, KeyHashes, Reduce};
use thalweg_rpc::message::{
    Accumulator, ConsumerChannel, InputChannelDeployment, JobInformation, OutputDeployment,
    TaskDeployment, TaskRestore,
};
use thalweg_state::run::RunWriter;
use thalweg_state::{OperatorListState, OperatorState};

use super::ballast::Ballast;
use crate::{CodeError, CodeProvider};

pub(super) const BUILD: u64 = 77;
pub(super) const JOB: JobId = JobId::new(1);
pub(super) const ROWS: i64 = 20_000;
const KEYS: i64 = 37;
/// A row that makes `count` panic.
pub(super) const POISON: i64 = -1;

const SOURCE: OperatorId = OperatorId::new(11);
pub(super) const COUNT: OperatorId = OperatorId::new(12);
pub(super) const COLLECT: OperatorId = OperatorId::new(13);
const NUMBERS_VERTEX: JobVertexId = JobVertexId::new(21);
const COUNT_VERTEX: JobVertexId = JobVertexId::new(22);

type Row = (i64, i64);

/// Emits `(n % KEYS, 1)` for `n` from 0 to ROWS, but waits at `hold`.
struct Numbers {
    hold: Arc<AtomicI64>,
    poison: bool,
    state: Option<(OperatorState, OperatorListState<i64>)>,
    next: i64,
}

impl SourceOperator for Numbers {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        let mut state = OperatorState::new(context.restored.clone());
        let position = state.list_state::<i64>("position")?;
        self.next = position.get(&state)?.first().copied().unwrap_or(0);
        self.state = Some((state, position));
        Ok(())
    }

    fn poll(
        &mut self,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<SourceStatus, OperatorError> {
        let end = ROWS.min(self.hold.load(Ordering::Relaxed)).min(self.next + 100);
        if end > self.next {
            let mut rows: Vec<Row> = (self.next..end).map(|n| (n % KEYS, 1)).collect();
            if self.poison {
                rows.push((POISON, 1));
            }
            self.next = end;
            output.emit(Batch::from_values(rows));
            return Ok(SourceStatus::More);
        }
        if self.next < ROWS {
            return Ok(SourceStatus::Pending { until: Some(context.processing_time + 2) });
        }
        output.emit_watermark(i64::MAX);
        Ok(SourceStatus::End)
    }

    fn snapshot(
        &mut self,
        _context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        if let Some((state, position)) = &mut self.state {
            position.update(state, vec![self.next])?;
            state.snapshot(writer)?;
        }
        Ok(())
    }
}

/// The job's code, and how it behaves.
pub(super) struct Program {
    pub(super) hold: Arc<AtomicI64>,
    pub(super) poison: bool,
    /// Each key has much state.
    pub(super) ballast: bool,
    pub(super) loads: AtomicU32,
}

impl Program {
    /// It stops reading at row `hold`.
    pub(super) fn holding_at(hold: i64) -> Arc<Self> {
        Arc::new(Self::new(hold, false))
    }

    /// The same with much state.
    pub(super) fn with_ballast(hold: i64) -> Arc<Self> {
        Arc::new(Self::new(hold, true))
    }

    fn new(hold: i64, ballast: bool) -> Self {
        let hold = Arc::new(AtomicI64::new(hold));
        Self { hold, poison: false, ballast, loads: AtomicU32::new(0) }
    }

    pub(super) fn release(&self) {
        self.hold.store(i64::MAX, Ordering::Relaxed);
    }
}

impl CodeProvider for Program {
    fn load(&self, job: &JobInformation) -> Result<Arc<JobCode>, CodeError> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        if job.job_name == "unknown" {
            let reason = "the program has no such job".to_owned();
            return Err(CodeError { job: job.job_name.clone(), reason });
        }
        let key = Arc::new(|row: &Row| row.0);
        let (hold, poison, ballast) = (Arc::clone(&self.hold), self.poison, self.ballast);
        let numbers = move || {
            let hold = Arc::clone(&hold);
            OperatorInstance::Source(Box::new(Numbers { hold, poison, state: None, next: 0 }))
        };
        let of_count = Arc::clone(&key);
        let count = move || {
            let sum = |so_far: Row, next: Row| (so_far.0, so_far.1 + next.1);
            let select = Arc::clone(&of_count);
            let key = Arc::new(move |row: &Row| {
                assert_ne!(row.0, POISON, "poisoned");
                select(row)
            });
            let reduce = Box::new(Reduce::new(key, Arc::new(sum)));
            OperatorInstance::Operator(match ballast {
                true => Box::new(Ballast::of(reduce)),
                false => reduce,
            })
        };
        let collect =
            || OperatorInstance::Operator(Box::new(Collect::<Row>::new("counts")) as Box<_>);
        let mut operators: BTreeMap<OperatorId, Arc<dyn OperatorFactory>> = BTreeMap::new();
        operators.insert(SOURCE, Arc::new(numbers));
        operators.insert(COUNT, Arc::new(count));
        operators.insert(COLLECT, Arc::new(collect));
        let edge = EdgeCode {
            row_type: RowType::of::<Row>(),
            keys: Some(<dyn KeyHashes>::of::<Row, i64, _>(key)),
            custom: None,
        };
        // The parallelism that the program asks for isn't what the JobManager has decided.
        Ok(Arc::new(JobCode {
            graph: Arc::new(graph(1)),
            operators,
            edges: vec![edge],
            sources: BTreeMap::new(),
        }))
    }
}

fn graph(parallelism: u32) -> JobGraph {
    let node = |id, name: &str, chained| OperatorNode {
        id,
        uid: None,
        name: name.to_owned(),
        stateful: true,
        guarantee: None,
        chained,
    };
    let vertex = |id, name: &str, parallelism, operators| JobVertex {
        id,
        name: name.to_owned(),
        parallelism,
        max_parallelism: 128,
        slot_sharing_group: "default".to_owned(),
        operators,
        source_bounded: None,
    };
    let to_collect = vec![ChainedEdge { tag: None, to: 1 }];
    let counting = vec![node(COUNT, "count", to_collect), node(COLLECT, "collect", vec![])];
    JobGraph {
        job_id: JOB,
        name: "count".to_owned(),
        vertices: vec![
            vertex(NUMBERS_VERTEX, "numbers", 1, vec![node(SOURCE, "numbers", vec![])]),
            vertex(COUNT_VERTEX, "count -> collect", parallelism, counting),
        ],
        edges: vec![JobEdge {
            from: NUMBERS_VERTEX,
            from_operator: 0,
            tag: None,
            to: COUNT_VERTEX,
            input: 0,
            ship: ShipStrategy::Hash,
        }],
        edge_schemas: vec![RowType::of::<Row>().fingerprint()],
    }
}

pub(super) fn information(parallelism: u32, checkpointing: bool) -> JobInformation {
    let graph = Arc::new(graph(parallelism));
    JobInformation {
        job_id: JOB,
        job_name: "count".to_owned(),
        graph_fingerprint: graph.fingerprint(),
        graph,
        build_id: BUILD,
        arguments: vec![],
        execute_ordinal: 0,
        earlier_results: vec![],
        once_values: BTreeMap::new(),
        configuration: BTreeMap::new(),
        checkpointing,
        checkpoint_directory: checkpointing.then(|| "memory".to_owned()),
        log_epoch: None,
    }
}

/// Number 0 of a run is the source, 1 and following are the counting subtasks.
pub(super) fn attempt(run: u128, number: u32) -> ExecutionAttemptId {
    ExecutionAttemptId::new(run * 100 + u128::from(number))
}

/// The tasks of one run, on a TaskManager at `address`.
pub(super) fn tasks(
    run: u128,
    parallelism: u32,
    address: &str,
    restore: impl Fn(u32) -> Option<TaskRestore>,
) -> Vec<TaskDeployment> {
    let base = |number, vertex, subtask| TaskDeployment {
        attempt: attempt(run, number),
        attempt_number: 0,
        vertex,
        subtask,
        allocation: AllocationId::new(run),
        slot: 0,
        inputs: vec![],
        outputs: vec![],
        source_splits: vec![],
        restore: restore(number),
    };
    let mut source = base(0, NUMBERS_VERTEX, 0);
    source.outputs = vec![OutputDeployment {
        edge: 0,
        operator_index: 0,
        tag: None,
        ship: ShipStrategy::Hash,
        consumer_parallelism: parallelism,
        consumer_max_parallelism: 128,
        channels: (0..parallelism)
            .map(|subtask| ConsumerChannel {
                consumer_subtask: subtask,
                consumer_attempt: attempt(run, subtask + 1),
                consumer_address: address.to_owned(),
            })
            .collect(),
    }];
    let counting = (0..parallelism).map(|subtask| {
        let mut task = base(subtask + 1, COUNT_VERTEX, subtask);
        task.inputs = vec![InputChannelDeployment {
            edge: 0,
            input: 0,
            producer_subtask: 0,
            producer_attempt: attempt(run, 0),
            producer_address: address.to_owned(),
        }];
        task
    });
    // The producer first: its consumers aren't there yet.
    std::iter::once(source).chain(counting).collect()
}

/// All counts that were collected, sorted.
pub(super) fn collected<'a>(results: impl IntoIterator<Item = &'a Accumulator>) -> Vec<Row> {
    let mut rows = Vec::new();
    for result in results {
        assert_eq!((result.operator, result.name.as_str()), (COLLECT, "counts"));
        let mut bytes = result.value.as_slice();
        while !bytes.is_empty() {
            rows.push(Row::decode(&mut bytes).unwrap());
        }
    }
    rows.sort_unstable();
    rows
}

/// Checks that each count of each key was collected once. Names the first that is wrong.
pub(super) fn check(collected: &[Row]) {
    let expected = oracle();
    let wrong = collected.iter().zip(&expected).find(|(found, expected)| found != expected);
    assert_eq!(wrong, None, "found and expected");
    assert_eq!(collected.len(), expected.len());
}

fn oracle() -> Vec<Row> {
    let mut counts = BTreeMap::new();
    let mut rows: Vec<Row> = (0..ROWS)
        .map(|n| {
            let count = counts.entry(n % KEYS).or_insert(0);
            *count += 1;
            (n % KEYS, *count)
        })
        .collect();
    rows.sort_unstable();
    rows
}
