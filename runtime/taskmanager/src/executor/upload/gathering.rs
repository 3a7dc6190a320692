//! Which small runs share an object: those of one job's tasks here that are ready at about the
//! same time. Pure: times are passed in. Not here: what is in them, and storing them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId};

/// A snapshot waits so long for those of other tasks, at most: far less than a checkpoint takes
/// that goes to another machine.
const LINGER: Duration = Duration::from_millis(20);

/// Once so many bytes wait they are stored: a single request takes that many.
const SHARED_BYTES_MAX: usize = 4 << 20;

/// A task's snapshot is ready to be stored.
#[derive(Debug)]
pub(in super::super) struct Arrival<T> {
    pub(in super::super) job: JobId,
    pub(in super::super) checkpoint: CheckpointId,
    pub(in super::super) attempt: ExecutionAttemptId,
    /// The snapshot, and how many bytes it brings along; None if it brings none.
    pub(in super::super) brings: Option<(T, usize)>,
}

/// Snapshots that wait for others.
#[derive(Debug)]
pub(in super::super) struct Gathering<T> {
    jobs: BTreeMap<JobId, Group<T>>,
}

/// Those of one job's newest checkpoint.
#[derive(Debug)]
struct Group<T> {
    checkpoint: CheckpointId,
    /// All that have arrived, with those that were stored before.
    arrived: BTreeSet<ExecutionAttemptId>,
    waiting: Vec<T>,
    bytes: usize,
    /// Since when the first one waits.
    since: Duration,
}

impl<T> Default for Gathering<T> {
    fn default() -> Self {
        Self { jobs: BTreeMap::new() }
    }
}

impl<T> Gathering<T> {
    /// Takes a snapshot in and gives those to be stored now, by the object that they share:
    ///
    /// 1. One of an older checkpoint than the newest seen shares with nobody, and the first of a
    ///    newer one waits for none of an older.
    /// 2. An object is stored when all of `expected` have arrived, or enough bytes have; or when
    ///    the first has waited long enough ([`due`](Self::due)). Whoever comes later is in the
    ///    next one.
    pub(in super::super) fn arrived(
        &mut self,
        arrival: Arrival<T>,
        expected: &[ExecutionAttemptId],
        now: Duration,
    ) -> Vec<Vec<T>> {
        let Arrival { job, checkpoint, attempt, brings } = arrival;
        let mut ready = Vec::new();
        let group = self.jobs.entry(job).or_insert_with(|| Group::new(checkpoint));
        if checkpoint < group.checkpoint {
            return brings.into_iter().map(|(snapshot, _)| vec![snapshot]).collect();
        }
        if checkpoint > group.checkpoint {
            ready.extend(group.take());
            *group = Group::new(checkpoint);
        }
        group.arrived.insert(attempt);
        if let Some((snapshot, bytes)) = brings {
            if group.waiting.is_empty() {
                group.since = now;
            }
            group.waiting.push(snapshot);
            group.bytes += bytes;
        }
        let all = expected.iter().all(|attempt| group.arrived.contains(attempt));
        if all || group.bytes >= SHARED_BYTES_MAX {
            ready.extend(group.take());
        }
        ready
    }

    /// Gives those that have waited long enough.
    pub(in super::super) fn due(&mut self, now: Duration) -> Vec<Vec<T>> {
        let due = self.jobs.values_mut().filter(|group| now >= group.since + LINGER);
        due.filter_map(Group::take).collect()
    }

    /// When some will have waited long enough.
    pub(in super::super) fn next_due(&self) -> Option<Duration> {
        let waiting = self.jobs.values().filter(|group| !group.waiting.is_empty());
        waiting.map(|group| group.since + LINGER).min()
    }

    /// The job is over: nobody asks for its snapshots.
    pub(in super::super) fn forget(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }
}

impl<T> Group<T> {
    fn new(checkpoint: CheckpointId) -> Self {
        let (arrived, waiting) = (BTreeSet::new(), Vec::new());
        Self { checkpoint, arrived, waiting, bytes: 0, since: Duration::ZERO }
    }

