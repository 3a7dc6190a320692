//! The endpoint with a TaskManager at the other end of a real link: what is decided is done, and
//! what is asked is answered.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::SystemClock;
use thalweg_core::ids::{CheckpointId, TaskManagerId};
use thalweg_core::job_graph::ShipStrategy::Forward;
use thalweg_core::split::SourceSplit;
use thalweg_core::status::{ExecutionState, JobStatus};
use thalweg_rpc::message::{
    CheckpointAck, ExecutionReport, Fenced, JobManagerMessage, Notice, Registration, SnapshotData,
    SnapshotHandle, TaskManagerHeartbeat, TaskManagerMessage, ToJobManager, ToTaskManager,
};
use thalweg_rpc::{AcceptorSender, Connector, EpochGuard, Link, accept_channel};
use thalweg_storage::{BlobPath, BlobStore, MemoryStore, manifest};

mod preparation;
mod recorded;

use super::*;
use crate::dispatcher::JobSubmission;
use crate::high_availability::{LeaderElection, Records, StandaloneElection};
use crate::resource_manager::StandaloneDriver;
use crate::rest::{RestFailure, RestGateway};
use crate::source_coordinator::SplitEnumeration;
use crate::testing::{chain, configuration, job_id};

struct OneSplit;

impl SplitEnumeration for OneSplit {
    fn enumerate(
        &self,
        _: thalweg_core::ids::OperatorId,
        parallelism: u32,
    ) -> Result<Vec<SourceSplit>, String> {
        match parallelism {
            13 => Err("/no/such/file: no such file; give an existing one".to_owned()),
            _ => Ok(vec![SourceSplit { id: "all".into(), weight: 0, bytes: vec![], total: 0 }]),
        }
    }
}

fn submission(parallelism: u32, settings: &[(&str, &str)]) -> JobSubmission {
    JobSubmission {
        graph: chain(&[("source", parallelism), ("sink", parallelism)], &[Forward]),
        arguments: vec!["--rate".into(), "5".into()],
        execute_ordinal: 0,
        earlier_results: Vec::new(),
        once_values: Default::default(),
        configuration: configuration(settings),
        splits: Arc::new(OneSplit),
    }
}

async fn start(store: Option<Arc<MemoryStore>>) -> (JobManagerHandle, AcceptorSender) {
    let store =
        store.map(|store| CheckpointStore { store, name: "memory:".to_owned(), blocking: false });
    start_with(store, None, Box::new(StandaloneElection)).await
}

async fn start_with(
    store: Option<CheckpointStore>,
    records: Option<Records>,
    election: Box<dyn LeaderElection>,
) -> (JobManagerHandle, AcceptorSender) {
    let (sender, acceptor) = accept_channel();
    let options = JobManagerOptions { store, records, ..options(acceptor, election) };
    (JobManager::start(options).await.unwrap(), sender)
}

fn options(acceptor: Acceptor, election: Box<dyn LeaderElection>) -> JobManagerOptions {
    JobManagerOptions {
        configuration: configuration(&[("heartbeat.interval", "20 ms")]),
        build_id: 7,
        seed: 1,
        acceptor,
        driver: Box::new(StandaloneDriver),
        election,
        preparation: None,
        store: None,
        stores: Arc::new(NoStores),
        records: None,
        clock: Arc::new(SystemClock::new()),
        runtime: Handle::current(),
        version: "0.1.0".to_owned(),
        commit: String::new(),
    }
}

/// There are no stores but the one that it is given.
#[derive(Debug)]
struct NoStores;

impl StoreOpener for NoStores {
    fn open(&self, location: &str) -> Result<CheckpointStore, String> {
        Err(format!("there is no store {location}"))
    }

    fn open_existing(&self, location: &str) -> Result<CheckpointStore, String> {
        self.open(location)
    }
}

/// Answers everything that it is told, at once: tasks run, take snapshots, and finish after the
/// first checkpoint, or at once without checkpoints.
struct Puppet {
    link: Link<ToJobManager, ToTaskManager>,
    guard: EpochGuard,
    sequence: u64,
    tasks: Vec<ExecutionReport>,
    operators: Vec<thalweg_core::ids::OperatorId>,
    hold: bool,
    heartbeat_seen: u64,
}

