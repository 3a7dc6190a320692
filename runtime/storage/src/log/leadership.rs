//! What a candidate or leader may write, given the last entry that it read. Pure.
//!
//! 1. A candidate claims directly after the log's end, with the next epoch; never after a
//!    terminal entry.
//! 2. A leader appends directly after its own last entry.
//! 3. An entry in doubt is settled before anything else is appended: it's the only one that may
//!    still come to be at that place.
//! 4. Checkpoint ids rise for the whole life of a job.
//! 5. A job has finished only once the output of its last checkpoint was committed.
//! 6. Before a commit or a collection the leader looks at the place after its last entry:
//!    somebody else's entry there is a claim, and it is fenced. Its own entry in doubt there says
//!    nothing, as a claim may follow it: settle first. Where the place can't be read, nothing is
//!    permitted either.
//! 7. Output is committed up to the last published checkpoint and no further.

use thalweg_core::ids::{CheckpointId, Epoch};

use super::entry::{EntryHeader, EntryKind, Published, TerminalStatus, WriterId};

/// What a candidate does at the end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimDecision {
    /// Appends this claim.
    Claim(EntryHeader),
    /// Nothing: the job ended with this entry.
    Finished(EntryHeader),
}

/// Rule 1. `tail` is the last entry, if there's any.
pub fn decide_claim(tail: Option<&EntryHeader>, writer: WriterId, nonce: u64) -> ClaimDecision {
    let kind = EntryKind::Claim;
    ClaimDecision::Claim(match tail {
        Some(tail) if tail.is_terminal() => return ClaimDecision::Finished(*tail),
        Some(tail) => EntryHeader {
            position: tail.position.next(),
            epoch: Epoch(tail.epoch.0.saturating_add(1)),
            writer,
            nonce,
            kind,
            previous_publish: tail.latest_publish(),
        },
        None => EntryHeader {
            position: Default::default(),
            epoch: Epoch(1),
            writer,
            nonce,
            kind,
            previous_publish: None,
        },
    })
}

/// Why a leader may not do something. Nothing was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Another entry may or may not be in the log.
    #[error("whether entry {} was written isn't known; settle it first", .0.position)]
    InDoubt(EntryHeader),
    /// Another leader claimed the job, or ended it.
    #[error(
        "fenced: epoch {} of writer {} has entry {}; stop this process, the job goes on there",
        .0.epoch.0, .0.writer, .0.position
    )]
    Fenced(EntryHeader),
    /// The job has ended.
    #[error("the job has ended with entry {}; nothing may follow", .0.position)]
    Ended(EntryHeader),
    /// The checkpoint's id isn't higher than that of the last published one.
    #[error("checkpoint {given} isn't newer than {}, which is published", .latest.checkpoint_id)]
    NotNewer {
        /// What was to be published.
        given: CheckpointId,
        /// The last published one.
        latest: Published,
    },
    /// Output of the last checkpoint isn't committed everywhere.
    #[error("the output of checkpoint {} isn't committed yet; commit it first", .0.checkpoint_id)]
    NotCommitted(Published),
    /// No checkpoint has been published.
    #[error("no checkpoint of the job has been published; publish one first")]
    NothingPublished,
}

/// A leader as it knows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leadership {
    last: EntryHeader,
    in_doubt: Option<EntryHeader>,
    fenced: Option<EntryHeader>,
}

impl Leadership {
    /// A leader whose claim counts.
    pub fn new(claim: EntryHeader) -> Leadership {
        Leadership { last: claim, in_doubt: None, fenced: None }
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.last.epoch
    }

    /// Its last entry that is known to be in the log.
    pub fn last(&self) -> &EntryHeader {
        &self.last
    }

    /// The entry of which it isn't known whether it is in the log.
    pub fn in_doubt(&self) -> Option<&EntryHeader> {
        self.in_doubt.as_ref()
    }

    /// The entry that fenced it.
    pub fn fenced(&self) -> Option<&EntryHeader> {
        self.fenced.as_ref()
    }

