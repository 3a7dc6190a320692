//! Decides which pods to make and to delete, and what to tell the ResourceManager. Pure: pods as
//! they were observed, what is required, and the process's clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Backoff, PodFacts, PodTimes};

/// How long a pod that was made may be missing from what is observed: the watch lags.
const OBSERVED_WITHIN: Duration = Duration::from_secs(30);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodAction {
    /// Make a pod of this name. Answered by [`PodPlanner::made`].
    Create(String),
    /// Delete the pod with this name and uid.
    Delete {
        /// Its name.
        name: String,
        /// Its uid: another one of that name isn't meant.
        uid: String,
        /// Why, for people.
        why: String,
    },
    /// The TaskManager in this pod is gone: why.
    Gone(String, String),
    /// The pod of this TaskManager is being deleted: why.
    Leaving(String, String),
}

#[derive(Debug, Clone)]
struct Known {
    facts: PodFacts,
    since: Duration,
    ended: Option<Duration>,
    registered: bool,
    told_leaving: bool,
    /// Its TaskManager is about to go, by its own word.
    leaving: bool,
    /// It was asked to be deleted; asked again if it is still there later.
    deleted: Option<Duration>,
}

impl Known {
    /// Whether a TaskManager is in it, and stays, or comes.
    fn lives(&self) -> bool {
        let ends = self.facts.deleting || self.leaving || self.deleted.is_some();
        !self.facts.phase.has_ended() && !ends
    }
}

/// The pods of one leader.
#[derive(Debug, Clone)]
pub struct PodPlanner {
    /// Names begin with it; another one for each leader, so that names are never used twice.
    prefix: String,
    times: PodTimes,
    required: usize,
    pods: BTreeMap<String, Known>,
    /// Made, or being made, and not observed yet; since when.
    made: BTreeMap<String, Duration>,
    /// TaskManagers that have registered, pods or not.
    registered: BTreeSet<String>,
    next: u32,
    backoff: Backoff,
    surplus_since: Option<Duration>,
    /// Nothing is made before all pods were observed once.
    observed: bool,
    /// Pods are to be ready for a leader that comes: see [`preparing`](PodPlanner::preparing).
    preparing: bool,
}

impl PodPlanner {
    /// One that has observed nothing.
    pub fn new(prefix: String, times: PodTimes) -> Self {
        Self {
            prefix,
            times,
            required: 0,
            pods: BTreeMap::new(),
            made: BTreeMap::new(),
            registered: BTreeSet::new(),
            next: 0,
            backoff: Backoff::default(),
            surplus_since: None,
            observed: false,
            preparing: false,
        }
    }

    /// Of a JobManager that doesn't lead: TaskManagers in pods that others have made don't find
    /// it, so these are deleted and not taken over.
    #[must_use]
    pub fn preparing(self) -> Self {
        Self { preparing: true, ..self }
    }

    /// How many TaskManagers are needed altogether.
    pub fn require(&mut self, total: usize, now: Duration) -> Vec<PodAction> {
        self.required = total;
        self.tick(now)
    }

    /// A TaskManager has registered, or its registration is over.
    pub fn registration(&mut self, name: &str, registered: bool, now: Duration) -> Vec<PodAction> {
        if registered {
            self.registered.insert(name.to_owned());
            self.backoff.succeeded();
        } else {
            self.registered.remove(name);
        }
        if let Some(known) = self.pods.get_mut(name) {
            known.registered |= registered;
            // One that lost its connection has as long to come back as a new one.
            known.since = now;
        }
        self.tick(now)
    }

    /// A TaskManager isn't needed any more.
    pub fn release(&mut self, name: &str, now: Duration) -> Vec<PodAction> {
        let mut actions = Vec::new();
        if let Some(known) = self.pods.get_mut(name) {
            delete(known, "no job has used it for the idle time-out", now, &mut actions);
        }
        actions.extend(self.tick(now));
        actions
    }

    /// A TaskManager is about to go, and ends by itself: another one is made in its place.
    pub fn leaving(&mut self, name: &str, now: Duration) -> Vec<PodAction> {
        if let Some(known) = self.pods.get_mut(name) {
            // The JobManager knows it already.
            (known.leaving, known.told_leaving) = (true, true);
        }
        self.tick(now)
    }

