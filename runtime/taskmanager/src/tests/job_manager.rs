//! A JobManager by hand: answers what must be answered and remembers what it was told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::configuration::Configuration;
use thalweg_core::element::{Barrier, SnapshotKind};
use thalweg_core::ids::{CheckpointId, Epoch, ExecutionAttemptId, TaskManagerId};
use thalweg_core::status::ExecutionState;
use thalweg_core::{Clock, SystemClock};
use thalweg_network::{NetworkEnvironment, PartitionRegistry, RegistryOptions};
use thalweg_rpc::message::{
    CheckpointAck, CheckpointDecline, ExecutionReport, Fenced, JobInformation, JobManagerHeartbeat,
    JobManagerMessage, Notice, TaskDeployment, TaskManagerMessage, ToJobManager, ToTaskManager,
};
use thalweg_rpc::{Acceptor, Connector, Link, accept_channel};
use thalweg_storage::{BlobStore, MemoryStore};
use tokio::runtime::Handle;

use super::job::{BUILD, Program};
use crate::driver::{CooperativeDriver, TaskDriver, ThreadDriver};
use crate::{DataPlane, Hardware, TaskManager, TaskManagerHandle, TaskManagerOptions};

pub(super) const ADDRESS: &str = "local";

/// Time as the paused runtime has it.
#[derive(Debug)]
struct RuntimeClock(tokio::time::Instant);

impl Clock for RuntimeClock {
    fn wall_ms(&self) -> i64 {
        self.elapsed().as_millis() as i64
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Who steps the tasks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stepping {
    Threads,
    /// With this seed; the runtime's time must be paused.
    Seeded(u64),
}

/// A TaskManager and the JobManager that it talks to.
pub(super) struct Pair {
    pub(super) task_manager: TaskManagerHandle,
    pub(super) job_manager: JobManager,
}

/// Starts a TaskManager with one slot and no network.
pub(super) async fn start(
    stepping: Stepping,
    program: Arc<Program>,
    settings: &[(&str, &str)],
) -> Pair {
    let registry = PartitionRegistry::new(RegistryOptions::default());
    let network = NetworkEnvironment::new(ADDRESS, registry, None);
    start_with(stepping, program, settings, DataPlane::InProcess(Arc::new(network))).await
}

/// Starts a TaskManager with one slot.
pub(super) async fn start_with(
    stepping: Stepping,
    program: Arc<Program>,
    settings: &[(&str, &str)],
    data_plane: DataPlane,
) -> Pair {
    let (clock, driver): (Arc<dyn Clock>, Arc<dyn TaskDriver>) = match stepping {
        Stepping::Threads => {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
            let driver = ThreadDriver::new(Arc::clone(&clock), Handle::current());
            (clock, Arc::new(driver))
        }
        Stepping::Seeded(seed) => {
            let clock: Arc<dyn Clock> = Arc::new(RuntimeClock(tokio::time::Instant::now()));
            let driver = CooperativeDriver::new(Arc::clone(&clock), seed, &Handle::current());
            (clock, Arc::new(driver))
        }
    };
    let mut configuration = Configuration::new();
    for (key, value) in settings {
        configuration.set_str(key, value).unwrap();
    }
    let store: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    let (acceptor_sender, acceptor) = accept_channel();
    let options = TaskManagerOptions {
        id: TaskManagerId("tm".to_owned()),
        configuration,
        build_id: BUILD,
        connector: Connector::InProcess { acceptor: acceptor_sender, name: "tm".to_owned() },
        data_plane,
        clock,
        codes: program,
        stores: Arc::new(move |_: &str| Ok(Arc::clone(&store))),
        driver,
        hardware: Hardware::default(),
    };
    let task_manager = TaskManager::start(options).await.unwrap();
    Pair { task_manager, job_manager: JobManager::new(acceptor) }
}

/// The JobManager by hand.
pub(super) struct JobManager {
    acceptor: Acceptor,
    link: Option<Link<ToTaskManager, ToJobManager>>,
    sequence: u64,
    pub(super) epoch: Epoch,
    /// Which heartbeats expect.
    pub(super) expected: Vec<ExecutionAttemptId>,
    pub(super) reports: BTreeMap<ExecutionAttemptId, ExecutionReport>,
    pub(super) acks: Vec<CheckpointAck>,
    pub(super) declines: Vec<CheckpointDecline>,
    pub(super) goodbye: Option<String>,
    pub(super) registrations: u32,
    /// States in the order in which they were told.
    pub(super) told: Vec<(ExecutionAttemptId, ExecutionState)>,
}

impl JobManager {
    fn new(acceptor: Acceptor) -> Self {
        Self {
            acceptor,
            link: None,
            sequence: 0,
            epoch: Epoch(1),
            expected: vec![],
            reports: BTreeMap::new(),
            acks: vec![],
            declines: vec![],
            goodbye: None,
            registrations: 0,
            told: vec![],
        }
    }

    /// Goes on until `done`.
    pub(super) async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let next = tokio::time::timeout(Duration::from_secs(60), self.receive()).await;
            assert!(next.is_ok(), "{what}: nothing more happens; told: {:?}", self.told);
        }
    }

