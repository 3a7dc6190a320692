//! Claims a job, and appends as its leader: performs what `leadership` and `append` decide.

use thalweg_core::ids::{CheckpointId, Epoch, JobId};

use super::append::{AfterPut, AfterReadBack, PutFact, after_put, after_read_back, claim_counts};
use super::collect::CollectorView;
use super::entry::{EntryBody, EntryHeader, LogEntry, TerminalStatus, WriterId};
use super::error::LogError;
use super::leadership::{ClaimDecision, Leadership, Refusal, decide_claim};
use super::names::{self, Segment};
use super::reader::Log;
use crate::blob::{BlobError, BlobPath, PutOutcome};

/// How often one call writes the same entry. A caller that waits between calls may go on for as
/// long as it likes.
const MAX_ATTEMPTS: u32 = 3;

/// How often one call claims anew after others were quicker.
const MAX_CLAIMS: u32 = 16;

/// What became of a claim.
pub enum ClaimOutcome {
    /// This process leads.
    Leads(Box<Leader>),
    /// The job has ended with this entry.
    Finished(Box<LogEntry>),
}

/// The leader of a job: the only value by which its log is written.
pub struct Leader {
    log: Log,
    leadership: Leadership,
    /// Whose JobManager this is: in all of its entries.
    owner: Option<String>,
    /// The owner in the entry before its claim.
    owner_before: Option<String>,
    /// The entry in doubt in full.
    unsettled: Option<LogEntry>,
    next_nonce: u64,
}

/// The right to have output committed up to a published checkpoint, given directly after a look
/// at the log. Used at once: the longer it's kept, the less it says. What a later leader does
/// isn't harmed by it in any case, as it begins from this checkpoint or a later one.
#[derive(Debug, PartialEq, Eq)]
pub struct CommitPermit {
    job: JobId,
    epoch: Epoch,
    checkpoint: CheckpointId,
}

impl CommitPermit {
    /// The job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// The leader's epoch: sinks obey only the highest that they've seen.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Output of this checkpoint and of those before it may be committed.
    pub fn checkpoint(&self) -> CheckpointId {
        self.checkpoint
    }
}

/// What became of an entry.
enum Appended {
    Yes,
    /// This one is where it should be, or after it.
    No(EntryHeader),
}

impl Leader {
    /// Claims the job at the end of its log, for no resource in particular.
    ///
    /// # Errors
    /// As [`claim_for`](Leader::claim_for).
    pub async fn claim(
        log: Log,
        writer: WriterId,
        address: &str,
    ) -> Result<ClaimOutcome, LogError> {
        Leader::claim_for(log, writer, address, None).await
    }

    /// Claims the job at the end of its log. `writer` was never used before for this job;
    /// `address` tells people who it is; `owner` is the uid of the resource that it belongs to.
    ///
    /// # Errors
    /// The store fails, the log is damaged, or others were quicker again and again.
    pub async fn claim_for(
        log: Log,
        writer: WriterId,
        address: &str,
        owner: Option<&str>,
    ) -> Result<ClaimOutcome, LogError> {
        let owner = owner.map(str::to_owned);
        for nonce in 0..u64::from(MAX_CLAIMS) {
            let tail = log.tail().await?;
            let header = match decide_claim(tail.as_ref().map(|entry| &entry.header), writer, nonce)
            {
                ClaimDecision::Claim(header) => header,
                ClaimDecision::Finished(_) => match tail {
                    Some(entry) => return Ok(ClaimOutcome::Finished(Box::new(entry))),
                    None => continue,
                },
            };
            let body = EntryBody::Claim { leader: address.to_owned() };
            let entry = LogEntry { job_id: log.job, header, owner: owner.clone(), body };
            if let Appended::No(_) = append(&log, &entry).await? {
                continue;
            }
            let segment = Segment::of(header.position, log.segment_length);
            if claim_counts(log.is_sealed(segment).await?) {
                let leadership = Leadership::new(header);
                let owner_before = tail.and_then(|entry| entry.owner);
                let (unsettled, next_nonce) = (None, nonce + 1);
                let leader = Leader { log, leadership, owner, owner_before, unsettled, next_nonce };
                return Ok(ClaimOutcome::Leads(Box::new(leader)));
            }
        }
        Err(LogError::TailMoves { steps: MAX_CLAIMS })
    }

