//! What processes that are gone have left in a cluster's own folder, and of their probes: writes
//! that were begun and never finished, objects that were only tried with. Whoever leads the
//! cluster collects it. Not here: what is left of jobs (`garbage`).
//!
//! 1. Entries of the cluster's log at places that are taken will never be there. Later ones are
//!    other candidates'.
//! 2. The hint and the values of `env.once` are written by leaders only. A leader collects before
//!    it writes any, so those that are under way then are former leaders': if one of them still
//!    lives, its write fails, as it should.
//! 3. Probes and the application's name are written by every process that starts, so nobody can
//!    tell whether one is at it. What was there at the look before goes: a start doesn't take as
//!    long as the time between two looks.
//! 4. Only who still leads the cluster deletes anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::ids::cluster_log_id;
use thalweg_storage::blob::UnfinishedWrite;
use thalweg_storage::log::collect::CollectorView;
use thalweg_storage::log::{Leadership, Log, collector, names};
use thalweg_storage::{BlobPath, layout};
use tokio::sync::mpsc;

use super::{HighAvailabilityError, Records};
use crate::endpoint::mail::Mail;

/// Between two looks at what starting processes write.
const PERIOD: Duration = Duration::from_secs(10 * 60);
/// How long a takeover waits for the collection; it is done at the next takeover else.
const TAKEOVER_MAX: Duration = Duration::from_secs(5);

/// The cluster's log as its leader finds it; None if another one leads by now.
async fn led(records: &Records) -> Result<Option<(Log, CollectorView)>, HighAvailabilityError> {
    let log = Log::new(Arc::clone(&records.store().store), cluster_log_id(records.cluster_id()));
    let tail = log.tail().await?;
    let own = tail.filter(|tail| tail.header.writer == records.writer());
    Ok(own.map(|claim| {
        let view = CollectorView::of_leader(&Leadership::new(claim.header), None);
        (log, view)
    }))
}

/// Collects by rules 1 and 2. To be called by who has just claimed the cluster, before it writes
/// anything else. A failure is told and changes nothing.
pub(crate) async fn collect_at_takeover(records: &Records) {
    match tokio::time::timeout(TAKEOVER_MAX, collect(records)).await {
        Ok(Ok(0)) => {}
        Ok(Ok(discarded)) => tracing::info!(discarded, "unfinished writes of earlier leaders"),
        Ok(Err(error)) => tracing::warn!("what earlier leaders left isn't collected: {error}"),
        Err(_) => tracing::warn!("what earlier leaders left isn't collected: the store is slow"),
    }
}

async fn collect(records: &Records) -> Result<usize, HighAvailabilityError> {
    let Some((log, view)) = led(records).await? else { return Ok(0) };
    let store = records.store().store.as_ref();
    let writes = collector::plan_unfinished_of_cluster(&log, store, &view).await?;
    Ok(collector::discard_unfinished(store, &writes).await?)
}

/// Collects by rule 3, until the JobManager ends.
pub(crate) async fn watch(records: Records, job_manager: mpsc::WeakSender<Mail>) {
    let mut starts = Starts::default();
    loop {
        tokio::time::sleep(PERIOD).await;
        if job_manager.upgrade().is_none_or(|mailbox| mailbox.is_closed()) {
            return;
        }
        if let Err(error) = starts.look(&records).await {
            tracing::warn!("what is left of probes isn't collected, it is tried again: {error}");
        }
    }
}

/// What starting processes, or such that were killed then, had written at the last look.
#[derive(Debug, Default)]
struct Starts {
    probes: BTreeSet<BlobPath>,
    writes: BTreeSet<UnfinishedWrite>,
}

impl Starts {
    /// Deletes what was there at the look before, and says how much that was.
    async fn look(&mut self, records: &Records) -> Result<usize, HighAvailabilityError> {
        let now = Self::read(records).await?;
        let probes: Vec<_> = now.probes.intersection(&self.probes).cloned().collect();
        let writes: Vec<_> = now.writes.intersection(&self.writes).cloned().collect();
        *self = now;
        if probes.len() + writes.len() == 0 || led(records).await?.is_none() {
            return Ok(0);
        }
        let store = records.store().store.as_ref();
        for probe in &probes {
            store.delete(probe).await?;
        }
        Ok(probes.len() + collector::discard_unfinished(store, &writes).await?)
    }

