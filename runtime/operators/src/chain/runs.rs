//! Which run an operator's next snapshot is: a base, or a delta on the runs of the last published
//! checkpoint. Not here: what is in them.

use thalweg_core::ids::CheckpointId;
use thalweg_state::{LastSnapshot, RunKind};

/// With so many runs the next one is a base: each one costs a restore a few reads.
const RUNS_MAX: usize = 16;

/// The runs of one operator's subtask: those of the last published checkpoint, and those of the
/// last snapshot, whose fate isn't known before the next one.
#[derive(Debug, Default)]
pub(super) struct SnapshotRuns {
    published: Option<Runs>,
    taken: Option<Runs>,
    /// The next run is to be a base, whatever it could go on from.
    write_base: bool,
    /// A later snapshot than the last one was begun, and isn't complete.
    begun: bool,
}

/// The runs that a checkpoint has.
#[derive(Debug, Clone, Copy)]
struct Runs {
    checkpoint: CheckpointId,
    /// Their number.
    count: usize,
    /// Bytes of the base, and of the deltas together.
    base: u64,
    deltas: u64,
}

/// What the next run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextRun {
    pub(super) kind: RunKind,
    /// What became of the last snapshot.
    pub(super) last: LastSnapshot,
    /// The checkpoint whose runs a delta goes on from.
    pub(super) extends: Option<CheckpointId>,
}

impl NextRun {
    /// The same with all rows written anew.
    pub(super) fn as_base(self) -> NextRun {
        NextRun { kind: RunKind::Base, extends: None, ..self }
    }
}

impl SnapshotRuns {
    /// The subtask was restored from its own runs of so many bytes, the base first.
    pub(super) fn restored(checkpoint: CheckpointId, lengths: &[u64]) -> SnapshotRuns {
        let published = lengths.split_first().map(|(base, deltas)| Runs {
            checkpoint,
            count: lengths.len(),
            base: *base,
            deltas: deltas.iter().sum(),
        });
        SnapshotRuns { published, taken: None, write_base: false, begun: false }
    }

    /// Decides, when the newest published checkpoint is `published`:
    ///
    /// 1. If it's the last snapshot's, that one's runs are what is published from now on.
    /// 2. A delta goes on from them, unless there are too many or the deltas have become more
    ///    than half of the base: then all is written anew.
    /// 3. What was published without this subtask's taking part can't be gone on from.
    /// 4. One that was begun and never complete was given up.
    /// 5. All is written anew after [`write_base`](Self::write_base).
    pub(super) fn next(&mut self, published: CheckpointId) -> NextRun {
        let (taken, begun) = (self.taken.take(), std::mem::take(&mut self.begun));
        let mut last = LastSnapshot::Published;
        if let Some(taken) = taken.filter(|taken| taken.checkpoint == published) {
            self.published = Some(taken);
        } else {
            self.published = self.published.filter(|runs| runs.checkpoint == published);
            if taken.is_some() || begun {
                last = LastSnapshot::GivenUp;
            }
        }
        let anew = std::mem::take(&mut self.write_base);
        let grown = |runs: &Runs| runs.count >= RUNS_MAX || runs.deltas > runs.base / 2;
        match self.published.filter(|runs| !anew && !grown(runs)) {
            Some(runs) => NextRun { kind: RunKind::Delta, last, extends: Some(runs.checkpoint) },
            None => NextRun { kind: RunKind::Base, last, extends: None },
        }
    }

    /// Has the next run be a base: what there is of older ones is to be let go.
    pub(super) fn write_base(&mut self) {
        self.write_base = true;
    }

    /// A snapshot was begun, as [`next`](Self::next) said last.
    pub(super) fn begun(&mut self) {
        self.begun = true;
    }

