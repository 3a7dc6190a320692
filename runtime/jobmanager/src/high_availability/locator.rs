//! How a TaskManager finds the leader: by the hint that it writes. Not here: what is done about
//! another leader, which is the TaskManager's to decide.

use std::sync::Arc;

use thalweg_rpc::{LeaderAddress, LeaderLocator, Locating};
use thalweg_storage::BlobStore;

use super::{HighAvailabilityError, LeaderHint, read_hint};

/// Reads the hint of a cluster in a store.
pub struct HintLocator {
    store: Arc<dyn BlobStore>,
    location: String,
    cluster_id: String,
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
        Self { store, location, cluster_id }
    }
}

impl LeaderLocator for HintLocator {
    fn locate(&self) -> Locating<'_> {
        Box::pin(async move {
            let found = read_hint(self.store.as_ref(), &self.cluster_id).await;
            match found.map_err(|error: HighAvailabilityError| error.to_string())? {
                Some(LeaderHint { address, epoch, revision, .. }) => {
                    Ok(LeaderAddress { address, epoch, revision })
                }
                None => Err(format!(
                    "no JobManager of the cluster {:?} has ever led in {}; start one, or check \
                     high-availability.cluster-id and high-availability.storageDir",
                    self.cluster_id, self.location
                )),
            }
        })
    }
}
