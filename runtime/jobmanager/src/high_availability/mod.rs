//! High availability: who leads, one JobManager at a time in terms that rise, and what outlives
//! it.
//!
//! Who leads is behind a trait: [`StandaloneElection`] where there's only one JobManager,
//! [`StoreElection`] with a store, where a [`Turn`] says whose turn it is. An election only makes a
//! takeover quick: what keeps two leaders apart are the logs of `thalweg_storage::log`, one for the
//! cluster and one for each job. [`Records`] reads and writes what programs and jobs leave there,
//! and `job_log` is the one place that appends to a job's log.

pub mod erasure;
mod error;
mod garbage;
mod hint;
pub(crate) mod job_log;
pub(crate) mod leftovers;
pub mod lineage;
mod locator;
mod off_thread;
mod recorded_result;
mod records;
mod store_election;
mod turn;

use std::fmt::Debug;
use std::pin::Pin;

use thalweg_core::ids::Epoch;

pub use error::HighAvailabilityError;
pub use hint::{HintDecision, HintWatch, LeaderHint};
pub use locator::HintLocator;
pub use off_thread::off_thread;
pub(crate) use records::Claimed;
pub use records::{ClaimedJob, EarlierRun, Records, RecordsOptions};
pub use store_election::{StoreElection, read_hint, read_hint_of};
pub use turn::{HintTurn, Turn, TurnFuture};

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

/// How the leadership was lost; the reason is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// Another one has claimed it, or nobody can know.
    Fenced(String),
    /// It isn't this one's turn any more. Nobody need have claimed it yet.
    Turn(String),
}

impl Loss {
    /// Why.
    pub fn reason(&self) -> &str {
        match self {
            Self::Fenced(reason) | Self::Turn(reason) => reason,
        }
    }
}

/// The future of a campaign.
pub type Campaign<'a> =
    Pin<Box<dyn Future<Output = Result<Leadership, ElectionError>> + Send + 'a>>;

/// Makes one JobManager of several the leader.
pub trait LeaderElection: Debug + Send {
    /// Waits until this JobManager leads.
    fn campaign(&mut self) -> Campaign<'_>;

    /// Does what keeps the leadership, and returns once it is lost. Safe to cancel. Never returns
    /// where it can't be lost.
    fn hold(&mut self) -> Pin<Box<dyn Future<Output = Loss> + Send + '_>> {
        Box::pin(std::future::pending())
    }

    /// Gives the leadership up, so that another one needn't wait.
    fn release(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// There is only one JobManager: it leads, in term 1.
#[derive(Debug, Clone, Copy, Default)]
pub struct StandaloneElection;

impl LeaderElection for StandaloneElection {
    fn campaign(&mut self) -> Campaign<'_> {
        Box::pin(std::future::ready(Ok(Leadership { epoch: Epoch(1) })))
    }
}
