//! What a JobManager does before it leads: it waits for its turn, and while it is asked to, it
//! gets TaskManagers ready, so that the job which it will take over finds its slots at once. It
//! has no epoch then and runs no job; it writes nothing to any store and reports nothing. Not
//! here: whose turn it is, and who asks (the election's and Kubernetes').

use std::sync::Arc;

use thalweg_core::Clock;
use thalweg_core::ids::Epoch;
use thalweg_rpc::Acceptor;
use tokio::sync::{mpsc, watch};

use super::connections::{Connections, disconnection};
use super::mail::Mail;
use super::{JobManagerOptions, MAILBOX_MAX, log};
use crate::dispatcher::{Action, Dispatcher, DispatcherOptions, Event};
use crate::high_availability::{ElectionError, Leadership};
use crate::moment::Moment;
use crate::resource_manager::{
    ResourceManagerDriver, ResourceManagerOptions, WorkerEvents, WorkerOptions,
};

/// The term of one that prepares: below every leader's.
const NO_EPOCH: Epoch = Epoch(0);

/// What is prepared, and when.
#[derive(Debug, Clone)]
pub struct Preparation {
    /// Whether it is asked for.
    pub asked: watch::Receiver<bool>,
    /// How many slots the job will need.
    pub slots: u32,
}

/// Waits until this JobManager leads, and prepares meanwhile while it is asked to.
///
/// TaskManagers that have registered are let go when it leads: they find it again by its hint, in
/// its epoch.
///
/// # Errors
/// When it can't campaign.
pub(super) async fn campaign(options: &mut JobManagerOptions) -> Result<Leadership, ElectionError> {
    let workers = options.driver.workers();
    let (Some(Preparation { mut asked, slots }), Some(workers)) =
        (options.preparation.clone(), workers)
    else {
        return options.election.campaign().await;
    };
    let dispatcher_options = DispatcherOptions {
        epoch: NO_EPOCH,
        build_id: options.build_id,
        seed: options.seed,
        resources: ResourceManagerOptions::of(&options.configuration),
        workers: Some(reserving(workers, slots)),
    };
    let JobManagerOptions { election, acceptor, driver, clock, runtime, .. } = options;
    let mut campaign = election.campaign();
    loop {
        tokio::select! {
            biased;
            led = &mut campaign => return led,
            () = until(&mut asked, true) => {}
        }
        tracing::info!(slots, "this JobManager gets TaskManagers ready before it leads");
        let (sender, mailbox) = mpsc::channel(MAILBOX_MAX);
        driver.prepares(WorkerEvents::new(sender.downgrade()));
        let mut prepared = Prepared {
            dispatcher: Dispatcher::new(dispatcher_options, Moment::of(clock.as_ref())),
            connections: Connections::new(runtime.clone(), sender),
            mailbox,
            accepting: true,
            clock: Arc::clone(clock),
        };
        tokio::select! {
            biased;
            led = &mut campaign => return led,
            () = until(&mut asked, false) => {}
            never = prepared.run(acceptor, driver.as_mut()) => match never {},
        }
        tracing::info!("nothing is to be made ready any more: its TaskManagers are let go");
        prepared.give_up(driver.as_mut());
    }
}

/// Returns once the wish is this; never if nobody has it any more.
async fn until(asked: &mut watch::Receiver<bool>, wish: bool) {
    if asked.wait_for(|asked| *asked == wish).await.is_err() {
        std::future::pending().await
    }
}

/// Workers like these, as many more without work as have `slots` slots.
fn reserving(workers: WorkerOptions, slots: u32) -> WorkerOptions {
    let spare = workers.spare.saturating_add(slots.div_ceil(workers.slots.max(1)));
    WorkerOptions { spare, ..workers }
}

enum Never {}

/// TaskManagers that are got ready.
struct Prepared {
    /// Has no jobs.
    dispatcher: Dispatcher,
    connections: Connections,
    mailbox: mpsc::Receiver<Mail>,
    /// Whether the acceptor may still give connections.
    accepting: bool,
    clock: Arc<dyn Clock>,
}

impl Prepared {
    async fn run(
        &mut self,
        acceptor: &mut Acceptor,
        driver: &mut dyn ResourceManagerDriver,
    ) -> Never {
        loop {
            let now = self.clock.elapsed();
            let wake = self.dispatcher.deadline(now).saturating_sub(now);
            tokio::select! {
                biased;
                mail = self.mailbox.recv() => self.receive(mail, driver),
                accepted = acceptor.accept(), if self.accepting => match accepted {
                    Some(accepted) => self.connections.add(accepted),
                    None => self.accepting = false,
                },
                () = tokio::time::sleep(wake) => self.handle(Event::Tick, driver),
            }
        }
    }

    fn receive(&mut self, mail: Option<Mail>, driver: &mut dyn ResourceManagerDriver) {
        match mail {
            Some(Mail::Peer(connection, message)) => {
                self.handle(Event::Received(connection, *message), driver);
            }
            Some(Mail::PeerGone(connection, error)) => {
                self.connections.close(connection);
                self.handle(Event::Disconnected(connection, disconnection(&error)), driver);
            }
            Some(Mail::Worker(id, event)) => self.handle(Event::Worker(id, event), driver),
            // Nobody has a handle yet: only connections and the driver send.
            Some(_) | None => {}
        }
    }

    fn handle(&mut self, event: Event, driver: &mut dyn ResourceManagerDriver) {
        for action in self.dispatcher.handle(event, Moment::of(self.clock.as_ref())) {
            match action {
                Action::Send(connection, message) => {
                    // Only a deployment is answered, and there are none.
                    self.connections.send(connection, message);
                }
                Action::Disconnect(connection) => self.connections.close(connection),
                Action::RequireWorkers(total) => driver.require_workers(total),
                Action::WorkerChanged(id, registered) => driver.worker_changed(&id, registered),
                Action::WorkerLeaving(id) => driver.worker_leaving(&id),
                Action::ReleaseWorker(id) => driver.release_worker(&id),
                Action::ObserveTaskManager(id, observation) => log::task_manager(&id, &observation),
                // All others are about jobs.
                _ => {}
            }
        }
    }

    /// Lets all TaskManagers go. Those that come later go with whoever asked for them: where a
    /// driver has started them, it says how.
    fn give_up(&mut self, driver: &mut dyn ResourceManagerDriver) {
        self.handle(Event::NoMoreJobs, driver);
        self.handle(Event::ShutDown("another revision goes on".to_owned()), driver);
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // Its TaskManagers are to notice at once, and to look for who leads.
        self.connections.close_all();
    }
}
