//! Where snapshots are, and output that goes to stores: opens each store once.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_storage::{BlobError, BlobStore, BlobStoreOpener};

/// Stores that were opened. As many as there are names in the jobs' configurations and sinks.
pub(super) struct Stores {
    opener: Arc<dyn BlobStoreOpener>,
    open: Mutex<BTreeMap<String, Arc<dyn BlobStore>>>,
}

impl Stores {
    pub(super) fn new(opener: Arc<dyn BlobStoreOpener>) -> Self {
        Self { opener, open: Mutex::default() }
    }

    /// The store of that name. Blocks.
    pub(super) fn get(&self, location: &str) -> Result<Arc<dyn BlobStore>, BlobError> {
        let mut open = self.open.lock();
        if let Some(store) = open.get(location) {
            return Ok(Arc::clone(store));
        }
        let store = self.opener.open(location)?;
        open.insert(location.to_owned(), Arc::clone(&store));
        Ok(store)
    }
}

impl BlobStoreOpener for Stores {
    fn open(&self, location: &str) -> Result<Arc<dyn BlobStore>, BlobError> {
        self.get(location)
    }
}
