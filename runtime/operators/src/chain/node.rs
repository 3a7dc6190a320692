//! One operator of a chain with its inbox.

use std::collections::VecDeque;
use std::sync::Arc;

use thalweg_core::element::{
    Barrier, Control, MAX_WATERMARK, MIN_WATERMARK, StreamElement, Watermark,
};
use thalweg_core::ids::{CheckpointId, OperatorId};

use super::ChainError;
use super::runs::{NextRun, SnapshotRuns};
use super::snapshot::Written;
use crate::contract::{
    OperatorError, OperatorInstance, OperatorMetrics, Output, Progress, RunContext,
    SnapshotContext, SourceStatus,
};
use thalweg_state::{EncodingBudget, MemoryBudget, RunError, RunOrigin, RunWriter, StateError};

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// To an operator of the same chain.
    Operator(usize),
    /// Out of the chain.
    Edge(usize),
}

/// An output of the operator: which one, and where it goes.
#[derive(Debug)]
pub(super) struct Route {
    /// None: the main output.
    pub(super) tag: Option<Arc<str>>,
    pub(super) target: Target,
}

/// Something for the operator to do.
#[derive(Debug)]
pub(super) enum Work {
    Element(usize, StreamElement),
    ProcessingTime,
}

/// What has been done with the front of the inbox.
pub(super) enum Done {
    /// Not finished: the output is full.
    Partly,
    /// Finished; nothing goes on.
    Consumed,
    /// Finished; this goes on to all outputs.
    Forward(Control),
    /// Finished: a snapshot was begun, and is complete if its run is there.
    Snapshot(Barrier, Option<Written>),
}

/// What a slice of a snapshot has led to.
pub(super) enum Encoded {
    /// There's more to write.
    Partly,
    /// The run is complete.
    Complete(Written),
    /// There's no room for it. It was given up.
    Refused(RunError),
}

/// A snapshot that is being written.
struct Encoding {
    writer: RunWriter,
    checkpoint: CheckpointId,
    next: Option<NextRun>,
}

/// Event time and end at one input.
#[derive(Debug, Clone, Copy)]
struct InputState {
    watermark: Watermark,
    idle: bool,
    ended: bool,
}

pub(super) struct Node {
    pub(super) id: OperatorId,
    pub(super) name: Arc<str>,
    pub(super) metrics: Arc<OperatorMetrics>,
    pub(super) routes: Vec<Route>,
    pub(super) output: Output,
    pub(super) inbox: VecDeque<Work>,
    instance: OperatorInstance,
    inputs: Vec<InputState>,
    /// The last watermark that was fired completely.
    watermark: Watermark,
    idle: bool,
    /// Who writes its snapshots; known when it opens.
    pub(super) origin: RunOrigin,
    /// What its snapshots go on from; None: each is full.
    pub(super) runs: Option<SnapshotRuns>,
    /// For snapshots that are being written.
    pub(super) buffers: MemoryBudget,
    encoding: Option<Box<Encoding>>,
}

impl Node {
    pub(super) fn new(
        id: OperatorId,
        name: Arc<str>,
        instance: OperatorInstance,
        inputs: usize,
        routes: Vec<Route>,
        metrics: Arc<OperatorMetrics>,
    ) -> Self {
        let input = InputState { watermark: MIN_WATERMARK, idle: false, ended: false };
        let origin = RunOrigin {
            operator: name.to_string(),
            subtask: 0,
            parallelism: 1,
            max_parallelism: 1,
        };
        Self {
            id,
            name,
            metrics,
            routes,
            output: Output::new(),
            inbox: VecDeque::new(),
            instance,
            inputs: vec![input; inputs.max(1)],
            watermark: MIN_WATERMARK,
            idle: false,
            origin,
            runs: None,
            buffers: MemoryBudget::unlimited(),
            encoding: None,
        }
    }

    pub(super) fn is_source(&self) -> bool {
        matches!(self.instance, OperatorInstance::Source(_))
    }

    pub(super) fn instance(&mut self) -> &mut OperatorInstance {
        &mut self.instance
    }

    pub(super) fn push(&mut self, input: usize, element: StreamElement) {
        self.inbox.push_back(Work::Element(input, element));
    }

