//! What is known of a pod, in the few words that matter for a TaskManager.

/// How far a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodPhase {
    /// Not scheduled, its image is pulled, or its container waits.
    Pending,
    /// Its process runs; or nobody knows, as with a node that can't be reached.
    Running,
    /// Its process has ended with exit code 0.
    Succeeded,
    /// Its process has ended with another one, or it was evicted.
    Failed,
}

impl PodPhase {
    /// Whether its process has ended for good: pods of TaskManagers aren't restarted in place.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A pod as the API server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    /// Its name.
    pub name: String,
    /// Tells it from a later one of that name.
    pub uid: String,
    /// How far it is.
    pub phase: PodPhase,
    /// It is being deleted, by whomever.
    pub deleting: bool,
    /// What is wrong with it, in its own words: `OOMKilled (exit code 137)`, `ImagePullBackOff:
    /// ...`, what the scheduler says.
    pub problem: Option<String>,
}
