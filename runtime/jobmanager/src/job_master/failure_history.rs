//! The failures that a job has lived through, newest first, bounded.

use std::collections::VecDeque;

use thalweg_core::ids::TaskManagerId;
use thalweg_rpc::message::{FailureInfo, FailureKind};

/// One failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub info: FailureInfo,
    /// When it was noticed, in ms since the epoch.
    pub at_ms: i64,
    /// The failed task's name; None for the job as a whole.
    pub task: Option<String>,
    /// Where the task ran.
    pub task_manager: Option<TaskManagerId>,
    /// Its data address.
    pub address: Option<String>,
    /// Failures that were seen while this one was answered.
    pub concurrent: Vec<Failure>,
}

impl Failure {
    /// A failure of the job as a whole.
    pub fn of_job(message: String, kind: FailureKind, at_ms: i64) -> Self {
        Self {
            info: FailureInfo { operator: None, message, kind },
            at_ms,
            task: None,
            task_manager: None,
            address: None,
            concurrent: Vec::new(),
        }
    }
}

/// The latest failures.
#[derive(Debug, Clone)]
pub struct FailureHistory {
    failures: VecDeque<Failure>,
    length_max: usize,
    truncated: bool,
}

impl FailureHistory {
    /// An empty one that remembers `length_max` failures, and as many concurrent ones of each.
    pub fn new(length_max: usize) -> Self {
        Self { failures: VecDeque::new(), length_max: length_max.max(1), truncated: false }
    }

    /// A failure that something is done about.
    pub fn add(&mut self, failure: Failure) {
        self.failures.push_front(failure);
        self.truncated |= self.failures.len() > self.length_max;
        self.failures.truncate(self.length_max);
    }

    /// A failure while the newest one is being answered.
    pub fn add_concurrent(&mut self, failure: Failure) {
        match self.failures.front_mut() {
            Some(root) if root.concurrent.len() < self.length_max => root.concurrent.push(failure),
            Some(_) => self.truncated = true,
            None => self.add(failure),
        }
    }

    /// The failures, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Failure> {
        self.failures.iter()
    }

    /// Whether older ones were dropped.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}
