//! Checkpoints that were given up: what tasks store of them, perhaps later, is nobody's. One whose
//! manifest couldn't be written isn't among them, since it may be there all the same. Not here:
//! deleting.

use std::collections::{BTreeSet, VecDeque};

use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId};
use thalweg_rpc::message::CheckpointAck;

use super::completed::object_paths;
use super::pending::PendingCheckpoint;
use super::{CheckpointAction, CheckpointCoordinator};

/// So many are remembered. One is given up at a time, and each is looked after once another one
/// was published.
const ABANDONED_MAX: usize = 64;

/// What is to be deleted of a checkpoint that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbandonedCheckpoint {
    /// The job.
    pub job: JobId,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// Who may have stored something, ascending: their names are in the objects' names.
    pub attempts: Vec<ExecutionAttemptId>,
    /// What stays in any case, ascending.
    pub kept_objects: Vec<String>,
}

/// One that was given up.
#[derive(Debug, Clone)]
struct GivenUp {
    id: CheckpointId,
    attempts: Vec<ExecutionAttemptId>,
    /// A savepoint's directory; None for a checkpoint.
    directory: Option<String>,
    /// It was looked after.
    taken: bool,
}

/// The last ones, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Abandoned(VecDeque<GivenUp>);

impl Abandoned {
    /// A checkpoint was given up in which these took part.
    pub(super) fn add(
        &mut self,
        id: CheckpointId,
        directory: Option<String>,
        mut attempts: Vec<ExecutionAttemptId>,
    ) {
        if self.0.len() == ABANDONED_MAX {
            self.0.pop_front();
        }
        attempts.sort_unstable();
        self.0.push_back(GivenUp { id, attempts, directory, taken: false });
    }

    /// Where objects of a checkpoint that was given up are: in a savepoint's directory, or in the
    /// job's own store. None if it isn't known that it was given up.
    fn directory_of(&self, id: CheckpointId) -> Option<Option<String>> {
        let found = self.0.iter().find(|given_up| given_up.id == id);
        found.map(|given_up| given_up.directory.clone())
    }

    /// Those before a published one, each once: their tasks have taken part in that one since, or
    /// are gone. Savepoints are the user's.
    fn take_before(&mut self, published: CheckpointId) -> Vec<GivenUp> {
        let due = |given_up: &&mut GivenUp| {
            !given_up.taken && given_up.directory.is_none() && given_up.id < published
        };
        let mut taken = Vec::new();
        for given_up in self.0.iter_mut().filter(due) {
            given_up.taken = true;
            taken.push(given_up.clone());
        }
        taken
    }
}

impl CheckpointCoordinator {
    /// Another one was published: looks after those that were given up before.
    pub(super) fn delete_abandoned_before(
        &mut self,
        published: CheckpointId,
        actions: &mut Vec<CheckpointAction>,
    ) {
        for GivenUp { id: checkpoint, attempts, .. } in self.abandoned.take_before(published) {
            let (job, kept_objects) = (self.job, self.kept_objects());
            let left = AbandonedCheckpoint { job, checkpoint, attempts, kept_objects };
            actions.push(CheckpointAction::DeleteAbandoned(left));
        }
    }

    /// A task didn't know yet that the checkpoint was given up: nobody will refer to what it has
    /// stored. Of any other checkpoint that isn't awaited nothing is certain.
    pub(super) fn acknowledged_late(
        &self,
        ack: &CheckpointAck,
        actions: &mut Vec<CheckpointAction>,
    ) {
        if let Some(directory) = self.abandoned.directory_of(ack.checkpoint) {
            let objects = object_paths(ack.handles.iter());
            let objects = objects.into_iter().map(str::to_owned).collect();
            self.delete_unneeded(directory, objects, actions);
        }
    }

    /// Deletes of what a given up checkpoint names that which nothing refers to: a delta's
    /// acknowledgement also names the runs that it goes on from.
    pub(super) fn delete_unneeded(
        &self,
        directory: Option<String>,
        mut objects: Vec<String>,
        actions: &mut Vec<CheckpointAction>,
    ) {
        let kept = self.kept_objects();
        objects.retain(|object| kept.binary_search(object).is_err());
        match directory {
            _ if objects.is_empty() => {}
            None => actions.push(CheckpointAction::DeleteObjects(objects)),
            Some(directory) => {
                actions.push(CheckpointAction::DeleteFromSavepoint(directory, objects));
            }
        }
    }

    /// What kept checkpoints, and the one under way, refer to, ascending.
    fn kept_objects(&self) -> Vec<String> {
        let publishing = self.publishing.iter().map(|publishing| &publishing.complete);
        let complete = self.completed.iter().chain(publishing);
        let mut kept: BTreeSet<String> =
            complete.flat_map(|c| c.objects()).map(str::to_owned).collect();
        kept.extend(self.pending.iter().flat_map(PendingCheckpoint::objects));
        kept.into_iter().collect()
    }
}
