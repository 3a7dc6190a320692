//! The stores of a process: opens them by their names, with how S3 is reached taken from the
//! configuration. A client of S3 is made when the first store needs it, and shared by all.

use std::fmt;
use std::sync::Arc;

use thalweg_core::clock::SystemClock;
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::{checkpointing, high_availability};
use thalweg_jobmanager::endpoint::CheckpointStore;
use thalweg_storage::blob::RequestMetrics;
use thalweg_storage::log::{LogError, WriterId, probe};
use thalweg_storage::{BlobError, BlobStore, BlobStoreOpener, LocalStores};
use tokio::runtime::Runtime;

use super::settings::ProcessError;

/// Opens stores. Clones share their clients.
#[derive(Clone)]
pub(crate) struct Stores {
    seed: u64,
    #[cfg(feature = "s3")]
    s3: Arc<super::s3::S3>,
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stores")
    }
}

impl Stores {
    /// The stores of a process that is configured so. `seed` is that of no other process.
    #[cfg(feature = "s3")]
    pub(crate) fn new(configuration: &Configuration, seed: u64) -> Self {
        Self { seed, s3: Arc::new(super::s3::S3::new(configuration, seed)) }
    }

    /// The stores of a process. `seed` is that of no other process.
    #[cfg(not(feature = "s3"))]
    pub(crate) fn new(_configuration: &Configuration, seed: u64) -> Self {
        Self { seed }
    }

    /// The stores of a command, which runs for a short time.
    pub(crate) fn of_command(configuration: &Configuration) -> Self {
        Self::new(configuration, super::executor::process_seed(&SystemClock::new()))
    }

    /// The counters of requests to S3, when there were any.
    pub(crate) fn requests(&self) -> Option<Arc<RequestMetrics>> {
        #[cfg(feature = "s3")]
        return self.s3.requests();
        #[cfg(not(feature = "s3"))]
        None
    }

    /// Where the JobManager keeps checkpoints, when that is configured.
    pub(crate) fn checkpoints(
        &self,
        configuration: &Configuration,
    ) -> Result<Option<CheckpointStore>, BlobError> {
        let location = configuration.get(&checkpointing::DIRECTORY);
        let location =
            location.or_else(|| configuration.get(&high_availability::STORAGE_DIRECTORY));
        location.map(|location| self.named(location.as_str())).transpose()
    }

    /// Writes to the store, reads and deletes, so that what is wrong with it is found at start.
    /// What it lacks for high availability alone is a warning.
    pub(crate) fn check(
        &self,
        store: &CheckpointStore,
        runtime: &Runtime,
    ) -> Result<(), ProcessError> {
        let writer = WriterId(u128::from(self.seed));
        match runtime.block_on(probe::probe(store.store.as_ref(), writer)) {
            Ok(()) => Ok(()),
            Err(LogError::Store(error)) => Err(ProcessError::Store(error)),
            Err(error) => {
                tracing::warn!("{}: {error}", store.name);
                Ok(())
            }
        }
    }

    /// The store of that name, as the JobManager uses stores.
    pub(crate) fn named(&self, location: &str) -> Result<CheckpointStore, BlobError> {
        // S3's store waits without a thread.
        let blocking = !location.starts_with("s3://");
        Ok(CheckpointStore { store: self.open(location)?, name: location.to_owned(), blocking })
    }
}

impl BlobStoreOpener for Stores {
    fn open(&self, location: &str) -> Result<Arc<dyn BlobStore>, BlobError> {
        #[cfg(feature = "s3")]
        if location.starts_with("s3://") {
            return self.s3.open(location);
        }
        LocalStores.open(location)
    }
}
