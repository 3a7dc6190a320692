//! What is deleted, and that the log's end is found nevertheless.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use thalweg_core::ids::{Epoch, ExecutionAttemptId};

use super::faulty::Fault;
use super::*;
use crate::blob::{BlobStore, MemoryStore};
use crate::layout;
use crate::log::collect::ObjectOrigin;
use crate::log::entry::TerminalStatus;
use crate::log::names::{self, LogName, Segment};
use crate::log::{LogError, collector};

/// Collects entries; says how many.
pub(super) fn collect_entries(log: &Log, leader: &mut Leader) -> usize {
    let view = now(leader.collector_view(None)).unwrap();
    let plan = now(collector::plan_log(log, &view, None)).unwrap();
    now(collector::delete_entries(log, &plan)).unwrap()
}

#[test]
fn old_publishes_go_and_the_end_is_found_with_any_listing() {
    on_every_store(|store| {
        let log = log(&store);
        let mut leader = lead(&log, 1);
        publish(&mut leader, 1..=5);
        let mut leader = lead(&log, 2);
        publish(&mut leader, 6..=12);
        // Two publishes are retained: the segments of 11 and 12 stay open, as does the last.
        let tail = *leader.leadership().last();
        let retained = now(log.last_publishes(&tail, 2)).unwrap();
        let oldest = retained.last().unwrap().header.position;
        assert_eq!(oldest, LogPosition(12));
        let view = now(leader.collector_view(None)).unwrap();
        let plan = now(collector::plan_log(&log, &view, Some(oldest))).unwrap();
        assert_eq!(now(collector::delete_entries(&log, &plan)).unwrap(), 10);
        let left = "claim:1 - - - - - claim:2 - - - - - 2:11 2:12 -";
        assert_eq!(kinds(&log, 15), left);
        assert_eq!(collect_entries(&log, &mut leader), 0, "nothing twice");
        for listed in (0..=9).map(Some).chain([None]) {
            store.list_only(listed);
            let found = now(log.tail()).unwrap().unwrap();
            assert_eq!(found.header.position, LogPosition(13), "with {listed:?} names listed");
        }
        // Older ones than those that are there don't turn up, and the newest must be there.
        assert_eq!(now(log.last_publishes(&tail, 9)).unwrap().len(), 2);
        now(store.delete(&names::entry(JOB, LogPosition(13)).unwrap())).unwrap();
        let error = now(log.last_publishes(&tail, 1)).unwrap_err().to_string();
        assert!(error.contains("00013 is damaged"), "{error}");
    });
}

#[test]
fn a_segment_that_could_not_be_sealed_keeps_its_entries() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(FaultyStore::new(Arc::new(DirectoryStore::open(folder.path()).unwrap())));
    let log = log(&store);
    let mut leader = lead(&log, 1);
    publish(&mut leader, 1..=5);
    // A folder in the seal's place: it can't be written.
    let seal = names::seal(JOB, Segment(0)).unwrap();
    std::fs::create_dir_all(folder.path().join(seal.as_str()).join("x")).unwrap();
    let view = now(leader.collector_view(None)).unwrap();
    let plan = now(collector::plan_log(&log, &view, None)).unwrap();
    assert!(!plan.is_empty());
    assert!(now(collector::delete_entries(&log, &plan)).is_err());
    assert_eq!(kinds(&log, 6), "claim:1 1:1 1:2 1:3 1:4 1:5");
}

/// As `<job>/o-<epoch>-<checkpoint>`.
fn object(epoch: u64, id: u64) -> BlobPath {
    crate::layout::job_folder(JOB).unwrap().join(&format!("o-{epoch}-{id}")).unwrap()
}

fn origin(path: &BlobPath) -> Option<ObjectOrigin> {
    let name = path.as_str().rsplit('/').next()?.strip_prefix("o-")?;
    let (epoch, id) = name.split_once('-')?;
    let epoch = Epoch(epoch.parse().ok()?);
    Some(ObjectOrigin { epoch, checkpoint_id: CheckpointId(id.parse().ok()?) })
}

