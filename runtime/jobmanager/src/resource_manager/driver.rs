//! Who starts TaskManagers, behind a trait: nobody (standalone: they are started by hand), this
//! process (local), or Kubernetes. Not here: how many are needed; the ResourceManager says so.

use std::fmt::Debug;

use thalweg_core::ids::{Epoch, TaskManagerId};
use tokio::sync::mpsc;

use crate::endpoint::mail::Mail;

/// What the TaskManagers that a driver starts are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerOptions {
    /// How many slots each has; at least 1.
    pub slots: u32,
    /// How many are to wait without work, so that the loss of one costs no start of another.
    pub spare: u32,
    /// Whether those that nobody uses are ended.
    pub released: bool,
}

/// Starts and ends TaskManagers. Called from the JobManager's loop: it must not block; whatever
/// takes time is started and shows itself by a registration or by none.
pub trait ResourceManagerDriver: Debug + Send {
    /// What its TaskManagers are like; None: it starts none.
    fn workers(&self) -> Option<WorkerOptions>;
    /// This many are needed altogether, those that have registered included. Told again with every
    /// change; what is missing is started, and started again if it doesn't come.
    fn require_workers(&mut self, total: u32);
    /// One has registered, or its registration is over.
    fn worker_changed(&mut self, _id: &TaskManagerId, _registered: bool) {}
    /// One that has registered is about to go, by its own word: it counts no more among those that
    /// there are, and ends by itself.
    fn worker_leaving(&mut self, _id: &TaskManagerId) {}
    /// Ends one that isn't used any more. No slot of it is given away after that.
    fn release_worker(&mut self, id: &TaskManagerId);
    /// The JobManager doesn't lead and wants workers all the same, to have them ready: where to say
    /// what becomes of them. May be called again, and [`started`](Self::started) after it: nothing
    /// that was required before counts then, and workers that there are are taken over.
    fn prepares(&mut self, _events: WorkerEvents) {}
    /// Called once, when the JobManager leads in this term: where to say what becomes of workers.
    fn started(&mut self, _events: WorkerEvents, _epoch: Epoch) {}
}

/// What a driver knows of a TaskManager before its connection shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerEvent {
    /// Its process has ended, or never comes: why, for people.
    Gone(String),
    /// It is about to be ended from outside: it gets no more slots, and its tasks are moved to
    /// another one, which is required at once.
    Leaving(String),
}

/// Where a driver says what it knows. Kept by it as long as it likes: it doesn't keep the
/// JobManager running.
#[derive(Debug, Clone)]
pub struct WorkerEvents(mpsc::WeakSender<Mail>);

impl WorkerEvents {
    pub(crate) fn new(mailbox: mpsc::WeakSender<Mail>) -> Self {
        Self(mailbox)
    }

    /// Tells the JobManager; false if it has ended.
    pub async fn tell(&self, id: TaskManagerId, event: WorkerEvent) -> bool {
        let Some(mailbox) = self.0.upgrade() else { return false };
        mailbox.send(Mail::Worker(id, event)).await.is_ok()
    }
}

/// TaskManagers are started by hand, or by whatever started this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct StandaloneDriver;

impl ResourceManagerDriver for StandaloneDriver {
    fn workers(&self) -> Option<WorkerOptions> {
        None
    }

    fn require_workers(&mut self, _total: u32) {}

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
        Self { slots: slots.max(1), started: 0, start: Box::new(start) }
    }
}

impl Debug for LocalDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalDriver({} started, {} slots each)", self.started, self.slots)
    }
}

impl ResourceManagerDriver for LocalDriver {
    fn workers(&self) -> Option<WorkerOptions> {
        Some(WorkerOptions { slots: self.slots, spare: 0, released: false })
    }

    fn require_workers(&mut self, total: u32) {
        while self.started < total {
            (self.start)(self.started);
            self.started += 1;
        }
    }

    fn release_worker(&mut self, _id: &TaskManagerId) {}
}
