//! Snapshots whose tasks still write them, while parts of them are being uploaded. Not here: the
//! upload (`upload`), and how much may be on its way, which the task sees to.

use std::sync::Arc;

use thalweg_core::ids::{CheckpointId, ExecutionAttemptId};
use thalweg_rpc::message::{CheckpointDecline, DeclineReason};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::TaskExecutor;
use super::upload::{self, PARTS_MAX, Piece, SnapshotOwner, SnapshotToStore};
use crate::task::SnapshotPart;

/// Leads to the upload of a snapshot. Dropped before its end, it gives the snapshot up.
pub(super) struct SnapshotAhead {
    pub(super) checkpoint: CheckpointId,
    pieces: mpsc::Sender<Piece>,
}

impl SnapshotAhead {
    /// All the rest of the snapshot. False if it can't be taken.
    pub(super) fn finish(self, to_store: SnapshotToStore) -> bool {
        self.send(Piece::Last(Box::new(to_store)))
    }

    /// False if too much waits. That an upload has failed was told when it did.
    fn send(&self, piece: Piece) -> bool {
        !matches!(self.pieces.try_send(piece), Err(TrySendError::Full(_)))
    }
}

impl TaskExecutor {
    /// Uploads a part of a snapshot, aside. One of another checkpoint is given up.
    pub(super) fn store_part(&mut self, attempt: ExecutionAttemptId, part: SnapshotPart) {
        let Some(live) = self.live.get_mut(&attempt) else { return };
        let checkpoint = part.barrier.checkpoint;
        live.ahead.take_if(|ahead| ahead.checkpoint != checkpoint);
        if let Some(ahead) = &live.ahead {
            if !ahead.send(Piece::Part(part)) {
                live.ahead = None;
                self.parts_refused(attempt, checkpoint);
            }
            return;
        }
        let (pieces, received) = mpsc::channel(PARTS_MAX);
        let job = Arc::clone(&live.deployment.job);
        let owner = SnapshotOwner {
            job: job.job_id,
            attempt,
            log_epoch: job.log_epoch,
            key_groups: live.subtask.key_groups,
        };
        let barrier = part.barrier.clone();
        let _ = pieces.try_send(Piece::Part(part));
        live.ahead = Some(SnapshotAhead { checkpoint, pieces });
        let (stores, inbox) = (Arc::clone(&self.stores), Arc::clone(&self.inbox));
        self.parts.driver.run_aside(Box::pin(async move {
            let opened = stores.of_snapshot(&barrier, job.checkpoint_directory.as_deref());
            let stored = match opened {
                Ok(Some(store)) => upload::store_parts(owner, store, &barrier, received).await,
                // Tasks without a store for their snapshots give no parts.
                Ok(None) => None,
                Err(error) => Some(Err(upload::declined(owner, checkpoint, &error.to_string()))),
            };
            match stored {
                Some(Ok(stored)) => inbox.large_stored(attempt, Box::new(stored)),
                Some(Err(decline)) => inbox.stored(attempt, Err(decline)),
                None => {}
            }
        }));
    }

    /// More parts wait than there's ever room for.
    pub(super) fn parts_refused(&self, attempt: ExecutionAttemptId, checkpoint: CheckpointId) {
        let Some(live) = self.live.get(&attempt) else { return };
        let job = live.deployment.job.job_id;
        let reason = format!("more than {PARTS_MAX} parts of the snapshot wait for the store");
        let reason = DeclineReason::Failed(reason);
        self.inbox.stored(attempt, Err(CheckpointDecline { job, checkpoint, attempt, reason }));
    }
}