    pub(super) fn next_processing_time(&self) -> Option<i64> {
        match &self.instance {
            OperatorInstance::Operator(operator) => operator.next_processing_time(),
            OperatorInstance::Source(_) => None,
        }
    }

    pub(super) fn poll(&mut self, now_ms: i64) -> Result<SourceStatus, ChainError> {
        let mut context = RunContext {
            processing_time: now_ms,
            watermark: self.watermark,
            metrics: &self.metrics,
        };
        let result = match &mut self.instance {
            OperatorInstance::Source(source) => source.poll(&mut context, &mut self.output),
            OperatorInstance::Operator(_) => Ok(SourceStatus::Pending { until: None }),
        };
        result.map_err(|e| self.error(e))
    }

    /// Works on the front of the inbox.
    pub(super) fn work(&mut self, now_ms: i64) -> Result<Done, ChainError> {
        let Some(work) = self.inbox.pop_front() else { return Ok(Done::Consumed) };
        match work {
            Work::Element(input, StreamElement::Batch(batch)) => self.batch(input, batch, now_ms),
            Work::Element(input, StreamElement::Control(control)) => {
                let done = self.control(input, control.clone(), now_ms)?;
                if matches!(done, Done::Partly) {
                    let element = StreamElement::Control(control);
                    self.inbox.push_front(Work::Element(input, element));
                }
                Ok(done)
            }
            Work::ProcessingTime => {
                let progress = self.call(now_ms, |operator, context, out| {
                    operator.processing_time(context, out)
                })?;
                if progress == Progress::More {
                    self.inbox.push_front(Work::ProcessingTime);
                    return Ok(Done::Partly);
                }
                Ok(Done::Consumed)
            }
        }
    }

    fn batch(
        &mut self,
        input: usize,
        mut batch: thalweg_core::Batch,
        now_ms: i64,
    ) -> Result<Done, ChainError> {
        let before = batch.len();
        let progress = self.call(now_ms, |operator, context, out| {
            operator.process(input, &mut batch, context, out)?;
            let more = !batch.is_empty() || operator.holds_back();
            Ok(if more { Progress::More } else { Progress::Done })
        })?;
        self.metrics.add_records_in((before - batch.len()) as u64);
        if progress == Progress::Done {
            return Ok(Done::Consumed);
        }
        self.inbox.push_front(Work::Element(input, StreamElement::Batch(batch)));
        Ok(Done::Partly)
    }

    fn control(&mut self, input: usize, control: Control, now_ms: i64) -> Result<Done, ChainError> {
        match control {
            Control::Watermark(watermark) => {
                let state = &mut self.inputs[input];
                state.watermark = state.watermark.max(watermark);
                state.idle = false;
                if std::mem::take(&mut self.idle) {
                    let again = Work::Element(input, StreamElement::Control(control));
                    self.inbox.push_front(again);
                    return Ok(Done::Forward(Control::Active));
                }
                self.advance(now_ms)
            }
            Control::Idle => {
                self.inputs[input].idle = true;
                if self.becomes_idle() {
                    return Ok(Done::Forward(Control::Idle));
                }
                self.advance(now_ms)
            }
            Control::Active => {
                self.inputs[input].idle = false;
                if std::mem::take(&mut self.idle) {
                    return Ok(Done::Forward(Control::Active));
                }
                Ok(Done::Consumed)
            }
            Control::LatencyMarker(_) => Ok(Done::Forward(control)),
            Control::Barrier(barrier) => {
                let written = self.begin_snapshot(&barrier, now_ms)?;
                Ok(Done::Snapshot(barrier, written))
            }
            Control::EndOfInput => {
                if !self.is_source() {
                    let progress = self.call(now_ms, |operator, context, out| {
                        operator.end_of_input(input, context, out)
                    })?;
                    if progress == Progress::More {
                        return Ok(Done::Partly);
                    }
                }
                self.inputs[input].ended = true;
                Ok(if self.inputs.iter().all(|i| i.ended) {
                    Done::Forward(Control::EndOfInput)
                } else if self.becomes_idle() {
                    Done::Forward(Control::Idle)
                } else {
                    Done::Consumed
                })
            }
        }
    }

    /// Whether all inputs that haven't ended are idle now, and it wasn't known.
    fn becomes_idle(&mut self) -> bool {
        let idle = self.inputs.iter().all(|i| i.idle || i.ended);
        idle && !std::mem::replace(&mut self.idle, true)
    }

