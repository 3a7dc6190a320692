//! The log on a disturbed server: what is unknown is settled, nothing published is lost, nothing
//! is published twice, and a leader that was replaced publishes nothing.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::ids::{CheckpointId, JobId};
use thalweg_s3_tests::{Fault, Request};
use thalweg_storage::BlobStore;
use thalweg_storage::log::{
    ClaimOutcome, EntryKind, Leader, Log, LogError, LogErrorKind, LogPosition, WriterId,
};

use crate::support::{World, path, run};

const CHECKPOINTS: u64 = 12;
const SEEDS: std::ops::Range<u64> = 0..4;

/// Numbers that a seed decides (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Disturbs two of three writes and one of three reads.
fn plan(seed: u64) -> impl FnMut(&Request) -> Fault + Send + 'static {
    let mut random = Random(seed);
    move |request| {
        let bound = if request.writes() { 9 } else { 18 };
        match random.below(bound) {
            0 => Fault::Status(500),
            1 => Fault::Status(503),
            2 => Fault::Close,
            3 if request.writes() => Fault::Status(409),
            4 => Fault::CutAnswer,
            5 | 6 => Fault::DropAnswer,
            _ => Fault::Forward,
        }
    }
}

fn claim(store: Arc<dyn BlobStore>, writer: u128) -> Leader {
    let job = JobId::derive("job");
    for _ in 0..100 {
        let log = Log::new(store.clone(), job);
        match run(Leader::claim(log, WriterId(writer), "localhost:1")) {
            Ok(ClaimOutcome::Leads(leader)) => return *leader,
            Ok(ClaimOutcome::Finished(entry)) => panic!("the job has ended: {entry:?}"),
            // A claim in doubt may be in the log: another one follows it.
            Err(error) => assert_eq!(error.kind(), LogErrorKind::Retry, "{error}"),
        }
    }
    panic!("100 claims failed");
}

fn publish(leader: &mut Leader, checkpoint: u64) -> Result<(), LogError> {
    let manifest = path(&format!("chk-{checkpoint}/manifest"));
    let mut result = run(leader.publish(CheckpointId(checkpoint), &manifest));
    for _ in 0..100 {
        match result {
            Err(error) if error.kind() == LogErrorKind::Retry => result = run(leader.settle()),
            settled => return settled,
        }
    }
    panic!("it wasn't settled in 100 attempts");
}

/// The checkpoints that the log publishes, in its order, read without disturbance.
fn published(store: Arc<dyn BlobStore>) -> Vec<u64> {
    let log = Log::new(store, JobId::derive("job"));
    let entries = (0..).map_while(|position| run(log.read(LogPosition(position))).unwrap());
    let checkpoint = |kind| match kind {
        EntryKind::Publish(checkpoint) => Some(checkpoint.0),
        EntryKind::Claim | EntryKind::Terminal(_) => None,
    };
    entries.filter_map(|entry| checkpoint(entry.header.kind)).collect()
}

#[test]
fn unknown_outcomes_settle_and_each_checkpoint_is_published_once() {
    for seed in SEEDS {
        println!("seed {seed}");
        let world = World::new(&format!("log-{seed}"));
        let proxy = world.proxy();
        let mut settings = world.settings();
        settings.endpoint = Some(proxy.endpoint());
        settings.request_timeout = Duration::from_secs(5);
        let disturbed: Arc<dyn BlobStore> = Arc::new(world.store_with(settings));
        proxy.disturb(plan(seed));

        let mut leader = claim(disturbed.clone(), 1);
        for checkpoint in 1..=CHECKPOINTS {
            publish(&mut leader, checkpoint).unwrap();
        }
        let mut next = claim(disturbed, 2);
        assert_eq!(
            run(next.restore())
                .ok()
                .flatten()
                .and_then(|e| e.header.latest_publish())
                .map(|p| p.checkpoint_id),
            Some(CheckpointId(CHECKPOINTS)),
        );
        let error = publish(&mut leader, CHECKPOINTS + 1).unwrap_err();
        assert_eq!(error.kind(), LogErrorKind::Fenced, "{error}");
        publish(&mut next, CHECKPOINTS + 1).unwrap();

        let disturbances = proxy.take_disturbed();
        assert!(disturbances.len() > 10, "only {disturbances:?}");
        assert!(disturbances.iter().any(|(fault, what)| {
            *fault == Fault::DropAnswer && what.starts_with("PUT") && what.contains("/log/")
        }));
        let all: Vec<u64> = (1..=CHECKPOINTS + 1).collect();
        assert_eq!(published(Arc::new(world.store())), all);
    }
}
