//! Opens the places of savepoints by the names that users give.

use std::path::Path;

use thalweg_core::configuration::{ConfigValue, Location};
use thalweg_jobmanager::endpoint::{CheckpointStore, StoreOpener};

use super::stores::Stores;

/// Opens whatever store a name stands for.
#[derive(Debug, Clone)]
pub(super) struct SavepointStores(pub(super) Stores);

impl StoreOpener for SavepointStores {
    fn open(&self, location: &str) -> Result<CheckpointStore, String> {
        self.0.named(location).map_err(|error| error.to_string())
    }

    fn open_existing(&self, location: &str) -> Result<CheckpointStore, String> {
        let parsed = Location::parse(location).map_err(|error| error.to_string())?;
        if let Some(path) = parsed.local_path() {
            look_at(path)?;
        }
        self.open(location)
    }
}

/// Opening a directory makes it; what is only read must not appear by that.
fn look_at(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("{} is not a directory", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
