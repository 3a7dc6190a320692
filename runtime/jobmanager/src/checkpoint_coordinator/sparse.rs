//! Which objects are to be rewritten, since a checkpoint refers to little of them: several tasks
//! share an object, and their runs in it are superseded at different times. Not here: who writes,
//! which is the tasks whose runs are left in it.

use std::collections::{BTreeMap, BTreeSet};

use thalweg_core::ids::OperatorId;
use thalweg_rpc::message::SnapshotData;

use super::completed::CompletedCheckpoint;

/// So many are named at a time, at most; the rest the next time.
const OBJECTS_MAX: usize = 256;

/// An operator of a subtask of a vertex: who writes a base of its state.
type Owner = (usize, usize, OperatorId);

/// What a checkpoint refers to in an object.
#[derive(Default)]
struct Use {
    length: u64,
    /// Where the runs are. Equal ones count once.
    ranges: BTreeSet<(u64, u64)>,
    owners: BTreeSet<Owner>,
    /// Some of it is of a task that has ended: nobody can rewrite that.
    ended: bool,
}

impl Use {
    fn live(&self) -> u64 {
        self.ranges.iter().map(|(_, length)| length).sum()
    }
}

/// The objects of a published checkpoint that are to be rewritten:
///
/// 1. The checkpoint refers to less than half of the object.
/// 2. To write all state anew of those with runs in it takes no more bytes than are free then.
///    Otherwise a small run would have a large state written, and the object goes anyway: no
///    subtask refers to more than the last 16 runs.
/// 3. All of them can write: none has ended.
pub(super) fn objects(checkpoint: &CompletedCheckpoint) -> Vec<String> {
    let (uses, sizes) = uses(checkpoint);
    let mut rewriting: BTreeSet<Owner> = BTreeSet::new();
    let mut chosen = Vec::new();
    for (path, of) in uses {
        let live = of.live();
        if of.ended || live.saturating_mul(2) >= of.length {
            continue;
        }
        // Who rewrites for another object does so for this one too.
        let new: Vec<Owner> = of.owners.difference(&rewriting).copied().collect();
        let cost: u64 = new.iter().filter_map(|owner| sizes.get(owner)).sum();
        if cost <= of.length - live && chosen.len() < OBJECTS_MAX {
            rewriting.extend(new);
            chosen.push(path.to_owned());
        }
    }
    chosen
}

/// How objects of a known length are used, and how large each owner's state is.
fn uses(checkpoint: &CompletedCheckpoint) -> (BTreeMap<&str, Use>, BTreeMap<Owner, u64>) {
    let mut uses: BTreeMap<&str, Use> = BTreeMap::new();
    let mut sizes: BTreeMap<Owner, u64> = BTreeMap::new();
    for (vertex, of_vertex) in checkpoint.vertices.iter().enumerate() {
        for (subtask, snapshot) in of_vertex.subtasks.iter().enumerate() {
            for handle in &snapshot.handles {
                let owner = (vertex, subtask, handle.operator);
                *sizes.entry(owner).or_default() += handle.length;
                let SnapshotData::Object { path, offset, object_length } = &handle.data else {
                    continue;
                };
                let Some(length) = object_length else { continue };
                let of = uses.entry(path).or_default();
                of.length = *length;
                of.ranges.insert((*offset, handle.length));
                of.owners.insert(owner);
                of.ended |= snapshot.finished;
            }
        }
    }
    (uses, sizes)
}

#[cfg(test)]
mod tests {
    use thalweg_core::ids::{CheckpointId, JobVertexId};
    use thalweg_rpc::message::SnapshotHandle;

    use super::*;
    use crate::checkpoint_coordinator::{SubtaskSnapshot, VertexSnapshot};
    use crate::testing::job_id;

    /// A run: object, its length, where the run begins, its length.
    type Run = (&'static str, Option<u64>, u64, u64);

    /// A checkpoint of one vertex with one operator, the runs of each of its subtasks.
    fn checkpoint(subtasks: &[&[Run]]) -> CompletedCheckpoint {
        let operator = OperatorId::new(1);
        let handle = |run: &Run| SnapshotHandle {
            operator,
            key_groups: None,
            data: SnapshotData::Object { path: run.0.into(), object_length: run.1, offset: run.2 },
            length: run.3,
            crc32c: 0,
        };
        let subtasks = subtasks.iter().map(|runs| SubtaskSnapshot {
            finished: false,
            handles: runs.iter().map(handle).collect(),
        });
        CompletedCheckpoint {
            job: job_id(),
            id: CheckpointId(9),
            triggered_ms: 0,
            acknowledged_ms: 0,
            vertices: vec![VertexSnapshot {
                vertex: JobVertexId::new(1),
                name: "count".to_owned(),
                max_parallelism: 128,
                operators: vec![operator],
                subtasks: subtasks.collect(),
            }],
            coordinators: Vec::new(),
            requirements: Vec::new(),
            directory: None,
            stopped: false,
        }
    }

    #[test]
    fn an_object_less_than_half_of_which_is_referred_to_is_rewritten() {
        let of = |live| objects(&checkpoint(&[&[("a", Some(100), 0, live)]]));
        assert_eq!(of(49), ["a"]);
        assert!(of(50).is_empty());
        assert!(of(100).is_empty());
        // Of equal runs only one is there.
        let equal = [("a", Some(100), 0, 30), ("a", Some(100), 0, 30)];
        assert_eq!(objects(&checkpoint(&[&equal])), ["a"]);
        // What two tasks refer to counts together.
        let two: [&[Run]; 2] = [&[("a", Some(100), 0, 30)], &[("a", Some(100), 30, 30)]];
        assert!(objects(&checkpoint(&two)).is_empty());
        let unknown = [("a", None, 0, 1)];
        assert!(objects(&checkpoint(&[&unknown])).is_empty(), "its length isn't known");
    }

    #[test]
    fn a_large_state_is_not_rewritten_for_a_small_run_of_it() {
        let base = ("base", Some(1_000), 0, 1_000);
        let delta = ("shared", Some(500), 0, 10);
        assert!(objects(&checkpoint(&[&[base, delta]])).is_empty());
        let small = ("base", Some(480), 0, 480);
        assert_eq!(objects(&checkpoint(&[&[small, delta]])), ["shared"], "490 for 490");
        // One of those that share it is too large: the object would stay.
        let both: [&[Run]; 2] = [&[base, delta], &[("shared", Some(500), 10, 10)]];
        assert!(objects(&checkpoint(&both)).is_empty());
        // Who rewrites anyway does so for both.
        let two = [("a", Some(1000), 0, 300), ("b", Some(350), 0, 50)];
        assert_eq!(objects(&checkpoint(&[&two])), ["a", "b"]);
    }

    #[test]
    fn what_a_task_has_left_that_ended_stays() {
        let mut ended = checkpoint(&[&[("a", Some(100), 0, 10)], &[("a", Some(100), 10, 10)]]);
        assert_eq!(objects(&ended), ["a"]);
        ended.vertices[0].subtasks[1].finished = true;
        assert!(objects(&ended).is_empty());
    }
}
