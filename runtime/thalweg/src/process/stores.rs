//! Opens the place of checkpoints by the name in `execution.checkpointing.dir`.

use std::io;
use std::sync::Arc;

use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::{checkpointing, high_availability};
use thalweg_jobmanager::endpoint::CheckpointStore;
use thalweg_storage::blob::BlobErrorKind;
use thalweg_storage::{BlobError, BlobStore, DirectoryStore};

/// The store of that name: a directory, as a path or `file://` URI.
pub(crate) fn open(location: &str) -> Result<Arc<dyn BlobStore>, BlobError> {
    let path = match location.split_once("://") {
        None => location,
        Some(("file", path)) => path,
        Some((scheme, _)) => {
            let reason = format!(
                "this build has no store for {scheme}://; set execution.checkpointing.dir to a \
                 path or a file:// URI that all processes see"
            );
            return Err(BlobError {
                action: "open",
                place: location.to_owned(),
                kind: BlobErrorKind::Other,
                source: io::Error::new(io::ErrorKind::Unsupported, reason),
            });
        }
    };
    Ok(Arc::new(DirectoryStore::open(path)?))
}

/// Where the JobManager keeps checkpoints, when that is configured.
pub(super) fn checkpoints(
    configuration: &Configuration,
) -> Result<Option<CheckpointStore>, BlobError> {
    let location = configuration.get(&checkpointing::DIRECTORY);
    let location = location.or_else(|| configuration.get(&high_availability::STORAGE_DIRECTORY));
    let Some(location) = location else { return Ok(None) };
    named(location.as_str()).map(Some)
}

/// The store of that name, with how to use it.
pub(super) fn named(location: &str) -> Result<CheckpointStore, BlobError> {
    Ok(CheckpointStore { store: open(location)?, name: location.to_owned(), blocking: true })
}
