//! What surrounds a task in these tests: a gate that plays a script, a writer that records, an
//! observer that remembers, a clock that is set by hand, and operators that say what happens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::element::{Barrier, Control, SnapshotKind};
use thalweg_core::ids::{CheckpointId, Epoch, ExecutionAttemptId, JobId, JobVertexId, OperatorId};
use thalweg_core::job_graph::{ChainedEdge, JobGraph, JobVertex, OperatorNode};
use thalweg_core::key_group::KeyGroupRange;
use thalweg_core::{Batch, Clock};
use thalweg_network::{GateEvent, NetworkError};
use thalweg_operators::chain::EdgeTarget;
use thalweg_operators::code::JobCode;
use thalweg_operators::contract::{
    JobInfo, OpenContext, Operator, OperatorError, OperatorFactory, OperatorInstance, Output,
    Progress, RunContext, SnapshotContext, SourceOperator, SourceStatus, SubtaskInfo,
};
use thalweg_state::MemoryBudget;
use thalweg_state::run::RunWriter;

use super::hoarder::Hoarder;
use crate::task::{
    IoCounters, Mailbox, SpecRestore, Step, Task, TaskEvent, TaskInput, TaskMetrics, TaskOutput,
    TaskPorts, TaskSpec,
};

#[derive(Debug, Default)]
pub(super) struct TestClock(Mutex<Ticking>);

#[derive(Debug, Default)]
struct Ticking {
    elapsed: Duration,
    /// How much later it is after each look at it.
    tick: Duration,
    reads: usize,
}

impl TestClock {
    pub(super) fn advance(&self, ms: u64) {
        self.0.lock().elapsed += Duration::from_millis(ms);
    }

    /// From now on each look at it takes so long.
    pub(super) fn ticks(&self, ms: u64) {
        self.0.lock().tick = Duration::from_millis(ms);
    }

    /// How often the task has looked at it.
    pub(super) fn reads(&self) -> usize {
        self.0.lock().reads
    }
}

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        1_000_000 + self.0.lock().elapsed.as_millis() as i64
    }

    fn elapsed(&self) -> Duration {
        let mut ticking = self.0.lock();
        ticking.reads += 1;
        let tick = ticking.tick;
        ticking.elapsed += tick;
        ticking.elapsed
    }
}

/// The script of a gate.
#[derive(Default, Clone)]
pub(super) struct Script(Arc<Mutex<VecDeque<GateEvent>>>, Arc<Mutex<Vec<CheckpointId>>>);

impl Script {
    pub(super) fn rows(&self, values: &[i64]) {
        self.event(GateEvent::Batch { input: 0, batch: Batch::from_values(values.to_vec()) });
    }

    pub(super) fn event(&self, event: GateEvent) {
        self.0.lock().push_back(event);
    }

    pub(super) fn barrier(&self, checkpoint: u64) {
        let barrier = barrier(checkpoint);
        self.event(GateEvent::BarrierAligned { barrier, alignment: Default::default() });
    }

    pub(super) fn end(&self) {
        self.event(GateEvent::EndOfInput { input: 0 });
        self.event(GateEvent::Finished);
    }

    pub(super) fn aborted(&self) -> Vec<CheckpointId> {
        self.1.lock().clone()
    }
}

impl TaskInput for Script {
    fn poll(&mut self, _now: Duration) -> Result<GateEvent, NetworkError> {
        let mut events = self.0.lock();
        match events.front() {
            None => Ok(GateEvent::Empty),
            Some(GateEvent::Finished) => Ok(GateEvent::Finished),
            Some(_) => Ok(events.pop_front().unwrap_or(GateEvent::Empty)),
        }
    }

    fn abort_checkpoint(&mut self, checkpoint: CheckpointId) {
        self.1.lock().push(checkpoint);
    }

    fn counters(&self) -> IoCounters {
        IoCounters { records: 42, bytes: 420, batches: 4 }
    }

    fn queued_bytes(&self) -> usize {
        7
    }
}

/// What a writer was given, as text.
#[derive(Default, Clone)]
pub(super) struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    full: bool,
    elements: Vec<String>,
}

impl Recorder {
    pub(super) fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    pub(super) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().elements)
    }
}

impl TaskOutput for Recorder {
    fn is_available(&self) -> bool {
        !self.0.lock().full
    }

    fn write(&mut self, batch: Batch, _now: Duration) -> Result<(), NetworkError> {
        self.0.lock().elements.push(format!("{:?}", batch.values::<i64>()?));
        Ok(())
    }

    fn write_control(&mut self, control: Control) -> Result<(), NetworkError> {
        let text = match control {
            Control::Watermark(i64::MAX) => "watermark end".to_owned(),
            Control::Watermark(watermark) => format!("watermark {watermark}"),
            Control::Barrier(barrier) => format!("barrier {}", barrier.checkpoint),
            Control::EndOfInput => "end".to_owned(),
            other => format!("{other:?}"),
        };
        self.0.lock().elements.push(text);
        Ok(())
    }

