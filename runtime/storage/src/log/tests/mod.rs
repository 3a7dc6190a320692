//! The workflow against real stores, with a store between that fails as told.

mod faulty;
mod fenced;
mod kept;
mod written;

use std::sync::Arc;

use thalweg_core::ids::{CheckpointId, JobId};

use self::faulty::FaultyStore;
use super::entry::{EntryKind, LogPosition, WriterId};
use super::leader::{ClaimOutcome, Leader};
use super::reader::Log;
use crate::blob::tests::now;
use crate::blob::{BlobPath, DirectoryStore, MemoryStore};

const JOB: JobId = JobId::new(7);

/// Runs a test on each kind of store.
fn on_every_store(test: impl Fn(Arc<FaultyStore>)) {
    let folder = tempfile::tempdir().unwrap();
    let directory = DirectoryStore::open(folder.path()).unwrap();
    test(Arc::new(FaultyStore::new(Arc::new(MemoryStore::new()))));
    test(Arc::new(FaultyStore::new(Arc::new(directory))));
}

/// The job's log, with short segments.
fn log(store: &Arc<FaultyStore>) -> Log {
    Log::new(store.clone(), JOB).with_segment_length(4)
}

fn claim(log: &Log, writer: u128) -> ClaimOutcome {
    now(Leader::claim(log.clone(), WriterId(writer), "host:1")).unwrap()
}

fn lead(log: &Log, writer: u128) -> Leader {
    match claim(log, writer) {
        ClaimOutcome::Leads(leader) => *leader,
        ClaimOutcome::Finished(entry) => panic!("the job has ended: {entry:?}"),
    }
}

fn manifest(id: u64) -> BlobPath {
    BlobPath::parse(&format!("chk-{id}/manifest")).unwrap()
}

fn publish(leader: &mut Leader, ids: impl IntoIterator<Item = u64>) {
    for id in ids {
        now(leader.publish(CheckpointId(id), &manifest(id))).unwrap();
    }
}

/// What kind of entry is at each place, up to the first `count`; "-" where there's none.
fn kinds(log: &Log, count: u64) -> String {
    let kind = |position| match now(log.read(LogPosition(position))).unwrap() {
        None => "-".to_owned(),
        Some(entry) => match entry.header.kind {
            EntryKind::Claim => format!("claim:{}", entry.header.epoch.0),
            EntryKind::Publish(id) => format!("{}:{id}", entry.header.epoch.0),
            EntryKind::Terminal(status) => format!("{status:?}"),
        },
    };
    (0..count).map(kind).collect::<Vec<_>>().join(" ")
}
