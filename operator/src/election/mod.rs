//! Which of several operators reconciles: one Lease in their own namespace.
//!
//! - `elector`: what is decided, purely.
//! - `campaign`: the same at the API server.
//!
//! Unlike a JobManager (`thalweg-kubernetes`, whose elector waits for a Lease that an operator
//! makes, minds revisions and goes on without the API server), an operator makes its Lease itself
//! and ends when it can't renew it: nothing fences its writes, and another one can do its work.

mod campaign;
mod elector;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use campaign::{Campaign, ElectionError};
pub use elector::{Elector, Looked, Step};

/// The Lease of the operators of one installation.
pub const LEASE: &str = "thalweg-operator";

/// Times of the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long a leader that doesn't renew is believed by the others.
    pub duration: Duration,
    /// How long a leader may fail to renew before it ends. Shorter than `duration`.
    pub renew_deadline: Duration,
    /// How often it is renewed, or looked at.
    pub retry_period: Duration,
}

impl Default for LeaseTimes {
    fn default() -> LeaseTimes {
        LeaseTimes {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(5),
        }
    }
}

/// The Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaseRecord {
    /// Changes with every write, by whomever.
    pub version: String,
    /// Who holds it; None, or empty: nobody.
    pub holder: Option<String>,
}

impl LeaseRecord {
    /// Who holds it.
    pub fn held_by(&self) -> Option<&str> {
        self.holder.as_deref().filter(|holder| !holder.is_empty())
    }
}
