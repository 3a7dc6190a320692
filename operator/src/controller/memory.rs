//! What the operator remembers of an application, so that nothing is done twice: which objects were
//! applied as what, which requests were sent, which events were published. Pure. A restarted
//! operator remembers nothing and does each once more, which changes nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How long a watch may take to show what was written.
const LAG: Duration = Duration::from_secs(10);
/// When a request to a JobManager is repeated whose effect doesn't show: first, and at the latest.
const REPEAT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));
/// How many requests, and how many events, are remembered.
const REMEMBERED_MAX: usize = 64;

/// What is remembered of one application.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// By kind and name.
    applied: BTreeMap<(String, String), Applied>,
    sent: BTreeMap<String, Sent>,
    published: VecDeque<String>,
    /// What was said of the pods of a revision, the latest.
    admission: Option<(String, Admission)>,
    /// When the certificates are to be looked at again; none: now.
    pub(super) renewal: Option<Time>,
    /// The term of the leading JobManager that was seen last.
    pub(super) epoch: Option<i64>,
    /// How often in a row it couldn't be reconciled.
    pub(super) failures: u32,
}

/// Whether the API server would admit the pods of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It would, or nothing speaks against the pods themselves.
    Granted,
    /// It never will: why.
    Refused(String),
}

impl Admission {
    /// Why it is refused.
    pub(super) fn refusal(&self) -> Option<&String> {
        match self {
            Admission::Granted => None,
            Admission::Refused(why) => Some(why),
        }
    }
}

#[derive(Debug)]
struct Applied {
    /// The hash of what was applied.
    content: u64,
    /// The object's fingerprint after that.
    after: u64,
    /// What the watch had shown until then.
    before: Option<u64>,
    at: Duration,
}

#[derive(Debug)]
struct Sent {
    at: Duration,
    pause: Duration,
}

/// Whether something is to be done; the most urgent is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// Now.
    Now,
    /// Perhaps at this time: what was done may not be seen yet.
    At(Duration),
    /// No.
    No,
}

impl Memory {
    /// Whether an object is to be applied with this content. `seen`: its fingerprint as the watch
    /// shows it, None if it isn't there; `watched`: whether it would be.
    pub(super) fn needs(
        &self,
        (kind, name): (&str, &str),
        content: u64,
        (watched, seen): (bool, Option<u64>),
        now: Duration,
    ) -> Need {
        let key = (kind.to_owned(), name.to_owned());
        let Some(applied) = self.applied.get(&key).filter(|each| each.content == content) else {
            return Need::Now;
        };
        if !watched || seen == Some(applied.after) {
            return Need::No;
        }
        let in_time = applied.at + LAG;
        if seen == applied.before && now < in_time { Need::At(in_time) } else { Need::Now }
    }

    /// Takes in what the watches show: what was applied and is seen isn't waited for any more.
    pub(super) fn shown(&mut self, seen: impl Fn(&str, &str) -> Option<u64>) {
        for ((kind, name), applied) in &mut self.applied {
            if seen(kind, name) == Some(applied.after) {
                applied.before = Some(applied.after);
            }
        }
    }

    /// An object was applied, and is so now.
    pub(super) fn applied(
        &mut self,
        (kind, name): (&str, &str),
        content: u64,
        (before, after): (Option<u64>, u64),
        now: Duration,
    ) {
        let key = (kind.to_owned(), name.to_owned());
        self.applied.insert(key, Applied { content, after, before, at: now });
    }

    /// An object was deleted.
    pub(super) fn deleted(&mut self, (kind, name): (&str, &str)) {
        self.applied.remove(&(kind.to_owned(), name.to_owned()));
    }

    /// Whether a request is to be sent.
    pub(super) fn needs_request(&self, request: &str, now: Duration) -> Need {
        match self.sent.get(request).map(|sent| sent.at + sent.pause) {
            Some(again) if now < again => Need::At(again),
            _ => Need::Now,
        }
    }

