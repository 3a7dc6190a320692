//! In the simulation: all tasks of a TaskManager in one loop on the current runtime, stepped in an
//! order that a seed decides. The same seed, the same order.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thalweg_core::Clock;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::{SpawnError, TaskDriver, TaskWaker, Work};
use crate::task::{Step, Task};

/// Steps tasks in seeded order; work that may block runs on the same runtime.
pub struct CooperativeDriver {
    shared: Arc<Shared>,
    runtime: Handle,
}

struct Shared {
    clock: Arc<dyn Clock>,
    spawned: Mutex<Vec<Entry>>,
    notify: Arc<Notify>,
}

/// Sees every step, and says how long it took: otherwise work takes no time in a simulation, and
/// nobody is ever slow.
pub trait Pace: Send + Sync {
    /// The task of this name was stepped. It isn't stepped again before the time given is over.
    fn stepped(&self, task: &str, step: Step) -> Duration;
}

struct Entry {
    name: String,
    task: Task,
    waker: Arc<TaskWaker>,
    state: State,
    busy_until: Duration,
}

#[derive(Clone, Copy)]
enum State {
    Ready,
    Blocked(Option<Duration>),
}

impl Entry {
    fn is_ready(&self, now: Duration) -> bool {
        self.ready_at().is_some_and(|at| at <= now)
    }

    /// When it can be stepped; None: only once it is woken.
    fn ready_at(&self) -> Option<Duration> {
        let at = match self.state {
            State::Ready => Duration::ZERO,
            State::Blocked(_) if self.waker.is_woken() => Duration::ZERO,
            State::Blocked(until) => until?,
        };
        Some(at.max(self.busy_until))
    }
}

impl CooperativeDriver {
    /// A driver whose loop runs on `runtime`, which should have one thread, until the driver is
    /// dropped. `clock` is the one that the tasks read, and goes with the runtime's time.
    pub fn new(clock: Arc<dyn Clock>, seed: u64, runtime: &Handle) -> Self {
        Self::start(clock, seed, runtime, None)
    }

    /// One whose steps take as long as `pace` says.
    pub fn paced(clock: Arc<dyn Clock>, seed: u64, runtime: &Handle, pace: Arc<dyn Pace>) -> Self {
        Self::start(clock, seed, runtime, Some(pace))
    }

    fn start(
        clock: Arc<dyn Clock>,
        seed: u64,
        runtime: &Handle,
        pace: Option<Arc<dyn Pace>>,
    ) -> Self {
        let shared =
            Arc::new(Shared { clock, spawned: Mutex::default(), notify: Arc::new(Notify::new()) });
        runtime.spawn(run(Arc::downgrade(&shared), Arc::clone(&shared.notify), seed, pace));
        Self { shared, runtime: runtime.clone() }
    }
}

impl Drop for CooperativeDriver {
    fn drop(&mut self) {
        self.shared.notify.notify_one();
    }
}

impl TaskDriver for CooperativeDriver {
    fn spawn(&self, task: Task, waker: Arc<TaskWaker>) -> Result<(), SpawnError> {
        let notify = Arc::clone(&self.shared.notify);
        waker.connect(move || notify.notify_one());
        let entry = Entry {
            name: task.name(),
            task,
            waker,
            state: State::Ready,
            busy_until: Duration::ZERO,
        };
        self.shared.spawned.lock().push(entry);
        self.shared.notify.notify_one();
        Ok(())
    }

    fn run_aside(&self, work: Work) {
        self.runtime.spawn(work);
    }
}

impl std::fmt::Debug for CooperativeDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CooperativeDriver")
    }
}

async fn run(
    shared: std::sync::Weak<Shared>,
    notify: Arc<Notify>,
    seed: u64,
    pace: Option<Arc<dyn Pace>>,
) {
    let mut tasks: Vec<Entry> = Vec::new();
    let mut dice = Dice(seed);
    loop {
        let now = {
            let Some(shared) = shared.upgrade() else { return };
            tasks.append(&mut shared.spawned.lock());
            shared.clock.elapsed()
        };
        let ready = tasks.iter().filter(|entry| entry.is_ready(now)).count();
        if ready == 0 {
            let next = next_time(&tasks);
            wait(next, &notify, now).await;
            continue;
        }
        let chosen = dice.below(ready);
        let position = tasks.iter().enumerate().filter(|(_, entry)| entry.is_ready(now));
        let Some(at) = position.map(|(at, _)| at).nth(chosen) else { continue };
        let entry = &mut tasks[at];
        entry.waker.begin_step();
        let step = entry.task.step();
        if let Some(pace) = &pace {
            entry.busy_until = now + pace.stepped(&entry.name, step);
        }
        match step {
            Step::Ready => entry.state = State::Ready,
            Step::Blocked { until } => entry.state = State::Blocked(until),
            Step::Finished => {
                tasks.remove(at);
            }
        }
        tokio::task::yield_now().await;
    }
}

/// When the first task that waits for a time goes on.
fn next_time(tasks: &[Entry]) -> Option<Duration> {
    tasks.iter().filter_map(Entry::ready_at).min()
}

/// Waits for a wake-up or for that time.
async fn wait(until: Option<Duration>, notify: &Notify, now: Duration) {
    let Some(until) = until else { return notify.notified().await };
    // A runtime's timer counts in ms and may be early by less than one.
    let pause = until.saturating_sub(now).max(Duration::from_millis(1));
    tokio::select! {
        biased;
        () = notify.notified() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % bound.max(1) as u64) as usize
    }
}
