//! Which application is looked at next. Pure: the process's own clock in, keys out.
//!
//! An application is looked at by one task at a time, and not more often than its pace allows: so
//! nothing that an application does, or that is done to it, keeps the operator from the others.

use std::collections::BTreeMap;
use std::time::Duration;

/// How many applications are looked at at once.
const RUNNING_MAX: usize = 16;
/// So often an application may be looked at in the long run ...
const PACE: Duration = Duration::from_secs(1);
/// ... and so many times in a row.
const BURST: u32 = 20;

/// Which application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
}

/// Applications that wait for being looked at, and those that are.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// By when they are due.
    waiting: BTreeMap<Key, Duration>,
    running: BTreeMap<Key, Running>,
    /// By when each had used up what its pace allows, if it hadn't begun with a burst.
    paces: BTreeMap<Key, Duration>,
}

#[derive(Debug)]
struct Running {
    since: Duration,
    /// It is due again: something has changed meanwhile.
    again: Option<Duration>,
}

impl Queue {
    /// The application is to be looked at at this time, or earlier if that was said before.
    pub(super) fn due(&mut self, key: Key, at: Duration) {
        let due = match self.running.get_mut(&key) {
            Some(running) => running.again.get_or_insert(at),
            None => self.waiting.entry(key).or_insert(at),
        };
        *due = at.min(*due);
    }

    /// The next one that may be looked at now: the one that has waited longest.
    pub(super) fn start(&mut self, now: Duration) -> Option<Key> {
        if self.running.len() >= RUNNING_MAX {
            return None;
        }
        let ready = self.waiting.iter().map(|(key, due)| (self.earliest(key, *due), key));
        let (at, key) = ready.min()?;
        if at > now {
            return None;
        }
        let key = key.clone();
        self.waiting.remove(&key);
        let pace = self.paces.entry(key.clone()).or_default();
        *pace = now.max(*pace) + PACE;
        self.running.insert(key.clone(), Running { since: now, again: None });
        Some(key)
    }

    /// An application was looked at; it is due again at this time, whatever happens.
    pub(super) fn done(&mut self, key: &Key, again: Option<Duration>) {
        let changed = self.running.remove(key).and_then(|running| running.again);
        if let Some(at) = [changed, again].into_iter().flatten().min() {
            self.due(key.clone(), at);
        }
    }

    /// The application is gone.
    pub(super) fn forget(&mut self, key: &Key) {
        self.waiting.remove(key);
        self.paces.remove(key);
    }

    /// When the next one may be looked at; None: not before something happens.
    pub(super) fn next_at(&self) -> Option<Duration> {
        if self.running.len() >= RUNNING_MAX {
            return None;
        }
        self.waiting.iter().map(|(key, due)| self.earliest(key, *due)).min()
    }

    /// How many wait whose time has come.
    pub(super) fn late(&self, now: Duration) -> usize {
        self.waiting.values().filter(|due| **due <= now).count()
    }

    /// Since when the one is looked at that has taken longest.
    pub(super) fn longest(&self) -> Option<Duration> {
        self.running.values().map(|running| running.since).min()
    }

    fn earliest(&self, key: &Key, due: Duration) -> Duration {
        let pace = self.paces.get(key).copied().unwrap_or_default();
        due.max(pace.saturating_sub(PACE * (BURST - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_application_is_looked_at_when_it_is_due_and_by_one_task_at_a_time() {
        let mut queue = Queue::default();
        queue.due(key("a"), at(10));
        assert_eq!((queue.start(at(9)), queue.next_at()), (None, Some(at(10))));
        queue.due(key("a"), at(5));
        queue.due(key("a"), at(20));
        assert_eq!(queue.start(at(9)), Some(key("a")));
        queue.due(key("a"), at(9));
        assert_eq!((queue.start(at(9)), queue.next_at()), (None, None), "it is under way");
        queue.done(&key("a"), Some(at(60)));
        assert_eq!(queue.start(at(10)), Some(key("a")), "it has changed meanwhile");
        queue.done(&key("a"), Some(at(60)));
        assert_eq!((queue.start(at(11)), queue.next_at()), (None, Some(at(60))));
        queue.forget(&key("a"));
        assert_eq!(queue.next_at(), None);
    }

    #[test]
    fn one_that_is_always_due_is_looked_at_once_a_second_and_keeps_no_other_waiting() {
        let mut queue = Queue::default();
        let mut looks = 0;
        for millisecond in 0..100_000 {
            let now = Duration::from_millis(millisecond);
            queue.due(key("hot"), now);
            if millisecond == 50_000 {
                queue.due(key("other"), now);
            }
            while let Some(started) = queue.start(now) {
                assert!(started == key("hot") || millisecond == 50_000, "{started:?} waited");
                looks += usize::from(started == key("hot"));
                queue.done(&started, None);
            }
        }
        assert_eq!(looks, 100 + BURST as usize - 1);
    }

    #[test]
    fn the_one_that_waits_longest_comes_first_and_not_too_many_are_under_way() {
        let mut queue = Queue::default();
        for number in 0..20u64 {
            queue.due(key(&number.to_string()), at(20 - number));
        }
        assert_eq!(queue.late(at(10)), 10);
        assert_eq!(queue.start(at(30)), Some(key("19")));
        while queue.start(at(31)).is_some() {}
        assert_eq!((queue.running.len(), queue.longest()), (RUNNING_MAX, Some(at(30))));
        assert_eq!(queue.next_at(), None);
        queue.done(&key("19"), None);
        assert_eq!(queue.start(at(31)), Some(key("3")));
    }
}