#[test]
fn only_what_nobody_can_refer_to_any_more_is_garbage() {
    on_every_store(|store| {
        let log = log(&store);
        lead(&log, 1);
        let mut leader = lead(&log, 2);
        publish(&mut leader, [4]);
        let strange = crate::layout::job_folder(JOB).unwrap().join("strange").unwrap();
        let objects = [(1, 2), (1, 9), (2, 3), (2, 4), (2, 5), (3, 1)];
        for path in objects.iter().map(|(epoch, id)| object(*epoch, *id)).chain([strange.clone()]) {
            now(store.put(&path, Vec::new())).unwrap();
        }
        let referenced = BTreeSet::from([object(1, 2), object(2, 4)]);
        let plan = |leader: &mut Leader, pending: Option<u64>| {
            let view = now(leader.collector_view(pending.map(CheckpointId))).unwrap();
            now(collector::plan(&log, store.as_ref(), &view, &referenced, origin)).unwrap()
        };
        let all = plan(&mut leader, None);
        assert_eq!(all.garbage, [object(1, 9), object(2, 3)]);
        assert_eq!(all.referenced, 2);
        assert_eq!(all.unknown, [object(2, 5), object(3, 1), strange.clone()]);
        // What is being taken stays, and while an entry is in doubt, all does.
        assert_eq!(plan(&mut leader, Some(3)).garbage, [object(1, 9)]);
        store.inject([Fault::RequestLost, Fault::RequestLost, Fault::RequestLost]);
        assert!(now(leader.publish(CheckpointId(5), &manifest(5))).is_err());
        assert!(plan(&mut leader, None).garbage.is_empty());
        now(leader.settle()).unwrap();
        // After its end, all of the job that isn't retained goes; a later process may do it.
        let status = TerminalStatus::Canceled;
        now(leader.terminal(status, None, None, None)).unwrap();
        let tail = now(log.tail()).unwrap().unwrap().header;
        let view = crate::log::collect::CollectorView::of_terminal(&tail).unwrap();
        let last =
            now(collector::plan(&log, store.as_ref(), &view, &BTreeSet::new(), origin)).unwrap();
        assert_eq!(now(collector::delete(store.as_ref(), &last)).unwrap(), 5);
        let left = now(store.list(&crate::layout::job_folder(JOB).unwrap())).unwrap();
        let left: Vec<_> = left.into_iter().filter(|p| names::parse(JOB, p).is_none()).collect();
        assert_eq!(left, [object(3, 1), strange]);
    });
}

#[test]
fn names_sort_as_the_log_does_and_others_are_none_of_the_logs() {
    let folder = "00000000000000000000000000000007/log";
    let entry = names::entry(JOB, LogPosition(12)).unwrap();
    assert_eq!(entry.as_str(), format!("{folder}/00000000000000000012"));
    assert!(names::entry(JOB, LogPosition(9)).unwrap() < entry);
    assert_eq!(names::parse(JOB, &entry), Some(LogName::Entry(LogPosition(12))));
    let seal = names::seal(JOB, Segment(3)).unwrap();
    assert_eq!(names::parse(JOB, &seal), Some(LogName::Seal(Segment(3))));
    for other in ["12", "sealed-3", "+0000000000000000012", "x", "a/00000000000000000012"] {
        let path = BlobPath::parse(&format!("{folder}/{other}")).unwrap_or(BlobPath::root());
        assert_eq!(names::parse(JOB, &path), None, "{other}");
    }
}

/// A job of which leader 2 has published 4, 5 and 6: each refers to its own object and to that of
/// the one before. Of the first leader, and of failed checkpoints, something is left.
fn job_with_garbage(store: &Arc<FaultyStore>) -> (Leader, BTreeMap<BlobPath, Vec<BlobPath>>) {
    let log = log(store);
    let mut leader = lead(&log, 1);
    publish(&mut leader, [3]);
    let mut leader = lead(&log, 2);
    publish(&mut leader, [4, 5, 6]);
    let of = |epoch: u64, id: u64, plain: &BlobPath| {
        assert_eq!(layout::checkpoint_of_manifest(plain).map(|(_, id)| id.0).unwrap_or(id), id);
        layout::of_epoch(plain, Some(Epoch(epoch))).unwrap()
    };
    let runs = |epoch, id| {
        let folder = layout::checkpoint_folder(JOB, CheckpointId(id)).unwrap();
        let attempt = ExecutionAttemptId::new(u128::from(id));
        of(epoch, id, &layout::shared_runs(&folder, attempt).unwrap())
    };
    let epoch_of = |id| if id < 4 { 1 } else { 2 };
    let mut manifests = BTreeMap::new();
    for id in 3..=6 {
        let plain = layout::manifest(JOB, CheckpointId(id)).unwrap();
        let before = (id > 3).then(|| runs(epoch_of(id - 1), id - 1));
        let refers_to = before.into_iter().chain([runs(epoch_of(id), id)]).collect();
        manifests.insert(of(epoch_of(id), id, &plain), refers_to);
    }
    // Given up: 2 by the first leader, and one that the second one took after it had failed.
    let left = [runs(1, 2), runs(1, 9)];
    for path in manifests.keys().chain(manifests.values().flatten()).chain(&left) {
        now(store.put(path, Vec::new())).unwrap();
    }
    (leader, manifests)
}

