//! A seeded simulation of the whole control plane against model TaskManagers: messages are lost,
//! repeated, late and out of order, connections break, processes die, tasks fail, manifests can't
//! be written. What must hold all the same is checked at every step, and at the end that every row
//! of the sources was made visible exactly once.

mod task;
mod task_manager;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thalweg_core::ids::{CheckpointId, Epoch, ExecutionAttemptId, SubtaskId, TaskManagerId};
use thalweg_core::job_graph::ShipStrategy;
use thalweg_core::status::JobStatus;
use thalweg_rpc::message::{JobManagerMessage, ToJobManager, ToTaskManager};

use crate::checkpoint_coordinator::{CheckpointEvent, CompletedCheckpoint};
use crate::dispatcher::{Action, Dispatcher, DispatcherOptions, Event, PreparedJob};
use crate::job_master::JobResult;
use crate::job_master::restart_strategy::SeededRandom;
use crate::moment::Moment;
use crate::resource_manager::{ConnectionId, Disconnection, ResourceManagerOptions};
use crate::source_coordinator::SourceCoordinator;
use crate::testing::{at, chain, configuration, information, job_id};
use task::{Outside, Row, State};
use task_manager::ModelTaskManager;

const STEP_MS: u64 = 20;
const FAULTS_END_MS: u64 = 8_000;
const TIME_MAX_MS: u64 = 120_000;

#[derive(Debug, Clone)]
enum InFlight {
    ToJobManager(ConnectionId, ToJobManager),
    ToTaskManager(ConnectionId, ToTaskManager),
    Disconnected(ConnectionId, Disconnection),
    Published(CompletedCheckpoint, bool),
}

