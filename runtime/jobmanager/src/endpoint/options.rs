//! What a JobManager is started with: settings as data, and the components that it works with.

use std::fmt;
use std::sync::Arc;

use thalweg_core::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_rpc::Acceptor;
use thalweg_storage::BlobStore;
use tokio::runtime::Handle;

use super::preparation::Preparation;
use crate::high_availability::{LeaderElection, Records};
use crate::resource_manager::ResourceManagerDriver;

/// Where manifests are written.
#[derive(Clone)]
pub struct CheckpointStore {
    /// The store.
    pub store: Arc<dyn BlobStore>,
    /// Its name for people: the directory or bucket.
    pub name: String,
    /// Whether it works on the thread that polls it, as a directory does: then it is given threads
    /// of its own.
    pub blocking: bool,
}

impl fmt::Debug for CheckpointStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointStore({})", self.name)
    }
}

/// Opens stores by what users call them: where savepoints are.
pub trait StoreOpener: fmt::Debug + Send + Sync {
    /// The store of that name; a directory is made. May block.
    ///
    /// # Errors
    /// It can't be used, or isn't of a kind that this build knows: why, and what to do.
    fn open(&self, location: &str) -> Result<CheckpointStore, String>;

    /// The same to read what is there: nothing is made. May block.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when there is nothing.
    fn open_existing(&self, location: &str) -> Result<CheckpointStore, String>;
}

/// What a JobManager is started with.
#[derive(Debug)]
pub struct JobManagerOptions {
    /// The cluster's configuration.
    pub configuration: Configuration,
    /// The binary's build; TaskManagers must have the same.
    pub build_id: u64,
    /// A random number, another one for every process.
    pub seed: u64,
    /// Gives connections of TaskManagers.
    pub acceptor: Acceptor,
    /// Starts TaskManagers.
    pub driver: Box<dyn ResourceManagerDriver>,
    /// Makes it the leader.
    pub election: Box<dyn LeaderElection>,
    /// What it gets ready before it leads; None: nothing.
    pub preparation: Option<Preparation>,
    /// Where checkpoints go; needed by jobs that take some.
    pub store: Option<CheckpointStore>,
    /// Opens the places of savepoints.
    pub stores: Arc<dyn StoreOpener>,
    /// Where jobs are recorded, for whoever leads next; None without high availability. Its
    /// checkpoints are in `store`.
    pub records: Option<Records>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What its tasks run on.
    pub runtime: Handle,
    /// The version that REST shows.
    pub version: String,
    /// The commit that it was built from, shortened; empty when unknown.
    pub commit: String,
}
