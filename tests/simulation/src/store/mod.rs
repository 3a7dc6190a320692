//! The durable store that all hosts share, with faults: errors, delay, writes that were done
//! although an error says otherwise, listings that are old, hosts that can't reach it or that die
//! or stand still in the middle of a request. What it makes of that is in [`history`].

pub mod history;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use thalweg_core::ids::{CheckpointId, Epoch};
use thalweg_storage::blob::{BlobErrorKind, BlobFuture};
use thalweg_storage::log::WriterId;
use thalweg_storage::{BlobError, BlobPath, BlobStore, MemoryStore, PutOutcome};

use crate::capture::{CLUSTER_ID, the_job};
use crate::dice::Dice;
use crate::faults::times;
use crate::plan::{HighAvailability, Plan, StoreFaults};
use crate::trace::Trace;
use history::{History, User};

/// Between two looks at whether a host goes on.
const LOOK: Duration = Duration::from_millis(10);

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Failed,
    DoneButFailed,
    /// Nothing was done, and who asked dies.
    Dies,
    /// It was done, and who asked dies.
    DoneAndDies,
}

impl Fate {
    fn is_done(self) -> bool {
        !matches!(self, Self::Failed | Self::Dies)
    }
}

/// What happens to a host because of a step of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incident {
    /// It dies.
    Death(String),
    /// It stands still for a while.
    Pause(String, Duration),
}

#[derive(Default)]
struct Books {
    /// Steps of TaskManagers, and of JobManagers with high availability.
    steps: (u64, u64),
    incidents: Vec<Incident>,
    /// Hosts that stand still.
    paused: BTreeSet<String>,
    /// Hosts that can't reach the store; true: their requests are never done.
    cut_off: BTreeMap<String, bool>,
    /// Requests that are under way.
    under_way: u64,
    /// The object that vanished.
    lost: Option<BlobPath>,
}

/// The store. Clones are the same one.
#[derive(Clone)]
pub struct FaultyStore {
    blobs: MemoryStore,
    books: Arc<Mutex<Books>>,
    history: Arc<Mutex<History>>,
    dice: Arc<Mutex<Dice>>,
    faults: StoreFaults,
    crash_at: Option<(u64, bool)>,
    leaders: Option<HighAvailability>,
    outages: Arc<Vec<Range<Duration>>>,
    heal_at: Duration,
    user: User,
    trace: Trace,
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultyStore")
    }
}

impl FaultyStore {
    /// An empty one.
    pub fn new(plan: &Plan, trace: Trace) -> Self {
        let Plan { seed, store: faults, heal_at, crash_at, .. } = *plan;
        let mut dice = Dice::new(seed, "outages");
        let from = times(faults.outage, heal_at, &mut dice);
        let outages = from.into_iter().map(|at| at..at + dice.millis(100..faults.outage_ms));
        let leaders = plan.high_availability.clone();
        let retained = leaders.as_ref().map_or(1, |leaders| leaders.retained as usize);
        let history = History::new(the_job(), CLUSTER_ID, leaders.is_some(), retained);
        Self {
            blobs: MemoryStore::new(),
            books: Arc::default(),
            history: Arc::new(Mutex::new(history)),
            dice: Arc::new(Mutex::new(Dice::new(seed, "store"))),
            faults,
            crash_at,
            leaders,
            outages: Arc::new(outages.collect()),
            heal_at,
            user: User::default(),
            trace,
        }
    }

    /// The same store, as this host uses it; `life` is that of a JobManager.
    pub fn on(&self, host: &str, life: Option<WriterId>) -> Self {
        Self { user: User { host: host.to_owned(), life }, ..self.clone() }
    }

    /// How many steps TaskManagers, and JobManagers with high availability, have made in it.
    pub fn steps(&self) -> (u64, u64) {
        self.books.lock().steps
    }

    /// What happens to hosts now.
    pub fn take_incidents(&self) -> Vec<Incident> {
        std::mem::take(&mut self.books.lock().incidents)
    }

