//! How a TaskManager finds the JobManager that it belongs to: the leader, by the hint that it
//! writes; or, while another revision's leads, the one that has made the TaskManager's pod and
//! prepares to lead. Not here: what is done about another leader, which is the TaskManager's to
//! decide.

use std::sync::Arc;

use thalweg_core::ids::Epoch;
use thalweg_rpc::{LeaderAddress, LeaderLocator, Locating};
use thalweg_storage::BlobStore;

use super::{HighAvailabilityError, LeaderHint, read_hint};

/// Reads the hint of a cluster in a store.
pub struct HintLocator {
    store: Arc<dyn BlobStore>,
    location: String,
    cluster_id: String,
    /// Only leaders of this revision are followed; None: any.
    revision: Option<String>,
    /// Where a JobManager of this revision is that doesn't lead yet.
    preparing: Option<String>,
}

impl std::fmt::Debug for HintLocator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HintLocator({} in {})", self.cluster_id, self.location)
    }
}

impl HintLocator {
    /// The cluster's in this store, which is used by async code; `location` is the store's name
    /// for people.
    pub fn new(store: Arc<dyn BlobStore>, location: String, cluster_id: String) -> Self {
        Self { store, location, cluster_id, revision: None, preparing: None }
    }

    /// Follows leaders of this revision alone: others run another program. While none of it leads,
    /// the JobManager at `preparing`, if that is known.
    pub fn of_revision(self, revision: String, preparing: Option<String>) -> Self {
        Self { revision: Some(revision), preparing, ..self }
    }

    /// Decides whom to follow:
    ///
    /// 1. The leader of the own revision, whatever its epoch.
    /// 2. While another revision's leads, or nobody has ever led: the one that prepares. It has no
    ///    epoch yet, so the first one that leads is above it.
    fn choose(&self, hint: Option<LeaderHint>) -> Result<LeaderAddress, String> {
        let own = |hint: &LeaderHint| self.revision.as_ref().is_none_or(|own| *own == hint.revision);
        match (hint, &self.preparing) {
            (Some(hint), _) if own(&hint) => {
                Ok(LeaderAddress { address: hint.address, epoch: hint.epoch })
            }
            (_, Some(preparing)) => {
                Ok(LeaderAddress { address: preparing.clone(), epoch: Epoch(0) })
            }
            (Some(hint), None) => Err(format!(
                "a JobManager of revision {} leads in {}, and this TaskManager is one of revision \
                 {}; it waits for a leader of its own",
                hint.revision,
                self.location,
                self.revision.as_deref().unwrap_or_default(),
            )),
            (None, None) => Err(format!(
                "no JobManager of the cluster {:?} has ever led in {}; start one, or check \
                 high-availability.cluster-id and high-availability.storageDir",
                self.cluster_id, self.location
            )),
        }
    }
}

impl LeaderLocator for HintLocator {
    fn locate(&self) -> Locating<'_> {
        Box::pin(async move {
            let found = read_hint(self.store.as_ref(), &self.cluster_id).await;
            self.choose(found.map_err(|error: HighAvailabilityError| error.to_string())?)
        })
    }
}

#[cfg(test)]
mod tests {
    use thalweg_storage::MemoryStore;

    use super::*;

    fn locator() -> HintLocator {
        HintLocator::new(Arc::new(MemoryStore::new()), "memory:".to_owned(), "shop".to_owned())
    }

    fn leads(revision: &str, epoch: u64) -> Option<LeaderHint> {
        let (address, revision) = (format!("{revision}:6123"), revision.to_owned());
        Some(LeaderHint { address, revision, epoch: Epoch(epoch), ..LeaderHint::default() })
    }

    fn followed(locator: &HintLocator, hint: Option<LeaderHint>) -> (String, u64) {
        let leader = locator.choose(hint).unwrap();
        (leader.address, leader.epoch.0)
    }

    #[test]
    fn a_task_manager_follows_leaders_of_its_own_revision_and_before_them_who_prepares() {
        let preparing = locator().of_revision("r2".to_owned(), Some("10.0.0.7:6123".to_owned()));
        assert_eq!(followed(&preparing, leads("r1", 5)), ("10.0.0.7:6123".to_owned(), 0));
        assert_eq!(followed(&preparing, None), ("10.0.0.7:6123".to_owned(), 0));
        assert_eq!(followed(&preparing, leads("", 5)).1, 0, "one that knows of no revisions");
        assert_eq!(followed(&preparing, leads("r2", 6)), ("r2:6123".to_owned(), 6));

        let other = locator().of_revision("r1".to_owned(), None);
        let refused = other.choose(leads("r2", 6)).unwrap_err();
        assert!(refused.contains("revision r2") && refused.contains("revision r1"), "{refused}");
        assert_eq!(followed(&other, leads("r1", 7)), ("r1:6123".to_owned(), 7));
        assert_eq!(followed(&locator(), leads("r2", 8)), ("r2:6123".to_owned(), 8), "any");
        assert!(locator().choose(None).unwrap_err().contains("has ever led"));
    }
}
