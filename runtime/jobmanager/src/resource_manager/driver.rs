//! Who starts TaskManagers, behind a trait: nobody (standalone: they are started by hand), this
//! process (local), later Kubernetes. Not here: when one is needed; the ResourceManager says so.

use std::fmt::Debug;

use thalweg_core::ids::TaskManagerId;

/// Starts and ends TaskManagers. Called from the JobManager's loop: it must not block; whatever
/// takes time is started and shows itself by a registration or by none.
pub trait ResourceManagerDriver: Debug + Send {
    /// Whether it can start TaskManagers at all, and with how many slots each.
    fn slots_per_worker(&self) -> Option<u32>;
    /// Starts `count` more. Repeated as long as too few register.
    fn request_workers(&mut self, count: u32);
    /// Ends one that isn't used any more.
    fn release_worker(&mut self, id: &TaskManagerId);
}

/// TaskManagers are started by hand, or by whatever started this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct StandaloneDriver;

impl ResourceManagerDriver for StandaloneDriver {
    fn slots_per_worker(&self) -> Option<u32> {
        None
    }

    fn request_workers(&mut self, _count: u32) {}

    fn release_worker(&mut self, _id: &TaskManagerId) {}
}

/// Starts TaskManagers in this process by a function that is given one's number, from 0. They stay
/// until the process ends: they cost nothing while they wait.
pub struct LocalDriver {
    slots: u32,
    started: u32,
    start: Box<dyn FnMut(u32) + Send>,
}

impl LocalDriver {
    /// A driver whose TaskManagers have `slots` slots each.
    pub fn new(slots: u32, start: impl FnMut(u32) + Send + 'static) -> Self {
        Self { slots, started: 0, start: Box::new(start) }
    }
}

impl Debug for LocalDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalDriver({} started, {} slots each)", self.started, self.slots)
    }
}

impl ResourceManagerDriver for LocalDriver {
    fn slots_per_worker(&self) -> Option<u32> {
        Some(self.slots)
    }

    fn request_workers(&mut self, count: u32) {
        for _ in 0..count {
            (self.start)(self.started);
            self.started += 1;
        }
    }

    fn release_worker(&mut self, _id: &TaskManagerId) {}
}