struct World {
    random: SeededRandom,
    now_ms: u64,
    dispatcher: Dispatcher,
    task_managers: Vec<ModelTaskManager>,
    in_flight: Vec<(u64, InFlight)>,
    outside: Outside,
    connections: u64,
    started: u64,
    rows: u64,
    slots: u32,
    newest: Option<CheckpointId>,
    deployed: BTreeMap<ExecutionAttemptId, (SubtaskId, TaskManagerId)>,
    /// Attempts on TaskManagers that the JobManager has given up since.
    abandoned: BTreeSet<ExecutionAttemptId>,
    result: Option<JobResult>,
    trace: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = SeededRandom::new(seed);
        let slots = 1 + (random.next_u64() % 3) as u32;
        let options = DispatcherOptions {
            epoch: Epoch(1),
            build_id: 7,
            seed,
            resources: ResourceManagerOptions {
                heartbeat_interval: Duration::from_millis(200),
                heartbeat_timeout: Duration::from_millis(1500),
                reconnect_grace: Duration::from_millis(300),
                close_grace: Duration::from_millis(100),
                slot_request_timeout: Duration::from_secs(30),
                unused_timeout: Duration::from_secs(30),
                leave_time: Duration::from_secs(2),
            },
            workers: None,
        };
        let rows = 50 + random.next_u64() % 400;
        Self {
            dispatcher: Dispatcher::new(options, at(0)),
            random,
            now_ms: 0,
            task_managers: Vec::new(),
            in_flight: Vec::new(),
            outside: Outside::default(),
            connections: 0,
            started: 0,
            rows,
            slots,
            newest: None,
            deployed: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            result: None,
            trace: Vec::new(),
        }
    }

    fn now(&self) -> Moment {
        at(self.now_ms)
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.random.next_u64() % 1000 < per_mille
    }

    /// True with this probability as long as there are faults.
    fn fault(&mut self, per_mille: u64) -> bool {
        self.chance(per_mille) && self.now_ms < FAULTS_END_MS
    }

    fn start_task_manager(&mut self) {
        self.started += 1;
        let id = TaskManagerId(format!("tm-{}", self.started));
        let mut started = ModelTaskManager::new(id, self.slots, self.rows);
        self.connections += 1;
        started.connected(Some(ConnectionId(self.connections)));
        self.task_managers.push(started);
    }

    /// Puts a message on its way: perhaps lost, perhaps twice, each time with its own delay.
    fn send(&mut self, message: InFlight) {
        if self.fault(60) {
            return;
        }
        let copies = if self.fault(60) { 2 } else { 1 };
        for _ in 0..copies {
            let longest = if self.fault(100) { 600 } else { 40 };
            let delay = self.random.next_u64() % longest;
            self.in_flight.push((self.now_ms + delay, message.clone()));
        }
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        let actions = self.dispatcher.handle(event, now);
        for action in actions {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        self.trace.push(format!("{} {action:?}", self.now_ms));
        match action {
            Action::Send(connection, message) => {
                self.check_deployments(connection, &message);
                self.send(InFlight::ToTaskManager(connection, message));
            }
            Action::Disconnect(connection) => self.disconnect(connection),
            Action::Publish(checkpoint) => {
                self.check_publication(&checkpoint);
                let longest = if self.fault(200) { 2_000 } else { 100 };
                let delay = self.random.next_u64() % longest;
                let succeeds = !self.fault(50);
                self.in_flight
                    .push((self.now_ms + delay, InFlight::Published(checkpoint, succeeds)));
            }
            Action::JobEnded(result) => self.result = Some(*result),
            Action::ObserveTaskManager(id, crate::dispatcher::TaskManagerObservation::Lost(_)) => {
                let there = self.deployed.iter().filter(|(_, (_, on))| *on == id);
                self.abandoned.extend(there.map(|(attempt, _)| *attempt));
            }
            Action::DiscardCheckpoint { .. }
            | Action::DeleteObjects(_)
            | Action::DeleteAbandoned(_)
            | Action::DeleteFromSavepoint(..)
            | Action::RequireWorkers(_)
            | Action::WorkerChanged(..)
            | Action::WorkerLeaving(_)
            | Action::ReleaseWorker(_)
            | Action::Observe(..)
            | Action::ObserveTaskManager(..) => {}
        }
    }

    /// A restart begins with the newest completed checkpoint, always.
    fn check_deployments(&mut self, connection: ConnectionId, message: &ToTaskManager) {
        let JobManagerMessage::DeployTasks { tasks, .. } = &message.message else { return };
        let to = self.task_managers.iter().find(|tm| tm.connection == Some(connection));
        let to = to.map(|tm| tm.id.clone());
        for task in tasks {
            let subtask = SubtaskId { vertex: task.vertex, index: task.subtask };
            let restored = task.restore.as_ref().map(|restore| restore.checkpoint);
            assert_eq!(restored, self.newest, "a restart not from the newest checkpoint");
            if let Some(to) = &to {
                let known = self.dispatcher.resources().task_managers().get(to);
                let leaves = known.is_some_and(|known| known.leave.is_some());
                let new = !self.deployed.contains_key(&task.attempt);
                assert!(!(leaves && new), "deployed to one that is about to go");
                self.deployed.insert(task.attempt, (subtask, to.clone()));
            }
        }
    }

    /// Every subtask has contributed by the attempt that is current, or had finished before.
    fn check_publication(&self, checkpoint: &CompletedCheckpoint) {
        let job = self.dispatcher.job(job_id()).unwrap();
        for (vertex, snapshot) in checkpoint.vertices.iter().enumerate() {
            for (execution, part) in job.graph().executions(vertex).iter().zip(&snapshot.subtasks) {
                // What one left that had finished before is of whichever attempt that was.
                if part.handles.is_empty() || execution.state.is_terminal() {
                    assert!(part.finished, "published without an acknowledgement");
                    continue;
                }
                let thalweg_rpc::message::SnapshotData::Inline(bytes) = &part.handles[0].data
                else {
                    panic!("not inline")
                };
                let state: State = postcard::from_bytes(bytes).unwrap();
                // One that had finished before is restored as finished and writes nothing again.
                let own = state.attempt == execution.id.bits();
                assert!(own || part.finished, "another attempt's snapshot");
            }
        }
    }

    /// No two live attempts of a subtask, except on TaskManagers that were given up meanwhile.
    fn check_attempts(&self) {
        let mut live = BTreeMap::new();
        for task_manager in &self.task_managers {
            for task in task_manager.tasks.values().filter(|task| !task.state.is_terminal()) {
                let attempt = task.deployment.attempt;
                if self.abandoned.contains(&attempt) {
                    continue;
                }
                let subtask = (task.deployment.vertex, task.deployment.subtask);
                if let Some(other) = live.insert(subtask, attempt) {
                    let (other, attempt) = (other.to_string(), attempt.to_string());
                    let about = |line: &&String| line.contains(&other) || line.contains(&attempt);
                    let trace: Vec<_> =
                        self.trace.iter().filter(|l| about(l) || !l.contains("Send")).collect();
                    panic!("two live attempts {other} and {attempt}: {trace:#?}");
                }
            }
        }
    }

    fn disconnect(&mut self, connection: ConnectionId) {
        let on = self.task_managers.iter_mut().find(|tm| tm.connection == Some(connection));
        if let Some(on) = on {
            on.connected(None);
        }
    }

    fn break_things(&mut self) {
        let count = self.task_managers.len() as u64;
        if count == 0 {
            return;
        }
        let victim = (self.random.next_u64() % count) as usize;
        if self.fault(6) {
            let dead = self.task_managers.remove(victim);
            self.trace.push(format!("{} crash of {}", self.now_ms, dead.id));
            if let Some(connection) = dead.connection {
                let delay = self.random.next_u64() % 400;
                let gone = InFlight::Disconnected(connection, Disconnection::Closed);
                self.in_flight.push((self.now_ms + delay, gone));
            }
        } else if let (true, Some(connection)) =
            (self.fault(10), self.task_managers[victim].connection)
        {
            self.trace.push(format!("{} connection {connection:?} breaks", self.now_ms));
            self.task_managers[victim].connected(None);
            let how = match self.chance(500) {
                true => Disconnection::Closed,
                false => Disconnection::Broken,
            };
            self.in_flight.push((self.now_ms + 10, InFlight::Disconnected(connection, how)));
        } else if self.fault(4) {
            let time = 5_200 + self.random.next_u64() % 4_000;
            self.trace.push(format!("{} {} leaves", self.now_ms, self.task_managers[victim].id));
            self.task_managers[victim].leave(at(self.now_ms + time).elapsed);
        }
    }

    /// Those that were told to end, and may go or have to, say goodbye and are gone.
    fn let_go(&mut self) {
        let now = self.now().elapsed;
        while let Some(place) = self.task_managers.iter().position(|tm| tm.goes) {
            let mut gone = self.task_managers.remove(place);
            self.trace.push(format!("{} {} goes", self.now_ms, gone.id));
            let mut out = Vec::new();
            gone.goodbye(now, &mut out);
            if let Some(connection) = gone.connection {
                self.send_all(connection, out);
                let closed = InFlight::Disconnected(connection, Disconnection::Closed);
                self.in_flight.push((self.now_ms + 50, closed));
            }
        }
    }

    fn deliver(&mut self) {
        let now = self.now_ms;
        let (mut due, later) = std::mem::take(&mut self.in_flight)
            .into_iter()
            .partition::<Vec<_>, _>(|(at, _)| *at <= now);
        self.in_flight = later;
        due.sort_by_key(|(at, _)| *at);
        for (_, message) in due {
            match message {
                InFlight::ToJobManager(connection, message) => {
                    self.handle(Event::Received(connection, message));
                }
                InFlight::Disconnected(connection, how) => {
                    self.handle(Event::Disconnected(connection, how));
                }
                InFlight::Published(checkpoint, succeeds) => self.published(&checkpoint, succeeds),
                InFlight::ToTaskManager(connection, message) => {
                    let now = self.now().elapsed;
                    let mut out = Vec::new();
                    let to =
                        self.task_managers.iter_mut().find(|tm| tm.connection == Some(connection));
                    if let Some(to) = to {
                        to.receive(message, now, &mut self.outside, &mut out);
                    }
                    self.send_all(connection, out);
                }
            }
        }
    }

    fn published(&mut self, checkpoint: &CompletedCheckpoint, succeeds: bool) {
        let id = checkpoint.id;
        let event = if succeeds {
            assert!(self.newest < Some(id), "checkpoint ids must rise");
            self.newest = Some(id);
            CheckpointEvent::Published { checkpoint: id, path: String::new(), bytes: 1 }
        } else {
            CheckpointEvent::PublishFailed { checkpoint: id, cause: "simulated".to_owned() }
        };
        self.handle(Event::Publication(job_id(), event));
    }

    fn send_all(&mut self, connection: ConnectionId, messages: Vec<ToJobManager>) {
        for message in messages {
            self.trace.push(format!("{} {connection:?} says {message:?}", self.now_ms));
            self.send(InFlight::ToJobManager(connection, message));
        }
    }

    fn step(&mut self, task_managers: usize) {
        self.now_ms += STEP_MS;
        self.break_things();
        let staying = self.task_managers.iter().filter(|tm| !tm.is_leaving()).count();
        if staying < task_managers && self.chance(100) {
            self.start_task_manager();
        }
        self.deliver();
        for place in 0..self.task_managers.len() {
            if self.task_managers[place].connection.is_none() && self.chance(200) {
                self.connections += 1;
                self.task_managers[place].connected(Some(ConnectionId(self.connections)));
            }
            let (now, failing) = (self.now().elapsed, self.fault(4));
            let mut out = Vec::new();
            let tm = &mut self.task_managers[place];
            tm.step(now, failing, &mut self.random, &mut self.outside, &mut out);
            if let Some(connection) = self.task_managers[place].connection {
                self.send_all(connection, out);
            }
        }
        self.let_go();
        let now = self.now().elapsed;
        if now >= self.dispatcher.deadline(now) {
            self.handle(Event::Tick);
            assert!(now < self.dispatcher.deadline(now), "what is due must be done when told");
        }
        self.check_attempts();
    }
}

