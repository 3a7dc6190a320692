//! The input gate: merges the channels of one consuming subtask.
//!
//! - Per input, watermarks: `progress`.
//! - Over all channels, barriers: `alignment`. A channel that has delivered the barrier isn't
//!   read until the others have.
//! - Batches that came apart at a shuffle are put together again, across the channels of an input;
//!   within a channel everything keeps its order.
//!
//! Channels that have something stand in a list and take turns; a poll doesn't look at the others.

mod alignment;
mod coalesce;
mod event;
mod progress;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::element::{Barrier, Control};
use thalweg_core::ids::CheckpointId;
use thalweg_core::{Batch, RowType};

pub use alignment::AlignmentStats;
pub use event::GateEvent;

use crate::channel::{ChannelId, GateSignal, InputQueue, Item, Queued, Waker};
use crate::error::NetworkError;
use crate::registry::PartitionRegistry;
use alignment::{Alignment, Arrival};
use progress::InputProgress;

/// One channel of a gate.
#[derive(Debug, Clone, Copy)]
pub struct InputChannelSpec {
    /// Its name.
    pub id: ChannelId,
    /// The logical input that it belongs to: 0, or 1 for the second of two.
    pub input: u8,
    /// The type of its rows.
    pub row_type: RowType,
}

/// How a gate puts batches together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateOptions {
    /// Rows that are enough for a batch.
    pub batch_rows: usize,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self { batch_rows: 4096 }
    }
}

/// What a gate has handed out since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateCounters {
    /// Rows.
    pub records: u64,
    /// Their bytes: as in memory within a process, as on the wire between processes.
    pub bytes: u64,
    /// Batches as they came.
    pub batches_received: u64,
    /// Batches as they were handed out.
    pub batches: u64,
}

struct Channel {
    queue: Arc<InputQueue>,
    input: u8,
    /// Its index among the channels of its input.
    place: usize,
    row_type: RowType,
    /// Whether it has delivered the barrier that is being aligned and isn't read.
    blocked: bool,
    ended: bool,
}

/// The inputs of one consuming subtask.
pub struct InputGate {
    registry: Arc<PartitionRegistry>,
    signal: Arc<GateSignal>,
    channels: Vec<Channel>,
    inputs: Vec<InputProgress>,
    alignment: Alignment,
    /// Channels that have something, in the order of their turns.
    ready: VecDeque<u32>,
    /// Channels that have something but are blocked by the alignment.
    parked: VecDeque<u32>,
    /// What follows from elements already taken.
    events: VecDeque<GateEvent>,
    unfinished: usize,
    options: GateOptions,
    counters: GateCounters,
    /// Kept for its allocation.
    taken: Vec<Queued>,
}

impl InputGate {
    pub(crate) fn new(
        registry: Arc<PartitionRegistry>,
        specs: &[InputChannelSpec],
        options: GateOptions,
        waker: Waker,
    ) -> Result<Self, NetworkError> {
        let inputs = specs.iter().map(|spec| usize::from(spec.input) + 1).max().unwrap_or(0);
        let signal = GateSignal::new(waker);
        let mut gate = Self {
            registry,
            signal,
            channels: Vec::with_capacity(specs.len()),
            inputs: Vec::with_capacity(inputs),
            alignment: Alignment::new(specs.len()),
            ready: VecDeque::new(),
            parked: VecDeque::new(),
            events: VecDeque::new(),
            unfinished: specs.len(),
            options,
            counters: GateCounters::default(),
            taken: Vec::new(),
        };
        let mut places = vec![0; inputs];
        for (index, spec) in specs.iter().enumerate() {
            let signal = Arc::clone(&gate.signal);
            // On an error the gate is dropped, and with it what was registered so far.
            let queue = gate.registry.register(spec.id, signal, index as u32)?;
            let place = &mut places[usize::from(spec.input)];
            gate.channels.push(Channel {
                queue,
                input: spec.input,
                place: *place,
                row_type: spec.row_type,
                blocked: false,
                ended: false,
            });
            *place += 1;
        }
        gate.inputs.extend(places.into_iter().map(InputProgress::new));
        Ok(gate)
    }

    /// Whether the input has any channel.
    pub fn has_channels(&self, input: usize) -> bool {
        self.channels.iter().any(|channel| usize::from(channel.input) == input)
    }