/// One collection that keeps the last published checkpoint.
fn collect_once(
    store: &Arc<FaultyStore>,
    leader: &mut Leader,
    manifests: &BTreeMap<BlobPath, Vec<BlobPath>>,
) -> Result<usize, LogError> {
    let (last, objects) = manifests.last_key_value().unwrap();
    let referenced: BTreeSet<_> = objects.iter().chain([last]).cloned().collect();
    let view = now(leader.collector_view(None)).unwrap();
    let log = log(store);
    let plan = collector::plan(&log, store.as_ref(), &view, &referenced, layout::origin_of);
    let plan = now(plan).unwrap();
    now(collector::delete(store.as_ref(), &plan))
}

#[test]
fn wherever_a_collection_stops_no_manifest_lacks_an_object_and_the_next_one_finds_the_rest() {
    for done in [false, true] {
        for steps in 0.. {
            let store = Arc::new(FaultyStore::new(Arc::new(MemoryStore::new())));
            let (mut leader, manifests) = job_with_garbage(&store);
            store.fail_deletions_after(steps, done);
            let collected = collect_once(&store, &mut leader, &manifests);
            let there = || -> BTreeSet<BlobPath> {
                let listed = now(store.list(&layout::job_folder(JOB).unwrap())).unwrap();
                listed.into_iter().filter(|p| names::parse(JOB, p).is_none()).collect()
            };
            let now_there = there();
            for (manifest, objects) in &manifests {
                let whole = objects.iter().all(|object| now_there.contains(object));
                let gone = !now_there.contains(manifest);
                assert!(whole || gone, "{manifest} lacks an object after {steps} deletions");
            }
            let (last, objects) = manifests.last_key_value().unwrap();
            assert!(now_there.contains(last), "the last published one is gone");
            let finished = collected.is_ok();
            store.fail_deletions_after(usize::MAX, false);
            collect_once(&store, &mut leader, &manifests).unwrap();
            let kept: BTreeSet<_> = objects.iter().chain([last]).cloned().collect();
            assert_eq!(there(), kept, "after {steps} deletions");
            if finished {
                assert!(steps >= 7, "there were {steps} things to delete");
                break;
            }
        }
    }
}

#[test]
fn what_was_begun_to_be_written_goes_where_it_would_be_garbage_and_stays_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(FaultyStore::new(Arc::new(DirectoryStore::open(folder.path()).unwrap())));
    let log = log(&store);
    lead(&log, 1);
    let mut leader = lead(&log, 2);
    publish(&mut leader, [4]);
    let job = folder.path().join(layout::job_folder(JOB).unwrap().as_str());
    let begun = |name: &str| {
        let file = job.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, b"half").unwrap();
        file
    };
    let attempt = ExecutionAttemptId::new(8);
    let gone = [
        format!("chk-9/.tmp-1-1-e1-shared-{attempt}"),
        format!("chk-3/.tmp-1-1-e2-shared-{attempt}"),
        "chk-3/.tmp-1-2-e2-manifest".to_owned(),
        ".tmp-1-3-e1-graph".to_owned(),
        "log/.tmp-1-4-00000000000000000002".to_owned(),
    ];
    let stays = [
        format!("chk-5/.tmp-1-1-e2-shared-{attempt}"),
        format!("chk-1/.tmp-1-1-e3-shared-{attempt}"),
        ".tmp-1-3-e2-result".to_owned(),
        "log/.tmp-1-4-00000000000000000003".to_owned(),
        "chk-1/.tmp-1-1".to_owned(),
    ];
    let (gone, stays) = (gone.map(|name| begun(&name)), stays.map(|name| begun(&name)));
    let view = now(leader.collector_view(None)).unwrap();
    let plan = collector::plan_unfinished(&log, store.as_ref(), &view, layout::origin_of);
    let plan = now(plan).unwrap();
    assert_eq!(now(collector::discard_unfinished(store.as_ref(), &plan)).unwrap(), gone.len());
    let there = |files: &[PathBuf]| files.iter().filter(|file| file.exists()).count();
    assert_eq!((there(&gone), there(&stays)), (0, stays.len()));
}
