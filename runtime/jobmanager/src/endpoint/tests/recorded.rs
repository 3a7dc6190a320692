//! JobManagers with high availability, on one store that can fail.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use thalweg_core::ids::cluster_log_id;
use thalweg_storage::blob::BlobErrorKind;
use thalweg_storage::log::{ClaimOutcome, EntryBody, EntryKind, Leader, Log, WriterId};
use thalweg_storage::{BlobError, BlobFuture, PutOutcome, layout};

use super::*;
use crate::high_availability::lineage::{self, LineageEntry};
use crate::high_availability::{
    HighAvailabilityError, HintDecision, Loss, RecordsOptions, StoreElection, read_hint,
};

/// What happens to the next write of an entry of a job's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It's done, and the answer is lost.
    AnswerLost,
    /// It's never done.
    RequestLost,
    /// It's done, and nothing can be read for a while.
    Silence,
}

#[derive(Default)]
struct Flaky {
    inner: MemoryStore,
    ignores_conditions: bool,
    read_only: bool,
    faults: Mutex<VecDeque<Fault>>,
    failing_reads: Mutex<u32>,
    deleted: Mutex<Vec<BlobPath>>,
    /// Set when a write has met a fault.
    struck: AtomicBool,
}

fn failed(path: &BlobPath, kind: io::ErrorKind) -> BlobError {
    let (action, place) = ("reach", path.to_string());
    let blob_kind = match kind {
        io::ErrorKind::ReadOnlyFilesystem => BlobErrorKind::Permission,
        _ => BlobErrorKind::Other,
    };
    BlobError { action, place, kind: blob_kind, source: kind.into() }
}

impl Flaky {
    fn read_fails(&self) -> bool {
        let mut failing = self.failing_reads.lock();
        let fails = *failing > 0;
        *failing = failing.saturating_sub(1);
        fails
    }

    fn writable(&self, path: &BlobPath) -> Result<(), BlobError> {
        if self.read_only { Err(failed(path, io::ErrorKind::ReadOnlyFilesystem)) } else { Ok(()) }
    }
}

impl BlobStore for Flaky {
    fn put<'s>(&'s self, path: &'s BlobPath, bytes: Vec<u8>) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            self.writable(path)?;
            self.inner.put(path, bytes).await
        })
    }

    fn put_if_absent<'s>(
        &'s self,
        path: &'s BlobPath,
        bytes: Vec<u8>,
    ) -> BlobFuture<'s, PutOutcome> {
        Box::pin(async move {
            self.writable(path)?;
            if self.ignores_conditions {
                self.inner.put(path, bytes).await?;
                return Ok(PutOutcome::Created);
            }
            let of_a_job = path.as_str().starts_with(&format!("{}/log/", job_id()));
            let fault = if of_a_job { self.faults.lock().pop_front() } else { None };
            if fault.is_none() {
                return self.inner.put_if_absent(path, bytes).await;
            }
            self.struck.store(true, Ordering::Relaxed);
            if fault != Some(Fault::RequestLost) {
                self.inner.put_if_absent(path, bytes).await?;
            }
            if fault == Some(Fault::Silence) {
                *self.failing_reads.lock() = 4;
            }
            Err(failed(path, io::ErrorKind::TimedOut))
        })
    }

    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move {
            if self.read_fails() {
                return Err(failed(path, io::ErrorKind::TimedOut));
            }
            self.inner.get(path).await
        })
    }

    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        self.inner.get_range(path, range)
    }

    fn list<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>> {
        self.inner.list(folder)
    }

    fn delete<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            self.writable(path)?;
            self.deleted.lock().push(path.clone());
            self.inner.delete(path).await
        })
    }
}

const SETTINGS: [(&str, &str); 2] =
    [("execution.checkpointing.interval", "20 ms"), ("execution.checkpointing.dir", "/x")];

fn place(store: &Arc<Flaky>) -> CheckpointStore {
    CheckpointStore { store: store.clone(), name: "flaky:".to_owned(), blocking: false }
}

async fn open(
    store: &Arc<Flaky>,
    writer: u128,
    application: &str,
) -> Result<Records, HighAvailabilityError> {
    open_for(store, writer, application, None).await
}