    async fn receive(&mut self) {
        let Some(link) = &mut self.link else {
            let accepted = self.acceptor.accept().await.unwrap();
            self.link = Some(accepted.link);
            return;
        };
        match link.receiver.receive().await {
            Ok(message) => self.received(message),
            Err(_) => self.link = None,
        }
    }

    fn received(&mut self, message: ToJobManager) {
        match message.message {
            TaskManagerMessage::Register(_) => {
                self.registrations += 1;
                self.send(JobManagerMessage::Registered {
                    heartbeat_interval_ms: 20,
                    heartbeat_timeout_ms: 5000,
                });
            }
            TaskManagerMessage::Heartbeat(heartbeat) => {
                for report in heartbeat.executions {
                    // What was told with results is better.
                    self.reports.entry(report.attempt).or_insert(report);
                }
                let expected = self.expected.clone();
                let heartbeat = JobManagerHeartbeat { expected, jobs: vec![], dismissed: None };
                self.send(JobManagerMessage::Heartbeat(heartbeat));
            }
            TaskManagerMessage::Notice { number, notice } => {
                match notice {
                    Notice::ExecutionChanged(report) => {
                        self.told.push((report.attempt, report.state));
                        self.reports.insert(report.attempt, report);
                    }
                    Notice::CheckpointAcknowledged(ack) => self.acks.push(ack),
                    Notice::CheckpointDeclined(decline) => self.declines.push(decline),
                    Notice::FinalMetrics { .. } => {}
                    Notice::Goodbye { reason } => self.goodbye = Some(reason),
                }
                self.send(JobManagerMessage::Received { numbers: vec![number] });
            }
        }
    }

    pub(super) fn send(&mut self, message: JobManagerMessage) {
        self.send_as(self.epoch, message);
    }

    /// Says something with the epoch of another leader.
    pub(super) fn send_as(&mut self, epoch: Epoch, message: JobManagerMessage) {
        self.sequence += 1;
        let fenced = Fenced { epoch, sequence: self.sequence, message };
        // A link that broke is seen by `receive`.
        let _ = self.link.as_ref().map(|link| link.sender.try_send(fenced));
    }

    pub(super) async fn registered(&mut self) {
        self.until("registration", |jm| jm.registrations > 0).await;
    }

    pub(super) fn deploy(&mut self, job: JobInformation, tasks: Vec<TaskDeployment>) {
        self.expected = tasks.iter().map(|task| task.attempt).collect();
        self.send(JobManagerMessage::DeployTasks { job: Arc::new(job), tasks });
    }

    pub(super) fn trigger(&mut self, checkpoint: u64, attempt: ExecutionAttemptId) {
        let (checkpoint, published) = (CheckpointId(checkpoint), CheckpointId(0));
        let job = super::job::JOB;
        let kind = SnapshotKind::Checkpoint;
        let barrier = Barrier { checkpoint, triggered_ms: 0, published, kind };
        self.send(JobManagerMessage::TriggerCheckpoint { job, attempt, barrier });
    }

    pub(super) fn completed(&mut self, checkpoint: u64) {
        let (job, checkpoint) = (super::job::JOB, CheckpointId(checkpoint));
        self.send(JobManagerMessage::CheckpointCompleted { job, checkpoint });
    }

    /// Closes the connection, as if the JobManager's process had ended.
    pub(super) fn disconnect(&mut self) {
        self.link = None;
    }

    pub(super) fn state(&self, attempt: ExecutionAttemptId) -> Option<ExecutionState> {
        self.reports.get(&attempt).map(|report| report.state)
    }

    pub(super) fn all(&self, attempts: &[ExecutionAttemptId], state: ExecutionState) -> bool {
        attempts.iter().all(|attempt| self.state(*attempt) == Some(state))
    }
}
