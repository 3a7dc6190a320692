//! A JobManager that gets TaskManagers ready before it leads.

use parking_lot::Mutex;
use thalweg_core::ids::Epoch;
use thalweg_rpc::Acceptor;
use tokio::sync::watch;

use super::*;
use crate::endpoint::preparation::Preparation;
use crate::high_availability::{Campaign, Leadership};
use crate::resource_manager::WorkerOptions;

/// Whose turn comes when it is told.
#[derive(Debug)]
struct Told(watch::Receiver<bool>);

impl LeaderElection for Told {
    fn campaign(&mut self) -> Campaign<'_> {
        Box::pin(async move {
            let turn = self.0.wait_for(|turn| *turn).await;
            turn.map_err(|_| ElectionError("nobody tells".to_owned()))?;
            Ok(Leadership { epoch: Epoch(7) })
        })
    }
}

/// Writes down what it is asked.
#[derive(Debug, Clone, Default)]
struct Noted(Arc<Mutex<Vec<String>>>);

impl Noted {
    fn note(&self, text: String) {
        self.0.lock().push(text);
    }

    async fn until(&self, what: &str) {
        let noted = async {
            while !self.0.lock().iter().any(|each| each == what) {
                tokio::task::yield_now().await;
            }
        };
        let noted = tokio::time::timeout(Duration::from_secs(10), noted).await;
        assert!(noted.is_ok(), "never {what}: {:?}", self.0.lock());
    }
}

impl ResourceManagerDriver for Noted {
    fn workers(&self) -> Option<WorkerOptions> {
        Some(WorkerOptions { slots: 2, spare: 1, released: true })
    }

    fn require_workers(&mut self, total: u32) {
        self.note(format!("{total} workers"));
    }

    fn worker_changed(&mut self, id: &TaskManagerId, registered: bool) {
        self.note(format!("{id} {registered}"));
    }

    fn release_worker(&mut self, id: &TaskManagerId) {
        self.note(format!("{id} is released"));
    }

    fn prepares(&mut self, _: WorkerEvents) {
        self.note("prepares".to_owned());
    }

    fn started(&mut self, _: WorkerEvents, epoch: Epoch) {
        self.note(format!("leads in {}", epoch.0));
    }
}

struct World {
    driver: Noted,
    asked: watch::Sender<bool>,
    turn: watch::Sender<bool>,
    acceptor: AcceptorSender,
    started: tokio::task::JoinHandle<JobManagerHandle>,
}

fn world() -> World {
    let (acceptor, accepting) = accept_channel();
    let (asked, wish) = watch::channel(false);
    let (turn, told) = watch::channel(false);
    let driver = Noted::default();
    let preparation = Preparation { asked: wish, slots: 3 };
    let options = options(accepting, driver.clone(), Told(told), preparation);
    let started = tokio::spawn(async move { JobManager::start(options).await.unwrap() });
    World { driver, asked, turn, acceptor, started }
}

fn options(
    acceptor: Acceptor,
    driver: Noted,
    election: Told,
    preparation: Preparation,
) -> JobManagerOptions {
    JobManagerOptions {
        driver: Box::new(driver),
        preparation: Some(preparation),
        ..super::options(acceptor, Box::new(election))
    }
}

#[tokio::test]
async fn one_that_is_asked_to_has_task_managers_ready_when_its_turn_comes_and_they_come_along() {
    let World { driver, asked, turn, acceptor, started } = world();
    asked.send_replace(true);
    // Two for three slots, and a spare one.
    driver.until("3 workers").await;
    let puppet = tokio::spawn(Puppet::connect(acceptor.clone(), false).await.run());
    driver.until("puppet true").await;
    assert!(!started.is_finished() && driver.0.lock().iter().all(|each| each != "leads in 7"));
    turn.send_replace(true);
    assert_eq!(puppet.await.unwrap(), "closed", "it looks for who leads");
    let handle = started.await.unwrap();
    tokio::spawn(Puppet::connect(acceptor, false).await.run());
    let result = handle.submit(submission(1, &[])).await.unwrap();
    assert_eq!((result.status, handle.epoch()), (JobStatus::Finished, Epoch(7)));
    handle.shutdown("end").await;
}

#[tokio::test]
async fn one_that_is_not_asked_to_any_more_lets_its_task_managers_go_and_waits_on() {
    let World { driver, asked, turn, acceptor, started } = world();
    asked.send_replace(true);
    let puppet = tokio::spawn(Puppet::connect(acceptor, false).await.run());
    driver.until("puppet true").await;
    asked.send_replace(false);
    driver.until("puppet is released").await;
    driver.until("0 workers").await;
    assert_eq!(puppet.await.unwrap(), "another revision goes on");
    // Asked again it begins anew; and its turn comes all the same.
    asked.send_replace(true);
    driver.until("prepares").await;
    turn.send_replace(true);
    started.await.unwrap().shutdown("end").await;
    driver.until("leads in 7").await;
}

#[tokio::test]
async fn one_that_is_never_asked_to_makes_nothing_before_it_leads() {
    let World { driver, turn, started, .. } = world();
    turn.send_replace(true);
    let handle = started.await.unwrap();
    assert_eq!(driver.0.lock()[0], "leads in 7");
    handle.shutdown("end").await;
}
