//! One subtask under test: drives its operator as a task does.

use std::sync::Arc;

use thalweg_core::Batch;
use thalweg_core::element::{Control, MAX_WATERMARK, MIN_WATERMARK, StreamElement, Watermark};
use thalweg_state::run::{RunOrigin, RunWriter};

use super::HarnessError;
use super::collected::Collected;
use crate::contract::{
    Operator, OperatorError, OperatorInstance, OperatorMetrics, Output, Progress, RunContext,
    SnapshotContext, SourceStatus,
};

/// One subtask with its event time.
pub(super) struct Subtask {
    index: usize,
    instance: OperatorInstance,
    pub(super) metrics: Arc<OperatorMetrics>,
    output: Output,
    /// Event time of each input.
    inputs: Vec<Watermark>,
    ended: Vec<bool>,
    /// The last watermark that was fired completely.
    watermark: Watermark,
}

impl Subtask {
    pub(super) fn new(
        index: usize,
        instance: OperatorInstance,
        inputs: usize,
        metrics: Arc<OperatorMetrics>,
    ) -> Self {
        Self {
            index,
            instance,
            metrics,
            output: Output::new(),
            inputs: vec![MIN_WATERMARK; inputs],
            ended: vec![false; inputs],
            watermark: MIN_WATERMARK,
        }
    }

    pub(super) fn instance(&mut self) -> &mut OperatorInstance {
        &mut self.instance
    }

    /// Gives all rows of the batch, as often as the output has to be carried away.
    pub(super) fn batch(
        &mut self,
        input: usize,
        mut batch: Batch,
        now_ms: i64,
        collected: &mut Collected,
    ) -> Result<(), HarnessError> {
        let mut more = !batch.is_empty();
        while more {
            let before = batch.len();
            more = self.call(now_ms, "process", |operator, context, output| {
                operator.process(input, &mut batch, context, output)?;
                Ok(!batch.is_empty() || operator.holds_back())
            })?;
            let taken = before - batch.len();
            self.metrics.add_records_in(taken as u64);
            let emitted = self.carry_away(collected);
            if more && taken == 0 && !emitted {
                return Err(HarnessError::Stalled { subtask: self.index, call: "process" });
            }
        }
        Ok(())
    }

    /// Event time at `input` has reached `watermark`.
    pub(super) fn watermark(
        &mut self,
        input: usize,
        watermark: Watermark,
        now_ms: i64,
        collected: &mut Collected,
    ) -> Result<(), HarnessError> {
        self.inputs[input] = self.inputs[input].max(watermark);
        let lowest = self.inputs.iter().copied().min().unwrap_or(watermark);
        if lowest <= self.watermark {
            return Ok(());
        }
        self.repeat(now_ms, "watermark", collected, |operator, context, output| {
            operator.watermark(lowest, context, output)
        })?;
        self.watermark = lowest;
        self.metrics.set_watermark(lowest);
        let own = match &self.instance {
            OperatorInstance::Operator(operator) => operator.makes_watermarks(),
            OperatorInstance::Source(_) => true,
        };
        if !own || lowest == MAX_WATERMARK {
            collected.watermark(self.index, lowest);
        }
        Ok(())
    }

    /// Fires processing-time timers for as long as one is due.
    pub(super) fn processing_time(
        &mut self,
        now_ms: i64,
        collected: &mut Collected,
    ) -> Result<(), HarnessError> {
        let due = match &self.instance {
            OperatorInstance::Operator(operator) => operator.next_processing_time(),
            OperatorInstance::Source(_) => None,
        };
        if due.is_none_or(|due| due > now_ms) {
            return Ok(());
        }
        self.repeat(now_ms, "processing_time", collected, |operator, context, output| {
            operator.processing_time(context, output)
        })
    }

