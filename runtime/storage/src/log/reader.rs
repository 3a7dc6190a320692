//! Reads the log: performs what `search` asks for. Not here: what follows from an entry.

use std::sync::Arc;

use thalweg_core::ids::JobId;

use super::entry::{EntryHeader, EntryKind, LogEntry, LogPosition, Published};
use super::error::LogError;
use super::names::{self, LogName, SEGMENT_LENGTH, Segment};
use super::search::{SearchStep, TailSearch};
use crate::blob::{BlobError, BlobErrorKind, BlobPath, BlobStore};

/// Most reads of one search: with a listing as hint a few are needed, without one a segment's
/// worth and one for each segment before it.
const MAX_STEPS: u32 = 1 << 20;

/// How often an entry is read before it counts as damaged: an answer may be cut short on its way.
const READS_MAX: u32 = 3;

/// A job's log in a store. Clones are the same log.
#[derive(Clone)]
pub struct Log {
    pub(super) store: Arc<dyn BlobStore>,
    pub(super) job: JobId,
    pub(super) segment_length: u64,
}

impl Log {
    /// The job's log.
    pub fn new(store: Arc<dyn BlobStore>, job: JobId) -> Log {
        Log { store, job, segment_length: SEGMENT_LENGTH }
    }

    #[cfg(test)]
    pub(super) fn with_segment_length(self, segment_length: u64) -> Log {
        Log { segment_length, ..self }
    }

    /// The job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// The entry at a place, or nothing.
    ///
    /// # Errors
    /// The store fails, or what is there isn't this place's entry, however often it is read.
    pub async fn read(&self, position: LogPosition) -> Result<Option<LogEntry>, LogError> {
        let path = names::entry(self.job, position)?;
        let mut reads = 0;
        loop {
            reads += 1;
            let Some(bytes) = found(self.store.get(&path).await)? else { return Ok(None) };
            match LogEntry::from_bytes(&bytes, path.as_str(), self.job, position) {
                Err(LogError::Damaged { .. }) if reads < READS_MAX => {}
                read => return read.map(Some),
            }
        }
    }

    /// Whether a segment is sealed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn is_sealed(&self, segment: Segment) -> Result<bool, LogError> {
        let path = names::seal(self.job, segment)?;
        Ok(found(self.store.get(&path).await)?.is_some())
    }

    /// The last entry, or nothing if the log is empty.
    ///
    /// # Errors
    /// The store fails, an entry is damaged, or others write faster than this reads.
    pub async fn tail(&self) -> Result<Option<LogEntry>, LogError> {
        let folder = names::folder(self.job)?;
        let entry = |path: &BlobPath| match names::parse(self.job, path) {
            Some(LogName::Entry(position)) => Some(position),
            _ => None,
        };
        let hint = self.store.list(&folder).await?.iter().filter_map(entry).max();
        let mut search = TailSearch::new(hint, self.segment_length);
        let mut last = None;
        for _ in 0..MAX_STEPS {
            match search.step() {
                SearchStep::ReadEntry(position) => {
                    let read = self.read(position).await?;
                    search = search.entry(read.is_some());
                    last = read.or(last);
                }
                SearchStep::ReadSeal(segment) => {
                    search = search.seal(self.is_sealed(segment).await?);
                }
                SearchStep::Found(None) => return Ok(None),
                SearchStep::Found(Some(position)) => {
                    return match last {
                        Some(entry) if entry.header.position == position => Ok(Some(entry)),
                        _ => Err(self.damaged(position, "the log's last entry is missing")?),
                    };
                }
                SearchStep::Damaged(position) => {
                    return Err(self.damaged(position, "it's missing though the log goes on")?);
                }
            }
        }
        Err(LogError::TailMoves { steps: MAX_STEPS })
    }

    /// The entry that published a checkpoint.
    ///
    /// # Errors
    /// The store fails, or another entry or none is there.
    pub async fn publish_of(&self, published: Published) -> Result<LogEntry, LogError> {
        let position = published.position;
        match self.read(position).await? {
            Some(entry) if entry.header.kind == EntryKind::Publish(published.checkpoint_id) => {
                Ok(entry)
            }
            Some(_) => Err(self.damaged(position, "it should publish a checkpoint")?),
            None => Err(self.damaged(position, "the last published checkpoint's is missing")?),
        }
    }

    /// The entries that published the last `count` checkpoints up to `tail`, the newest first:
    /// fewer if fewer were published or older ones are deleted already.
    ///
    /// # Errors
    /// The store fails, or the newest one is missing or damaged.
    pub async fn last_publishes(
        &self,
        tail: &EntryHeader,
        count: usize,
    ) -> Result<Vec<LogEntry>, LogError> {
        let mut entries: Vec<LogEntry> = Vec::new();
        let mut next = tail.latest_publish();
        while let Some(published) = next.filter(|_| entries.len() < count) {
            let deleted = !entries.is_empty() && self.read(published.position).await?.is_none();
            if deleted {
                break;
            }
            let entry = self.publish_of(published).await?;
            next = entry.header.previous_publish;
            entries.push(entry);
        }
        Ok(entries)
    }

    fn damaged(&self, position: LogPosition, reason: &str) -> Result<LogError, LogError> {
        let place = names::entry(self.job, position)?.to_string();
        Ok(LogError::Damaged { place, reason: reason.to_owned() })
    }
}

/// A missing blob isn't a failure here.
fn found(read: Result<Vec<u8>, BlobError>) -> Result<Option<Vec<u8>>, BlobError> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind == BlobErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