    fn next_flush(&self) -> Option<Duration> {
        None
    }

    fn flush_due(&mut self, _now: Duration) -> Result<(), NetworkError> {
        Ok(())
    }

    fn counters(&self) -> IoCounters {
        IoCounters { records: 5, bytes: 50, batches: 1 }
    }

    fn queued_bytes(&self) -> usize {
        9
    }
}

/// What the operators did, in order.
pub(super) type Diary = Arc<Mutex<Vec<String>>>;

/// Passes rows on, one output at a time, and writes into the diary. A row of -1 makes it panic,
/// one of -2 fail, one of -3 ask for a timer 50 ms later, and one of -4 panic when it is closed.
struct Diarist {
    name: &'static str,
    diary: Diary,
    timer: Option<i64>,
    panics_when_opened: bool,
    panics_when_closed: bool,
}

impl Diarist {
    fn note(&self, what: impl std::fmt::Display) {
        self.diary.lock().push(format!("{} {what}", self.name));
    }
}

impl Operator for Diarist {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        assert!(!self.panics_when_opened, "opening fails");
        self.note(if context.restored.is_some() { "restored" } else { "opened" });
        Ok(())
    }

    fn process(
        &mut self,
        _input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let (values, columns) = batch.take_parts::<i64>()?;
        for value in &values {
            match value {
                -1 => panic!("minus one"),
                -2 => return Err(OperatorError::Function("minus two".into())),
                -3 => self.timer = Some(context.processing_time + 50),
                -4 => self.panics_when_closed = true,
                _ => {}
            }
        }
        output.emit_rows(values, columns);
        Ok(())
    }

    fn next_processing_time(&self) -> Option<i64> {
        self.timer
    }

    fn processing_time(
        &mut self,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.timer = None;
        output.emit(Batch::from_values(vec![50_i64]));
        Ok(Progress::Done)
    }

    fn snapshot(
        &mut self,
        context: &SnapshotContext,
        _writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        self.note(format!("snapshot {} ended={}", context.checkpoint, context.input_ended));
        Ok(())
    }

    fn checkpoint_completed(&mut self, checkpoint: CheckpointId) -> Result<(), OperatorError> {
        self.note(format!("completed {checkpoint}"));
        Ok(())
    }

    fn commit_without_checkpoints(&mut self) -> Result<(), OperatorError> {
        self.note("committed");
        Ok(())
    }

    fn results(&mut self) -> Vec<(String, Vec<u8>)> {
        vec![(self.name.to_owned(), vec![1])]
    }

    fn close(&mut self) {
        self.note("closed");
        assert!(!self.panics_when_closed, "closing fails");
    }
}

/// Emits 1, 2, 3 and so on, a row a poll, up to `last`.
struct Numbers {
    next: i64,
    last: i64,
    diary: Diary,
}

impl SourceOperator for Numbers {
    fn open(&mut self, _context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        Ok(())
    }

    fn poll(
        &mut self,
        _context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<SourceStatus, OperatorError> {
        if self.next > self.last {
            output.emit_watermark(i64::MAX);
            return Ok(SourceStatus::End);
        }
        output.emit(Batch::from_values(vec![self.next]));
        self.next += 1;
        Ok(SourceStatus::More)
    }

    fn snapshot(
        &mut self,
        context: &SnapshotContext,
        _writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        self.diary.lock().push(format!("source snapshot {}", context.checkpoint));
        Ok(())
    }
}

pub(super) fn barrier(checkpoint: u64) -> Barrier {
    let published = CheckpointId(checkpoint - 1);
    let kind = SnapshotKind::Checkpoint;
    Barrier { checkpoint: CheckpointId(checkpoint), triggered_ms: 1_000_000, published, kind }
}

/// A task and all that is around it.
pub(super) struct World {
    pub(super) task: Task,
    pub(super) script: Script,
    pub(super) recorder: Recorder,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) clock: Arc<TestClock>,
    pub(super) metrics: Arc<TaskMetrics>,
    pub(super) diary: Diary,
    events: Arc<Mutex<Vec<TaskEvent>>>,
}

/// What differs between the tests.
#[derive(Default)]
pub(super) struct Setting {
    pub(super) checkpointing: bool,
    /// The head is a source of so many rows.
    pub(super) source_rows: Option<i64>,
    pub(super) restore: Option<SpecRestore>,
    /// The first operator panics when it opens.
    pub(super) panics_when_opened: bool,
    /// The first operator has much state.
    pub(super) hoards: bool,
    /// Bytes for parts of snapshots that are being uploaded, if there's a store for them.
    pub(super) uploads: Option<MemoryBudget>,
    /// Bytes for snapshots; without a limit if it isn't set.
    pub(super) snapshot_buffers: Option<usize>,
}