    /// A snapshot of so many bytes was taken, as [`next`](Self::next) said last. Without state
    /// there's nothing that a later one could go on from.
    pub(super) fn taken(&mut self, checkpoint: CheckpointId, next: NextRun, bytes: Option<u64>) {
        self.begun = false;
        self.taken = bytes.map(|bytes| match (next.kind, self.published) {
            (RunKind::Delta, Some(before)) => Runs {
                checkpoint,
                count: before.count + 1,
                deltas: before.deltas + bytes,
                ..before
            },
            (RunKind::Delta | RunKind::Base, _) => {
                Runs { checkpoint, count: 1, base: bytes, deltas: 0 }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: CheckpointId = CheckpointId(0);

    /// Takes checkpoint `id` when `published` is the newest published one.
    fn take(runs: &mut SnapshotRuns, id: u64, published: u64, bytes: u64) -> NextRun {
        let next = runs.next(CheckpointId(published));
        runs.taken(CheckpointId(id), next, Some(bytes));
        next
    }

    fn delta(extends: u64, last: LastSnapshot) -> NextRun {
        NextRun { kind: RunKind::Delta, last, extends: Some(CheckpointId(extends)) }
    }

    #[test]
    fn deltas_go_on_from_what_was_published_and_never_from_what_was_given_up() {
        let mut runs = SnapshotRuns::default();
        assert_eq!(take(&mut runs, 1, 0, 1000).kind, RunKind::Base);
        // 1 was given up: there's nothing to go on from.
        let next = take(&mut runs, 2, 0, 1000);
        assert_eq!((next.kind, next.last), (RunKind::Base, LastSnapshot::GivenUp));
        assert_eq!(take(&mut runs, 3, 2, 10), delta(2, LastSnapshot::Published));
        assert_eq!(take(&mut runs, 4, 2, 10), delta(2, LastSnapshot::GivenUp));
        assert_eq!(take(&mut runs, 5, 4, 10), delta(4, LastSnapshot::Published));
        // Published without this subtask: it was another attempt's.
        assert_eq!(take(&mut runs, 7, 6, 1000).kind, RunKind::Base);
    }

    #[test]
    fn what_was_begun_and_never_complete_was_given_up() {
        let mut runs = SnapshotRuns::default();
        assert_eq!(runs.next(NONE).last, LastSnapshot::Published);
        runs.begun();
        let next = take(&mut runs, 2, 0, 1000);
        assert_eq!((next.kind, next.last), (RunKind::Base, LastSnapshot::GivenUp));
        assert_eq!(runs.next(CheckpointId(2)), delta(2, LastSnapshot::Published));
        runs.begun();
        assert_eq!(take(&mut runs, 4, 2, 10), delta(2, LastSnapshot::GivenUp));
    }

    #[test]
    fn many_or_large_deltas_make_room_for_a_new_base() {
        let mut runs = SnapshotRuns::default();
        take(&mut runs, 1, 0, 1000);
        let kinds: Vec<_> = (2..=18).map(|id| take(&mut runs, id, id - 1, 1).kind).collect();
        assert_eq!(kinds.iter().position(|kind| *kind == RunKind::Base), Some(15));
        let mut runs = SnapshotRuns::default();
        take(&mut runs, 1, 0, 1000);
        assert_eq!(take(&mut runs, 2, 1, 500).kind, RunKind::Delta);
        assert_eq!(take(&mut runs, 3, 2, 1).kind, RunKind::Delta, "half of the base is fine");
        assert_eq!(take(&mut runs, 4, 3, 1000).kind, RunKind::Base);
        // A base that was given up leaves the older runs in place, which are still too large.
        assert_eq!(take(&mut runs, 5, 3, 1000).kind, RunKind::Base);
        assert_eq!(take(&mut runs, 6, 5, 1).kind, RunKind::Delta);
    }

    #[test]
    fn a_base_is_written_once_when_it_is_asked_for() {
        let mut runs = SnapshotRuns::default();
        take(&mut runs, 1, 0, 1000);
        runs.write_base();
        let next = take(&mut runs, 2, 1, 1000);
        assert_eq!((next.kind, next.last), (RunKind::Base, LastSnapshot::Published));
        assert_eq!(take(&mut runs, 3, 2, 10), delta(2, LastSnapshot::Published));
        // What was given up isn't asked for again here: whoever asks does so after the next one.
        runs.write_base();
        take(&mut runs, 4, 3, 1000);
        assert_eq!(take(&mut runs, 5, 3, 10), delta(3, LastSnapshot::GivenUp));
    }

    #[test]
    fn a_restored_subtask_goes_on_from_its_own_runs() {
        let mut runs = SnapshotRuns::restored(CheckpointId(9), &[1000, 10, 10]);
        assert_eq!(take(&mut runs, 10, 9, 10), delta(9, LastSnapshot::Published));
        let mut runs = SnapshotRuns::restored(CheckpointId(9), &[]);
        assert_eq!(take(&mut runs, 10, 9, 10).kind, RunKind::Base);
        let mut runs = SnapshotRuns::restored(CheckpointId(9), &[1000]);
        assert_eq!(take(&mut runs, 10, 0, 10).kind, RunKind::Base, "a savepoint isn't published");
    }

    #[test]
    fn without_state_nothing_is_gone_on_from() {
        let mut runs = SnapshotRuns::default();
        let next = runs.next(NONE);
        runs.taken(CheckpointId(1), next, None);
        assert_eq!(runs.next(CheckpointId(1)).kind, RunKind::Base);
    }
}
