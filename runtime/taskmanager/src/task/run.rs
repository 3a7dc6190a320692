//! What a running task does in a step.
//!
//! 1. Whatever is on its way in the chain goes on, as long as there is room downstream.
//! 2. When nothing is: published checkpoints are committed, timers fire, a barrier that is due
//!    enters. After the barrier of a savepoint that the job stops with only the first of these.
//! 3. Then, with room downstream, the gate or the source gives the next element.
//! 4. Rows that have waited long enough leave the writers.
//! 5. If a snapshot isn't complete, a slice of it is written when one is due (`encoding`).
//!
//! A step that did anything is ready at once; only one that found nothing to do blocks. So all
//! time from the begin of a step that worked to the begin of the next one was spent working.

use std::time::Duration;

use thalweg_core::element::{
    Barrier, Control, LatencyMarker, MAX_WATERMARK, StreamElement, Watermark,
};
use thalweg_core::ids::CheckpointId;
use thalweg_network::{AlignmentStats, GateEvent, NetworkError};
use thalweg_operators::chain::{Chain, ChainError, ChainStatus, Downstream};
use thalweg_operators::contract::SourceStatus;
use thalweg_rpc::message::{DeclineReason, FailureInfo, FailureKind};

use super::{Activity, Now, Phase, SnapshotUnderWay, Step, Task, TaskEvent, TaskSnapshot, failure};

/// Calls of operators in a step.
const CALLS_PER_STEP: usize = 32;
/// Rows taken in before a step ends.
const ROWS_PER_STEP: usize = 4096;

/// Steps of a busy task from one look at the levels of its queues to the next.
const STEPS_PER_LOOK: u32 = 64;

/// Why the task can't go on. Boxed: it is on the way of every batch, and never comes.
pub(super) struct Halt(Box<FailureInfo>);

impl From<NetworkError> for Halt {
    fn from(error: NetworkError) -> Self {
        Self(Box::new(failure::of_network(&error)))
    }
}

impl From<ChainError> for Halt {
    fn from(error: ChainError) -> Self {
        Self(Box::new(failure::of_chain(&error)))
    }
}

impl From<Halt> for FailureInfo {
    fn from(halt: Halt) -> Self {
        *halt.0
    }
}

/// What a look at the input gave.
enum Taken {
    /// So many rows, or a control element.
    Rows(usize),
    /// Nothing is there; ask again at this time (ms since 1970) or when woken.
    Nothing(Option<i64>),
    /// There will be nothing more.
    Ended,
}

/// Why a step stopped.
enum Stop {
    /// It has done its share.
    Budget,
    /// No room downstream.
    BackPressured,
    /// Nothing to read until then (ms since 1970).
    Idle(Option<i64>),
    /// The end of input has passed all operators.
    Ended,
    /// The savepoint that the job stops with is complete, and committed.
    Stopped,
}

impl Task {
    pub(super) fn run(&mut self, now: Now) -> Result<Step, FailureInfo> {
        let mut worked = false;
        let stop = match self.has_to_encode() {
            true => Stop::BackPressured,
            false => self.work(now, &mut worked)?,
        };
        self.outputs.flush_due().map_err(Halt::from)?;
        worked |= self.encode(now, worked)?;
        if worked {
            self.publish_counters();
            self.steps = self.steps.wrapping_add(1);
            if self.steps.is_multiple_of(STEPS_PER_LOOK) {
                self.publish_levels();
            }
            if !matches!(stop, Stop::Ended) || self.is_encoding() {
                self.account(Activity::Busy, now.elapsed);
                return Ok(Step::Ready);
            }
        }
        match stop {
            Stop::Budget => Ok(Step::Ready),
            Stop::BackPressured => {
                self.account(Activity::BackPressured, now.elapsed);
                self.publish_levels();
                let until = self.outputs.next_flush().into_iter().chain(self.next_slice(now)).min();
                Ok(Step::Blocked { until })
            }
            Stop::Idle(until) => {
                self.account(Activity::Idle, now.elapsed);
                self.publish_levels();
                Ok(Step::Blocked { until: self.wait_until(until, now) })
            }
            Stop::Ended => self.ended(now),
            Stop::Stopped => {
                self.phase = Phase::Draining;
                Ok(Step::Ready)
            }
        }
    }

