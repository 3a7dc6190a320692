//! How a task that blocks is told to go on.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

type Target = Box<dyn Fn() + Send + Sync>;

/// Wakes one task. It exists before the task does, since the task's channels are made with it; the
/// driver says later what waking means. Waking a task that works costs one atomic exchange.
#[derive(Default)]
pub struct TaskWaker {
    woken: AtomicBool,
    target: OnceLock<Target>,
}

impl TaskWaker {
    /// The waker of a task that wasn't started.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something has changed for the task.
    pub fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel)
            && let Some(target) = self.target.get()
        {
            target();
        }
    }

    /// Before a step: what is woken from now on concerns what comes after.
    pub(super) fn begin_step(&self) {
        // An exchange and not a store: it must see what was written before the wake-up.
        self.woken.swap(false, Ordering::AcqRel);
    }

    /// Whether it was woken since the step began.
    pub(super) fn is_woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }

    /// Says what waking means; the first call counts.
    pub(super) fn connect(&self, target: impl Fn() + Send + Sync + 'static) {
        // A task is given to one driver once.
        let _ = self.target.set(Box::new(target));
    }
}

impl std::fmt::Debug for TaskWaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskWaker").field("woken", &self.is_woken()).finish_non_exhaustive()
    }
}