    /// A request was sent.
    pub(super) fn sent(&mut self, request: String, now: Duration) {
        let (first, last) = REPEAT;
        let pause = self.sent.get(&request).map_or(first, |before| (before.pause * 2).min(last));
        self.sent.insert(request, Sent { at: now, pause });
        while self.sent.len() > REMEMBERED_MAX {
            let oldest = self.sent.iter().min_by_key(|(_, sent)| sent.at);
            let Some(oldest) = oldest.map(|(request, _)| request.clone()) else { return };
            self.sent.remove(&oldest);
        }
    }

    /// What the API server has said of a revision's pods.
    pub(super) fn admission(&self, revision: &str) -> Option<&Admission> {
        self.admission.as_ref().filter(|(of, _)| of == revision).map(|(_, admission)| admission)
    }

    /// What the API server says of a revision's pods: it isn't asked again.
    pub(super) fn admitted(&mut self, revision: String, admission: Admission) {
        self.admission = Some((revision, admission));
    }

    /// Whether an event was published.
    pub(super) fn is_published(&self, name: &str) -> bool {
        self.published.iter().any(|each| each == name)
    }

    /// An event was published.
    pub(super) fn published(&mut self, name: String) {
        self.published.push_back(name);
        if self.published.len() > REMEMBERED_MAX {
            self.published.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: (&str, &str) = ("Role", "a");

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_object_is_applied_once_and_again_when_it_should_be_otherwise_or_somebody_changes_it() {
        let mut memory = Memory::default();
        assert_eq!(memory.needs(ROLE, 1, (true, Some(7)), at(0)), Need::Now, "a new process");
        memory.applied(ROLE, 1, (Some(7), 8), at(0));
        assert_eq!(memory.needs(ROLE, 1, (true, Some(8)), at(1)), Need::No);
        assert_eq!(memory.needs(ROLE, 2, (true, Some(8)), at(1)), Need::Now, "another content");
        assert_eq!(memory.needs(ROLE, 1, (true, Some(9)), at(1)), Need::Now, "changed");
        assert_eq!(memory.needs(ROLE, 1, (true, None), at(1)), Need::Now, "deleted");
        assert_eq!(memory.needs(("Role", "b"), 1, (true, Some(8)), at(1)), Need::Now);
        memory.deleted(ROLE);
        assert_eq!(memory.needs(ROLE, 1, (true, Some(8)), at(1)), Need::Now);
    }

    #[test]
    fn a_watch_that_does_not_show_yet_what_was_applied_is_waited_for() {
        let mut memory = Memory::default();
        memory.applied(ROLE, 1, (None, 8), at(0));
        assert_eq!(memory.needs(ROLE, 1, (true, None), at(1)), Need::At(at(10)));
        assert_eq!(memory.needs(ROLE, 1, (true, None), at(10)), Need::Now, "it was deleted");
        assert_eq!(memory.needs(ROLE, 1, (false, None), at(99)), Need::No, "nobody would see it");
        memory.shown(|_, _| Some(8));
        assert_eq!(memory.needs(ROLE, 1, (true, None), at(1)), Need::Now, "it was there meanwhile");
    }

    #[test]
    fn a_request_without_effect_is_repeated_less_and_less_often() {
        let mut memory = Memory::default();
        assert_eq!(memory.needs_request("rescale", at(0)), Need::Now);
        memory.sent("rescale".to_owned(), at(0));
        assert_eq!(memory.needs_request("rescale", at(29)), Need::At(at(30)));
        memory.sent("rescale".to_owned(), at(30));
        assert_eq!(memory.needs_request("rescale", at(89)), Need::At(at(90)));
        for number in 0..1000u64 {
            memory.sent(number.to_string(), at(100 + number));
            memory.published(number.to_string());
        }
        assert_eq!((memory.sent.len(), memory.published.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(memory.is_published("999") && !memory.is_published("1"));
    }
}
