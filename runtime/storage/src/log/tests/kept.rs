//! What is deleted, and that the log's end is found nevertheless.

use std::collections::BTreeSet;

use thalweg_core::ids::Epoch;

use super::faulty::Fault;
use super::*;
use crate::blob::BlobStore;
use crate::log::collect::ObjectOrigin;
use crate::log::collector;
use crate::log::entry::TerminalStatus;
use crate::log::names::{self, LogName, Segment};

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
