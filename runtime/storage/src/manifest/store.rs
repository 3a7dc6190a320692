//! A manifest as bytes, and its way into a store and back.

use serde::Deserialize;
use thalweg_core::ids::{CheckpointId, JobId};

use super::{CheckpointManifest, FORMAT_VERSION, ManifestError};
use crate::blob::{BlobPath, BlobStore, PutOutcome};
use crate::layout;

/// The last line: this and eight hexadecimal digits.
const TRAILER: &str = "crc32c:";

/// What every version's manifest says.
#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

impl CheckpointManifest {
    /// The manifest as it's stored.
    ///
    /// # Errors
    /// It contradicts itself: [`check`](CheckpointManifest::check).
    pub fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        self.check()?;
        let inconsistent =
            |reason| ManifestError::Inconsistent { checkpoint: self.checkpoint_id, reason };
        if self.format_version != FORMAT_VERSION {
            return Err(inconsistent(format!("it has format version {}", self.format_version)));
        }
        let mut bytes =
            serde_json::to_vec_pretty(self).map_err(|error| inconsistent(error.to_string()))?;
        bytes.push(b'\n');
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(format!("{TRAILER}{checksum:08x}\n").as_bytes());
        // What can't be read back must not be published.
        match CheckpointManifest::from_bytes(&bytes, "to be written") {
            Ok(same) if same == *self => Ok(bytes),
            Ok(_) => Err(inconsistent("read back it's different".to_owned())),
            Err(error) => Err(error),
        }
    }

    /// The manifest that these bytes are; `place` names them in errors.
    ///
    /// # Errors
    /// They aren't one that this build reads, or it contradicts itself.
    pub fn from_bytes(bytes: &[u8], place: &str) -> Result<CheckpointManifest, ManifestError> {
        let damaged = |reason: String| ManifestError::Damaged { place: place.to_owned(), reason };
        let length = TRAILER.len() + 9;
        let (body, trailer) = bytes
            .split_at_checked(bytes.len().wrapping_sub(length))
            .ok_or_else(|| damaged("it's cut off".to_owned()))?;
        let expected = format!("{TRAILER}{:08x}\n", crc32c::crc32c(body));
        if trailer != expected.as_bytes() {
            return Err(damaged("its checksum doesn't match, or it's cut off".to_owned()));
        }
        let json = |error: serde_json::Error| damaged(error.to_string());
        let Version { format_version: found } = serde_json::from_slice(body).map_err(json)?;
        if !(1..=FORMAT_VERSION).contains(&found) {
            let supported = FORMAT_VERSION;
            return Err(ManifestError::Version { place: place.to_owned(), found, supported });
        }
        let manifest: CheckpointManifest = serde_json::from_slice(body).map_err(json)?;
        let runs = manifest.operators.iter().flat_map(|operator| &operator.subtasks);
        let lengths = runs.into_iter().any(|run| run.object_length.is_some());
        if found == 1 && (lengths || !manifest.resource_requirements.is_empty()) {
            let fields = "no lengths of objects and no resource requirements";
            return Err(damaged(format!("version 1 has {fields}")));
        }
        manifest.check()?;
        Ok(manifest)
    }
}

/// Stores a manifest under its name in [`layout`], unless it's there already: then the same one
/// is fine, after a repeat, and another one is an error.
///
/// # Errors
/// The manifest contradicts itself, the store fails, or another manifest has that name.
pub async fn save(
    store: &dyn BlobStore,
    manifest: &CheckpointManifest,
) -> Result<BlobPath, ManifestError> {
    let path = layout::manifest(manifest.job_id, manifest.checkpoint_id)?;
    save_to(store, &path, manifest).await?;
    Ok(path)
}

/// As [`save`], under another name: one that holds the leader's epoch.
///
/// # Errors
/// As [`save`].
pub async fn save_to(
    store: &dyn BlobStore,
    path: &BlobPath,
    manifest: &CheckpointManifest,
) -> Result<(), ManifestError> {
    let bytes = manifest.to_bytes()?;
    match store.put_if_absent(path, bytes.clone()).await? {
        PutOutcome::Created => Ok(()),
        PutOutcome::AlreadyExists if store.get(path).await? == bytes => Ok(()),
        PutOutcome::AlreadyExists => Err(ManifestError::Exists { place: path.to_string() }),
    }
}

/// The manifest of a checkpoint.
///
/// # Errors
/// The store fails, or what is there isn't this checkpoint's manifest.
pub async fn load(
    store: &dyn BlobStore,
    job: JobId,
    checkpoint: CheckpointId,
) -> Result<CheckpointManifest, ManifestError> {
    load_from(store, &layout::manifest(job, checkpoint)?, job, checkpoint).await
}

/// As [`load`], from another name.
///
/// # Errors
/// As [`load`].
pub async fn load_from(
    store: &dyn BlobStore,
    path: &BlobPath,
    job: JobId,
    checkpoint: CheckpointId,
) -> Result<CheckpointManifest, ManifestError> {
    let bytes = store.get(path).await?;
    let manifest = CheckpointManifest::from_bytes(&bytes, path.as_str())?;
    if (manifest.job_id, manifest.checkpoint_id) != (job, checkpoint) {
        let reason = format!(
            "it's that of checkpoint {} of job {}",
            manifest.checkpoint_id, manifest.job_id
        );
        return Err(ManifestError::Damaged { place: path.to_string(), reason });
    }
    Ok(manifest)
}
