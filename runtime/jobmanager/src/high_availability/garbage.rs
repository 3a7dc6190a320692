//! Deletes what nobody can refer to any more: reads the roots, has everything classified by
//! `thalweg_storage::log::collect`, and deletes what that calls garbage. Nothing is deleted when a
//! root can't be read. Not here: the rules.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_core::ids::JobId;
use thalweg_storage::blob::BlobErrorKind;
use thalweg_storage::log::collect::CollectorView;
use thalweg_storage::log::{EntryBody, Log, LogEntry, LogPosition, collector};
use thalweg_storage::{BlobPath, ManifestError, layout, manifest};

use super::{HighAvailabilityError, Records};

/// Every so many collections, unfinished writes are looked for.
const UNFINISHED_EVERY: u64 = 64;

/// The published checkpoints that stay, and what they refer to. What was read once isn't read
/// again: a manifest never changes.
pub(super) struct Roots {
    retained: usize,
    /// How often this was asked for.
    collections: u64,
    known: BTreeMap<BlobPath, Vec<BlobPath>>,
}

/// What stays.
struct Kept {
    referenced: BTreeSet<BlobPath>,
    /// The place of the oldest publish that stays.
    oldest: Option<LogPosition>,
}

impl Roots {
    /// So many of the last published checkpoints stay, if they are still there.
    pub(super) fn new(retained: usize) -> Self {
        Self { retained, collections: 0, known: BTreeMap::new() }
    }

    /// Writes whose writers are gone are rare, and another listing: they are looked for at first,
    /// at the end, and now and then.
    fn unfinished_are_due(&mut self, view: &CollectorView) -> bool {
        let due = self.collections.is_multiple_of(UNFINISHED_EVERY) || view.last().is_terminal();
        self.collections += 1;
        due
    }

    async fn read(
        &mut self,
        records: &Records,
        log: &Log,
        view: &CollectorView,
    ) -> Result<Kept, HighAvailabilityError> {
        let publishes = log.last_publishes(view.last(), self.retained).await?;
        let mut known = BTreeMap::new();
        let mut oldest = None;
        for (age, entry) in publishes.iter().enumerate() {
            let Some((path, objects)) = self.root(records, log.job(), entry).await? else {
                if age == 0 {
                    let reason = "the last published checkpoint's manifest is missing".to_owned();
                    return Err(HighAvailabilityError::Inconsistent { job: log.job(), reason });
                }
                // Deleted by a leader that kept fewer; so are those before it.
                break;
            };
            known.insert(path, objects);
            oldest = Some(entry.header.position);
        }
        let mut referenced: BTreeSet<BlobPath> = known.values().flatten().cloned().collect();
        referenced.extend(known.keys().cloned());
        self.known = known;
        Ok(Kept { referenced, oldest })
    }

    /// The manifest that an entry names, and the objects that it names; None if it is missing.
    async fn root(
        &self,
        records: &Records,
        job: JobId,
        entry: &LogEntry,
    ) -> Result<Option<(BlobPath, Vec<BlobPath>)>, HighAvailabilityError> {
        let EntryBody::Publish { checkpoint_id, manifest: name } = &entry.body else {
            let reason = format!("entry {} should publish a checkpoint", entry.header.position);
            return Err(HighAvailabilityError::Inconsistent { job, reason });
        };
        let path = BlobPath::parse(name)?;
        if let Some(objects) = self.known.get(&path) {
            return Ok(Some((path, objects.clone())));
        }
        let store = records.checkpoints();
        match manifest::load_from(store.store.as_ref(), &path, job, *checkpoint_id).await {
            Ok(manifest) => {
                let objects = manifest.objects()?;
                Ok(Some((path, objects)))
            }
            Err(ManifestError::Store(error)) if error.kind == BlobErrorKind::NotFound => Ok(None),
            Err(source) => Err(HighAvailabilityError::Checkpoint {
                job,
                manifest: name.clone(),
                location: store.name.clone(),
                source: Box::new(source),
            }),
        }
    }
}

/// Deletes the garbage of a job and says how many objects that were. `view` was taken just now;
/// `result` is the object that its terminal entry names.
pub(super) async fn collect(
    records: &Records,
    log: &Log,
    view: &CollectorView,
    roots: &mut Roots,
    result: Option<&BlobPath>,
) -> Result<usize, HighAvailabilityError> {
    let mut kept = roots.read(records, log, view).await?;
    kept.referenced.extend(result.cloned());
    let (own, checkpoints) = (records.store(), records.checkpoints());
    let stores = [Some(checkpoints), (own.name != checkpoints.name).then_some(own)];
    // Everything is classified before anything is deleted.
    let mut plans = Vec::new();
    for store in stores.into_iter().flatten() {
        let store = store.store.as_ref();
        let plan = collector::plan(log, store, view, &kept.referenced, layout::origin_of).await?;
        plans.push((store, plan));
    }
    let entries = collector::plan_log(log, view, kept.oldest).await?;
    let mut deleted = collector::delete_entries(log, &entries).await?;
    for (store, plan) in &plans {
        deleted += collector::delete(*store, plan).await?;
    }
    if roots.unfinished_are_due(view) {
        for (store, _) in plans {
            let writes = collector::plan_unfinished(log, store, view, layout::origin_of).await?;
            deleted += collector::discard_unfinished(store, &writes).await?;
        }
    }
    Ok(deleted)
}