async fn open_for(
    store: &Arc<Flaky>,
    writer: u128,
    application: &str,
    owner: Option<&str>,
) -> Result<Records, HighAvailabilityError> {
    open_under("app", store, writer, application, owner).await
}

async fn open_under(
    cluster_id: &str,
    store: &Arc<Flaky>,
    writer: u128,
    application: &str,
    owner: Option<&str>,
) -> Result<Records, HighAvailabilityError> {
    let options = RecordsOptions {
        store: place(store),
        checkpoints: place(store),
        cluster_id: cluster_id.to_owned(),
        application: application.to_owned(),
        writer: WriterId(writer),
        address: format!("host-{writer}:1"),
        owner: owner.map(str::to_owned),
    };
    Records::open(options, &Handle::current()).await
}

fn election(store: &Arc<Flaky>, writer: u128) -> Box<StoreElection> {
    let address = format!("host-{writer}:1");
    let times = (Duration::from_millis(200), Duration::from_millis(20));
    let clock = Arc::new(SystemClock::new());
    let (cluster_id, place) = ("app".to_owned(), (address, String::new()));
    let writer = WriterId(writer);
    Box::new(StoreElection::new(store.clone(), cluster_id, place, writer, times, clock))
}

async fn job_manager(store: &Arc<Flaky>, writer: u128) -> (JobManagerHandle, AcceptorSender) {
    job_manager_for(store, writer, None).await
}

async fn job_manager_for(
    store: &Arc<Flaky>,
    writer: u128,
    owner: Option<&str>,
) -> (JobManagerHandle, AcceptorSender) {
    let records = open_for(store, writer, "app", owner).await.unwrap();
    start_with(Some(place(store)), Some(records), election(store, writer)).await
}

/// The kinds of a job's entries.
async fn kinds(store: &Arc<Flaky>) -> Vec<EntryKind> {
    let log = Log::new(store.clone(), job_id());
    let Some(tail) = log.tail().await.unwrap() else { return Vec::new() };
    let mut kinds = Vec::new();
    for place in 0..=tail.header.position.0 {
        let entry = log.read(thalweg_storage::log::LogPosition(place)).await.unwrap().unwrap();
        kinds.push(entry.header.kind);
    }
    kinds
}

async fn next_leader(store: &Arc<Flaky>, id: thalweg_core::ids::JobId, writer: u128) -> Leader {
    let log = Log::new(store.clone(), id);
    match Leader::claim(log, WriterId(writer), "other:1").await.unwrap() {
        ClaimOutcome::Leads(leader) => *leader,
        ClaimOutcome::Finished(entry) => panic!("ended by {entry:?}"),
    }
}

#[tokio::test]
async fn a_job_that_has_ended_is_not_run_again_and_its_store_holds_what_is_referenced() {
    let store = Arc::new(Flaky::default());
    let (first, acceptor) = job_manager(&store, 1).await;
    tokio::spawn(Puppet::connect(acceptor, false).await.run());
    let result = first.submit(submission(1, &SETTINGS)).await.unwrap();
    assert_eq!(result.status, JobStatus::Finished);
    first.shutdown("end").await;
    assert_eq!(first.end_reason(), Some(EndReason::ShutDown));
    assert!(matches!(
        kinds(&store).await[..],
        [EntryKind::Claim, EntryKind::Publish(CheckpointId(1)), EntryKind::Terminal(_)]
    ));
    // No TaskManager is there: nothing can run.
    let (second, _acceptor) = job_manager(&store, 2).await;
    let again = second.submit(submission(1, &SETTINGS)).await.unwrap();
    assert_eq!(again, result);
    // REST shows it all the same.
    while second.cluster().jobs.is_empty() {
        tokio::task::yield_now().await;
    }
    let shown = RestGateway::job(&second, &job_id().to_string()).unwrap();
    assert_eq!((shown.state, shown.end_ms()), (JobStatus::Finished, Some(result.ended_ms)));
    assert_eq!(shown.duration_ms(0), result.runtime_ms);
    second.shutdown("end").await;
    let folder = layout::job_folder(job_id()).unwrap();
    let left = store.list(&folder).await.unwrap();
    let left: Vec<&str> = left
        .iter()
        .filter_map(|path| path.as_str().split_once('/'))
        .map(|(_, name)| name)
        .filter(|name| !name.starts_with("log/"))
        .collect();
    let operators = ["source", "sink"].map(thalweg_core::ids::OperatorId::derive);
    let mut expected = operators.map(|id| format!("chk-1/e1-{id}-0")).to_vec();
    expected.extend(["chk-1/e1-manifest".to_owned(), "e1-result".to_owned()]);
    expected.sort();
    assert_eq!(left, expected);
}