    async fn read(records: &Records) -> Result<Self, HighAvailabilityError> {
        let store = records.store().store.as_ref();
        let folder = names::probes()?;
        let probes = store.list(&folder).await?;
        let mut writes = store.unfinished(&folder).await?;
        let cluster = cluster_log_id(records.cluster_id());
        let application = layout::application(cluster)?;
        let of_cluster = store.unfinished(&layout::job_folder(cluster)?).await?;
        writes.extend(of_cluster.into_iter().filter(|write| write.path == application));
        Ok(Self { probes: probes.into_iter().collect(), writes: writes.into_iter().collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tempfile::TempDir;
    use thalweg_storage::DirectoryStore;
    use thalweg_storage::log::{ClaimOutcome, Leader, WriterId};
    use tokio::runtime::Handle;

    use super::*;
    use crate::endpoint::CheckpointStore;
    use crate::high_availability::RecordsOptions;

    async fn open(folder: &TempDir, writer: u128) -> Records {
        let store = CheckpointStore {
            store: Arc::new(DirectoryStore::open(folder.path()).unwrap()),
            name: "a folder".to_owned(),
            blocking: false,
        };
        let options = RecordsOptions {
            checkpoints: store.clone(),
            store,
            cluster_id: "app".to_owned(),
            application: "app".to_owned(),
            writer: WriterId(writer),
            address: "host:1".to_owned(),
            owner: None,
        };
        Records::open(options, &Handle::current()).await.unwrap()
    }

    async fn claim(records: &Records) {
        let log = Log::new(Arc::clone(&records.store().store), cluster_log_id("app"));
        let claimed = Leader::claim(log, records.writer(), "host:1").await.unwrap();
        assert!(matches!(claimed, ClaimOutcome::Leads(_)));
    }

    /// A file with something in it.
    fn plant(folder: &Path, name: &str) -> std::path::PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "half of it").unwrap();
        path
    }

    #[tokio::test]
    async fn a_new_leader_discards_what_earlier_ones_were_writing_and_nothing_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let (first, records) = (open(&folder, 1).await, open(&folder, 2).await);
        claim(&first).await;
        claim(&records).await;
        let cluster = folder.path().join(cluster_log_id("app").to_string());
        let once = format!("once/.tmp-1-4-{}", cluster_log_id("a name"));
        let (taken, next) = (format!("{:020}", 1), format!("{:020}", 2));
        let gone = [
            plant(&cluster, &format!("log/.tmp-1-1-{taken}")),
            plant(&cluster, ".tmp-1-3-leader"),
            plant(&cluster, &once),
        ];
        let stay = [
            // Another candidate's claim.
            plant(&cluster, &format!("log/.tmp-1-2-{next}")),
            // A process's that starts.
            plant(&cluster, ".tmp-1-5-application"),
            plant(folder.path(), "probe/.tmp-1-6-0000000000000000000000000000000a"),
            // A job's.
            plant(folder.path(), "0000000000000000000000000000000b/.tmp-1-7-e1-result"),
            // A file that somebody has put there.
            plant(&cluster, "notes"),
        ];
        // One that doesn't lead any more collects nothing.
        assert_eq!(collect(&first).await.unwrap(), 0);
        assert!(gone.iter().chain(&stay).all(|path| path.exists()));
        assert_eq!(collect(&records).await.unwrap(), gone.len());
        assert!(gone.iter().all(|path| !path.exists()), "{gone:?}");
        assert!(stay.iter().all(|path| path.exists()), "{stay:?}");
        assert_eq!(collect(&records).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_a_start_has_left_goes_when_it_is_seen_again_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let records = open(&folder, 1).await;
        claim(&records).await;
        let cluster = folder.path().join(cluster_log_id("app").to_string());
        let old = [
            plant(folder.path(), "probe/0000000000000000000000000000000a"),
            plant(folder.path(), "probe/.tmp-1-6-0000000000000000000000000000000b"),
            plant(&cluster, ".tmp-1-5-application"),
        ];
        let mut starts = Starts::default();
        assert_eq!(starts.look(&records).await.unwrap(), 0);
        let new = [
            plant(folder.path(), "probe/0000000000000000000000000000000c"),
            plant(&cluster, ".tmp-2-5-application"),
        ];
        assert!(old.iter().all(|path| path.exists()));
        assert_eq!(starts.look(&records).await.unwrap(), old.len());
        assert!(old.iter().all(|path| !path.exists()), "{old:?}");
        assert!(new.iter().all(|path| path.exists()), "{new:?}");
        // Who doesn't lead any more leaves them to the next one.
        let next = open(&folder, 2).await;
        claim(&next).await;
        assert_eq!(starts.look(&records).await.unwrap(), 0);
        assert!(new.iter().all(|path| path.exists()), "{new:?}");
    }
}
