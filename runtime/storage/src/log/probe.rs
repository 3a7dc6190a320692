//! Whether a store honours conditional writes, tried when a process starts: fencing is built on
//! nothing else. An object is created twice; the second time must be refused and change nothing.

use super::append::PutFact;
use super::entry::WriterId;
use super::error::LogError;
use super::names;
use crate::blob::{BlobError, BlobErrorKind, BlobPath, BlobStore, PutOutcome};

/// How often a second creation is tried whose outcome isn't known.
const TRIES_MAX: u32 = 3;
const FIRST: &[u8] = b"first\n";
const SECOND: &[u8] = b"second\n";

/// What the second creation shows. Pure: `unchanged` is whether the object is still the first.
///
/// # Errors
/// What the store did wrong.
pub fn judge(second: PutFact, unchanged: bool) -> Result<(), &'static str> {
    match (second, unchanged) {
        (_, false) => Err("it replaced an object that was to be created only if absent"),
        (PutFact::Created, true) => Err("it said that it created an object which existed"),
        (PutFact::AlreadyExists | PutFact::Unknown, true) => Ok(()),
    }
}

/// Refuses a store that ignores conditional writes. `writer` names the object to try with.
///
/// # Errors
/// [`LogError::UnfitStore`], or the store fails: then nothing is known.
pub async fn probe(store: &dyn BlobStore, writer: WriterId) -> Result<(), LogError> {
    let path = names::probe(writer)?;
    store.put(&path, FIRST.to_vec()).await?;
    let judged = try_twice(store, &path).await;
    // Left behind if this fails; its name isn't used again.
    let cleaned = store.delete(&path).await;
    judged??;
    Ok(cleaned?)
}

/// Tries to create it once more. A failure tells nothing of the store, and stores don't repeat such
/// a request by themselves; here each repeat must be refused as the first.
async fn create_again(store: &dyn BlobStore, path: &BlobPath) -> Result<PutOutcome, BlobError> {
    let mut tries = 1;
    loop {
        match store.put_if_absent(path, SECOND.to_vec()).await {
            Err(error) if error.kind == BlobErrorKind::Other && tries < TRIES_MAX => tries += 1,
            outcome => return outcome,
        }
    }
}

async fn try_twice(
    store: &dyn BlobStore,
    path: &BlobPath,
) -> Result<Result<(), LogError>, BlobError> {
    let second = match create_again(store, path).await? {
        PutOutcome::Created => PutFact::Created,
        PutOutcome::AlreadyExists => PutFact::AlreadyExists,
    };
    let unchanged = store.get(path).await? == FIRST;
    let reason = judge(second, unchanged);
    Ok(reason.map_err(|reason| LogError::UnfitStore { reason: reason.to_owned() }))
}