    fn work(&mut self, now: Now, worked: &mut bool) -> Result<Stop, Halt> {
        let mut rows = 0;
        let mut pending = None;
        for _ in 0..CALLS_PER_STEP {
            let chain = self.chain.as_mut().ok_or_else(not_open)?;
            match chain.run(now.wall_ms, &mut self.outputs)? {
                ChainStatus::Busy => {
                    *worked = true;
                    self.barrier_progressed();
                    continue;
                }
                ChainStatus::Blocked => return Ok(Stop::BackPressured),
                ChainStatus::Idle => {}
            }
            if let Some(checkpoint) = self.completed.take() {
                *worked = true;
                chain.checkpoint_completed(checkpoint)?;
                continue;
            }
            if let Some(stopping) = self.stopping {
                return Ok(match stopping <= self.last_completed {
                    _ if chain.has_ended() => Stop::Ended,
                    true => Stop::Stopped,
                    false => Stop::Idle(None),
                });
            }
            if chain.next_processing_time().is_some_and(|due| due <= now.wall_ms) {
                *worked = true;
                chain.fire_processing_time(now.wall_ms);
                continue;
            }
            if let Some(barrier) = self.due_trigger() {
                *worked = true;
                self.push_barrier(barrier, None, now);
                continue;
            }
            if self.chain.as_ref().is_some_and(|chain| chain.has_ended()) {
                return Ok(Stop::Ended);
            }
            if let Some(until) = pending {
                return Ok(Stop::Idle(until));
            }
            if !self.outputs.is_available() {
                return Ok(Stop::BackPressured);
            }
            if rows >= ROWS_PER_STEP {
                return Ok(Stop::Budget);
            }
            match self.take_in(now)? {
                Taken::Rows(taken) => {
                    *worked = true;
                    rows += taken;
                }
                Taken::Nothing(until) => pending = Some(until),
                Taken::Ended if self.input_ended => return Err(never_ends()),
                Taken::Ended => {
                    *worked = true;
                    self.input_ended = true;
                }
            }
        }
        Ok(Stop::Budget)
    }

    /// Takes the next element from the gate, or polls the source.
    fn take_in(&mut self, now: Now) -> Result<Taken, Halt> {
        match &mut self.input {
            Some(input) => {
                let event = input.poll(now.elapsed)?;
                self.receive(event, now)
            }
            None => self.poll_source(now),
        }
    }

    fn poll_source(&mut self, now: Now) -> Result<Taken, Halt> {
        let interval = self.spec.latency_interval;
        let subtask = self.spec.subtask.index;
        let chain = self.chain.as_mut().ok_or_else(not_open)?;
        if self.input_ended || !chain.has_source() {
            return Ok(Taken::Ended);
        }
        if self.end_input {
            chain.end_source();
            return Ok(Taken::Ended);
        }
        if !interval.is_zero() && now.elapsed >= self.next_latency_marker {
            self.next_latency_marker = now.elapsed + interval;
            let marker = LatencyMarker { sent_ms: now.wall_ms, source_subtask: subtask };
            chain.push(0, StreamElement::Control(Control::LatencyMarker(marker)));
            return Ok(Taken::Rows(0));
        }
        let emitted = |chain: &Chain| {
            chain.operators().next().map_or(0, |(_, _, metrics)| metrics.records_out())
        };
        let before = emitted(chain);
        Ok(match chain.poll_source(now.wall_ms, &mut self.outputs)? {
            SourceStatus::More => {
                let rows = emitted(chain).saturating_sub(before);
                Taken::Rows(usize::try_from(rows).unwrap_or(ROWS_PER_STEP))
            }
            SourceStatus::Pending { until } => Taken::Nothing(until),
            SourceStatus::End => Taken::Ended,
        })
    }

    fn receive(&mut self, event: GateEvent, now: Now) -> Result<Taken, Halt> {
        let (input, element) = match event {
            GateEvent::Batch { input, batch } => {
                let rows = batch.len().max(1);
                self.push(input, StreamElement::Batch(batch))?;
                return Ok(Taken::Rows(rows));
            }
            GateEvent::Watermark { input, watermark } => (input, Control::Watermark(watermark)),
            GateEvent::Idle { input } => (input, Control::Idle),
            GateEvent::Active { input } => (input, Control::Active),
            GateEvent::EndOfInput { input } => (input, Control::EndOfInput),
            GateEvent::LatencyMarker { input, marker } => {
                self.metrics.set_latency(now.wall_ms - marker.sent_ms);
                (input, Control::LatencyMarker(marker))
            }
            GateEvent::BarrierAligned { barrier, alignment } => {
                self.push_barrier(barrier, Some(alignment), now);
                return Ok(Taken::Rows(1));
            }
            GateEvent::BarrierAborted { checkpoint } => {
                self.metrics.saw_checkpoint(checkpoint);
                self.decline(checkpoint, DeclineReason::Superseded);
                return Ok(Taken::Rows(1));
            }
            GateEvent::Finished => return Ok(Taken::Ended),
            GateEvent::Empty => return Ok(Taken::Nothing(None)),
        };
        self.push(input, StreamElement::Control(element))?;
        Ok(Taken::Rows(1))
    }

