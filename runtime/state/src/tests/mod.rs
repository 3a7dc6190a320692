//! State as a whole: compared with simple models over random operations, through snapshots and
//! restores at other parallelisms, and with what must be refused.

mod budget;
mod copies;
mod encoding;
mod evolution;
mod hostile;
mod incremental;
mod keyed_model;
mod operator_state;
mod slices_model;
mod time_to_live;
mod time_to_live_model;
mod timers_model;
mod tools;

use std::sync::Arc;

use thalweg_core::key_group::{KeyGroupRange, key_group, key_group_range};
use thalweg_core::record::Key;

use crate::{RestoredOperator, RunOrigin, RunReader, RunWriter};

/// Tasks move between threads before they run, and read runs from several.
#[test]
fn state_is_sent_and_snapshots_are_shared() {
    fn sent<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    sent::<crate::KeyedState<String>>();
    sent::<crate::TimerService<String, ()>>();
    sent::<crate::SliceState<String, String>>();
    sent::<crate::OperatorState>();
    sent::<RunWriter>();
    shared::<RestoredOperator>();
    shared::<crate::MapState<std::cell::Cell<u8>, std::cell::Cell<u8>>>();
}

/// Few, so that random keys share groups.
const MAX_PARALLELISM: u32 = 8;

/// Runs `write` as the snapshot of a subtask.
fn snapshot(
    subtask: u32,
    parallelism: u32,
    write: impl FnOnce(&mut RunWriter) -> Result<(), crate::RunError>,
) -> Vec<u8> {
    let mut writer = RunWriter::new(RunOrigin {
        operator: "under test".into(),
        subtask,
        parallelism,
        max_parallelism: MAX_PARALLELISM,
    });
    write(&mut writer).unwrap();
    writer.finish().unwrap()
}

/// What subtask `subtask` of `parallelism` is restored from.
fn restored(runs: &[Vec<u8>], subtask: u32, parallelism: u32) -> Arc<RestoredOperator> {
    let runs = runs.iter().map(|run| RunReader::open(Arc::new(run.clone())).unwrap()).collect();
    Arc::new(RestoredOperator::new(runs, subtask, parallelism).unwrap())
}

fn ranges(parallelism: u32) -> Vec<KeyGroupRange> {
    (0..parallelism).map(|subtask| key_group_range(MAX_PARALLELISM, parallelism, subtask)).collect()
}

/// The subtask that owns the key.
fn owner<K: Key>(key: &K, parallelism: u32) -> usize {
    let group = key_group(key.key_hash(), MAX_PARALLELISM);
    ranges(parallelism).iter().position(|range| range.contains(group)).unwrap()
}