    /// The watermark of all inputs together: the lowest of those that are neither idle nor ended.
    /// Event time ends when all inputs have said so: one that is only idle will say more.
    fn lowest_watermark(&self) -> Option<Watermark> {
        if self.inputs.iter().all(|i| i.watermark == MAX_WATERMARK) {
            return Some(MAX_WATERMARK);
        }
        let counting = self.inputs.iter().filter(|i| !i.idle && !i.ended);
        counting.map(|i| i.watermark).min().filter(|lowest| *lowest != MAX_WATERMARK)
    }

    /// Fires up to the lowest watermark of its inputs, when that has risen.
    fn advance(&mut self, now_ms: i64) -> Result<Done, ChainError> {
        let Some(lowest) = self.lowest_watermark() else { return Ok(Done::Consumed) };
        if lowest <= self.watermark {
            return Ok(Done::Consumed);
        }
        let progress =
            self.call(now_ms, |operator, context, out| operator.watermark(lowest, context, out))?;
        if progress == Progress::More {
            return Ok(Done::Partly);
        }
        self.watermark = lowest;
        self.metrics.set_watermark(lowest);
        let own = match &self.instance {
            OperatorInstance::Operator(operator) => operator.makes_watermarks(),
            OperatorInstance::Source(_) => false,
        };
        if own && lowest != MAX_WATERMARK {
            return Ok(Done::Consumed);
        }
        Ok(Done::Forward(Control::Watermark(lowest)))
    }

    /// All its inputs had ended before it was restored.
    pub(super) fn resume_ended(&mut self) {
        self.inputs.iter_mut().for_each(|input| input.ended = true);
    }

    /// Its next snapshot holds all of its state, if it is one of those.
    pub(super) fn write_base_if(&mut self, is_meant: impl FnOnce(OperatorId) -> bool) {
        let runs = self.runs.as_mut();
        if let Some(runs) = runs.filter(|_| is_meant(self.id)) {
            runs.write_base();
        }
    }

    fn begin_snapshot(
        &mut self,
        barrier: &Barrier,
        now_ms: i64,
    ) -> Result<Option<Written>, ChainError> {
        self.abort_snapshot();
        let input_ended = self.inputs.iter().all(|i| i.ended);
        let (checkpoint, processing_time) = (barrier.checkpoint, now_ms);
        let context = SnapshotContext { checkpoint, processing_time, input_ended };
        let origin = self.origin.clone();
        // A savepoint stands for itself: nothing goes on from it.
        let runs = self.runs.as_mut().filter(|_| barrier.kind.savepoint().is_none());
        let next = runs.map(|runs| match barrier.kind.is_full() {
            true => runs.next(barrier.published).as_base(),
            false => runs.next(barrier.published),
        });
        let writer = match next {
            Some(next) => RunWriter::incremental(origin, next.kind, next.last),
            None => RunWriter::new(origin),
        };
        let mut writer = writer.in_slices(self.buffers.clone());
        let written = match &mut self.instance {
            OperatorInstance::Source(source) => source.snapshot(&context, &mut writer),
            OperatorInstance::Operator(operator) => operator.snapshot(&context, &mut writer),
        };
        written.map_err(|e| self.error(e))?;
        let checkpoint = barrier.checkpoint;
        if !writer.is_unfinished() {
            return self.complete(Encoding { writer, checkpoint, next }).map(Some);
        }
        if let (Some(runs), Some(_)) = (&mut self.runs, next) {
            runs.begun();
        }
        self.encoding = Some(Box::new(Encoding { writer, checkpoint, next }));
        Ok(None)
    }

    pub(super) fn is_encoding(&self) -> bool {
        self.encoding.is_some()
    }

    /// Rows that are written of the snapshot that was begun, and about how many there will be.
    pub(super) fn encoded_rows(&self) -> Option<(u64, u64)> {
        let writer = &self.encoding.as_ref()?.writer;
        Some((writer.row_count(), writer.expected_rows()))
    }