    /// No row follows at `input`, which then doesn't hold back event time.
    pub(super) fn end_of_input(
        &mut self,
        input: usize,
        now_ms: i64,
        collected: &mut Collected,
    ) -> Result<(), HarnessError> {
        if std::mem::replace(&mut self.ended[input], true) {
            return Ok(());
        }
        self.watermark(input, MAX_WATERMARK, now_ms, collected)?;
        self.repeat(now_ms, "end_of_input", collected, |operator, context, output| {
            operator.end_of_input(input, context, output)
        })
    }

    pub(super) fn snapshot(
        &mut self,
        context: &SnapshotContext,
        origin: RunOrigin,
    ) -> Result<Vec<u8>, HarnessError> {
        let context =
            SnapshotContext { input_ended: self.ended.iter().all(|ended| *ended), ..*context };
        let mut writer = RunWriter::new(origin);
        let written = match &mut self.instance {
            OperatorInstance::Source(source) => source.snapshot(&context, &mut writer),
            OperatorInstance::Operator(operator) => operator.snapshot(&context, &mut writer),
        };
        written.map_err(|source| HarnessError::Operator { subtask: self.index, source })?;
        Ok(writer.finish()?)
    }

    /// Polls the source once.
    pub(super) fn poll(
        &mut self,
        now_ms: i64,
        collected: &mut Collected,
    ) -> Result<SourceStatus, HarnessError> {
        let OperatorInstance::Source(source) = &mut self.instance else {
            return Err(HarnessError::WrongKind { actual: "an operator", asked: "polled" });
        };
        let mut context = RunContext {
            processing_time: now_ms,
            watermark: self.watermark,
            metrics: &self.metrics,
        };
        let status = source.poll(&mut context, &mut self.output);
        let status =
            status.map_err(|source| HarnessError::Operator { subtask: self.index, source })?;
        self.carry_away(collected);
        Ok(status)
    }

    /// Calls something of the operator that needs no repetition.
    pub(super) fn call<R>(
        &mut self,
        now_ms: i64,
        asked: &'static str,
        call: impl FnOnce(
            &mut dyn Operator,
            &mut RunContext<'_>,
            &mut Output,
        ) -> Result<R, OperatorError>,
    ) -> Result<R, HarnessError> {
        let OperatorInstance::Operator(operator) = &mut self.instance else {
            return Err(HarnessError::WrongKind { actual: "a source", asked });
        };
        let mut context = RunContext {
            processing_time: now_ms,
            watermark: self.watermark,
            metrics: &self.metrics,
        };
        call(operator.as_mut(), &mut context, &mut self.output)
            .map_err(|source| HarnessError::Operator { subtask: self.index, source })
    }

    fn repeat(
        &mut self,
        now_ms: i64,
        asked: &'static str,
        collected: &mut Collected,
        mut call: impl FnMut(
            &mut dyn Operator,
            &mut RunContext<'_>,
            &mut Output,
        ) -> Result<Progress, OperatorError>,
    ) -> Result<(), HarnessError> {
        loop {
            let progress = self.call(now_ms, asked, &mut call)?;
            let emitted = self.carry_away(collected);
            match progress {
                Progress::Done => return Ok(()),
                Progress::More if emitted => {}
                Progress::More => {
                    return Err(HarnessError::Stalled { subtask: self.index, call: asked });
                }
            }
        }
    }

    /// Moves what was emitted to `collected`. Whether there was something.
    fn carry_away(&mut self, collected: &mut Collected) -> bool {
        let mut emitted = false;
        while let Some((side, batch)) = self.output.next_side() {
            emitted = true;
            self.metrics.add_records_out(batch.len() as u64);
            collected.batch(Some(side), batch);
        }
        while let Some(element) = self.output.next_main() {
            emitted = true;
            match element {
                StreamElement::Batch(batch) => {
                    self.metrics.add_records_out(batch.len() as u64);
                    collected.batch(None, batch);
                }
                StreamElement::Control(Control::Watermark(watermark)) => {
                    collected.watermark(self.index, watermark);
                }
                StreamElement::Control(_) => {}
            }
        }
        emitted
    }
}