    /// The host stands still, or goes on.
    pub fn pause(&self, host: &str, stands_still: bool) {
        let mut books = self.books.lock();
        if stands_still {
            books.paused.insert(host.to_owned());
        } else {
            books.paused.remove(host);
        }
    }

    /// The host can't reach the store any more; `wholly`: none of its requests is done.
    pub fn cut_off(&self, host: &str, wholly: bool) {
        self.books.lock().cut_off.insert(host.to_owned(), wholly);
    }

    /// The host reaches the store again.
    pub fn reach(&self, host: &str) {
        self.books.lock().cut_off.remove(host);
    }

    /// Whether no request is under way.
    pub fn is_quiet(&self) -> bool {
        self.books.lock().under_way == 0
    }

    /// Objects that nothing refers to, and those that something refers to and that aren't there.
    pub fn orphans_and_missing(&self) -> (Vec<String>, Vec<String>) {
        self.history.lock().orphans_and_missing()
    }

    /// The highest checkpoint that was ever published.
    pub fn highest_published(&self) -> Option<CheckpointId> {
        self.history.lock().highest_published()
    }

    /// Whether the leader itself has published this checkpoint.
    pub fn leader_has_published(&self, id: CheckpointId) -> bool {
        self.history.lock().leader_has_published(id)
    }

    /// Who leads the job.
    pub fn leader(&self) -> Option<WriterId> {
        self.history.lock().leader()
    }

    /// Whether tasks of this epoch are the leader's.
    pub fn leads(&self, epoch: Epoch) -> bool {
        self.history.lock().leads(epoch)
    }

    /// How often the cluster and the job were claimed, and how many leaders saw that they were
    /// fenced.
    pub fn takeovers(&self) -> (u64, u64, u64) {
        let history = self.history.lock();
        let (cluster, job) = history.claims();
        (cluster, job, history.fenced())
    }

    /// What was done to it that must never be.
    pub fn violation(&self) -> Option<String> {
        self.history.lock().violation()
    }

    /// Loses an object that the last published checkpoint refers to; says which, if there is one.
    pub fn lose_an_object(&self) -> Option<BlobPath> {
        let mut history = self.history.lock();
        let path = history.needed_object()?;
        history.vanished(&path);
        // In memory it is done at once.
        self.blobs.delete(&path).now_or_never()?.ok()?;
        self.books.lock().lost = Some(path.clone());
        Some(path)
    }

    /// The object that vanished, if one did.
    pub fn lost(&self) -> Option<String> {
        self.books.lock().lost.as_ref().map(ToString::to_string)
    }

    /// What the step that begins now brings to its host. Gives the fate of one who dies in it, and
    /// whether the host stands still once the step is done.
    fn incident(&self) -> (Option<Fate>, bool) {
        let host = &self.user.host;
        if host.is_empty() {
            return (None, false);
        }
        let leads = self.user.life.is_some();
        let mut books = self.books.lock();
        let step = if leads { &mut books.steps.1 } else { &mut books.steps.0 };
        *step += 1;
        let step = *step - 1;
        if turmoil::sim_elapsed().unwrap_or_default() >= self.heal_at {
            return (None, false);
        }
        let of_leaders = self.leaders.as_ref().filter(|_| leads);
        let crash = if leads { of_leaders.and_then(|l| l.crash_at) } else { self.crash_at };
        let crash = crash.filter(|(at, _)| *at == step);
        let fate = crash.map(|(_, done)| if done { Fate::DoneAndDies } else { Fate::Dies });
        let pause = of_leaders.and_then(|l| l.pause_at).filter(|(at, ..)| *at == step);
        if let Some((_, false, time)) = pause {
            books.paused.insert(host.clone());
            books.incidents.push(Incident::Pause(host.clone(), time));
        }
        (fate, pause.is_some_and(|(_, done, _)| done))
    }

