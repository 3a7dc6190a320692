//! When a task writes its part of a checkpoint: in slices between its batches, so that none takes
//! long, and at once while there's nothing else to do. Not here: what is written (`Chain`).
//!
//! 1. A slice is due when less is written than there would be at a steady pace, and some time has
//!    passed since the last slice: some times as long as that took. Or when the task has had
//!    nothing to do for some time: while it waits for a moment, its neighbours use the processor.
//! 2. It's always due while the buffers for snapshots are half full, and nothing else is done while
//!    they're three quarters full: what is about to change has to be copied to them before its
//!    turn, and they mustn't overflow before that.
//! 3. None is while so much is being uploaded that the next part has no room: a slow store slows
//!    the snapshot and nothing else. How long that may take is the checkpoint's time-out.
//! 4. It ends when it has taken 0.8 ms, or after so many pieces; the pieces are counted in rows and
//!    bytes. So it's short also where the clock stands still, in simulations.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::ids::CheckpointId;
use thalweg_rpc::message::{DeclineReason, FailureInfo};
use thalweg_state::{EncodingBudget, MemoryBudget};

use super::run::Halt;
use super::{Now, SnapshotPart, Task, TaskEvent};

/// A piece of a slice: about a tenth of a millisecond.
const PIECE_ROWS: usize = 512;
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces in a slice.
const PIECES_MAX: u32 = 16;
/// A slice ends with the piece that reaches this. In a shorter one few key groups are collected and
/// written: what was collected is no longer in the processor's caches in the next one.
const SLICE: Duration = Duration::from_micros(800);
/// A part of a run is given away when it has so many bytes, or a quarter of the room for uploads.
const PART_BYTES: usize = 1 << 20;
/// When there's no room it's looked for again after this.
const LOOK: Duration = Duration::from_millis(5);
/// A slice that took longer has waited for a processor: it isn't felt as so much work.
const SLICE_MAX: Duration = Duration::from_millis(1);
/// A snapshot takes so long, if that's enough: what is spread out is hardly felt, and with the
/// upload it still takes less than a second.
const STEADY: Duration = Duration::from_millis(700);
/// It needn't take longer than with so much other work after each slice, in times of the slice: a
/// small one is soon written, since rows that change meanwhile cost more.
const WORK_PER_SLICE_MAX: u32 = 63;
/// After a slice the task does other work for at least so many times as long as it took: more at
/// first, so that what is written in a second is hardly felt, ...
const WORK_PER_SLICE_AT_FIRST: u32 = 9;
/// ... and less after that, so that large snapshots come to their end.
const WORK_PER_SLICE: u32 = 3;
const AT_FIRST: Duration = Duration::from_secs(1);
/// After so long without work a task is idle, and writes without a pause. Tasks that feed each
/// other wait for less than this again and again while the processors are busy: slices in each of
/// these waits would take what their neighbours are about to use.
const IDLE: Duration = Duration::from_millis(2);

/// How large a part is at least.
fn part_bytes(uploads: &MemoryBudget) -> usize {
    PART_BYTES.min(uploads.limit() / 4)
}