    /// What comes next. Never waits: [`GateEvent::Empty`] when there is nothing, and then the
    /// gate's waker is called once there is.
    ///
    /// # Errors
    /// A channel is broken or its bytes are; the gate can't be used any more.
    pub fn poll(&mut self, now: Duration) -> Result<GateEvent, NetworkError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if self.unfinished == 0 {
                return Ok(GateEvent::Finished);
            }
            self.signal.drain(&mut self.ready)?;
            let Some(index) = self.ready.pop_front() else {
                if self.signal.wait() {
                    return Ok(GateEvent::Empty);
                }
                continue;
            };
            if self.channels[index as usize].blocked {
                self.parked.push_back(index);
                continue;
            }
            if let Some(event) = self.take(index, now)? {
                return Ok(event);
            }
        }
    }

    /// The watermark that the input has reached, if one was handed out.
    pub fn watermark(&self, input: u8) -> Option<i64> {
        self.inputs.get(usize::from(input)).and_then(InputProgress::emitted)
    }

    /// Gives up an alignment that the coordinator has given up: its barriers that still come are
    /// ignored, and channels that waited for it go on. Without effect on later checkpoints.
    pub fn abort_checkpoint(&mut self, checkpoint: CheckpointId) {
        if self.alignment.abort(checkpoint) {
            self.unblock();
        }
    }

    /// Since when a barrier is being aligned, if one is.
    pub fn aligning_since(&self) -> Option<Duration> {
        self.alignment.started()
    }

    /// What was handed out so far.
    pub fn counters(&self) -> GateCounters {
        self.counters
    }

    /// Bytes that wait in the channels.
    pub fn queued_bytes(&self) -> usize {
        self.channels.iter().map(|channel| channel.queue.bytes()).sum()
    }

    /// Takes the first element of a channel that has one. None when nothing follows from it.
    fn take(&mut self, index: u32, now: Duration) -> Result<Option<GateEvent>, NetworkError> {
        let mut taken = std::mem::take(&mut self.taken);
        let channel = &self.channels[index as usize];
        let input = channel.input;
        if channel.queue.take(self.options.batch_rows, &mut taken) {
            self.ready.push_back(index);
        }
        let control = match taken.first() {
            Some(Queued { item: Item::Control(control), .. }) => Some(control.clone()),
            Some(_) => None,
            None => {
                self.taken = taken;
                return Ok(None);
            }
        };
        if let Some(control) = control {
            taken.clear();
            self.taken = taken;
            self.control(index, control, now);
            return Ok(None);
        }
        let batch = self.gather(index, &mut taken);
        taken.clear();
        self.taken = taken;
        Ok(batch?.filter(|b| !b.is_empty()).map(|batch| GateEvent::Batch { input, batch }))
    }

    /// Puts the batches taken from a channel together with others that wait for the same input.
    fn gather(
        &mut self,
        index: u32,
        taken: &mut Vec<Queued>,
    ) -> Result<Option<Batch>, NetworkError> {
        let mut merge = coalesce::Merge::new(self.options.batch_rows);
        merge.add(&self.channels[index as usize], taken)?;
        let input = self.channels[index as usize].input;
        let mut refusals = 0;
        for _ in 0..self.ready.len() {
            if merge.room() == 0 || refusals == coalesce::REFUSALS_MAX {
                break;
            }
            let Some(next) = self.ready.pop_front() else { break };
            let channel = &self.channels[next as usize];
            let mut more = true;
            if !channel.blocked && channel.input == input {
                more = channel.queue.take_batches(merge.room(), taken);
            }
            refusals += usize::from(taken.is_empty());
            merge.add(channel, taken)?;
            if more {
                self.ready.push_back(next);
            }
        }
        self.counters.records += merge.rows() as u64;
        self.counters.bytes += merge.bytes() as u64;
        self.counters.batches_received += merge.batches() as u64;
        self.counters.batches += 1;
        self.alignment.passed(merge.bytes());
        Ok(merge.finish())
    }

    fn control(&mut self, index: u32, control: Control, now: Duration) {
        let Channel { input, place, .. } = self.channels[index as usize];
        let progress = &mut self.inputs[usize::from(input)];
        match control {
            Control::Watermark(watermark) => progress.watermark(place, watermark),
            Control::Idle => progress.idle(place),
            Control::Active => progress.active(place),
            Control::LatencyMarker(marker) => {
                self.events.push_back(GateEvent::LatencyMarker { input, marker });
            }
            Control::Barrier(barrier) => self.barrier(index, barrier, now),
            Control::EndOfInput => self.end(index, now),
        }
        let progress = &mut self.inputs[usize::from(input)];
        progress.events(input, &mut self.events);
    }

    fn barrier(&mut self, index: u32, barrier: Barrier, now: Duration) {
        match self.alignment.barrier(barrier, now) {
            Arrival::Ignored => return,
            Arrival::First { aborted } => {
                if let Some(checkpoint) = aborted {
                    self.unblock();
                    self.events.push_back(GateEvent::BarrierAborted { checkpoint });
                }
            }
            Arrival::Further => {}
        }
        self.channels[index as usize].blocked = true;
        self.complete_alignment(now);
    }

    fn end(&mut self, index: u32, now: Duration) {
        let channel = &mut self.channels[index as usize];
        if std::mem::replace(&mut channel.ended, true) {
            return;
        }
        let (input, place) = (channel.input, channel.place);
        self.unfinished -= 1;
        // First the barrier: what the end of the input brings about isn't in the snapshot, since
        // the end comes again after a restore.
        self.alignment.channel_ended();
        self.complete_alignment(now);
        self.inputs[usize::from(input)].end(place);
    }

    fn complete_alignment(&mut self, now: Duration) {
        if let Some((barrier, alignment)) = self.alignment.complete(now) {
            self.unblock();
            self.events.push_back(GateEvent::BarrierAligned { barrier, alignment });
        }
    }

    fn unblock(&mut self) {
        for channel in &mut self.channels {
            channel.blocked = false;
        }
        self.ready.append(&mut self.parked);
    }
}

impl Drop for InputGate {
    fn drop(&mut self) {
        for channel in &self.channels {
            self.registry.unregister(&channel.queue);
        }
    }
}

impl std::fmt::Debug for InputGate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InputGate")
            .field("channels", &self.channels.len())
            .field("unfinished", &self.unfinished)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
