//! The loop: one owner of what was seen, of the queue, and of what is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use thalweg_core::clock::Clock;
use tokio::sync::{mpsc, watch as told};
use tokio::task::{Id, JoinError, JoinSet};

use super::cache::{Cache, Change, Source};
use super::memory::Memory;
use super::queue::{Key, Queue};
use super::reconcile::{Context, reconcile};
use super::{ReconcileError, watch};
use crate::server::{Health, Metrics};

/// The pauses after failures that mend themselves: the shortest, the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));
/// The pause after one that somebody has to mend.
const LONG_PAUSE: Duration = Duration::from_secs(300);
/// The longest that one look at an application may take, requests and all.
const LOOK_SECONDS_MAX: u64 = 120;
/// How often the loop shows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long what is under way has to end when the process is told to.
const DRAIN: Duration = Duration::from_secs(10);
/// How many changes may wait for the loop.
const CHANGES_MAX: usize = 256;

/// What is reconciled, and when.
#[derive(Debug)]
pub struct Options {
    /// Only these namespaces; none: all.
    pub namespaces: Vec<String>,
    /// Whether this process leads.
    pub leading: told::Receiver<bool>,
    /// Turns true when the process is to end.
    pub stop: told::Receiver<bool>,
}

/// Reconciles all resources, until the process is told to end.
pub async fn run(
    client: Client,
    options: Options,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    health: Arc<Health>,
) {
    let Options { namespaces, mut leading, mut stop } = options;
    let (to, mut changes) = mpsc::channel::<(Source, Change)>(CHANGES_MAX);
    let _watches = watch::start(&client, &namespaces, &to);
    let context = Arc::new(Context { client, clock: Arc::clone(&clock) });
    let mut owner = Owner {
        cache: Cache::new(&namespaces),
        queue: Queue::default(),
        memories: BTreeMap::new(),
        tasks: JoinSet::new(),
        keys: BTreeMap::new(),
        context,
        metrics,
        leads: *leading.borrow_and_update(),
        ready: false,
    };
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        let now = clock.elapsed();
        owner.start(now);
        let next = owner.queue.next_at().filter(|_| owner.works());
        let pause = next.map_or(HEARTBEAT, |at| at.saturating_sub(now).min(HEARTBEAT));
        tokio::select! {
            Some((source, change)) = changes.recv() => {
                owner.change(source, change, clock.elapsed());
            }
            Some(outcome) = owner.tasks.join_next_with_id() => {
                owner.done(outcome, clock.elapsed());
            }
            Ok(()) = leading.changed() => {
                let leads = *leading.borrow_and_update();
                owner.lead(leads, clock.elapsed());
            }
            _ = heartbeat.tick() => owner.show(&health, clock.elapsed()),
            () = tokio::time::sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    // What is under way is ended properly; what isn't, the next operator does.
    let drained = async { while owner.tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("what is under way doesn't end within {DRAIN:?}");
    }
}

type Outcome = (Memory, Result<Option<Duration>, ReconcileError>, Duration);

struct Owner {
    cache: Cache,
    queue: Queue,
    memories: BTreeMap<Key, Memory>,
    tasks: JoinSet<Outcome>,
    keys: BTreeMap<Id, Key>,
    context: Arc<Context>,
    metrics: Metrics,
    leads: bool,
    /// Everything was read once.
    ready: bool,
}

impl Owner {
    fn works(&self) -> bool {
        self.leads && self.ready
    }

    /// Starts looking at whoever's turn it is.
    fn start(&mut self, now: Duration) {
        while self.works()
            && let Some(key) = self.queue.start(now)
        {
            let Some(items) = self.cache.items(&key).cloned() else {
                self.queue.done(&key, None);
                self.forget(&key);
                continue;
            };
            let mut memory = self.memories.remove(&key).unwrap_or_default();
            let context = Arc::clone(&self.context);
            let of = key.clone();
            let task = self.tasks.spawn(async move {
                let begun = context.clock.elapsed();
                let look = reconcile(&context, &of, &items, &mut memory);
                let in_time = Duration::from_secs(LOOK_SECONDS_MAX);
                let outcome = tokio::time::timeout(in_time, look)
                    .await
                    .unwrap_or(Err(ReconcileError::TooSlow(LOOK_SECONDS_MAX)));
                (memory, outcome, context.clock.elapsed().saturating_sub(begun))
            });
            self.keys.insert(task.id(), key);
        }
    }

    fn done(&mut self, outcome: Result<(Id, Outcome), JoinError>, now: Duration) {
        let (id, outcome) = match outcome {
            Ok((id, outcome)) => (id, Ok(outcome)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(key) = self.keys.remove(&id) else { return };
        let again = match outcome {
            Ok((mut memory, Ok(again), took)) => {
                self.metrics.reconciled("success", took);
                memory.failures = 0;
                self.memories.insert(key.clone(), memory);
                again
            }
            Ok((mut memory, Err(error), took)) => {
                self.metrics.reconciled("error", took);
                let pause = pause(&error, memory.failures);
                memory.failures = memory.failures.saturating_add(1);
                self.memories.insert(key.clone(), memory);
                tracing::warn!(application = ?key, %error, ?pause, "not reconciled, tried again");
                Some(pause)
            }
            Err(error) => {
                // A bug: the others go on, and what was remembered of this one is lost.
                self.metrics.reconciled("panic", Duration::ZERO);
                tracing::error!(application = ?key, %error, "looking at an application has failed");
                Some(LONG_PAUSE)
            }
        };
        self.queue.done(&key, again.map(|again| now + again));
        if self.cache.items(&key).is_none() {
            self.forget(&key);
        }
    }

    fn change(&mut self, source: Source, change: Change, now: Duration) {
        let touched = self.cache.change(source, change);
        if !self.ready && self.cache.missing().is_empty() {
            self.ready = true;
            tracing::info!("all resources are read");
            self.all_due(now);
        }
        if self.works() {
            for key in touched {
                self.queue.due(key, now);
            }
        }
    }

    fn lead(&mut self, leads: bool, now: Duration) {
        self.leads = leads;
        self.all_due(now);
    }

    fn all_due(&mut self, now: Duration) {
        if self.works() {
            for key in self.cache.keys() {
                self.queue.due(key.clone(), now);
            }
        }
    }

    fn forget(&mut self, key: &Key) {
        self.queue.forget(key);
        self.memories.remove(key);
    }

    /// What metrics and probes tell.
    fn show(&self, health: &Health, now: Duration) {
        let missing: Vec<String> =
            self.cache.missing().iter().map(|(kind, _)| kind.to_string()).collect();
        health.beat(now, self.queue.longest(), missing);
        self.metrics.leads(self.leads);
        self.metrics.queued(self.queue.late(now));
        let mut states: BTreeMap<&str, i64> = BTreeMap::new();
        for (_, guarded) in self.cache.applications().filter(|_| self.leads) {
            let status = guarded.0.as_ref().ok().and_then(|each| each.status.as_ref());
            let state = status.and_then(|status| status.phase.as_deref());
            *states.entry(state.unwrap_or("Unknown")).or_default() += 1;
        }
        self.metrics.applications(&states);
    }
}

fn pause(error: &ReconcileError, failures: u32) -> Duration {
    let (shortest, longest) = PAUSE;
    match error.is_lasting() {
        true => LONG_PAUSE,
        false => (shortest * 2u32.saturating_pow(failures.min(16))).min(longest),
    }
}