    fn take(&mut self) -> Option<Vec<T>> {
        self.bytes = 0;
        (!self.waiting.is_empty()).then(|| std::mem::take(&mut self.waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId::new(1);

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn attempts(ids: &[u128]) -> Vec<ExecutionAttemptId> {
        ids.iter().map(|id| ExecutionAttemptId::new(*id)).collect()
    }

    /// A snapshot of so many bytes; its name is its attempt.
    fn of(checkpoint: u64, attempt: u128, bytes: usize) -> Arrival<u128> {
        Arrival {
            job: JOB,
            checkpoint: CheckpointId(checkpoint),
            attempt: ExecutionAttemptId::new(attempt),
            brings: (bytes > 0).then_some((attempt, bytes)),
        }
    }

    #[test]
    fn all_that_is_expected_shares_an_object_and_waits_no_longer_than_for_the_last() {
        let (mut gathering, expected) = (Gathering::default(), attempts(&[1, 2, 3, 4]));
        assert_eq!(gathering.next_due(), None);
        assert!(gathering.arrived(of(7, 1, 10), &expected, at(100)).is_empty());
        assert!(gathering.arrived(of(7, 2, 0), &expected, at(101)).is_empty(), "it brings none");
        assert!(gathering.arrived(of(7, 3, 10), &expected, at(102)).is_empty());
        assert_eq!(gathering.next_due(), Some(at(120)));
        assert_eq!(gathering.arrived(of(7, 4, 10), &expected, at(103)), [[1, 3, 4]]);
        assert_eq!((gathering.next_due(), gathering.due(at(1000)).len()), (None, 0));
        // The last one may bring nothing, and one that is alone waits for nobody.
        gathering.arrived(of(8, 1, 10), &attempts(&[1, 2]), at(200));
        assert_eq!(gathering.arrived(of(8, 2, 0), &attempts(&[1, 2]), at(201)), [[1]]);
        assert_eq!(gathering.arrived(of(9, 1, 10), &attempts(&[1]), at(300)), [[1]]);
    }

    #[test]
    fn nobody_waits_long_for_a_straggler_which_has_the_next_object() {
        let (mut gathering, expected) = (Gathering::default(), attempts(&[1, 2, 3]));
        gathering.arrived(of(7, 1, 10), &expected, at(100));
        gathering.arrived(of(7, 2, 10), &expected, at(115));
        assert!(gathering.due(at(119)).is_empty());
        assert_eq!(gathering.due(at(120)), [[1, 2]]);
        assert_eq!(gathering.arrived(of(7, 3, 10), &expected, at(500)), [[3]], "none is missing");
    }

    #[test]
    fn what_waits_is_bounded_in_bytes() {
        let (mut gathering, expected) = (Gathering::default(), attempts(&[1, 2, 3]));
        gathering.arrived(of(7, 1, SHARED_BYTES_MAX - 1), &expected, at(100));
        assert_eq!(gathering.arrived(of(7, 2, 1), &expected, at(100)), [[1, 2]]);
        assert_eq!(gathering.arrived(of(7, 3, 1), &expected, at(100)), [[3]]);
    }

    #[test]
    fn checkpoints_and_jobs_share_nothing_with_each_other() {
        let (mut gathering, expected) = (Gathering::default(), attempts(&[1, 2]));
        gathering.arrived(of(7, 1, 10), &expected, at(100));
        let other = Arrival { job: JobId::new(2), ..of(7, 9, 10) };
        assert_eq!(gathering.arrived(other, &attempts(&[9]), at(100)), [[9]]);
        // The next checkpoint has begun: what waits of the last one goes.
        assert_eq!(gathering.arrived(of(8, 2, 10), &expected, at(101)), [[1]]);
        assert_eq!(gathering.arrived(of(7, 2, 10), &expected, at(102)), [[2]], "a late one");
        assert_eq!(gathering.next_due(), Some(at(121)));
        gathering.forget(JOB);
        assert_eq!(gathering.next_due(), None);
    }
}