#[tokio::test]
async fn whatever_the_store_says_a_checkpoint_is_published_once_and_then_committed() {
    for fault in [Fault::AnswerLost, Fault::RequestLost, Fault::Silence] {
        let store = Arc::new(Flaky::default());
        let (handle, acceptor) = job_manager(&store, 1).await;
        tokio::spawn(Puppet::connect(acceptor, false).await.run());
        let submitting = handle.clone();
        // The claim is the first entry: it isn't disturbed.
        let job = tokio::spawn(async move { submitting.submit(submission(1, &SETTINGS)).await });
        while kinds(&store).await.is_empty() {
            tokio::task::yield_now().await;
        }
        store.faults.lock().extend([fault, fault, fault, fault]);
        assert_eq!(job.await.unwrap().unwrap().status, JobStatus::Finished, "{fault:?}");
        assert!(store.struck.load(Ordering::Relaxed), "{fault:?} had no occasion");
        let kinds = kinds(&store).await;
        assert!(
            matches!(
                kinds[..],
                [EntryKind::Claim, EntryKind::Publish(CheckpointId(1)), EntryKind::Terminal(_)]
            ),
            "{fault:?}: {kinds:?}"
        );
        handle.shutdown("end").await;
    }
}

#[tokio::test]
async fn a_leader_whose_job_another_one_claims_stops_and_does_nothing_more() {
    let store = Arc::new(Flaky::default());
    let (handle, acceptor) = job_manager(&store, 1).await;
    let puppet = tokio::spawn(Puppet::connect(acceptor, true).await.run());
    let submitting = handle.clone();
    let job = tokio::spawn(async move { submitting.submit(submission(1, &[])).await });
    while handle.cluster().jobs.first().is_none_or(|job| job.state != JobStatus::Running) {
        tokio::task::yield_now().await;
    }
    next_leader(&store, job_id(), 2).await;
    store.deleted.lock().clear();
    // Its end isn't this leader's to record.
    RestGateway::cancel(&handle, &job_id().to_string()).await.unwrap();
    assert_eq!(job.await.unwrap().unwrap_err(), SubmitError::Ended);
    let reason = handle.end_reason();
    assert!(
        matches!(&reason, Some(EndReason::LeadershipLost(Loss::Fenced(why))) if why.contains("fenced")),
        "{reason:?}"
    );
    assert_eq!(puppet.await.unwrap(), "closed", "TaskManagers aren't told to end");
    assert_eq!(kinds(&store).await, [EntryKind::Claim, EntryKind::Claim]);
    assert!(store.deleted.lock().is_empty());
    assert_eq!(handle.submit(submission(1, &[])).await.unwrap_err(), SubmitError::Ended);
}

#[tokio::test]
async fn a_leader_of_the_cluster_stops_when_another_one_has_claimed_it() {
    let store = Arc::new(Flaky::default());
    let (handle, _acceptor) = job_manager(&store, 1).await;
    next_leader(&store, cluster_log_id("app"), 2).await;
    tokio::time::timeout(Duration::from_secs(30), handle.ended()).await.unwrap();
    let reason = handle.end_reason();
    assert!(matches!(reason, Some(EndReason::LeadershipLost(_))), "{reason:?}");
    // It isn't its hint to release any more.
    assert!(!read_hint(store.as_ref(), "app").await.unwrap().unwrap().released);
}