    /// Goes on with the snapshot that was begun.
    pub(super) fn encode(&mut self, budget: &mut EncodingBudget) -> Result<Encoded, ChainError> {
        let Some(mut encoding) = self.encoding.take() else { return Ok(Encoded::Partly) };
        let writer = &mut encoding.writer;
        let progress = match &mut self.instance {
            OperatorInstance::Operator(operator) => operator.encode(writer, budget),
            OperatorInstance::Source(_) => Ok(Progress::Done),
        };
        match progress.and_then(|progress| Ok(writer.check_buffers().map(|()| progress)?)) {
            Ok(Progress::Done) => self.complete(*encoding).map(Encoded::Complete),
            Ok(Progress::More) => {
                self.encoding = Some(encoding);
                Ok(Encoded::Partly)
            }
            Err(
                OperatorError::Run(error @ RunError::BuffersFull { .. })
                | OperatorError::State(StateError::Run(error @ RunError::BuffersFull { .. })),
            ) => {
                self.encoding = Some(encoding);
                self.abort_snapshot();
                Ok(Encoded::Refused(error))
            }
            Err(error) => Err(self.error(error)),
        }
    }

    /// Takes what is finished of the run that is being written, if it's at least so many bytes.
    pub(super) fn take_part(&mut self, at_least: usize) -> Option<Vec<u8>> {
        self.encoding.as_mut()?.writer.take_finished(at_least)
    }

    /// There will be no more of the snapshot that was begun.
    pub(super) fn abort_snapshot(&mut self) {
        if self.encoding.take().is_some()
            && let OperatorInstance::Operator(operator) = &mut self.instance
        {
            operator.abort_snapshot();
        }
    }

    fn complete(&mut self, encoding: Encoding) -> Result<Written, ChainError> {
        let Encoding { writer, checkpoint, next } = encoding;
        let (has_states, is_keyed, taken) =
            (writer.has_states(), writer.is_keyed(), writer.taken());
        let run = writer.finish().map_err(|e| self.error(e.into()))?;
        if let (Some(runs), Some(next)) = (&mut self.runs, next) {
            let bytes = has_states.then_some(taken + run.len() as u64);
            runs.taken(checkpoint, next, bytes);
        }
        let extends = next.and_then(|next| next.extends);
        Ok(Written { run, taken, is_keyed, extends })
    }

    pub(super) fn checkpoint_completed(&mut self, id: CheckpointId) -> Result<(), ChainError> {
        let result = match &mut self.instance {
            OperatorInstance::Source(source) => source.checkpoint_completed(id),
            OperatorInstance::Operator(operator) => operator.checkpoint_completed(id),
        };
        result.map_err(|e| self.error(e))
    }

    pub(super) fn commit_without_checkpoints(&mut self) -> Result<(), ChainError> {
        let result = match &mut self.instance {
            OperatorInstance::Source(_) => Ok(()),
            OperatorInstance::Operator(operator) => operator.commit_without_checkpoints(),
        };
        result.map_err(|e| self.error(e))
    }

    pub(super) fn results(&mut self) -> Vec<(String, Vec<u8>)> {
        match &mut self.instance {
            OperatorInstance::Source(_) => Vec::new(),
            OperatorInstance::Operator(operator) => operator.results(),
        }
    }

    pub(super) fn close(&mut self) {
        match &mut self.instance {
            OperatorInstance::Source(source) => source.close(),
            OperatorInstance::Operator(operator) => operator.close(),
        }
    }

    /// Bytes of state, told to the metrics.
    pub(super) fn report_state(&self) {
        if let OperatorInstance::Operator(operator) = &self.instance {
            self.metrics.set_state_bytes(operator.state_bytes() as u64);
        }
    }

    fn call(
        &mut self,
        now_ms: i64,
        call: impl FnOnce(
            &mut dyn crate::contract::Operator,
            &mut RunContext<'_>,
            &mut Output,
        ) -> Result<Progress, OperatorError>,
    ) -> Result<Progress, ChainError> {
        let mut context = RunContext {
            processing_time: now_ms,
            watermark: self.watermark,
            metrics: &self.metrics,
        };
        let result = match &mut self.instance {
            OperatorInstance::Operator(o) => call(o.as_mut(), &mut context, &mut self.output),
            OperatorInstance::Source(_) => Ok(Progress::Done),
        };
        result.map_err(|e| self.error(e))
    }

    pub(super) fn error(&self, source: OperatorError) -> ChainError {
        ChainError::Operator { name: self.name.clone(), source: Box::new(source) }
    }
}
