//! Whom to obey, and what to say again. Pure; the endpoints keep one of each.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_core::ids::Epoch;

use crate::message::Notice;

/// What to do with a message of some epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Of the leader that is followed.
    Obey,
    /// Of a newer leader: follow it from now on; what was said by the former one is void.
    NewLeader,
    /// Of a former leader: drop it.
    Stale,
}

/// Remembers the highest epoch seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EpochGuard {
    highest: Epoch,
}

impl EpochGuard {
    /// The highest epoch seen; 0 before the first.
    pub fn epoch(&self) -> Epoch {
        self.highest
    }

    /// Decides about a message of `epoch`, and remembers it.
    pub fn admit(&mut self, epoch: Epoch) -> Admission {
        match epoch.cmp(&self.highest) {
            std::cmp::Ordering::Less => Admission::Stale,
            std::cmp::Ordering::Equal => Admission::Obey,
            std::cmp::Ordering::Greater => {
                self.highest = epoch;
                Admission::NewLeader
            }
        }
    }
}

#[derive(Debug, Clone)]
struct Unacknowledged {
    notice: Notice,
    sent: Duration,
}

/// A TaskManager's notices that the JobManager hasn't acknowledged yet.
///
/// It grows by one per notice and shrinks with acknowledgements. A newer state of an execution
/// replaces an older one, and a newer checkpoint of a task the older ones, so that it is bounded
/// by the number of tasks.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    next: u64,
    waiting: BTreeMap<u64, Unacknowledged>,
}

impl Outbox {
    /// Adds a notice that is sent now, and gives its number.
    pub fn push(&mut self, notice: Notice, now: Duration) -> u64 {
        self.waiting.retain(|_, old| !replaces(&notice, &old.notice));
        self.next += 1;
        self.waiting.insert(self.next, Unacknowledged { notice, sent: now });
        self.next
    }

    /// These have arrived.
    pub fn acknowledge(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.waiting.remove(number);
        }
    }

    /// Those to send again now, in their order: unacknowledged for `interval` since last sent.
    pub fn due(&mut self, now: Duration, interval: Duration) -> Vec<(u64, Notice)> {
        let mut due = Vec::new();
        for (number, waiting) in &mut self.waiting {
            if now.saturating_sub(waiting.sent) >= interval {
                waiting.sent = now;
                due.push((*number, waiting.notice.clone()));
            }
        }
        due
    }

    /// How many wait for an acknowledgement.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether everything was acknowledged.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Forgets everything (a new leader knows nothing of it; heartbeats tell it all).
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}

fn replaces(new: &Notice, old: &Notice) -> bool {
    match (new, old) {
        (Notice::ExecutionChanged(n), Notice::ExecutionChanged(o)) => n.attempt == o.attempt,
        (Notice::CheckpointAcknowledged(n), Notice::CheckpointAcknowledged(o)) => {
            n.attempt == o.attempt && o.checkpoint < n.checkpoint
        }
        (Notice::CheckpointDeclined(n), Notice::CheckpointDeclined(o)) => {
            n.attempt == o.attempt && o.checkpoint < n.checkpoint
        }
        (Notice::Goodbye { .. }, Notice::Goodbye { .. }) => true,
        _ => false,
    }
}
