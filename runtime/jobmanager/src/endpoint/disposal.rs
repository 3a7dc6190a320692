//! Savepoints that users dispose of: deleted, with all that is in them. Checkpoints aren't: the
//! engine deletes those itself. Not here: deciding that a savepoint isn't needed; who asks does.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::ids::TriggerId;
use thalweg_storage::CheckpointKind;

use super::JobManager;
use super::mail::CommandError;
use super::options::StoreOpener;
use super::savepoint::find_savepoint;
use crate::rest::model::OperationOutcome;

/// How many disposals are remembered; no more are under way at a time.
const DISPOSALS_MAX: usize = 128;

/// What was disposed of, oldest first, and how it went.
#[derive(Debug, Default)]
pub(super) struct Disposals(Mutex<VecDeque<(TriggerId, OperationOutcome)>>);

impl Disposals {
    /// How the one of this name went so far.
    pub(super) fn outcome(&self, trigger: TriggerId) -> Option<OperationOutcome> {
        let all = self.0.lock();
        all.iter().find(|(known, _)| *known == trigger).map(|(_, outcome)| outcome.clone())
    }

    /// Begins one, unless too many are under way.
    fn begin(&self, trigger: TriggerId) -> Result<(), CommandError> {
        let mut all = self.0.lock();
        if all.len() >= DISPOSALS_MAX {
            let ended = |(_, outcome): &(_, _)| *outcome != OperationOutcome::InProgress;
            let oldest = all.iter().position(ended);
            all.remove(oldest.ok_or(CommandError::TooMany(DISPOSALS_MAX))?);
        }
        all.push_back((trigger, OperationOutcome::InProgress));
        Ok(())
    }

    fn end(&self, trigger: TriggerId, result: Result<(), String>) {
        let outcome = match result {
            Ok(()) => OperationOutcome::Completed { checkpoint: 0, location: String::new() },
            Err(message) => OperationOutcome::Failed { message },
        };
        if let Some(own) = self.0.lock().iter_mut().find(|(known, _)| *known == trigger) {
            own.1 = outcome;
        }
    }
}

impl JobManager {
    /// Begins to delete the savepoint at `path` and gives the name under which it is found how that
    /// goes. One with a name that is known is a repetition.
    pub(super) fn dispose(
        &mut self,
        path: String,
        trigger: Option<TriggerId>,
    ) -> Result<TriggerId, CommandError> {
        if let Some(repeated) = trigger.filter(|known| self.disposals.outcome(*known).is_some()) {
            return Ok(repeated);
        }
        let name = self.name_of_command(trigger);
        self.disposals.begin(name)?;
        let running = self.dispatcher.jobs().filter(|job| job.result().is_none());
        let begun_from = running.flat_map(|job| job.coordinator().retained());
        let in_use: Vec<String> = begun_from.filter_map(|c| c.directory.clone()).collect();
        let (stores, disposals) = (Arc::clone(&self.stores), Arc::clone(&self.disposals));
        let runtime = self.runtime.clone();
        self.runtime.spawn_blocking(move || {
            let result = runtime.block_on(delete(stores.as_ref(), &path, &in_use));
            match &result {
                Ok(()) => tracing::info!("the savepoint {path} was disposed of"),
                Err(cause) => tracing::warn!("a savepoint wasn't disposed of: {cause}"),
            }
            disposals.end(name, result);
        });
        Ok(name)
    }
}

/// Deletes a savepoint, its manifest last: one that is left in the middle is found again.
async fn delete(stores: &dyn StoreOpener, path: &str, in_use: &[String]) -> Result<(), String> {
    let (savepoint, manifest) =
        find_savepoint(stores, path).await.map_err(|error| error.to_string())?;
    if savepoint.manifest.kind != CheckpointKind::Savepoint {
        return Err(format!(
            "{path} is a checkpoint, not a savepoint: the job that took it deletes it when it has \
             enough later ones (execution.checkpointing.num-retained)"
        ));
    }
    let store = &savepoint.store;
    let is_it = |directory: &&String| {
        stores.open_existing(directory).is_ok_and(|other| other.name == store.name)
    };
    if in_use.iter().any(|directory| is_it(&directory)) {
        return Err(format!(
            "{path} is what a running job would restart from: it has taken no checkpoint since it \
             began with it; ask again after its next one"
        ));
    }
    let objects = savepoint.manifest.objects().map_err(|error| error.to_string())?;
    for object in objects.iter().chain([&manifest]) {
        let deleted = store.store.delete(object).await;
        deleted.map_err(|error| {
            format!("the savepoint {path} is still there in part, ask again: {error}")
        })?;
    }
    // The savepoint is gone; what somebody else has put beside it stays, and its folder then, too.
    if let Err(error) = store.store.remove_if_empty().await {
        tracing::warn!("the folder of the savepoint {path} is left: {error}");
    }
    Ok(())
}