    /// The leader as it knows itself.
    pub fn leadership(&self) -> &Leadership {
        &self.leadership
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The owner of the entry directly before the claim: another one than the claim's own where a
    /// later resource goes on with what an earlier one has left.
    pub fn owner_before(&self) -> Option<&str> {
        self.owner_before.as_deref()
    }

    /// The entry of the checkpoint to restore: the last published one. Nothing only if none ever
    /// was.
    ///
    /// # Errors
    /// The store fails, or the entry is damaged.
    pub async fn restore(&self) -> Result<Option<LogEntry>, LogError> {
        match self.leadership.latest_publish() {
            Some(published) => self.log.publish_of(published).await.map(Some),
            None => Ok(None),
        }
    }

    /// Publishes a checkpoint whose objects and manifest are all stored. After
    /// [`LogError::InDoubt`] or a store's error it may be published: nothing of it may be
    /// deleted, and [`settle`](Leader::settle) is to be called until it's known.
    ///
    /// # Errors
    /// It's fenced, not allowed, or unknown.
    pub async fn publish(
        &mut self,
        checkpoint: CheckpointId,
        manifest: &BlobPath,
    ) -> Result<(), LogError> {
        let header = self.leadership.publish(checkpoint, self.next_nonce)?;
        self.write(header, EntryBody::publish(checkpoint, manifest)).await
    }

    /// Records the job's end, before anything of it is cleaned up. `committed` is the checkpoint
    /// up to which all sinks have reported their output committed.
    ///
    /// # Errors
    /// As [`publish`](Leader::publish).
    pub async fn terminal(
        &mut self,
        status: TerminalStatus,
        failure: Option<String>,
        results: Option<&BlobPath>,
        committed: Option<CheckpointId>,
    ) -> Result<(), LogError> {
        let header = self.leadership.terminal(status, committed, self.next_nonce)?;
        let results = results.map(BlobPath::to_string);
        self.write(header, EntryBody::Terminal { status, failure, results }).await
    }

    async fn write(&mut self, header: EntryHeader, body: EntryBody) -> Result<(), LogError> {
        let entry = LogEntry { job_id: self.log.job, header, owner: self.owner.clone(), body };
        // What can't be written at all isn't in doubt.
        entry.to_bytes()?;
        // In doubt from before the request is sent, also if this future is dropped.
        self.next_nonce += 1;
        self.leadership = self.leadership.writing(header);
        self.unsettled = Some(entry);
        self.settle().await
    }

    /// Finds out whether the entry in doubt is in the log, writing it again if it isn't. Nothing
    /// to do if none is.
    ///
    /// # Errors
    /// It's fenced, or it is still unknown.
    pub async fn settle(&mut self) -> Result<(), LogError> {
        let Some(entry) = &self.unsettled else { return Ok(()) };
        if let Some(by) = self.leadership.fenced() {
            return Err(Refusal::Fenced(*by).into());
        }
        match append(&self.log, entry).await? {
            Appended::Yes => {
                self.leadership = self.leadership.appended();
                self.unsettled = None;
                Ok(())
            }
            Appended::No(by) => {
                self.leadership = self.leadership.fenced_by(by);
                Err(Refusal::Fenced(by).into())
            }
        }
    }

    /// Looks whether it still leads.
    ///
    /// # Errors
    /// It's fenced, or the store fails: then nothing is known.
    pub async fn check(&mut self) -> Result<(), LogError> {
        let next = self.read_next().await?;
        Ok(self.leadership.check(next.as_ref())?)
    }

    /// Looks whether it still leads, and permits commits up to the last published checkpoint.
    ///
    /// # Errors
    /// It's fenced, nothing is published, or the store fails: then nothing is committed.
    pub async fn permit_commit(&mut self) -> Result<CommitPermit, LogError> {
        let next = self.read_next().await?;
        let published = self.leadership.decide_commit(next.as_ref())?;
        let (job, epoch) = (self.log.job, self.leadership.epoch());
        Ok(CommitPermit { job, epoch, checkpoint: published.checkpoint_id })
    }

    /// Looks whether it still leads, and gives what a collection is decided from.
    /// `oldest_pending` is the oldest checkpoint that is being taken.
    ///
    /// # Errors
    /// It's fenced, or the store fails: then nothing is collected.
    pub async fn collector_view(
        &mut self,
        oldest_pending: Option<CheckpointId>,
    ) -> Result<CollectorView, LogError> {
        let next = self.read_next().await?;
        self.leadership.check(next.as_ref())?;
        Ok(CollectorView::of_leader(&self.leadership, oldest_pending))
    }

    /// What is at the place after its last entry; remembers if that fences it.
    async fn read_next(&mut self) -> Result<Option<EntryHeader>, LogError> {
        let next = self.log.read(self.leadership.last().position.next()).await?;
        let next = next.map(|entry| entry.header);
        if let Err(Refusal::Fenced(by)) = self.leadership.check(next.as_ref()) {
            self.leadership = self.leadership.fenced_by(by);
        }
        Ok(next)
    }
}

/// Writes an entry until it's known whether it's in the log.
async fn append(log: &Log, entry: &LogEntry) -> Result<Appended, LogError> {
    let position = entry.header.position;
    let path = names::entry(log.job, position)?;
    let bytes = entry.to_bytes()?;
    let mut source = None;
    for attempts in 1..=MAX_ATTEMPTS {
        let fact = match log.store.put_if_absent(&path, bytes.clone()).await {
            Ok(PutOutcome::Created) => PutFact::Created,
            Ok(PutOutcome::AlreadyExists) => PutFact::AlreadyExists,
            Err(error) => {
                source = Some(error);
                PutFact::Unknown
            }
        };
        if after_put(fact) == AfterPut::Appended {
            return Ok(Appended::Yes);
        }
        let here = in_doubt(log.read(position).await, &entry.header, attempts)?;
        let next = in_doubt(log.read(position.next()).await, &entry.header, attempts)?;
        match after_read_back(&entry.header, here.as_ref(), next.as_ref()) {
            AfterReadBack::Appended => return Ok(Appended::Yes),
            AfterReadBack::Taken(by) | AfterReadBack::Overtaken(by) => {
                return Ok(Appended::No(by));
            }
            AfterReadBack::PutAgain => {}
        }
    }
    Err(LogError::InDoubt { entry: Box::new(entry.header), attempts: MAX_ATTEMPTS, source })
}

/// A failure of the store while reading back leaves the entry in doubt.
fn in_doubt(
    read: Result<Option<LogEntry>, LogError>,
    entry: &EntryHeader,
    attempts: u32,
) -> Result<Option<EntryHeader>, LogError> {
    let unknown = |error: BlobError| {
        let (entry, source) = (Box::new(*entry), Some(error));
        LogError::InDoubt { entry, attempts, source }
    };
    match read {
        Ok(found) => Ok(found.map(|entry| entry.header)),
        Err(LogError::Store(error)) => Err(unknown(error)),
        Err(error) => Err(error),
    }
}