    fn push(&mut self, input: u8, element: StreamElement) -> Result<(), Halt> {
        let chain = self.chain.as_mut().ok_or_else(not_open)?;
        chain.push(usize::from(input), element);
        Ok(())
    }

    /// A trigger whose turn it is: no barrier of that checkpoint can come in any more.
    fn due_trigger(&mut self) -> Option<Barrier> {
        let all_in = self.chain.as_ref().is_some_and(|chain| chain.has_ended());
        let now = self.input.is_none() || self.input_ended || all_in;
        self.trigger.take_if(|_| now)
    }

    fn push_barrier(&mut self, barrier: Barrier, alignment: Option<AlignmentStats>, now: Now) {
        self.metrics.saw_checkpoint(barrier.checkpoint);
        self.trigger.take_if(|trigger| trigger.checkpoint <= barrier.checkpoint);
        if barrier.checkpoint <= self.last_barrier {
            return;
        }
        self.last_barrier = barrier.checkpoint;
        self.stopping = barrier.kind.stops().then_some(barrier.checkpoint);
        let alignment = alignment.unwrap_or(AlignmentStats {
            started: now.elapsed,
            duration: Duration::ZERO,
            bytes: 0,
        });
        let ago = now.elapsed.saturating_sub(alignment.started).as_millis() as i64;
        let delay = now.wall_ms.saturating_sub(ago).saturating_sub(barrier.triggered_ms);
        let start_delay_ms = u64::try_from(delay).unwrap_or(0);
        self.metrics.set_checkpoint_times(start_delay_ms, alignment.duration);
        self.supersede_encoding();
        let (begun, passed) = (now.elapsed, None);
        let under_way = barrier.clone();
        self.under_way =
            Some(SnapshotUnderWay { barrier: under_way, start_delay_ms, alignment, begun, passed });
        if let Some(chain) = &mut self.chain {
            chain.push_barrier(barrier);
        }
    }

    /// Notes when the barrier has passed the chain.
    fn barrier_progressed(&mut self) {
        let inside = self.chain.as_ref().is_some_and(|chain| chain.is_barrier_inside());
        if let Some(under_way) = &mut self.under_way
            && !inside
            && self.chain.as_ref().is_some_and(|chain| chain.snapshot_under_way().is_some())
        {
            under_way.passed.get_or_insert_with(|| self.clock.elapsed());
            self.hand_over_snapshot();
        }
    }

    /// Gives a snapshot away that has become complete, or tells that there's no room for it.
    pub(super) fn hand_over_snapshot(&mut self) {
        let Some(chain) = &mut self.chain else { return };
        if let Some(refused) = chain.take_refused() {
            self.under_way = None;
            self.observer.observe(TaskEvent::SnapshotAborted(refused.checkpoint));
            return self.decline(refused.checkpoint, DeclineReason::Failed(refused.reason));
        }
        let Some(snapshot) = chain.take_snapshot() else { return };
        if snapshot.input_ended {
            self.final_checkpoint.get_or_insert(snapshot.barrier.checkpoint);
        }
        let under_way = self.under_way.take();
        let passed = under_way.as_ref().and_then(|under_way| under_way.passed);
        let taken = passed.unwrap_or_else(|| self.clock.elapsed());
        let under_way = under_way.as_ref();
        let alignment = under_way.map(|u| u.alignment).unwrap_or_default();
        let begun = under_way.map_or(taken, |u| u.begun);
        self.observer.observe(TaskEvent::SnapshotTaken(Box::new(TaskSnapshot {
            chain: snapshot,
            start_delay_ms: under_way.map_or(0, |u| u.start_delay_ms),
            alignment: alignment.duration,
            alignment_bytes: alignment.bytes,
            synchronous: taken.saturating_sub(begun),
            taken,
        })));
    }

