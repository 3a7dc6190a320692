//! Who leads: one JobManager at a time, in terms that rise. Behind a trait: alone here, a Lease in
//! Kubernetes. Not here: fencing in the store, which is what really keeps two leaders apart.

use std::fmt::Debug;
use std::pin::Pin;

use thalweg_core::ids::Epoch;

/// A leader's term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leadership {
    /// Its number, above that of every term before it.
    pub epoch: Epoch,
}

/// Leadership can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this JobManager can't campaign for leadership: {0}")]
pub struct ElectionError(pub String);

/// The future of a campaign.
pub type Campaign<'a> =
    Pin<Box<dyn Future<Output = Result<Leadership, ElectionError>> + Send + 'a>>;

/// Makes one JobManager of several the leader.
pub trait LeaderElection: Debug + Send {
    /// Waits until this JobManager leads.
    fn campaign(&mut self) -> Campaign<'_>;
}

/// There is only one JobManager: it leads, in term 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct StandaloneElection;

impl LeaderElection for StandaloneElection {
    fn campaign(&mut self) -> Campaign<'_> {
        Box::pin(std::future::ready(Ok(Leadership { epoch: Epoch(1) })))
    }
}