    /// The last published checkpoint. A restart begins from it.
    pub fn latest_publish(&self) -> Option<Published> {
        self.last.latest_publish()
    }

    /// The id for the next checkpoint if none was tried since.
    pub fn next_checkpoint_id(&self) -> CheckpointId {
        CheckpointId(self.latest_publish().map_or(1, |latest| latest.checkpoint_id.0 + 1))
    }

    /// The entry that publishes a checkpoint: rules 2 to 4.
    ///
    /// # Errors
    /// What forbids it.
    pub fn publish(&self, given: CheckpointId, nonce: u64) -> Result<EntryHeader, Refusal> {
        match self.latest_publish() {
            Some(latest) if given <= latest.checkpoint_id => {
                Err(Refusal::NotNewer { given, latest })
            }
            _ => self.following(EntryKind::Publish(given), nonce),
        }
    }

    /// The entry that ends the job: rules 2, 3 and 5. `committed` is the checkpoint up to which
    /// all sinks have reported their output committed.
    ///
    /// # Errors
    /// What forbids it.
    pub fn terminal(
        &self,
        status: TerminalStatus,
        committed: Option<CheckpointId>,
        nonce: u64,
    ) -> Result<EntryHeader, Refusal> {
        match self.latest_publish() {
            Some(latest)
                if status == TerminalStatus::Finished
                    && committed.is_none_or(|committed| committed < latest.checkpoint_id) =>
            {
                Err(Refusal::NotCommitted(latest))
            }
            _ => self.following(EntryKind::Terminal(status), nonce),
        }
    }

    fn following(&self, kind: EntryKind, nonce: u64) -> Result<EntryHeader, Refusal> {
        if let Some(entry) = self.fenced {
            return Err(Refusal::Fenced(entry));
        }
        if let Some(entry) = self.in_doubt {
            return Err(Refusal::InDoubt(entry));
        }
        if self.last.is_terminal() {
            return Err(Refusal::Ended(self.last));
        }
        Ok(EntryHeader {
            position: self.last.position.next(),
            nonce,
            kind,
            previous_publish: self.last.latest_publish(),
            ..self.last
        })
    }

    /// From now on the entry may be in the log. To be called before it is written.
    #[must_use]
    pub fn writing(self, entry: EntryHeader) -> Leadership {
        Leadership { in_doubt: Some(entry), ..self }
    }

    /// The entry in doubt is in the log.
    #[must_use]
    pub fn appended(self) -> Leadership {
        Leadership { last: self.in_doubt.unwrap_or(self.last), in_doubt: None, ..self }
    }

    /// It read this entry where it would have appended. It's for good.
    #[must_use]
    pub fn fenced_by(self, entry: EntryHeader) -> Leadership {
        Leadership { fenced: Some(entry), ..self }
    }

    /// Whether it still leads: rule 6. `next` is what is at the place after its last entry.
    ///
    /// # Errors
    /// It's fenced; or its own entry in doubt is there, then a claim may follow that.
    pub fn check(&self, next: Option<&EntryHeader>) -> Result<(), Refusal> {
        match (self.fenced.as_ref(), next) {
            (Some(entry), _) => Err(Refusal::Fenced(*entry)),
            (None, Some(next)) if Some(next) == self.in_doubt.as_ref() => {
                Err(Refusal::InDoubt(*next))
            }
            (None, Some(next)) => Err(Refusal::Fenced(*next)),
            (None, None) => Ok(()),
        }
    }

    /// Up to which checkpoint output may be committed now: rules 6 and 7.
    ///
    /// # Errors
    /// As [`check`](Leadership::check), or nothing is published.
    pub fn decide_commit(&self, next: Option<&EntryHeader>) -> Result<Published, Refusal> {
        self.check(next)?;
        self.latest_publish().ok_or(Refusal::NothingPublished)
    }
}

/// Whether a participant obeys an order of an epoch, given the highest that it has seen.
pub fn obeys(highest_seen: Option<Epoch>, order: Epoch) -> bool {
    highest_seen.is_none_or(|seen| order >= seen)
}
