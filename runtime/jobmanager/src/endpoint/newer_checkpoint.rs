//! Finds a checkpoint that came after another one, which its job may have deleted meanwhile. Not
//! here: whether it was published; who restores a job asks its log.

use thalweg_core::ids::CheckpointId;
use thalweg_storage::{BlobPath, layout};

use super::{SavepointError, StoreOpener};

/// The manifest of the newest checkpoint of the same job in the same place, if it is newer than
/// the one at `path`: a manifest or a checkpoint's folder. None also for what isn't a checkpoint.
///
/// # Errors
/// The place can't be read.
pub async fn newer_checkpoint(
    stores: &dyn StoreOpener,
    path: &str,
) -> Result<Option<String>, SavepointError> {
    let open = |cause| SavepointError::Open { path: path.to_owned(), cause };
    let folder = match path.trim_end_matches('/').rsplit_once('/') {
        Some((folder, file)) if file.ends_with("manifest") => folder,
        _ => path.trim_end_matches('/'),
    };
    let mut parts = folder.rsplitn(3, '/');
    let (Some(checkpoint), Some(job), Some(root)) = (parts.next(), parts.next(), parts.next())
    else {
        return Ok(None);
    };
    let number = checkpoint.strip_prefix("chk-").and_then(|number| number.parse().ok());
    let (Some(known), Ok(job)) = (number.map(CheckpointId), job.parse()) else { return Ok(None) };
    let of_job = layout::job_folder(job).map_err(|error| open(error.to_string()))?;
    let store = stores.open_existing(root).map_err(open)?;
    let names = store.store.list(&of_job).await.map_err(|error| open(error.to_string()))?;
    let manifests = names.into_iter().filter_map(|name: BlobPath| {
        let (_, checkpoint) = layout::checkpoint_of_manifest(&name)?;
        // By number, not by name: epoch 10 comes after 9.
        let epoch = layout::origin_of(&name).map(|origin| origin.epoch);
        (checkpoint > known).then_some((checkpoint, epoch, name))
    });
    Ok(manifests.max().map(|(.., name)| format!("{root}/{name}")))
}