impl Puppet {
    async fn connect(acceptor: AcceptorSender, hold: bool) -> Self {
        let connector = Connector::InProcess { acceptor, name: "puppet".to_owned() };
        let link = connector.connect(&Handle::current()).await.unwrap();
        let mut this = Self {
            link,
            guard: EpochGuard::default(),
            sequence: 0,
            tasks: Vec::new(),
            operators: Vec::new(),
            hold,
            heartbeat_seen: 0,
        };
        this.say(TaskManagerMessage::Register(Registration {
            id: TaskManagerId("puppet".to_owned()),
            data_address: "puppet".to_owned(),
            slots: 2,
            resources: Default::default(),
            build_id: 7,
            executions: Vec::new(),
            process_id: 1,
            leaving: None,
        }));
        this
    }

    fn say(&mut self, message: TaskManagerMessage) {
        self.sequence += 1;
        let message = Fenced { epoch: self.guard.epoch(), sequence: self.sequence, message };
        self.link.sender.try_send(message).unwrap();
    }

    fn notice(&mut self, notice: Notice) {
        let number = self.sequence;
        self.say(TaskManagerMessage::Notice { number, notice });
    }

    fn all(&mut self, state: ExecutionState) {
        for place in 0..self.tasks.len() {
            self.tasks[place].state = self.tasks[place].state.consolidate(state);
            self.tasks[place].input_ended |= state == ExecutionState::Finished;
            let report = self.tasks[place].clone();
            self.notice(Notice::ExecutionChanged(report));
        }
    }

    /// Runs until the JobManager says that everything ends; gives its reason.
    async fn run(mut self) -> String {
        loop {
            let Ok(message) = self.link.receiver.receive().await else {
                return "closed".to_owned();
            };
            self.guard.admit(message.epoch);
            match message.message {
                JobManagerMessage::DeployTasks { job, tasks } => {
                    assert_eq!(job.arguments, ["--rate", "5"]);
                    for task in tasks {
                        let vertex = job.graph.vertex(task.vertex).unwrap();
                        self.operators.push(vertex.operators[0].id);
                        let running = ExecutionState::Running;
                        self.tasks.push(crate::testing::report(task.attempt, running));
                    }
                    self.all(ExecutionState::Running);
                    if !job.checkpointing && !self.hold {
                        self.all(ExecutionState::Finished);
                    }
                }
                JobManagerMessage::EndInput { .. } => {}
                JobManagerMessage::CancelTask { .. } => self.all(ExecutionState::Canceled),
                JobManagerMessage::TriggerCheckpoint { job, barrier, .. } => {
                    let checkpoint = barrier.checkpoint;
                    for place in 0..self.tasks.len() {
                        let handle = SnapshotHandle {
                            operator: self.operators[place],
                            key_groups: None,
                            data: SnapshotData::Inline(vec![1, 2, 3]),
                            length: 3,
                            crc32c: 0,
                        };
                        let ack = CheckpointAck {
                            job,
                            checkpoint,
                            attempt: self.tasks[place].attempt,
                            handles: vec![handle],
                            input_ended: false,
                            measures: Default::default(),
                        };
                        self.notice(Notice::CheckpointAcknowledged(ack));
                    }
                }
                JobManagerMessage::CheckpointCompleted { .. } if !self.hold => {
                    self.all(ExecutionState::Finished);
                }
                JobManagerMessage::Heartbeat(heartbeat) => {
                    self.heartbeat_seen = message.sequence;
                    self.tasks.retain(|task| {
                        !task.state.is_terminal() || heartbeat.expected.contains(&task.attempt)
                    });
                    let heartbeat = TaskManagerHeartbeat {
                        id: TaskManagerId("puppet".to_owned()),
                        heartbeat_seen: self.heartbeat_seen,
                        executions: self.tasks.clone(),
                        metrics: Vec::new(),
                        leaving: None,
                    };
                    self.say(TaskManagerMessage::Heartbeat(heartbeat));
                }
                JobManagerMessage::ShutDown { reason } => return reason,
                JobManagerMessage::Refused(refusal) => return refusal.to_string(),
                JobManagerMessage::Registered { .. }
                | JobManagerMessage::Received { .. }
                | JobManagerMessage::CheckpointCompleted { .. }
                | JobManagerMessage::RewriteRuns { .. }
                | JobManagerMessage::CheckpointAborted { .. } => {}
            }
        }
    }
}