    /// Waits while the host stands still.
    async fn gate(&self) {
        while self.books.lock().paused.contains(&self.user.host) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The end of a step: who dies in it gets no answer.
    async fn end(&self, step: &Step) {
        if matches!(step.fate, Fate::Dies | Fate::DoneAndDies) {
            let death = Incident::Death(self.user.host.clone());
            self.books.lock().incidents.push(death);
            std::future::pending::<()>().await;
        }
        let ill = turmoil::sim_elapsed().unwrap_or_default() < self.heal_at;
        if step.then_pause && ill {
            let leaders = self.leaders.as_ref().and_then(|l| l.pause_at);
            let time = leaders.map_or(Duration::ZERO, |(.., time)| time);
            let mut books = self.books.lock();
            books.paused.insert(self.user.host.clone());
            books.incidents.push(Incident::Pause(self.user.host.clone(), time));
        }
        self.gate().await;
    }

    async fn begin(&self, action: &'static str, path: &BlobPath) -> Step {
        let under_way = UnderWay::new(&self.books);
        let now = turmoil::sim_elapsed().unwrap_or_default();
        let (crash, then_pause) = self.incident();
        self.gate().await;
        let (delay, fate) = self.drawn(now);
        tokio::time::sleep(delay).await;
        self.gate().await;
        let fate = crash.unwrap_or(fate);
        let host = if self.user.host.is_empty() { "store" } else { &self.user.host };
        self.trace.event(host, format_args!("{action} {path}: {fate:?}"));
        Step { fate, then_pause, _under_way: under_way }
    }

    fn drawn(&self, now: Duration) -> (Duration, Fate) {
        let cut_off = self.books.lock().cut_off.get(&self.user.host).copied();
        let mut dice = self.dice.lock();
        if let Some(wholly) = cut_off {
            let done = !wholly && dice.chance(400);
            let fate = if done { Fate::DoneButFailed } else { Fate::Failed };
            return (dice.millis(200..1_000), fate);
        }
        if now >= self.heal_at {
            return (Duration::from_millis(1), Fate::Done);
        }
        let StoreFaults { fail, done_but_failed, slow, slow_ms, hang, .. } = self.faults;
        let slow = dice.chance(slow);
        let delay = if slow { dice.millis(1..slow_ms + 1) } else { dice.millis(0..10) };
        let fate = match (dice.chance(fail), dice.chance(done_but_failed)) {
            (true, _) => Fate::Failed,
            (_, true) => Fate::DoneButFailed,
            _ => Fate::Done,
        };
        let hangs = hang > 0 && dice.chance(hang);
        let delay = if hangs { self.heal_at.saturating_sub(now) } else { delay };
        let out = self.outages.iter().any(|outage| outage.contains(&now));
        (delay, if out { Fate::Failed } else { fate })
    }

    /// What a read gives: sometimes less than there is.
    fn read(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        if now < self.heal_at && self.faults.cut > 0 {
            let mut dice = self.dice.lock();
            if dice.chance(self.faults.cut) {
                let length = dice.within(0..bytes.len() as u64 + 1);
                bytes.truncate(length as usize);
                self.trace.event("store", format_args!("the answer is cut to {length} bytes"));
            }
        }
        bytes
    }

    fn wrote(&self, path: &BlobPath, bytes: &[u8]) {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        self.history.lock().wrote(path, bytes, &self.user, now);
    }

    /// What a listing says: sometimes what it would have said before, or less than there is.
    fn listing(&self, folder: &BlobPath) -> Vec<BlobPath> {
        let now = turmoil::sim_elapsed().unwrap_or_default();
        let mut dice = self.dice.lock();
        let stale = self.leaders.as_ref().map_or(0, |leaders| leaders.stale_lists);
        let stale = now < self.heal_at && stale > 0 && dice.chance(stale);
        let age = if stale { dice.millis(0..3_000) } else { Duration::ZERO };
        let mut names = self.history.lock().listed(folder, now, age);
        if stale {
            names.retain(|_| !dice.chance(300));
            self.trace.event("store", format_args!("a listing of {age:?} ago, {}", names.len()));
        }
        names
    }
}

/// A request under way.
struct Step {
    fate: Fate,
    /// Its host stands still before it hears the answer.
    then_pause: bool,
    _under_way: UnderWay,
}

impl Step {
    fn answer<T>(&self, answer: T, action: &'static str, path: &BlobPath) -> Result<T, BlobError> {
        if self.fate == Fate::Done { Ok(answer) } else { Err(failed(action, path)) }
    }
}

/// Counted as long as somebody waits for it.
struct UnderWay(Arc<Mutex<Books>>);

impl UnderWay {
    fn new(books: &Arc<Mutex<Books>>) -> Self {
        books.lock().under_way += 1;
        Self(Arc::clone(books))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
    }
}

fn failed(action: &'static str, path: &BlobPath) -> BlobError {
    BlobError {
        action,
        place: path.to_string(),
        kind: BlobErrorKind::Other,
        source: io::Error::new(io::ErrorKind::TimedOut, "injected"),
    }
}

impl BlobStore for FaultyStore {
    fn put<'s>(&'s self, path: &'s BlobPath, bytes: Vec<u8>) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            let step = self.begin("put", path).await;
            if step.fate.is_done() {
                self.wrote(path, &bytes);
                self.blobs.put(path, bytes).await?;
            }
            self.end(&step).await;
            step.answer((), "put", path)
        })
    }

    fn put_if_absent<'s>(
        &'s self,
        path: &'s BlobPath,
        bytes: Vec<u8>,
    ) -> BlobFuture<'s, PutOutcome> {
        Box::pin(async move {
            let step = self.begin("put-if-absent", path).await;
            let mut outcome = PutOutcome::Created;
            if step.fate.is_done() {
                if self.leaders.as_ref().is_some_and(|leaders| leaders.ignores_conditions) {
                    self.blobs.delete(path).await?;
                }
                outcome = self.blobs.put_if_absent(path, bytes.clone()).await?;
                if outcome == PutOutcome::Created {
                    self.wrote(path, &bytes);
                }
            }
            self.end(&step).await;
            step.answer(outcome, "put", path)
        })
    }

    fn get<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move {
            let step = self.begin("get", path).await;
            let read = self.blobs.get(path).await.map(|bytes| self.read(bytes));
            self.end(&step).await;
            step.answer((), "read", path)?;
            if let Ok(bytes) = &read {
                self.history.lock().read(path, bytes, &self.user);
            }
            read
        })
    }

    fn get_range<'s>(&'s self, path: &'s BlobPath, range: Range<u64>) -> BlobFuture<'s, Vec<u8>> {
        Box::pin(async move {
            let step = self.begin("get", path).await;
            let read = self.blobs.get_range(path, range).await;
            let read = read.map(|bytes| self.read(bytes));
            self.end(&step).await;
            step.answer((), "read", path)?;
            read
        })
    }

    fn list<'s>(&'s self, folder: &'s BlobPath) -> BlobFuture<'s, Vec<BlobPath>> {
        Box::pin(async move {
            if self.user.life.is_none() {
                // Without high availability the job isn't taken in without a list, and nobody
                // would start the JobManager again.
                return self.blobs.list(folder).await;
            }
            let step = self.begin("list", folder).await;
            let names = self.listing(folder);
            self.end(&step).await;
            step.answer(names, "list", folder)
        })
    }

    fn delete<'s>(&'s self, path: &'s BlobPath) -> BlobFuture<'s, ()> {
        Box::pin(async move {
            let step = self.begin("delete", path).await;
            if step.fate.is_done() {
                self.blobs.delete(path).await?;
                let now = turmoil::sim_elapsed().unwrap_or_default();
                self.history.lock().deleted(path, &self.user, now);
            }
            self.end(&step).await;
            step.answer((), "delete", path)
        })
    }
}
