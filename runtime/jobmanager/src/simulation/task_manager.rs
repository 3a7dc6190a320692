//! A TaskManager's side of the protocol, as the rules in `thalweg_rpc::message` say it.

use std::collections::BTreeMap;
use std::time::Duration;

use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, TaskManagerId};
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{
    CheckpointAck, ExecutionReport, FailureInfo, FailureKind, Fenced, JobManagerHeartbeat,
    JobManagerMessage, Leaving, Notice, Registration, SnapshotData, SnapshotHandle,
    TaskManagerHeartbeat, TaskManagerMessage, ToJobManager, ToTaskManager,
};
use thalweg_rpc::{Admission, EpochGuard, Outbox};

use super::task::{Outside, Task};
use crate::job_master::restart_strategy::SeededRandom;
use crate::resource_manager::ConnectionId;

const HEARTBEAT: Duration = Duration::from_millis(200);
const REPEAT: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct ModelTaskManager {
    pub(super) id: TaskManagerId,
    pub(super) slots: u32,
    pub(super) connection: Option<ConnectionId>,
    pub(super) tasks: BTreeMap<ExecutionAttemptId, Task>,
    rows: u64,
    guard: EpochGuard,
    registered: bool,
    sequence: u64,
    outbox: Outbox,
    heartbeat_seen: u64,
    expected: Vec<ExecutionAttemptId>,
    next_heartbeat: Duration,
    /// Told to end: until when it stays.
    leaving: Option<Duration>,
    /// It goes now, as its JobManager said that it may, or as its time is over.
    pub(super) goes: bool,
}

