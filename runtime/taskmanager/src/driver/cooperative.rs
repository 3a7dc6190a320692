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

struct Entry {
    task: Task,
    waker: Arc<TaskWaker>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Ready,
    Blocked(Option<Duration>),
}

impl Entry {
    fn is_ready(&self, now: Duration) -> bool {
        match self.state {
            State::Ready => true,
            State::Blocked(until) => {
                self.waker.is_woken() || until.is_some_and(|until| until <= now)
            }
        }
    }
}

impl CooperativeDriver {
    /// A driver whose loop runs on `runtime`, which should have one thread, until the driver is
    /// dropped. `clock` is the one that the tasks read, and goes with the runtime's time.
    pub fn new(clock: Arc<dyn Clock>, seed: u64, runtime: &Handle) -> Self {
        let shared =
            Arc::new(Shared { clock, spawned: Mutex::default(), notify: Arc::new(Notify::new()) });
        runtime.spawn(run(Arc::downgrade(&shared), Arc::clone(&shared.notify), seed));
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
        self.shared.spawned.lock().push(Entry { task, waker, state: State::Ready });
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

async fn run(shared: std::sync::Weak<Shared>, notify: Arc<Notify>, seed: u64) {
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
        match entry.task.step() {
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
    let until = tasks.iter().filter_map(|entry| match entry.state {
        State::Blocked(until) => until,
        State::Ready => None,
    });
    until.min()
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
