//! Deletes what `collect` says is garbage. Everything is read and classified first; the first
//! failure ends a run, the next one goes on. Not here: which checkpoints are retained.

use std::collections::{BTreeMap, BTreeSet};

use super::collect::{
    CollectorView, ObjectClass, ObjectOrigin, ObjectPlan, classify_object, deletion_order,
    entry_may_go, plan_objects,
};
use super::entry::{EntryHeader, LogPosition};
use super::error::LogError;
use super::names::{self, LogName, Segment};
use super::reader::Log;
use crate::blob::{BlobPath, BlobStore, UnfinishedWrite};
use crate::layout;

/// What a seal holds. Only its name counts.
const SEAL: &[u8] = b"entries of this segment may have been deleted\n";

/// Classifies all objects of the job in `store` but the log's; it may be another store than the
/// log's. `view` was taken before, and `referenced` are all objects that roots refer to, their
/// manifests included: it was read without a failure. `origin_of` tells an object's origin from
/// its name, if that is one of a checkpoint's.
///
/// # Errors
/// The store fails.
pub async fn plan(
    log: &Log,
    store: &dyn BlobStore,
    view: &CollectorView,
    referenced: &BTreeSet<BlobPath>,
    origin_of: impl Fn(&BlobPath) -> Option<ObjectOrigin>,
) -> Result<ObjectPlan<BlobPath>, LogError> {
    let own = names::folder(log.job)?;
    let listed = store.list(&layout::job_folder(log.job)?).await?;
    let objects = listed.into_iter().filter(|path| !path.is_within(&own));
    let objects = objects.map(|path| {
        let origin = origin_of(&path);
        (path, origin)
    });
    let mut plan = plan_objects(view, objects, referenced);
    let is_manifest = |path: &BlobPath| layout::checkpoint_of_manifest(path).is_some();
    plan.garbage = deletion_order(plan.garbage, is_manifest);
    Ok(plan)
}

/// Deletes the garbage, in the plan's order; says how much it was.
///
/// # Errors
/// The store fails: some of it may be left.
pub async fn delete(store: &dyn BlobStore, plan: &ObjectPlan<BlobPath>) -> Result<usize, LogError> {
    for path in &plan.garbage {
        store.delete(path).await?;
    }
    Ok(plan.garbage.len())
}

/// What was begun to be written and will never count, by the same rules: objects of the job that
/// would be garbage, and entries of the log at places that are taken.
///
/// # Errors
/// The store fails.
pub async fn plan_unfinished(
    log: &Log,
    store: &dyn BlobStore,
    view: &CollectorView,
    origin_of: impl Fn(&BlobPath) -> Option<ObjectOrigin>,
) -> Result<Vec<UnfinishedWrite>, LogError> {
    let is_garbage =
        |path: &BlobPath| classify_object(view, origin_of(path), false) == ObjectClass::Garbage;
    plan_unfinished_where(log, store, view, is_garbage).await
}

/// The same of a cluster's own folder, of which this is the log: its entries, and what nobody but
/// its leader writes. To be called before the leader writes any of that.
///
/// # Errors
/// The store fails.
pub async fn plan_unfinished_of_cluster(
    log: &Log,
    store: &dyn BlobStore,
    view: &CollectorView,
) -> Result<Vec<UnfinishedWrite>, LogError> {
    let is_record = |path: &BlobPath| layout::is_of_clusters_leader(path);
    plan_unfinished_where(log, store, view, is_record).await
}

/// Those at places of the log that are taken, and those of which `is_garbage` says that.
async fn plan_unfinished_where(
    log: &Log,
    store: &dyn BlobStore,
    view: &CollectorView,
    is_garbage: impl Fn(&BlobPath) -> bool,
) -> Result<Vec<UnfinishedWrite>, LogError> {
    let last = view.last().position;
    let is_over = |path: &BlobPath| match names::parse(log.job, path) {
        Some(LogName::Entry(position)) => position <= last,
        Some(LogName::Seal(segment)) => segment < Segment::of(last, log.segment_length),
        None => is_garbage(path),
    };
    let mut found = store.unfinished(&layout::job_folder(log.job)?).await?;
    found.retain(|write| view.may_collect() && is_over(&write.path));
    Ok(found)
}

/// Discards them; says how many.
///
/// # Errors
/// The store fails: some of it may be left.
pub async fn discard_unfinished(
    store: &dyn BlobStore,
    writes: &[UnfinishedWrite],
) -> Result<usize, LogError> {
    for write in writes {
        store.discard_unfinished(write).await?;
    }
    Ok(writes.len())
}

/// Which entries of the log may go, by segment. `oldest_retained` is the place of the oldest
/// publish that stays; the last one stays in any case.
///
/// # Errors
/// The store fails, or an entry is damaged.
pub async fn plan_log(
    log: &Log,
    view: &CollectorView,
    oldest_retained: Option<LogPosition>,
) -> Result<BTreeMap<Segment, Vec<LogPosition>>, LogError> {
    let mut plan: BTreeMap<Segment, Vec<LogPosition>> = BTreeMap::new();
    if !view.may_collect() {
        return Ok(plan);
    }
    let length = log.segment_length;
    let before = super::collect::sealable_before(view, oldest_retained, length);
    let may_go = |entry: &EntryHeader| entry_may_go(view, entry, oldest_retained, length);
    for path in log.store.list(&names::folder(log.job)?).await? {
        let Some(LogName::Entry(position)) = names::parse(log.job, &path) else { continue };
        let segment = Segment::of(position, length);
        if segment >= before {
            continue;
        }
        // One that is gone by now was deleted by another collector.
        let entry = log.read(position).await?;
        if entry.is_some_and(|entry| may_go(&entry.header)) {
            plan.entry(segment).or_default().push(position);
        }
    }
    Ok(plan)
}

/// Seals the segments, then deletes the entries; says how many.
///
/// # Errors
/// The store fails: a segment that couldn't be sealed keeps its entries.
pub async fn delete_entries(
    log: &Log,
    plan: &BTreeMap<Segment, Vec<LogPosition>>,
) -> Result<usize, LogError> {
    let mut deleted = 0;
    for (segment, positions) in plan {
        log.store.put(&names::seal(log.job, *segment)?, SEAL.to_vec()).await?;
        for position in positions {
            log.store.delete(&names::entry(log.job, *position)?).await?;
            deleted += 1;
        }
    }
    Ok(deleted)
}
