//! Erasures of stores in which jobs have run, are running, and were restored.

use thalweg_core::ids::{ExecutionAttemptId, job_id};
use thalweg_storage::log::{EntryKind, LogErrorKind, LogPosition};
use thalweg_storage::{DirectoryStore, MemoryStore};

use super::*;

fn now<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}

fn erasure(store: &Arc<dyn BlobStore>, writer: u128) -> Erasure {
    Erasure {
        store: Arc::clone(store),
        checkpoints: None,
        writer: WriterId(writer),
        address: "eraser".to_owned(),
        successor: None,
        pause: Duration::ZERO,
    }
}

fn claim(store: &Arc<dyn BlobStore>, log: JobId, writer: u128) -> Leader {
    let claimed = Leader::claim(Log::new(Arc::clone(store), log), WriterId(writer), "host:1");
    match now(claimed).unwrap() {
        ClaimOutcome::Leads(leader) => *leader,
        ClaimOutcome::Finished(entry) => panic!("it has ended: {entry:?}"),
    }
}

fn put(store: &Arc<dyn BlobStore>, path: &str) {
    now(store.put(&BlobPath::parse(path).unwrap(), b"content".to_vec())).unwrap();
}

fn listed(store: &Arc<dyn BlobStore>) -> Vec<String> {
    let listed = now(store.list(&BlobPath::root())).unwrap();
    listed.iter().map(ToString::to_string).collect()
}

/// A cluster that leads a job, which has published two checkpoints; its leader still lives.
fn running(store: &Arc<dyn BlobStore>, cluster_id: &str) -> Leader {
    let (cluster, job) = (cluster_log_id(cluster_id), job_id(cluster_id, 0));
    claim(store, cluster, 1);
    for name in ["application", "leader", &format!("once/{}", JobId::new(9))] {
        put(store, &format!("{cluster}/{name}"));
    }
    let mut leader = claim(store, job, 1);
    put(store, &format!("{job}/e1-graph"));
    for id in [1, 2] {
        let folder = layout::checkpoint_folder(job, CheckpointId(id)).unwrap();
        put(store, &format!("{folder}/e1-run"));
        let manifest = folder.join("e1-manifest").unwrap();
        put(store, manifest.as_str());
        now(leader.publish(CheckpointId(id), &manifest)).unwrap();
    }
    leader
}

#[test]
fn what_was_is_deleted_and_whoever_led_is_fenced_and_nobody_begins_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let directory: Arc<dyn BlobStore> = Arc::new(DirectoryStore::open(folder.path()).unwrap());
    for store in [directory, Arc::new(MemoryStore::new())] {
        let mut leader = running(&store, "a");
        put(&store, "notes/of-somebody");
        put(&store, "probe/0a");
        let found = now(erasure(&store, 2).look()).unwrap();
        let (cluster, job) = (cluster_log_id("a"), job_id("a", 0));
        assert_eq!(found.clusters, BTreeSet::from([cluster]));
        assert_eq!(found.jobs, BTreeSet::from([job]));
        assert_eq!(found.foreign, [BlobPath::parse("notes/of-somebody").unwrap()]);
        let doomed = &found.doomed[1];
        assert!(doomed[..2].iter().all(|path| path.as_str().ends_with("-manifest")), "{doomed:?}");
        assert!(doomed.last().unwrap().as_str().ends_with("/application"), "{doomed:?}");
        let before = listed(&store);

        assert_eq!(now(erasure(&store, 2).erase()).unwrap(), doomed.len());
        let entry = |log: JobId, place: u64| format!("{log}/log/{place:020}");
        let mut left: Vec<String> = (0..5).map(|place| entry(job, place)).collect();
        left.extend([entry(cluster, 0), entry(cluster, 1), "notes/of-somebody".to_owned()]);
        left.sort();
        assert_eq!(listed(&store), left, "before: {before:#?}");

        let manifest = BlobPath::parse("late/manifest").unwrap();
        let fenced = now(leader.publish(CheckpointId(3), &manifest)).unwrap_err();
        assert_eq!(fenced.kind(), LogErrorKind::Fenced, "{fenced}");
        let log = Log::new(Arc::clone(&store), job);
        let again = now(Leader::claim(log, WriterId(3), "host:1")).unwrap();
        let ClaimOutcome::Finished(end) = again else { panic!("it was begun again") };
        assert_eq!(end.header.kind, EntryKind::Terminal(TerminalStatus::Canceled));
        // A repeat finds nothing more, and doesn't end the cluster's log.
        assert_eq!(now(erasure(&store, 4).erase()).unwrap(), 0);
        claim(&store, cluster, 5);
    }
}

