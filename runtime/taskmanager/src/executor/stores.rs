//! Where snapshots are, and output that goes to stores: opens each store once.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::element::Barrier;
use thalweg_storage::{BlobError, BlobStore, BlobStoreOpener};

use super::local_copies::{CopiedStore, LocalCopies};

/// Stores that were opened. As many as there are names in the jobs' configurations.
pub(super) struct Stores {
    opener: Arc<dyn BlobStoreOpener>,
    open: Mutex<BTreeMap<String, Arc<dyn BlobStore>>>,
    copies: Option<Arc<LocalCopies>>,
}

impl Stores {
    /// `copies`: where copies of what is written here are kept.
    pub(super) fn new(opener: Arc<dyn BlobStoreOpener>, copies: Option<LocalCopies>) -> Self {
        Self { opener, open: Mutex::default(), copies: copies.map(Arc::new) }
    }

    /// The copies of what was written here.
    pub(super) fn copies(&self) -> Option<&LocalCopies> {
        self.copies.as_deref()
    }

    /// The store of the snapshot that `barrier` asks for, if it has one: the savepoint's directory,
    /// or that of the job's checkpoints. Blocks.
    pub(super) fn of_snapshot(
        &self,
        barrier: &Barrier,
        checkpoints: Option<&str>,
    ) -> Result<Option<Arc<dyn BlobStore>>, BlobError> {
        match barrier.kind.savepoint() {
            Some(savepoint) => self.open_once(&savepoint.directory).map(Some),
            None => checkpoints.map(|name| self.get(name)).transpose(),
        }
    }

    /// The store of that name, for one use: a savepoint's directory isn't needed a second time.
    /// Blocks.
    pub(super) fn open_once(&self, location: &str) -> Result<Arc<dyn BlobStore>, BlobError> {
        self.opener.open(location)
    }

    /// The store of that name. Blocks.
    pub(super) fn get(&self, location: &str) -> Result<Arc<dyn BlobStore>, BlobError> {
        let mut open = self.open.lock();
        if let Some(store) = open.get(location) {
            return Ok(Arc::clone(store));
        }
        let store = self.opener.open(location)?;
        let store = match &self.copies {
            Some(copies) => Arc::new(CopiedStore { store, copies: Arc::clone(copies) }),
            None => store,
        };
        open.insert(location.to_owned(), Arc::clone(&store));
        Ok(store)
    }
}

/// For output, which isn't read back: without copies.
impl BlobStoreOpener for Stores {
    fn open(&self, location: &str) -> Result<Arc<dyn BlobStore>, BlobError> {
        self.opener.open(location)
    }
}