/// Runs a job to its end; gives what happened on the way, for comparing two runs.
fn run(seed: u64) -> (JobResult, u64, Vec<String>) {
    let mut world = World::new(seed);
    let parallelism = 1 + (world.random.next_u64() % 3) as u32;
    let (graph, sources) = match world.random.next_u64() % 3 {
        0 => {
            let vertices = [("source", parallelism), ("map", parallelism), ("sink", parallelism)];
            (chain(&vertices, &[ShipStrategy::Forward, ShipStrategy::Forward]), parallelism)
        }
        1 => {
            let vertices = [("source", parallelism), ("map", 2), ("sink", 1)];
            (chain(&vertices, &[ShipStrategy::Hash, ShipStrategy::Rescale]), parallelism)
        }
        _ => (chain(&[("source", 2), ("sink", 3)], &[ShipStrategy::Rebalance]), 2),
    };
    let configuration = configuration(&[
        ("execution.checkpointing.interval", "300 ms"),
        ("execution.checkpointing.timeout", "3 s"),
        ("execution.checkpointing.tolerable-failed-checkpoints", "1"),
        ("execution.checkpointing.num-retained", "2"),
        ("execution.checkpointing.dir", "/checkpoints"),
        ("restart-strategy.exponential-delay.initial-backoff", "100 ms"),
        ("restart-strategy.exponential-delay.max-backoff", "1 s"),
    ]);
    let task_managers = 3usize.div_ceil(world.slots as usize) + 1;
    (0..task_managers).for_each(|_| world.start_task_manager());
    world.handle(Event::Submitted(Box::new(PreparedJob {
        information: information(&graph, true),
        configuration,
        sources: SourceCoordinator::default(),
        restore: None,
        highest_checkpoint: CheckpointId(0),
        requirements: Vec::new(),
    })));
    while world.result.is_none() {
        world.step(task_managers);
        assert!(
            world.now_ms < TIME_MAX_MS,
            "no end: {:#?}",
            world.trace.split_off(world.trace.len().saturating_sub(60))
        );
    }
    let result = world.result.take().unwrap();
    assert_eq!(result.status, JobStatus::Finished, "{result:?}");
    let mut rows: Vec<Row> = world.outside.committed.into_values().flatten().collect();
    rows.sort_unstable();
    let all = (0..sources).flat_map(|source| (0..world.rows).map(move |number| (source, number)));
    assert!(rows.iter().copied().eq(all), "rows were lost or repeated");
    let relocations = world.dispatcher.job(job_id()).unwrap().relocations();
    (result, relocations, world.trace)
}

#[test]
fn faults_never_break_the_rules_and_every_row_is_visible_exactly_once() {
    let seeds: Vec<u64> = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..std::env::var("SEEDS").map_or(300, |n| n.parse().unwrap())).collect(),
    };
    let (mut restarts, mut relocations) = (0, 0);
    for seed in seeds {
        println!("seed {seed}");
        let (result, moved, _) = run(seed);
        (restarts, relocations) = (restarts + result.restarts, relocations + moved);
    }
    println!("{restarts} restarts, {relocations} relocations");
    assert!(restarts > 0 && relocations > 0, "the simulation has no faults");
}

#[test]
fn a_seed_repeats_its_run_exactly() {
    for seed in [3, 1_000_003] {
        assert!(run(seed) == run(seed), "seed {seed}");
    }
}