    pub(super) fn decline(&self, checkpoint: CheckpointId, reason: DeclineReason) {
        self.observer.observe(TaskEvent::CheckpointDeclined(checkpoint, reason));
    }

    /// All input was processed: finish, or wait for the checkpoint that allows it.
    fn ended(&mut self, now: Now) -> Result<Step, FailureInfo> {
        if let Some(until) = self.next_slice(now) {
            return Ok(Step::Blocked { until: Some(until) });
        }
        if !self.spec.checkpointing {
            if let Some(chain) = &mut self.chain {
                chain.commit_without_checkpoints().map_err(Halt::from)?;
            }
            return Ok(self.finish());
        }
        if self.final_checkpoint.is_some_and(|last| last <= self.last_completed) {
            return Ok(self.finish());
        }
        if !self.end_reported {
            self.end_reported = true;
            self.observer.observe(TaskEvent::InputEnded);
        }
        self.account(Activity::Idle, now.elapsed);
        self.publish_levels();
        Ok(Step::Blocked { until: self.outputs.next_flush() })
    }

    /// Discards what still comes in, passes the end of it on, and finishes, or waits for the
    /// checkpoint in which its state is written again: everything was processed before the
    /// checkpoint that the job was restored from.
    pub(super) fn drain(&mut self, now: Now) -> Result<Step, FailureInfo> {
        if let Some(input) = &mut self.input {
            for _ in 0..CALLS_PER_STEP {
                match input.poll(now.elapsed).map_err(Halt::from)? {
                    GateEvent::Finished => self.input_ended = true,
                    GateEvent::Empty => return Ok(Step::Blocked { until: None }),
                    GateEvent::Batch { .. }
                    | GateEvent::Watermark { .. }
                    | GateEvent::Idle { .. }
                    | GateEvent::Active { .. }
                    | GateEvent::BarrierAligned { .. }
                    | GateEvent::BarrierAborted { .. }
                    | GateEvent::LatencyMarker { .. }
                    | GateEvent::EndOfInput { .. } => continue,
                }
                break;
            }
            if !self.input_ended {
                return Ok(Step::Ready);
            }
        }
        let last = Control::Watermark(MAX_WATERMARK);
        self.outputs.control_to_all(last).map_err(Halt::from)?;
        self.outputs.control_to_all(Control::EndOfInput).map_err(Halt::from)?;
        match &mut self.chain {
            Some(chain) if std::mem::take(&mut self.rewrites) => {
                chain.resume_ended();
                self.input_ended = true;
                self.phase = Phase::Running;
                Ok(Step::Ready)
            }
            _ => Ok(self.finish()),
        }
    }

    /// The earliest of: the source's next look, a timer, a row that has waited long enough.
    fn wait_until(&self, source: Option<i64>, now: Now) -> Option<Duration> {
        let timer = self.chain.as_ref().and_then(|chain| chain.next_processing_time());
        let timer = timer.filter(|_| self.stopping.is_none());
        let wall = source.into_iter().chain(timer).min();
        let elapsed = wall.map(|at| {
            let wait = at.saturating_sub(now.wall_ms).max(0);
            now.elapsed + Duration::from_millis(wait.unsigned_abs())
        });
        let others = self.outputs.next_flush().into_iter().chain(self.next_slice(now));
        elapsed.into_iter().chain(others).min()
    }

    /// Figures that cost a look at every channel and operator.
    pub(super) fn publish_levels(&self) {
        let input = self.input.as_ref().map_or(0, |input| input.queued_bytes());
        self.metrics.set_queued(input, self.outputs.queued_bytes());
        self.metrics.set_watermark(self.watermark());
        if let Some(chain) = &self.chain {
            chain.report_state();
        }
    }

    /// Event time at the head of the chain.
    fn watermark(&self) -> Watermark {
        let head = self.chain.as_ref().and_then(|chain| chain.operators().next());
        head.map_or(i64::MIN, |(_, _, metrics)| metrics.watermark())
    }
}

fn not_open() -> Halt {
    bug("the task was run before it was opened")
}

fn never_ends() -> Halt {
    bug("all input has ended but not all operators")
}

fn bug(what: &str) -> Halt {
    Halt(Box::new(FailureInfo {
        operator: None,
        message: format!("{what}; this is a bug in the engine"),
        kind: FailureKind::Environment,
    }))
}