#[tokio::test]
async fn a_job_runs_to_its_end_rest_sees_it_and_everything_shuts_down() {
    let (handle, acceptor) = start(None).await;
    let puppet = tokio::spawn(Puppet::connect(acceptor, false).await.run());
    let result = handle.submit(submission(1, &[])).await.unwrap();
    assert_eq!((result.status, result.job), (JobStatus::Finished, job_id()));
    let cluster = handle.cluster();
    assert_eq!(cluster.jobs[0].state, JobStatus::Finished, "seen before the program learns it");
    assert_eq!(cluster.task_managers[0].id, "puppet");
    assert_eq!(handle.job(&job_id().to_string()).unwrap().vertices.len(), 2);
    let again = handle.submit(submission(1, &[])).await.unwrap_err();
    assert_eq!(again, SubmitError::Duplicate(job_id()));
    let cancelled = RestGateway::cancel(&handle, &job_id().to_string()).await;
    assert!(matches!(cancelled, Err(RestFailure::Conflict(_))), "{cancelled:?}");
    let unknown = RestGateway::cancel(&handle, &"0".repeat(32)).await;
    assert_eq!(unknown, Err(RestFailure::JobNotFound));

    handle.shutdown("the last job has ended").await;
    assert_eq!(puppet.await.unwrap(), "the last job has ended");
    assert_eq!(handle.submit(submission(1, &[])).await.unwrap_err(), SubmitError::Ended);
}

#[tokio::test]
async fn a_running_job_is_cancelled_through_rest() {
    let (handle, acceptor) = start(None).await;
    tokio::spawn(Puppet::connect(acceptor, true).await.run());
    let submitting = handle.clone();
    let running = tokio::spawn(async move { submitting.submit(submission(2, &[])).await });
    while RestGateway::cancel(&handle, &job_id().to_string()).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.await.unwrap().unwrap().status, JobStatus::Canceled);
    handle.shutdown("end").await;
}

#[tokio::test]
async fn checkpoints_are_written_above_those_of_former_runs_and_can_be_read_back() {
    let store = Arc::new(MemoryStore::new());
    let old = BlobPath::parse(&format!("{}/chk-41/x-0", job_id())).unwrap();
    store.put(&old, vec![1]).await.unwrap();
    let (handle, acceptor) = start(Some(Arc::clone(&store))).await;
    tokio::spawn(Puppet::connect(acceptor, false).await.run());
    let settings =
        [("execution.checkpointing.interval", "20 ms"), ("execution.checkpointing.dir", "/x")];
    let result = handle.submit(submission(1, &settings)).await.unwrap();
    assert_eq!(result.status, JobStatus::Finished);
    let written = manifest::load(store.as_ref(), job_id(), CheckpointId(42)).await.unwrap();
    assert_eq!(written.operators.len(), 2);
    for object in written.objects().unwrap() {
        assert_eq!(store.get(&object).await.unwrap(), [1, 2, 3], "inline snapshots are written");
    }
    let checkpoints = handle.cluster().jobs[0].checkpoints.clone().unwrap();
    assert_eq!(checkpoints.counts.completed, 1);
    handle.shutdown("end").await;
}

#[tokio::test]
async fn jobs_that_cannot_run_are_refused_with_what_to_do() {
    let (handle, _acceptor) = start(None).await;
    let settings =
        [("execution.checkpointing.interval", "1 s"), ("execution.checkpointing.dir", "/x")];
    let error = handle.submit(submission(1, &settings)).await.unwrap_err().to_string();
    assert!(error.contains("set execution.checkpointing.dir in its configuration"), "{error}");
    let error = handle.submit(submission(13, &[])).await.unwrap_err().to_string();
    assert_eq!(error, "/no/such/file: no such file; give an existing one");
    let mut wrong = submission(1, &[]);
    Arc::make_mut(&mut wrong.graph).vertices[0].parallelism = 0;
    let result = handle.submit(wrong).await.unwrap();
    assert_eq!(result.status, JobStatus::Failed);
    assert!(result.error.unwrap().message.contains("parallelism 0"));
    handle.shutdown("end").await;
    tokio::time::timeout(Duration::from_secs(10), handle.ended()).await.unwrap();
}