    /// What became of making a pod.
    pub fn made(&mut self, name: &str, done: bool, now: Duration) -> Vec<PodAction> {
        if !done {
            self.made.remove(name);
            self.backoff.failed(now);
        }
        self.tick(now)
    }

    /// All pods of this revision, as they are now:
    ///
    /// 1. One that is new is remembered, whoever made it: a predecessor's are taken over.
    /// 2. One that has ended, or isn't there any more, had a TaskManager that is gone.
    /// 3. One that is being deleted, and not from here, has a TaskManager that is about to go.
    pub fn observe(&mut self, pods: Vec<PodFacts>, now: Duration) -> Vec<PodAction> {
        self.observed = true;
        let mut actions = Vec::new();
        let mut before = std::mem::take(&mut self.pods);
        for facts in pods {
            self.made.remove(&facts.name);
            let name = facts.name.clone();
            let known = before.remove(&name).filter(|known| known.facts.uid == facts.uid);
            let registered = self.registered.contains(&name);
            let mut known = known.unwrap_or_else(|| Known {
                facts: facts.clone(),
                since: now,
                ended: None,
                registered,
                told_leaving: false,
                leaving: false,
                deleted: None,
            });
            known.facts = facts;
            self.changed(&mut known, now, &mut actions);
            self.pods.insert(name, known);
        }
        for (name, known) in before {
            if known.ended.is_none() {
                let why = "its pod was deleted".to_owned();
                actions.push(PodAction::Gone(name, why));
            }
        }
        actions.extend(self.tick(now));
        actions
    }

    fn changed(&mut self, known: &mut Known, now: Duration, actions: &mut Vec<PodAction>) {
        let name = &known.facts.name;
        let problem = known.facts.problem.clone();
        if known.facts.phase.has_ended() {
            if known.ended.is_none() {
                known.ended = Some(now);
                let asked_to = known.deleted.is_some() || known.facts.deleting;
                if !known.registered && !asked_to {
                    self.backoff.failed(now);
                }
                let why = problem.unwrap_or_else(|| "its process has ended".to_owned());
                actions.push(PodAction::Gone(name.clone(), format!("its pod ended: {why}")));
            }
        } else if known.facts.deleting && known.deleted.is_none() && !known.told_leaving {
            known.told_leaving = true;
            let why = "its pod is being deleted".to_owned();
            actions.push(PodAction::Leaving(name.clone(), why));
        }
    }

    /// Time has passed, or something has changed. While it is only preparing, pods of others are
    /// deleted. Then:
    ///
    /// 1. A pod whose TaskManager hasn't registered in time is deleted; another one follows.
    /// 2. Pods that have ended are deleted; the last failed one stays for a while.
    /// 3. Pods that are missing are made, after a pause if the last ones failed.
    /// 4. Pods that aren't needed and haven't registered go after the idle time-out, the newest
    ///    first. Those that have registered are the ResourceManager's to release.
    pub fn tick(&mut self, now: Duration) -> Vec<PodAction> {
        let mut actions = Vec::new();
        if !self.observed {
            return actions;
        }
        self.made.retain(|_, since| now < *since + OBSERVED_WITHIN);
        for known in self.pods.values_mut().filter(|known| known.deleted.is_some()) {
            delete(known, "it was to be deleted and is still there", now, &mut actions);
        }
        self.delete_foreign(now, &mut actions);
        self.delete_late(now, &mut actions);
        self.delete_ended(now, &mut actions);
        let there = self.pods.values().filter(|known| known.lives()).count() + self.made.len();
        if there <= self.required {
            self.surplus_since = None;
        }
        if there < self.required && self.backoff.until(now).is_none() {
            for _ in there..self.required {
                let name = format!("{}-{}", self.prefix, self.next);
                self.next += 1;
                self.made.insert(name.clone(), now);
                actions.push(PodAction::Create(name));
            }
        }
        if there > self.required {
            self.delete_surplus(there - self.required, now, &mut actions);
        }
        actions
    }