#[test]
fn wherever_an_erasure_stops_no_manifest_lacks_an_object_and_the_next_one_ends_it() {
    let whole: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    running(&whole, "a");
    let doomed = now(erasure(&whole, 2).look()).unwrap().doomed[1].clone();
    for stopped in 0..=doomed.len() {
        let store: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
        running(&store, "a");
        let (cluster, job) = (cluster_log_id("a"), job_id("a", 0));
        claim(&store, cluster, 2);
        now(claim(&store, job, 2).terminal(TerminalStatus::Canceled, None, None, None)).unwrap();
        for path in &doomed[..stopped] {
            now(store.delete(path)).unwrap();
        }
        for (id, objects) in [(1, ["run", "manifest"]), (2, ["run", "manifest"])] {
            let there = objects.map(|name| {
                let path = format!("{job}/chk-{id}/e1-{name}");
                listed(&store).contains(&path)
            });
            assert!(there[0] || !there[1], "stopped after {stopped}: checkpoint {id}");
        }
        now(erasure(&store, 3).erase()).unwrap();
        let left = listed(&store);
        assert!(left.iter().all(|path| path.contains("/log/")), "{stopped}: {left:?}");
        // The cluster's log never ends.
        let tail = now(Log::new(Arc::clone(&store), cluster).tail()).unwrap().unwrap();
        assert!(!tail.header.is_terminal(), "stopped after {stopped}");
    }
}

#[test]
fn old_entries_go_and_the_next_one_of_the_name_is_told_to_begin_elsewhere() {
    let store: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    let mut leader = running(&store, "a");
    let last = 2 * names::SEGMENT_LENGTH + 5;
    for id in 3..last {
        let manifest = BlobPath::parse("chk/manifest").unwrap();
        now(leader.publish(CheckpointId(id), &manifest)).unwrap();
    }
    let successor = LineageEntry { owner: "uid-1".to_owned(), cluster_id: "a-x".to_owned() };
    let erasure = Erasure { successor: Some(successor.clone()), ..erasure(&store, 2) };
    now(erasure.erase()).unwrap();
    let log = Log::new(Arc::clone(&store), job_id("a", 0));
    let tail = now(log.tail()).unwrap().unwrap();
    assert!(tail.header.is_terminal());
    assert_eq!(tail.owner.as_deref(), Some("uid-1"));
    let entries = now(store.list(&names::folder(job_id("a", 0)).unwrap())).unwrap().len();
    assert!(entries < 16, "{entries} objects are left of the log");
    assert!(now(log.read(LogPosition(0))).unwrap().is_some(), "claims stay");
    let own = LineageEntry { owner: "uid-2".to_owned(), cluster_id: "a".to_owned() };
    let entered = now(lineage::enter(store.as_ref(), &own, true, &erasure)).unwrap();
    assert_eq!(entered.elsewhere.as_deref(), Some("a-x"));
}

#[test]
fn a_store_without_logs_is_told_as_one() {
    let store: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    put(&store, &format!("{}/chk-1/manifest", JobId::new(1)));
    assert!(!now(erasure(&store, 1).look()).unwrap().has_logs());
    let store: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    running(&store, "a");
    assert!(now(erasure(&store, 1).look()).unwrap().has_logs());
}

#[test]
fn what_apache_flink_keeps_beside_a_job_of_ours_stays() {
    let store: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    running(&store, "a");
    let (job, other) = (job_id("a", 0), JobId::new(7));
    let foreign: Vec<String> = [job, other]
        .into_iter()
        .flat_map(|job| {
            let names = ["chk-42/_metadata", "shared/2f6d", "taskowned/1", "chk-42/9c1b-77"];
            names.map(|name| format!("{job}/{name}"))
        })
        .collect();
    foreign.iter().for_each(|path| put(&store, path));
    // From before the job had a log.
    let folder = layout::checkpoint_folder(job, CheckpointId(1)).unwrap();
    let operator = OperatorId::new(3);
    let run = layout::snapshot(job, CheckpointId(1), operator, 0).unwrap();
    let shared = layout::shared_runs(&folder, ExecutionAttemptId::new(4)).unwrap();
    let manifest = layout::manifest(job, CheckpointId(1)).unwrap();
    [&run, &shared, &manifest].iter().for_each(|path| put(&store, path.as_str()));
    now(erasure(&store, 2).erase()).unwrap();
    let mut left = listed(&store);
    left.retain(|path| !path.contains("/log/"));
    let mut expected = foreign;
    expected.sort();
    assert_eq!(left, expected);
}

