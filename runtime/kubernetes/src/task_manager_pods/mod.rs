//! The pods of TaskManagers: which there are, which are to be made and deleted. A pod's name is its
//! TaskManager's id. Not here: the API server, which is asked at the edge, and what a pod looks
//! like, which the revision's template says.

mod backoff;
mod driver;
mod facts;
mod observe;
mod planner;
mod template;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use backoff::Backoff;
pub use driver::{KubernetesDriver, PodDriverOptions, PodPreparation};
pub use facts::{PodFacts, PodPhase};
pub use observe::facts_of;
pub use planner::{PodAction, PodPlanner};
pub use template::{PodTemplate, TemplateError};

/// Times that pods are handled by; the application's `taskManager`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodTimes {
    /// How long a pod may take until its TaskManager registers; then another one is made.
    pub start_timeout: Duration,
    /// How long a pod that isn't needed and hasn't registered may stay.
    pub idle_timeout: Duration,
    /// How long the last failed pod stays, for its logs.
    pub failed_retention: Duration,
}

impl Default for PodTimes {
    fn default() -> Self {
        Self {
            start_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(30),
            failed_retention: Duration::from_secs(600),
        }
    }
}