#[tokio::test]
async fn who_comes_late_with_a_job_does_not_claim_it_from_its_successor() {
    let store = Arc::new(Flaky::default());
    let (handle, _acceptor) = job_manager(&store, 1).await;
    next_leader(&store, cluster_log_id("app"), 2).await;
    assert_eq!(handle.submit(submission(1, &SETTINGS)).await.unwrap_err(), SubmitError::Ended);
    assert!(kinds(&store).await.is_empty(), "the job's log is the successor's");
    handle.ended().await;
    assert!(matches!(handle.end_reason(), Some(EndReason::LeadershipLost(_))));
}

#[tokio::test]
async fn who_is_suspended_leaves_its_job_and_its_task_managers_to_the_next_one_at_once() {
    let store = Arc::new(Flaky::default());
    let (first, acceptor) = job_manager(&store, 1).await;
    let puppet = tokio::spawn(Puppet::connect(acceptor, true).await.run());
    let submitting = first.clone();
    let job = tokio::spawn(async move { submitting.submit(submission(1, &SETTINGS)).await });
    while kinds(&store).await.len() < 2 {
        tokio::task::yield_now().await;
    }
    first.suspend("SIGTERM").await;
    assert_eq!(job.await.unwrap().unwrap_err(), SubmitError::Ended);
    assert_eq!(puppet.await.unwrap(), "closed");
    let hint = read_hint(store.as_ref(), "app").await.unwrap().unwrap();
    let mut watch = crate::high_availability::HintWatch::new(
        ("other:1", "other"),
        Duration::from_secs(60),
        Duration::from_secs(1),
    );
    assert_eq!(watch.observe(Some(hint), Duration::ZERO), HintDecision::Claim);
    let (second, acceptor) = job_manager(&store, 2).await;
    tokio::spawn(Puppet::connect(acceptor, false).await.run());
    let result = second.submit(submission(1, &SETTINGS)).await.unwrap();
    assert_eq!(result.status, JobStatus::Finished);
    let restored = second.cluster().jobs[0].checkpoints.clone().unwrap();
    assert!(restored.latest_restored.is_some(), "it began where the first one was");
    let tail = Log::new(store.clone(), job_id()).tail().await.unwrap().unwrap();
    assert!(matches!(tail.body, EntryBody::Terminal { .. }));
    second.shutdown("end").await;
}

#[tokio::test]
async fn a_later_resource_goes_on_with_what_an_earlier_one_has_left_and_is_told_so() {
    let store = Arc::new(Flaky::default());
    let (first, acceptor) = job_manager_for(&store, 1, Some("uid-1")).await;
    tokio::spawn(Puppet::connect(acceptor, true).await.run());
    let submitting = first.clone();
    let job = tokio::spawn(async move { submitting.submit(submission(1, &SETTINGS)).await });
    while kinds(&store).await.len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(first.earlier_run(), None);
    first.suspend("SIGTERM").await;
    job.await.unwrap().unwrap_err();

    // The same resource's next leader has nothing to tell; another resource's has.
    for (writer, owner, told) in [(2, "uid-1", None), (3, "uid-2", Some("uid-1"))] {
        let (next, acceptor) = job_manager_for(&store, writer, Some(owner)).await;
        tokio::spawn(Puppet::connect(acceptor, true).await.run());
        let submitting = next.clone();
        let job = tokio::spawn(async move { submitting.submit(submission(1, &SETTINGS)).await });
        while next.cluster().jobs.iter().all(|job| job.state != JobStatus::Running) {
            tokio::task::yield_now().await;
        }
        let earlier = next.earlier_run();
        assert_eq!(earlier.as_ref().map(|earlier| earlier.owner.as_str()), told, "{owner}");
        if let Some(earlier) = earlier {
            assert!(!earlier.ended);
            let (id, folder) = earlier.checkpoint.unwrap();
            assert_eq!(folder, format!("flaky:/{}/chk-{id}", job_id()));
        }
        next.suspend("SIGTERM").await;
        job.await.unwrap().unwrap_err();
    }
    let tail = Log::new(store.clone(), job_id()).tail().await.unwrap().unwrap();
    assert_eq!(tail.owner.as_deref(), Some("uid-2"), "every entry says whose it is");
}

