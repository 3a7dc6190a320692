//! What can go wrong with what outlives a JobManager.

use thalweg_core::ids::JobId;
use thalweg_storage::log::{LogError, LogErrorKind, Refusal};
use thalweg_storage::sealed::SealedError;
use thalweg_storage::{BlobError, BlobPathError, ManifestError};
use thiserror::Error;

/// A failure of high availability.
#[derive(Debug, Error)]
pub enum HighAvailabilityError {
    /// The store that jobs are to be recorded in can't be used.
    #[error(
        "high-availability.storageDir = {location} can't be used: {source}; set it to a directory \
         or bucket that exists, or can be made, and that this process may write to"
    )]
    Unusable {
        /// The store.
        location: String,
        /// Why.
        source: Box<LogError>,
    },
    /// The log can't be read or written, or somebody else leads.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A recorded object can't be read or written.
    #[error(transparent)]
    Store(#[from] BlobError),
    /// A name that can't be.
    #[error(transparent)]
    Path(#[from] BlobPathError),
    /// A recorded object isn't what it should be.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The last checkpoint can't be read.
    #[error("the last published checkpoint of job {job}, {manifest} in {location}: {source}")]
    Checkpoint {
        /// The job.
        job: JobId,
        /// Its manifest.
        manifest: String,
        /// Where checkpoints are.
        location: String,
        /// What is wrong.
        source: Box<ManifestError>,
    },
    /// Another application has this identity.
    #[error(
        "{location} holds the jobs of the application {found:?} under the cluster id \
         {cluster_id:?}, and this one is {name:?}: set another high-availability.cluster-id"
    )]
    OtherApplication {
        /// The store.
        location: String,
        /// The identity.
        cluster_id: String,
        /// The application that has it.
        found: String,
        /// This one.
        name: String,
    },
    /// What is recorded of a job contradicts itself.
    #[error("what is recorded of job {job} can't be used: {reason}")]
    Inconsistent {
        /// The job.
        job: JobId,
        /// Why.
        reason: String,
    },
    /// A value of `env.once` is recorded under another name.
    #[error("the recorded value at {place} is that of {found:?}; rename env.once({name:?})")]
    OtherValue {
        /// The object.
        place: String,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        name: String,
    },
    /// What is deleted is written again and again.
    #[error(
        "{left} objects are left that were written meanwhile, {one} among them: stop what writes \
         them"
    )]
    StillWritten {
        /// How many.
        left: usize,
        /// One of them.
        one: String,
    },
}

impl HighAvailabilityError {
    /// Whether another leader is the reason.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Log(LogError::Refused(Refusal::Fenced(_))))
    }

    /// Whether a repeat may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Log(error) => error.kind() == LogErrorKind::Retry,
            Self::Store(_) => true,
            _ => false,
        }
    }
}
