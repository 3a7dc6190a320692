//! Who leads, by an application's Lease: quick to take over, and only a hint. What keeps two
//! leaders apart is the log in the checkpoint store, which is claimed after the Lease was taken.

mod elector;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod turn;

use std::time::Duration;

pub use elector::{CandidateDecision, LeaderDecision, LeaseElector};
pub use turn::LeaseTurn;

/// The annotation of a Lease that names the revision whose JobManagers may campaign.
pub const REVISION_ANNOTATION: &str = "thalweg.dev/revision";

/// The annotation of a Lease that names the revision whose JobManager gets its TaskManagers ready
/// while another revision's leads.
pub const PREPARING_ANNOTATION: &str = "thalweg.dev/preparing-revision";

/// A JobManager that campaigns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its pod's name and uid, as the Lease shows them: `NAME_UID`. A process that is started again
    /// in the same pod has the same one: its predecessor is gone.
    pub identity: String,
    /// The revision of the application that it runs.
    pub revision: String,
}

/// Times of a Lease; the application's `highAvailability`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long a leader that doesn't renew is believed.
    pub duration: Duration,
    /// How long a leader may fail to renew before it warns.
    pub renew_deadline: Duration,
    /// How often it is renewed, or looked at.
    pub retry_period: Duration,
}

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseRecord {
    /// Changes with every write, by whomever.
    pub version: String,
    /// Who holds it; None, or empty: nobody.
    pub holder: Option<String>,
    /// The revision that may campaign; None: any.
    pub revision: Option<String>,
    /// The revision that gets ready meanwhile.
    pub preparing: Option<String>,
}

impl LeaseRecord {
    /// Who holds it.
    pub fn held_by(&self) -> Option<&str> {
        self.holder.as_deref().filter(|holder| !holder.is_empty())
    }

    /// Whether JobManagers of this revision may hold it.
    pub fn admits(&self, revision: &str) -> bool {
        self.revision.as_deref().is_none_or(|admitted| admitted == revision)
    }

    /// Whether a JobManager of this revision is to get ready; None: whatever it does, it goes on
    /// with it. That is when its turn has come.
    pub fn preparation(&self, revision: &str) -> Option<bool> {
        let asked = self.preparing.as_deref() == Some(revision);
        (!self.admits(revision)).then_some(asked)
    }
}

/// What is known of the pod of a Lease's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderPod {
    /// It is there, or nobody could tell.
    Alive,
    /// There is no such pod, it is another one of that name, it has ended, or is being deleted.
    Gone,
}