#[tokio::test]
async fn the_result_of_an_earlier_resource_is_told_as_such() {
    let store = Arc::new(Flaky::default());
    let (first, acceptor) = job_manager_for(&store, 1, Some("uid-1")).await;
    tokio::spawn(Puppet::connect(acceptor, false).await.run());
    let result = first.submit(submission(1, &SETTINGS)).await.unwrap();
    assert_eq!(result.status, JobStatus::Finished);
    first.shutdown("end").await;
    for (writer, owner, told) in [(2, "uid-1", false), (3, "uid-2", true)] {
        let (next, _acceptor) = job_manager_for(&store, writer, Some(owner)).await;
        let again = next.submit(submission(1, &SETTINGS)).await.unwrap();
        assert_eq!(again.status, JobStatus::Finished);
        let earlier = next.earlier_run();
        assert_eq!(earlier.is_some_and(|earlier| earlier.ended), told, "{owner}");
        next.shutdown("end").await;
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_refused_with_what_to_do_and_nothing_is_changed() {
    let careless = Arc::new(Flaky { ignores_conditions: true, ..Flaky::default() });
    let read_only = Arc::new(Flaky { read_only: true, ..Flaky::default() });
    for (store, part) in [(careless, "honours conditional writes"), (read_only, "read-only")] {
        let error = open(&store, 1, "app").await.unwrap_err().to_string();
        assert!(error.contains("high-availability.storageDir = flaky:"), "{error}");
        assert!(error.contains(part), "{error}");
        assert!(store.list(&BlobPath::root()).await.unwrap().is_empty());
    }
    let store = Arc::new(Flaky::default());
    open(&store, 1, "app").await.unwrap();
    open(&store, 2, "app").await.unwrap();
    let error = open(&store, 3, "another").await.unwrap_err().to_string();
    for part in ["\"app\"", "\"another\"", "set another high-availability.cluster-id"] {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn the_first_value_of_a_name_counts_for_all_later_programs() {
    let store = Arc::new(Flaky::default());
    let first = open(&store, 1, "app").await.unwrap();
    assert_eq!(first.once("a name / with anything").await.unwrap(), None);
    let name = "a name / with anything";
    assert_eq!(first.record_once(name, vec![1, 255]).await.unwrap(), [1, 255]);
    let second = open(&store, 2, "app").await.unwrap();
    assert_eq!(second.record_once(name, vec![2]).await.unwrap(), [1, 255]);
    assert_eq!(second.once(name).await.unwrap(), Some(vec![1, 255]));
    assert_eq!(second.once("another").await.unwrap(), None);
}

#[tokio::test]
async fn who_does_not_lead_any_more_enters_no_identity_whoever_has_taken_over() {
    let store = Arc::new(Flaky::default());
    let newest = || async { lineage::newest(store.as_ref()).await.unwrap() };
    let at = |place, cluster_id: &str| {
        let (owner, cluster_id) = ("uid-1".to_owned(), cluster_id.to_owned());
        Some((place, LineageEntry { owner, cluster_id }))
    };
    let leads = async |cluster_id: &str, writer| {
        next_leader(&store, cluster_log_id(cluster_id), writer).await;
        open_under(cluster_id, &store, writer, "app", Some("uid-1")).await.unwrap()
    };
    let slow = leads("app", 1).await;
    let second = leads("app", 2).await;
    assert!(slow.enter_lineage(true).await.unwrap_err().is_fenced());
    assert_eq!(newest().await, None);
    assert_eq!(second.enter_lineage(true).await.unwrap().place, 0);
    // The application is restored, under another identity: nobody claims the former one for that.
    let restored = leads("app-x", 3).await;
    assert_eq!(restored.enter_lineage(false).await.unwrap().place, 1);
    assert!(second.enter_lineage(true).await.unwrap_err().is_fenced());
    assert_eq!(newest().await, at(1, "app-x"));
    // Back again; and who was restored is slow in turn.
    let back = leads("app", 4).await;
    assert_eq!(back.enter_lineage(true).await.unwrap().place, 2);
    assert!(restored.enter_lineage(false).await.unwrap_err().is_fenced());
    assert_eq!(newest().await, at(2, "app"));
    assert_eq!(back.enter_lineage(true).await.unwrap().place, 2, "it leads all the while");
}
