//! What a task is told from outside, while it runs.
//!
//! Mail is kept as what it means and not as a queue: a later trigger takes the place of an
//! earlier one, a completed checkpoint stands for all before it. So it is bounded, and a
//! repeated message changes nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use thalweg_core::element::Barrier;
use thalweg_core::ids::{CheckpointId, OperatorId};
use thalweg_operators::contract::WakeHandle;

/// Everything that came since the mailbox was last read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mail {
    pub(super) cancel: bool,
    pub(super) end_input: bool,
    pub(super) trigger: Option<Barrier>,
    pub(super) completed: Option<CheckpointId>,
    pub(super) aborted: Option<CheckpointId>,
    pub(super) write_bases: BTreeSet<OperatorId>,
}

/// A task's mailbox; written by its TaskExecutor, read by the task once a step.
pub struct Mailbox {
    mail: Mutex<Mail>,
    posted: AtomicBool,
    wake: WakeHandle,
}

impl Mailbox {
    /// An empty mailbox of the task that `wake` wakes.
    pub fn new(wake: WakeHandle) -> Self {
        Self { mail: Mutex::default(), posted: AtomicBool::new(false), wake }
    }

    /// End now, whatever you do.
    pub fn cancel(&self) {
        self.post(|mail| mail.cancel = true);
    }

    /// End the source's input here (see [`EndInput`]).
    ///
    /// [`EndInput`]: thalweg_rpc::message::JobManagerMessage::EndInput
    pub fn end_input(&self) {
        self.post(|mail| mail.end_input = true);
    }

    /// Take a snapshot (see [`TriggerCheckpoint`]).
    ///
    /// [`TriggerCheckpoint`]: thalweg_rpc::message::JobManagerMessage::TriggerCheckpoint
    pub fn trigger_checkpoint(&self, barrier: Barrier) {
        self.post(|mail| {
            let older = |old: &Barrier| old.checkpoint < barrier.checkpoint;
            let newest = mail.trigger.as_ref().is_none_or(older);
            if newest {
                mail.trigger = Some(barrier);
            }
        });
    }

    /// This checkpoint was published; all before it were too, or were given up.
    pub fn checkpoint_completed(&self, checkpoint: CheckpointId) {
        self.post(|mail| mail.completed = mail.completed.max(Some(checkpoint)));
    }

    /// No checkpoint up to this one is under way any more.
    pub fn checkpoint_aborted(&self, checkpoint: CheckpointId) {
        self.post(|mail| mail.aborted = mail.aborted.max(Some(checkpoint)));
    }

    /// These operators write all of their state the next time (see [`RewriteRuns`]).
    ///
    /// [`RewriteRuns`]: thalweg_rpc::message::JobManagerMessage::RewriteRuns
    pub fn write_bases(&self, operators: &BTreeSet<OperatorId>) {
        self.post(|mail| mail.write_bases.extend(operators));
    }

    /// Takes all mail. Costs one load when there is none.
    pub(super) fn take(&self) -> Option<Mail> {
        if !self.posted.load(Ordering::Acquire) {
            return None;
        }
        let mut mail = self.mail.lock();
        self.posted.store(false, Ordering::Release);
        Some(std::mem::take(&mut *mail))
    }

    fn post(&self, change: impl FnOnce(&mut Mail)) {
        {
            let mut mail = self.mail.lock();
            change(&mut mail);
            self.posted.store(true, Ordering::Release);
        }
        (self.wake)();
    }
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Mailbox").field(&*self.mail.lock()).finish()
    }
}