impl Task {
    /// Whether its part of a checkpoint has to be written on.
    pub(super) fn is_encoding(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.is_encoding())
    }

    /// Writes a slice, if one is due. `worked`: it did something else in this step.
    pub(super) fn encode(&mut self, now: Now, worked: bool) -> Result<bool, FailureInfo> {
        if !self.is_encoding() {
            return Ok(false);
        }
        if worked {
            self.idle_from = now.elapsed + IDLE;
        }
        let due = now.elapsed >= self.next_slice.min(self.idle_from) || self.fills() >= 2;
        if !due || self.throttled(now).is_some() {
            return Ok(false);
        }
        let begun = self.clock.elapsed();
        let mut taken = Duration::ZERO;
        for _ in 0..PIECES_MAX {
            let Some(chain) = &mut self.chain else { return Ok(false) };
            let mut piece = EncodingBudget::new(PIECE_ROWS, PIECE_BYTES);
            chain.encode(&mut piece).map_err(Halt::from)?;
            self.send_parts();
            taken = self.clock.elapsed().saturating_sub(begun);
            if taken >= SLICE || !self.is_encoding() || self.throttled(now).is_some() {
                break;
            }
        }
        let after = |times| begun + taken + taken.min(SLICE_MAX) * times;
        let (earliest, latest) = (after(self.work_per_slice(begun)), after(WORK_PER_SLICE_MAX));
        self.next_slice = self.steady().unwrap_or(earliest).clamp(earliest, latest);
        self.hand_over_snapshot();
        Ok(true)
    }

    fn work_per_slice(&self, now: Duration) -> u32 {
        let since = self.under_way.as_ref().map(|under_way| under_way.begun);
        let is_first = since.is_some_and(|since| now.saturating_sub(since) < AT_FIRST);
        if is_first { WORK_PER_SLICE_AT_FIRST } else { WORK_PER_SLICE }
    }

    /// When as much as is written would be at a steady pace.
    fn steady(&self) -> Option<Duration> {
        let written = self.chain.as_ref()?.encoded_part()?;
        Some(self.under_way.as_ref()?.begun + STEADY.mul_f64(written))
    }

    /// Whether it may do nothing but encode.
    pub(super) fn has_to_encode(&self) -> bool {
        self.is_encoding() && self.fills() >= 3
    }

    /// When a task that has nothing else to do goes on with its part, if it has begun one.
    pub(super) fn next_slice(&self, now: Now) -> Option<Duration> {
        let next = || self.next_slice.min(self.idle_from);
        self.is_encoding().then(|| self.throttled(now).unwrap_or_else(next))
    }

    /// When to look again whether there's room for the next part, if there's none now.
    fn throttled(&self, now: Now) -> Option<Duration> {
        let uploads = self.spec.uploads.as_ref().filter(|_| self.is_encoding())?;
        let drawn = uploads.drawn();
        // A part ends with a block, and a piece may have filled more than one.
        let needed = part_bytes(uploads) + 2 * PIECE_BYTES;
        let full = drawn > 0 && drawn.saturating_add(needed) > uploads.limit();
        full.then_some(now.elapsed + LOOK)
    }

    /// Gives parts of the run away that is being written.
    fn send_parts(&mut self) {
        let Some(uploads) = &self.spec.uploads else { return };
        let (Some(chain), Some(under_way)) = (&mut self.chain, &self.under_way) else { return };
        while let Some(part) = chain.take_part(part_bytes(uploads)) {
            // Without room it's the only one on its way: a row may be larger than all of it.
            let room = uploads.reserve(part.bytes.len()).map(Arc::new);
            let barrier = under_way.barrier.clone();
            let part = Box::new(SnapshotPart { barrier, part, room });
            self.observer.observe(TaskEvent::SnapshotPart(part));
        }
    }

    /// How many quarters of the buffers are full.
    fn fills(&self) -> usize {
        let buffers = &self.spec.snapshot_buffers;
        buffers.drawn() / (buffers.limit() / 4).max(1)
    }

    /// Gives up what isn't complete of checkpoints up to this one, since nobody waits for it.
    pub(super) fn abort_encoding(&mut self, up_to: CheckpointId) {
        let Some(chain) = &mut self.chain else { return };
        if chain.snapshot_under_way().is_some_and(|under_way| under_way <= up_to) {
            if let Some(checkpoint) = chain.abort_snapshot() {
                self.observer.observe(TaskEvent::SnapshotAborted(checkpoint));
            }
            self.under_way = None;
        }
    }

    /// Gives up what isn't complete: the next barrier is here.
    pub(super) fn supersede_encoding(&mut self) {
        let superseded = self.chain.as_mut().and_then(|chain| chain.abort_snapshot());
        if let Some(checkpoint) = superseded {
            self.observer.observe(TaskEvent::SnapshotAborted(checkpoint));
            self.decline(checkpoint, DeclineReason::Superseded);
        }
    }
}