    fn delete_foreign(&mut self, now: Duration, actions: &mut Vec<PodAction>) {
        if !self.preparing {
            return;
        }
        let own = format!("{}-", self.prefix);
        for (_, known) in self.pods.iter_mut().filter(|(name, _)| !name.starts_with(&own)) {
            let why = "the JobManager that made it ready for its turn is gone";
            delete(known, why, now, actions);
        }
    }

    fn delete_late(&mut self, now: Duration, actions: &mut Vec<PodAction>) {
        let timeout = self.times.start_timeout;
        let registered = &self.registered;
        let waiting = self.pods.iter_mut().filter(|(name, known)| {
            known.lives() && !registered.contains(*name) && now >= known.since + timeout
        });
        for (_, known) in waiting {
            let problem = known.facts.problem.clone();
            let problem = problem.unwrap_or_else(|| "no reason is known".to_owned());
            let why = format!("it hasn't registered within {timeout:?}: {problem}");
            delete(known, &why, now, actions);
            self.backoff.failed(now);
        }
    }

    fn delete_ended(&mut self, now: Duration, actions: &mut Vec<PodAction>) {
        let failed = |known: &Known| known.facts.phase == super::PodPhase::Failed;
        let last = self.pods.values().filter(|known| failed(known)).max_by_key(|k| k.ended);
        let last = last.map(|known| known.facts.name.clone());
        let retention = self.times.failed_retention;
        for (name, known) in &mut self.pods {
            let Some(ended) = known.ended else { continue };
            if Some(name) != last.as_ref() || now >= ended + retention {
                delete(known, "it has ended", now, actions);
            }
        }
    }

    fn delete_surplus(&mut self, surplus: usize, now: Duration, actions: &mut Vec<PodAction>) {
        let since = *self.surplus_since.get_or_insert(now);
        if now < since + self.times.idle_timeout {
            return;
        }
        let registered = &self.registered;
        let unused = self.pods.iter_mut().filter(|(n, k)| k.lives() && !registered.contains(*n));
        let mut unused: Vec<&mut Known> = unused.map(|(_, known)| known).collect();
        unused.sort_by_key(|known| std::cmp::Reverse(known.since));
        for known in unused.into_iter().take(surplus) {
            delete(known, "it isn't needed", now, actions);
        }
    }

    /// How many are required, and how many there are whose TaskManagers haven't registered.
    pub fn counts(&self) -> (usize, usize) {
        let pending = self
            .pods
            .iter()
            .filter(|(name, known)| known.lives() && !self.registered.contains(*name));
        (self.required, pending.count() + self.made.len())
    }

    /// When something is to be decided if nothing happens before.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        let late = self
            .pods
            .iter()
            .filter(|(name, known)| known.lives() && !self.registered.contains(*name));
        let late = late.map(|(_, known)| known.since + self.times.start_timeout);
        let ended = self.pods.values().filter(|known| known.deleted.is_none());
        let ended = ended.filter_map(|known| Some(known.ended? + self.times.failed_retention));
        let asked = self.pods.values().filter_map(|known| Some(known.deleted? + ASK_AGAIN));
        let made = self.made.values().map(|since| *since + OBSERVED_WITHIN);
        let surplus = self.surplus_since.map(|since| since + self.times.idle_timeout);
        let all = late.chain(ended).chain(asked).chain(made);
        all.chain(surplus).chain(self.backoff.until(now)).filter(|at| *at > now).min()
    }
}

/// After how long the deletion of a pod that is still there, and not being deleted, is asked for
/// again: the request may have been lost.
const ASK_AGAIN: Duration = Duration::from_secs(10);

fn delete(known: &mut Known, why: &str, now: Duration, actions: &mut Vec<PodAction>) {
    let lately = known.deleted.is_some_and(|asked| now < asked + ASK_AGAIN);
    if lately || known.facts.deleting {
        return;
    }
    known.deleted = Some(now);
    let (name, uid) = (known.facts.name.clone(), known.facts.uid.clone());
    actions.push(PodAction::Delete { name, uid, why: why.to_owned() });
}
