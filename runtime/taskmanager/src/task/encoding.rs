//! When a task writes its part of a checkpoint: in slices between its batches, so that none takes
//! long, and at once while there's nothing else to do. Not here: what is written (`Chain`).
//!
//! 1. A slice is due when the task had nothing to do in this step, or has worked for some time
//!    since the last slice: a few times as long as that took.
//! 2. It's always due while the buffers for snapshots are half full, and nothing else is done while
//!    they're three quarters full: what is about to change has to be copied to them before its
//!    turn, and they mustn't overflow before that.
//! 3. It ends when it has taken half a millisecond, or after so many pieces; the pieces are
//!    counted in rows and bytes. So it's short also where the clock stands still, in simulations.

use std::time::Duration;

use thalweg_core::ids::CheckpointId;
use thalweg_rpc::message::{DeclineReason, FailureInfo};
use thalweg_state::EncodingBudget;

use super::run::Halt;
use super::{Now, Task};

/// A piece of a slice: about a tenth of a millisecond.
const PIECE_ROWS: usize = 512;
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces in a slice.
const PIECES_MAX: u32 = 8;
/// A slice ends with the piece that reaches this.
const SLICE: Duration = Duration::from_micros(500);
/// After a slice the task does other work for so many times as long as it took.
const WORK_PER_SLICE: u32 = 3;

impl Task {
    /// Whether its part of a checkpoint has to be written on.
    pub(super) fn is_encoding(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.is_encoding())
    }

    /// Writes a slice, if one is due. `worked`: it did something else in this step.
    pub(super) fn encode(&mut self, now: Now, worked: bool) -> Result<bool, FailureInfo> {
        let due = |task: &Task| !worked || now.elapsed >= task.next_slice || task.fills() >= 2;
        if !self.is_encoding() || !due(self) {
            return Ok(false);
        }
        let Some(chain) = &mut self.chain else { return Ok(false) };
        let begun = self.clock.elapsed();
        let mut taken = Duration::ZERO;
        for _ in 0..PIECES_MAX {
            let mut piece = EncodingBudget::new(PIECE_ROWS, PIECE_BYTES);
            chain.encode(&mut piece).map_err(Halt::from)?;
            taken = self.clock.elapsed().saturating_sub(begun);
            if taken >= SLICE || !chain.is_encoding() {
                break;
            }
        }
        self.next_slice = begun + taken * (1 + WORK_PER_SLICE);
        self.hand_over_snapshot();
        Ok(true)
    }

    /// Whether it may do nothing but encode.
    pub(super) fn has_to_encode(&self) -> bool {
        self.is_encoding() && self.fills() >= 3
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
            chain.abort_snapshot();
            self.under_way = None;
        }
    }

    /// Gives up what isn't complete: the next barrier is here.
    pub(super) fn supersede_encoding(&mut self) {
        let superseded = self.chain.as_mut().and_then(|chain| chain.abort_snapshot());
        if let Some(checkpoint) = superseded {
            self.decline(checkpoint, DeclineReason::Superseded);
        }
    }
}