#[test]
fn a_job_whose_log_is_not_claimed_keeps_what_it_has() {
    let logs: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    let others: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    let checkpoints: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    running(&logs, "a");
    let mut other = running(&others, "b");
    let object = |cluster_id| format!("{}/chk-1/e1-manifest", job_id(cluster_id, 0));
    ["a", "b"].iter().for_each(|id| put(&checkpoints, &object(id)));
    let erasure = Erasure { checkpoints: Some(Arc::clone(&checkpoints)), ..erasure(&logs, 2) };
    let found = now(erasure.look()).unwrap();
    assert_eq!(found.unclaimed, [BlobPath::parse(&object("b")).unwrap()]);
    now(erasure.erase()).unwrap();
    assert_eq!(listed(&checkpoints), [object("b")]);
    now(other.check()).unwrap();

    // The same where both are in one store.
    let object = format!("{}/chk-1/manifest", JobId::new(5));
    put(&logs, &object);
    running(&logs, "c");
    now(erasure.erase()).unwrap();
    let left = listed(&logs);
    assert!(left.iter().all(|path| path.contains("/log/") || *path == object), "{left:?}");
    assert!(left.contains(&object));
}

#[test]
fn a_job_that_appears_while_clusters_are_claimed_is_ended_before_anything_of_it_goes() {
    let store: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    running(&store, "a");
    let erasure = erasure(&store, 2);
    let mut claimed = Claimed::default();
    now(erasure.claim_all(&mut claimed)).unwrap();
    // The leader was at it.
    let late = job_id("a", 1);
    let mut leader = claim(&store, late, 1);
    put(&store, &format!("{late}/e1-graph"));
    let doomed = now(erasure.claim_all(&mut claimed)).unwrap();
    assert!(claimed.jobs.contains(&late), "{claimed:?}");
    assert!(doomed[WITH_LOGS].iter().any(|path| path.as_str().ends_with("e1-graph")));
    assert!(now(leader.check()).is_err(), "it still leads");
    let tail = now(Log::new(Arc::clone(&store), late).tail()).unwrap().unwrap();
    assert!(tail.header.is_terminal());
}

#[test]
fn an_end_by_hand_is_that_of_the_resource_whose_job_it_was() {
    let store: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    let job = job_id("a", 0);
    let log = || Log::new(Arc::clone(&store), job);
    now(Leader::claim_for(log(), WriterId(1), "host:1", Some("uid-1"))).unwrap();
    put(&store, &format!("{job}/e1-graph"));
    now(erasure(&store, 2).erase()).unwrap();
    let tail = now(log().tail()).unwrap().unwrap();
    assert!(tail.header.is_terminal());
    assert_eq!(tail.owner.as_deref(), Some("uid-1"));
}

/// One that was stopped has taken away the clusters' names, and of some all objects.
#[test]
fn clusters_and_jobs_of_many_applications_are_told_apart_in_one_place() {
    let store: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    let (mut clusters, mut jobs) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..40 {
        let id = format!("a-{number}");
        let (cluster, job) = (cluster_log_id(&id), job_id(&id, 0));
        clusters.insert(cluster);
        jobs.insert(job);
        let has = |what: u32| (number / what).is_multiple_of(2);
        claim(&store, cluster, 1);
        if has(1) {
            put(&store, &format!("{cluster}/leader"));
        }
        if has(2) {
            put(&store, &format!("{cluster}/application"));
        }
        let mut leader = claim(&store, job, 1);
        if has(4) {
            put(&store, &format!("{job}/e1-graph"));
        } else {
            // By its log: a job has published, or has ended.
            now(leader.terminal(TerminalStatus::Canceled, None, None, None)).unwrap();
        }
    }
    let found = now(erasure(&store, 2).look()).unwrap();
    assert_eq!((found.clusters, found.jobs), (clusters, jobs));
}
