//! In production: one thread for each task, named after it.

use std::sync::Arc;
use std::thread;

use thalweg_core::Clock;
use tokio::runtime::Handle;

use super::{SpawnError, TaskDriver, TaskWaker, Work};
use crate::task::{Step, Task};

/// Runs each task on a thread of its own, and blocking work on the runtime's blocking threads.
#[derive(Debug)]
pub struct ThreadDriver {
    clock: Arc<dyn Clock>,
    runtime: Handle,
}

impl ThreadDriver {
    /// `clock` is the one that the tasks read.
    pub fn new(clock: Arc<dyn Clock>, runtime: Handle) -> Self {
        Self { clock, runtime }
    }
}

impl TaskDriver for ThreadDriver {
    fn spawn(&self, task: Task, waker: Arc<TaskWaker>) -> Result<(), SpawnError> {
        let name = task.name();
        let clock = Arc::clone(&self.clock);
        // A name with a zero byte, which user code may have given, isn't one for a thread.
        let thread = thread::Builder::new().name(name.replace('\0', " "));
        thread
            .spawn(move || drive(task, &waker, clock.as_ref()))
            .map(drop)
            .map_err(|source| SpawnError::Thread { task: name, source })
    }

    fn run_aside(&self, work: Work) {
        let runtime = self.runtime.clone();
        self.runtime.spawn_blocking(move || runtime.block_on(work));
    }
}

fn drive(mut task: Task, waker: &TaskWaker, clock: &dyn Clock) {
    let this = thread::current();
    waker.connect(move || this.unpark());
    loop {
        waker.begin_step();
        let until = match task.step() {
            Step::Ready => continue,
            Step::Blocked { until } => until,
            Step::Finished => return,
        };
        // A wake-up after this look leaves a token, and parking ends at once. Parking may also end
        // for no reason; then a step finds nothing to do.
        if waker.is_woken() {
            continue;
        }
        match until {
            None => thread::park(),
            Some(until) => thread::park_timeout(until.saturating_sub(clock.elapsed())),
        }
    }
}
