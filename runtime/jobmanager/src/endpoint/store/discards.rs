//! Deletes what superseded and given up checkpoints leave, one after the other, where a job has no
//! log. As long as a manifest couldn't be deleted, nothing that it refers to is. Not here: which
//! checkpoints; the coordinator decides.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedRwLockReadGuard, RwLock};

use super::{delete, delete_abandoned, delete_manifest, objects_of};
use crate::checkpoint_coordinator::{AbandonedCheckpoint, CompletedCheckpoint};
use crate::endpoint::options::CheckpointStore;

/// So many checkpoints wait at most until their manifest can be deleted. What comes on top of them
/// stays in the store: manifest and objects.
const WAITING_MAX: usize = 64;

/// The checkpoints whose manifests couldn't be deleted yet, oldest first. Each is tried again when
/// the next one is discarded.
#[derive(Debug, Clone, Default)]
pub(in crate::endpoint) struct Discards {
    waiting: Arc<Mutex<Vec<CompletedCheckpoint>>>,
    /// Read by each deletion that is under way.
    under_way: Arc<RwLock<()>>,
}

/// A deletion that is under way as long as this is there; also while it waits for a thread.
#[derive(Debug)]
pub(in crate::endpoint) struct UnderWay {
    _guard: Option<OwnedRwLockReadGuard<()>>,
}

impl Discards {
    /// A deletion begins. To be called before it is handed to whoever does it.
    pub(in crate::endpoint) fn begin(&self) -> UnderWay {
        // It can't be had only when the end is waited for already.
        UnderWay { _guard: Arc::clone(&self.under_way).try_read_owned().ok() }
    }

    /// Waits for the deletions that are under way, but no longer than this: what a process that
    /// ends leaves in the middle, nobody finds again, as the manifest goes first.
    pub(in crate::endpoint) async fn ended(&self, at_most: Duration) {
        if tokio::time::timeout(at_most, self.under_way.write()).await.is_err() {
            tracing::warn!("objects of old checkpoints are left behind: the store is slow");
        }
    }

    /// Deletes a checkpoint, its manifest first, and those that wait. What is in `kept_objects`,
    /// which ascend, stays.
    pub(in crate::endpoint) async fn discard(
        &self,
        store: &CheckpointStore,
        checkpoint: CompletedCheckpoint,
        kept_objects: &[String],
    ) -> Result<(), String> {
        let mut waiting = self.waiting.lock().await;
        if waiting.len() == WAITING_MAX {
            return Err(format!("{WAITING_MAX} others couldn't be deleted before it"));
        }
        waiting.push(checkpoint);
        let (mut gone, mut left, mut outcome) = (Vec::new(), Vec::new(), Ok(()));
        for checkpoint in waiting.drain(..) {
            match delete_manifest(store, &checkpoint).await {
                Ok(()) => gone.push(checkpoint),
                Err(error) => {
                    left.push(checkpoint);
                    outcome = Err(error);
                }
            }
        }
        *waiting = left;
        let mut needed = needed(&waiting);
        needed.extend(kept_objects.iter().map(String::as_str));
        for checkpoint in gone {
            let mut objects = objects_of(&checkpoint)?;
            objects.retain(|object| !needed.contains(object.as_str()));
            if let Err(error) = delete(store, &objects).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    /// Deletes objects of a checkpoint that was given up.
    pub(in crate::endpoint) async fn delete(
        &self,
        store: &CheckpointStore,
        mut objects: Vec<String>,
    ) -> Result<(), String> {
        let waiting = self.waiting.lock().await;
        let needed = needed(&waiting);
        objects.retain(|object| !needed.contains(object.as_str()));
        delete(store, &objects).await
    }

    /// Deletes whatever else attempts have stored of such a one.
    pub(in crate::endpoint) async fn delete_abandoned(
        &self,
        store: &CheckpointStore,
        mut abandoned: AbandonedCheckpoint,
    ) -> Result<(), String> {
        let waiting = self.waiting.lock().await;
        abandoned.kept_objects.extend(needed(&waiting).into_iter().map(str::to_owned));
        abandoned.kept_objects.sort_unstable();
        delete_abandoned(store, &abandoned).await
    }
}

/// What these refer to.
fn needed(waiting: &[CompletedCheckpoint]) -> BTreeSet<&str> {
    waiting.iter().flat_map(CompletedCheckpoint::objects).collect()
}