impl ModelTaskManager {
    pub(super) fn new(id: TaskManagerId, slots: u32, rows: u64) -> Self {
        Self {
            id,
            slots,
            connection: None,
            tasks: BTreeMap::new(),
            rows,
            guard: EpochGuard::default(),
            registered: false,
            sequence: 0,
            outbox: Outbox::default(),
            heartbeat_seen: 0,
            expected: Vec::new(),
            next_heartbeat: Duration::ZERO,
            leaving: None,
            goes: false,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// It is told to end, and works on until then.
    pub(super) fn leave(&mut self, until: Duration) {
        self.leaving.get_or_insert(until);
        self.next_heartbeat = Duration::ZERO;
    }

    fn says_leaving(&self, now: Duration) -> Option<Leaving> {
        let remaining = self.leaving?.saturating_sub(now);
        let remaining_ms = u64::try_from(remaining.as_millis()).unwrap();
        Some(Leaving { reason: "simulated".to_owned(), remaining_ms })
    }

    /// Its last words.
    pub(super) fn goodbye(&mut self, now: Duration, out: &mut Vec<ToJobManager>) {
        self.notice(Notice::Goodbye { reason: "simulated".to_owned() }, now, out);
    }

    pub(super) fn connected(&mut self, connection: Option<ConnectionId>) {
        self.connection = connection;
        self.registered = false;
        self.next_heartbeat = Duration::ZERO;
    }

    fn say(&mut self, message: TaskManagerMessage, out: &mut Vec<ToJobManager>) {
        self.sequence += 1;
        out.push(Fenced { epoch: self.guard.epoch(), sequence: self.sequence, message });
    }

    fn report(task: &Task) -> ExecutionReport {
        ExecutionReport {
            job: task.job,
            attempt: task.deployment.attempt,
            slot: task.deployment.slot,
            state: task.state,
            failure: task.failure.clone(),
            input_ended: task.input_ended,
            checkpoint: CheckpointId(task.checkpoint_seen),
            accumulators: Vec::new(),
        }
    }

    /// Runs its tasks a step; `failure` makes one of them fail.
    pub(super) fn step(
        &mut self,
        now: Duration,
        failing: bool,
        random: &mut SeededRandom,
        outside: &mut Outside,
        out: &mut Vec<ToJobManager>,
    ) {
        let live: Vec<_> =
            self.tasks.iter().filter(|(_, t)| !t.state.is_terminal()).map(|(a, _)| *a).collect();
        let victim = (failing && !live.is_empty())
            .then(|| live[(random.next_u64() % live.len() as u64) as usize]);
        let mut notices = Vec::new();
        for attempt in live {
            let Some(task) = self.tasks.get_mut(&attempt) else { continue };
            let before = (task.state, task.input_ended);
            if victim == Some(attempt) {
                task.state = ExecutionState::Failed;
                task.failure = Some(FailureInfo {
                    operator: Some("model".to_owned()),
                    message: "a simulated failure".to_owned(),
                    kind: FailureKind::User,
                });
            } else {
                task.step(random, outside);
            }
            if before != (task.state, task.input_ended) {
                notices.push(Notice::ExecutionChanged(Self::report(task)));
            }
            let operator = task.operator;
            for (checkpoint, bytes, input_ended) in std::mem::take(&mut task.snapshots) {
                notices.push(Notice::CheckpointAcknowledged(CheckpointAck {
                    job: task.job,
                    checkpoint: CheckpointId(checkpoint),
                    attempt,
                    handles: vec![SnapshotHandle {
                        operator,
                        key_groups: None,
                        length: bytes.len() as u64,
                        data: SnapshotData::Inline(bytes),
                        crc32c: 0,
                    }],
                    input_ended,
                    measures: Default::default(),
                }));
            }
        }
        for notice in notices {
            self.notice(notice, now, out);
        }
        self.goes |= self.leaving.is_some_and(|until| now >= until);
        self.speak(now, out);
    }

    fn notice(&mut self, notice: Notice, now: Duration, out: &mut Vec<ToJobManager>) {
        let number = self.outbox.push(notice.clone(), now);
        if self.registered {
            self.say(TaskManagerMessage::Notice { number, notice }, out);
        }
    }

    /// Registers, or sends what is due.
    fn speak(&mut self, now: Duration, out: &mut Vec<ToJobManager>) {
        if self.connection.is_none() {
            return;
        }
        if self.registered {
            for (number, notice) in self.outbox.due(now, REPEAT) {
                self.say(TaskManagerMessage::Notice { number, notice }, out);
            }
        }
        if now < self.next_heartbeat {
            return;
        }
        self.next_heartbeat = now + HEARTBEAT;
        let executions: Vec<_> = self.tasks.values().map(Self::report).collect();
        let message = if self.registered {
            TaskManagerMessage::Heartbeat(TaskManagerHeartbeat {
                id: self.id.clone(),
                heartbeat_seen: self.heartbeat_seen,
                executions,
                metrics: Vec::new(),
                leaving: self.says_leaving(now),
            })
        } else {
            TaskManagerMessage::Register(Registration {
                id: self.id.clone(),
                data_address: self.id.0.clone(),
                slots: self.slots,
                resources: Default::default(),
                build_id: 7,
                executions,
                process_id: 1,
                leaving: self.says_leaving(now),
            })
        };
        self.say(message, out);
    }

    pub(super) fn receive(
        &mut self,
        message: ToTaskManager,
        now: Duration,
        outside: &mut Outside,
        out: &mut Vec<ToJobManager>,
    ) {
        match self.guard.admit(message.epoch) {
            Admission::Stale => return,
            Admission::Obey | Admission::NewLeader => {}
        }
        match message.message {
            JobManagerMessage::Registered { .. } => self.registered = true,
            JobManagerMessage::Refused(refusal) => panic!("refused: {refusal}"),
            JobManagerMessage::Heartbeat(heartbeat) => {
                self.heartbeat(heartbeat, message.sequence, now, outside, out);
            }
            JobManagerMessage::Received { numbers } => self.outbox.acknowledge(&numbers),
            JobManagerMessage::DeployTasks { job, tasks } => {
                for deployment in tasks {
                    let attempt = deployment.attempt;
                    let late =
                        message.sequence < self.heartbeat_seen && !self.expected.contains(&attempt);
                    if late || self.tasks.contains_key(&attempt) {
                        continue;
                    }
                    let vertex = job.graph.vertex(deployment.vertex).unwrap();
                    let operator = vertex.operators[0].id;
                    let task =
                        Task::new(job.job_id, operator, deployment, message.sequence, self.rows);
                    self.tasks.insert(attempt, task);
                }
            }
            JobManagerMessage::CancelTask { attempt } => self.cancel(attempt, now, out),
            JobManagerMessage::TriggerCheckpoint { attempt, barrier, .. } => {
                if let Some(task) = self.tasks.get_mut(&attempt) {
                    task.trigger(barrier.checkpoint.0);
                }
            }
            JobManagerMessage::CheckpointCompleted { checkpoint, .. } => {
                self.completed(checkpoint, now, outside, out);
            }
            JobManagerMessage::CheckpointAborted { .. }
            | JobManagerMessage::RewriteRuns { .. }
            | JobManagerMessage::EndInput { .. } => {}
            JobManagerMessage::ShutDown { .. } => self.tasks.clear(),
        }
    }

    fn cancel(&mut self, attempt: ExecutionAttemptId, now: Duration, out: &mut Vec<ToJobManager>) {
        if let Some(task) = self.tasks.get_mut(&attempt).filter(|t| !t.state.is_terminal()) {
            task.state = ExecutionState::Canceled;
            let report = Self::report(task);
            self.notice(Notice::ExecutionChanged(report), now, out);
        }
    }

    fn completed(
        &mut self,
        checkpoint: CheckpointId,
        now: Duration,
        outside: &mut Outside,
        out: &mut Vec<ToJobManager>,
    ) {
        let mut finished = Vec::new();
        for task in self.tasks.values_mut().filter(|task| !task.state.is_terminal()) {
            task.completed(checkpoint, outside);
            if task.state.is_terminal() {
                finished.push(Self::report(task));
            }
        }
        for report in finished {
            self.notice(Notice::ExecutionChanged(report), now, out);
        }
    }

    fn heartbeat(
        &mut self,
        heartbeat: JobManagerHeartbeat,
        sequence: u64,
        now: Duration,
        outside: &mut Outside,
        out: &mut Vec<ToJobManager>,
    ) {
        if sequence <= self.heartbeat_seen {
            return;
        }
        self.heartbeat_seen = sequence;
        if heartbeat.dismissed.is_some() {
            assert!(self.leaving.is_some(), "one that stays was dismissed");
            self.goes = true;
        }
        self.expected = heartbeat.expected;
        let unwanted: Vec<_> = self
            .tasks
            .iter()
            .filter(|(a, task)| task.deploy_sequence < sequence && !self.expected.contains(a))
            .map(|(attempt, _)| *attempt)
            .collect();
        for attempt in unwanted {
            self.cancel(attempt, now, out);
            self.tasks.remove(&attempt);
        }
        for progress in heartbeat.jobs {
            self.completed(progress.completed, now, outside, out);
        }
    }
}
