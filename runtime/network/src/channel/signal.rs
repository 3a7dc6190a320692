//! How the two ends of channels tell the tasks that something has changed.
//!
//! Each gate and each writer has one signal, shared by all of its channels, so that looking at it
//! costs the same whatever their number.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::error::NetworkError;

/// Makes a task run again: in production unparks its thread, in the simulation marks it as ready.
/// May be called when nothing has changed, from any thread.
pub trait Wake: Send + Sync {
    /// Called after something has changed for the task.
    fn wake(&self);
}

impl<F: Fn() + Send + Sync> Wake for F {
    fn wake(&self) {
        self();
    }
}

/// A shared [`Wake`].
pub type Waker = Arc<dyn Wake>;

/// Tells a gate which of its channels have something.
pub(crate) struct GateSignal {
    shared: Mutex<GateShared>,
    waiting: AtomicBool,
    waker: Waker,
}

struct GateShared {
    ready: VecDeque<u32>,
    failure: Option<NetworkError>,
}

impl GateSignal {
    pub(crate) fn new(waker: Waker) -> Arc<Self> {
        let shared = Mutex::new(GateShared { ready: VecDeque::new(), failure: None });
        Arc::new(Self { shared, waiting: AtomicBool::new(false), waker })
    }

    /// The channel, which had nothing, has something now.
    pub(crate) fn ready(&self, channel: u32) {
        {
            let mut shared = self.shared.lock();
            shared.ready.push_back(channel);
            self.waiting.store(false, Ordering::Relaxed);
        }
        self.waker.wake();
    }

    /// A channel is broken. The first failure counts: later ones follow from it.
    pub(crate) fn fail(&self, error: NetworkError) {
        self.shared.lock().failure.get_or_insert(error);
        self.waker.wake();
    }

    /// Moves the channels that have become ready behind those in `into`.
    pub(crate) fn drain(&self, into: &mut VecDeque<u32>) -> Result<(), NetworkError> {
        let mut shared = self.shared.lock();
        if let Some(failure) = &shared.failure {
            return Err(failure.clone());
        }
        into.append(&mut shared.ready);
        Ok(())
    }

    /// Notes that the reader has nothing to do; false when something has come meanwhile.
    pub(crate) fn wait(&self) -> bool {
        let shared = self.shared.lock();
        let nothing = shared.ready.is_empty() && shared.failure.is_none();
        self.waiting.store(nothing, Ordering::Relaxed);
        nothing
    }

    /// Whether the reader has found nothing and nothing has come since.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Tells a writer whether all of its channels take more.
pub(crate) struct WriterSignal {
    blocked: AtomicUsize,
    failed: AtomicBool,
    failure: Mutex<Option<NetworkError>>,
    waker: Waker,
}

impl WriterSignal {
    pub(crate) fn new(waker: Waker) -> Arc<Self> {
        Arc::new(Self {
            blocked: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            waker,
        })
    }

    /// One more channel is full.
    pub(crate) fn block(&self) {
        self.blocked.fetch_add(1, Ordering::AcqRel);
    }

    /// One channel less is full.
    pub(crate) fn unblock(&self) {
        if self.blocked.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waker.wake();
        }
    }

    /// A channel is broken. The first failure counts.
    pub(crate) fn fail(&self, error: NetworkError) {
        self.failure.lock().get_or_insert(error);
        self.failed.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// The failure, if there was one.
    pub(crate) fn check(&self) -> Result<(), NetworkError> {
        if self.failed.load(Ordering::Acquire)
            && let Some(failure) = self.failure.lock().as_ref()
        {
            return Err(failure.clone());
        }
        Ok(())
    }

    /// Whether no channel is full. A broken writer is available, so that its task goes on to the
    /// error.
    pub(crate) fn is_available(&self) -> bool {
        self.blocked.load(Ordering::Acquire) == 0 || self.failed.load(Ordering::Acquire)
    }
}