impl World {
    /// `first -> second`, or `source -> second`.
    pub(super) fn new(setting: Setting) -> Self {
        let diary = Diary::default();
        let script = Script::default();
        let recorder = Recorder::default();
        let clock = Arc::new(TestClock::default());
        let metrics = Arc::new(TaskMetrics::default());
        let mailbox = Arc::new(Mailbox::new(Arc::new(|| {})));
        let events: Arc<Mutex<Vec<TaskEvent>>> = Arc::default();
        let observed = Arc::clone(&events);
        let has_source = setting.source_rows.is_some();
        let spec = spec(&setting, &diary);
        let spec = TaskSpec { restore: setting.restore, ..spec };
        let ports = TaskPorts {
            input: (!has_source).then(|| Box::new(script.clone()) as Box<dyn TaskInput>),
            outputs: vec![Box::new(recorder.clone())],
            mailbox: Arc::clone(&mailbox),
            observer: Arc::new(move |event: TaskEvent| observed.lock().push(event)),
            metrics: Arc::clone(&metrics),
            wake: Arc::new(|| {}),
            clock: clock.clone(),
        };
        let task = Task::new(spec, ports);
        Self { task, script, recorder, mailbox, clock, metrics, diary, events }
    }

    /// Steps until the task has nothing to do, and gives what it waits for.
    pub(super) fn settle(&mut self) -> Step {
        for _ in 0..1000 {
            match self.task.step() {
                Step::Ready => {}
                other => return other,
            }
        }
        panic!("the task never comes to rest");
    }

    pub(super) fn events(&self) -> Vec<TaskEvent> {
        std::mem::take(&mut *self.events.lock())
    }

    pub(super) fn diary(&self) -> Vec<String> {
        std::mem::take(&mut *self.diary.lock())
    }
}

fn spec(setting: &Setting, diary: &Diary) -> TaskSpec {
    let (first, second) = (OperatorId::new(1), OperatorId::new(2));
    let node = |id, name: &str, chained| OperatorNode {
        id,
        uid: None,
        name: name.to_owned(),
        stateful: false,
        guarantee: None,
        chained,
    };
    let vertex = JobVertex {
        id: JobVertexId::new(1),
        name: "first -> second".to_owned(),
        parallelism: 1,
        max_parallelism: 128,
        slot_sharing_group: "default".to_owned(),
        operators: vec![
            node(first, "first", vec![ChainedEdge { tag: None, to: 1 }]),
            node(second, "second", vec![]),
        ],
        source_bounded: setting.source_rows.map(|_| true),
    };
    let graph = JobGraph {
        job_id: JobId::new(1),
        name: "test".to_owned(),
        vertices: vec![vertex],
        edges: vec![],
        edge_schemas: vec![],
    };
    let mut operators: BTreeMap<OperatorId, Arc<dyn OperatorFactory>> = BTreeMap::new();
    let (source_rows, panics_when_opened) = (setting.source_rows, setting.panics_when_opened);
    let hoards = setting.hoards;
    for (id, name) in [(first, "first"), (second, "second")] {
        let diary = diary.clone();
        let factory = move || match source_rows {
            Some(last) if name == "first" => {
                OperatorInstance::Source(Box::new(Numbers { next: 1, last, diary: diary.clone() }))
            }
            _ if name == "first" && hoards => {
                OperatorInstance::Operator(Box::new(Hoarder::default()))
            }
            _ => OperatorInstance::Operator(Box::new(Diarist {
                name,
                diary: diary.clone(),
                timer: None,
                panics_when_opened: panics_when_opened && name == "first",
                panics_when_closed: false,
            })),
        };
        operators.insert(id, Arc::new(factory));
    }
    TaskSpec {
        job: JobInfo { id: JobId::new(1), name: "test".to_owned(), epoch: Epoch(1) },
        attempt: ExecutionAttemptId::new(1),
        vertex: JobVertexId::new(1),
        subtask: SubtaskInfo {
            index: 0,
            parallelism: 1,
            max_parallelism: 128,
            attempt: 0,
            key_groups: KeyGroupRange::all(128),
        },
        code: Arc::new(JobCode {
            graph: Arc::new(graph),
            operators,
            edges: vec![],
            sources: BTreeMap::new(),
        }),
        inputs: usize::from(source_rows.is_none()),
        edges: vec![EdgeTarget { operator: 1, tag: None }],
        splits: BTreeMap::new(),
        incremental: true,
        allow_unclaimed: false,
        restore: None,
        checkpointing: setting.checkpointing,
        state_budget: MemoryBudget::unlimited(),
        uploads: setting.uploads.clone(),
        snapshot_buffers: setting
            .snapshot_buffers
            .map_or_else(MemoryBudget::unlimited, MemoryBudget::new),
        stores: Arc::new(thalweg_storage::LocalStores),
        latency_interval: Duration::ZERO,
    }
}
