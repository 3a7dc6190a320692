//! A task that does next to nothing, but all that a checkpoint depends on: it reads numbers from a
//! source or from channels, aligns barriers, forwards, takes snapshots, pre-commits and commits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use thalweg_core::ids::{CheckpointId, ExecutionAttemptId, JobId, OperatorId};
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{FailureInfo, SnapshotData, TaskDeployment};

use crate::job_master::restart_strategy::SeededRandom;

/// (source subtask, running number).
pub(super) type Row = (u32, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Row(Row),
    Barrier(u64),
    End,
}

/// Names a channel: producer's and consumer's attempt.
pub(super) type Channel = (ExecutionAttemptId, ExecutionAttemptId);

/// What lies outside of processes: channels in flight and what sinks have made visible.
#[derive(Debug, Default)]
pub(super) struct Outside {
    pub(super) channels: BTreeMap<Channel, VecDeque<Element>>,
    /// By sink subtask and checkpoint; a repeated commit must be the same.
    pub(super) committed: BTreeMap<(u32, u64), Vec<Row>>,
}

/// What a task remembers in a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) attempt: u128,
    position: u64,
    /// Pre-committed and not known to be committed.
    pending: Vec<(u64, Vec<Row>)>,
}

#[derive(Debug)]
pub(super) struct Task {
    pub(super) job: JobId,
    pub(super) deployment: TaskDeployment,
    pub(super) deploy_sequence: u64,
    pub(super) state: ExecutionState,
    pub(super) failure: Option<FailureInfo>,
    pub(super) input_ended: bool,
    pub(super) checkpoint_seen: u64,
    pub(super) operator: OperatorId,
    rows: u64,
    memory: State,
    buffer: Vec<Row>,
    triggered: BTreeSet<u64>,
    aligning: Option<(u64, BTreeSet<ExecutionAttemptId>)>,
    ended: BTreeSet<ExecutionAttemptId>,
    /// Snapshots to acknowledge: checkpoint, bytes, whether the input had ended.
    pub(super) snapshots: Vec<(u64, Vec<u8>, bool)>,
    finish_after: Option<u64>,
}

impl Task {
    /// `rows` is how many numbers each source subtask gives.
    pub(super) fn new(
        job: JobId,
        operator: OperatorId,
        deployment: TaskDeployment,
        deploy_sequence: u64,
        rows: u64,
    ) -> Self {
        Self {
            job,
            operator,
            deploy_sequence,
            state: ExecutionState::Deploying,
            failure: None,
            input_ended: false,
            checkpoint_seen: 0,
            rows,
            memory: State::default(),
            buffer: Vec::new(),
            triggered: BTreeSet::new(),
            aligning: None,
            ended: BTreeSet::new(),
            snapshots: Vec::new(),
            finish_after: None,
            deployment,
        }
    }

    fn is_source(&self) -> bool {
        self.deployment.inputs.is_empty()
    }

    fn is_sink(&self) -> bool {
        self.deployment.outputs.is_empty()
    }

    /// One step of a live task.
    pub(super) fn step(&mut self, random: &mut SeededRandom, outside: &mut Outside) {
        match self.state {
            ExecutionState::Deploying => self.state = ExecutionState::Initializing,
            ExecutionState::Initializing => self.open(outside),
            ExecutionState::Running => {
                for _ in 0..4 {
                    self.run(random, outside);
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, outside: &mut Outside) {
        for input in &self.deployment.inputs {
            let channel = (input.producer_attempt, self.deployment.attempt);
            outside.channels.entry(channel).or_default();
        }
        self.state = ExecutionState::Running;
        let Some(restore) = self.deployment.restore.clone() else { return };
        self.checkpoint_seen = restore.checkpoint.0;
        for piece in restore.operators.iter().flat_map(|operator| &operator.pieces) {
            let SnapshotData::Inline(bytes) = &piece.handle.data else { continue };
            if piece.old_subtask == self.deployment.subtask {
                self.memory = postcard::from_bytes(bytes).unwrap();
            }
        }
        self.commit(restore.checkpoint, outside);
        if restore.finished {
            self.emit(Element::End, outside);
            self.input_ended = true;
            self.state = ExecutionState::Finished;
        }
    }

    fn run(&mut self, random: &mut SeededRandom, outside: &mut Outside) {
        if self.is_source() {
            if let Some(checkpoint) = self.triggered.pop_first() {
                self.snapshot(checkpoint, outside);
            } else if self.memory.position < self.rows {
                let row = (self.deployment.subtask, self.memory.position);
                self.memory.position += 1;
                self.emit(Element::Row(row), outside);
            } else if !self.input_ended {
                self.emit(Element::End, outside);
                self.input_ended = true;
            }
            return;
        }
        let inputs = &self.deployment.inputs;
        let blocked = |producer: &ExecutionAttemptId| {
            self.aligning.as_ref().is_some_and(|(_, arrived)| arrived.contains(producer))
        };
        let open: Vec<ExecutionAttemptId> = inputs
            .iter()
            .map(|input| input.producer_attempt)
            .filter(|producer| !self.ended.contains(producer) && !blocked(producer))
            .collect();
        if !open.is_empty() {
            let producer = open[(random.next_u64() % open.len() as u64) as usize];
            let channel = (producer, self.deployment.attempt);
            match outside.channels.get_mut(&channel).and_then(VecDeque::pop_front) {
                Some(Element::Row(row)) if self.is_sink() => self.buffer.push(row),
                Some(Element::Row(row)) => self.emit(Element::Row(row), outside),
                Some(Element::Barrier(n)) => {
                    self.checkpoint_seen = self.checkpoint_seen.max(n);
                    match &mut self.aligning {
                        Some((checkpoint, arrived)) if *checkpoint == n => {
                            arrived.insert(producer);
                        }
                        Some((checkpoint, _)) if *checkpoint > n => {}
                        _ => self.aligning = Some((n, BTreeSet::from([producer]))),
                    }
                }
                Some(Element::End) => {
                    self.ended.insert(producer);
                }
                None => {}
            }
        }
        self.align(outside);
    }

    /// Takes the snapshot that all channels have brought a barrier or their end for.
    fn align(&mut self, outside: &mut Outside) {
        let producers: BTreeSet<_> =
            self.deployment.inputs.iter().map(|input| input.producer_attempt).collect();
        let all_ended = producers.is_subset(&self.ended);
        let complete = |(_, arrived): &&(u64, BTreeSet<ExecutionAttemptId>)| {
            producers.iter().all(|p| arrived.contains(p) || self.ended.contains(p))
        };
        if let Some(&(checkpoint, _)) = self.aligning.as_ref().filter(complete) {
            self.aligning = None;
            self.triggered.remove(&checkpoint);
            self.snapshot(checkpoint, outside);
            return;
        }
        if all_ended {
            if !self.input_ended {
                self.emit(Element::End, outside);
                self.input_ended = true;
            }
            if let Some(checkpoint) = self.triggered.pop_first() {
                self.snapshot(checkpoint, outside);
            }
        }
    }

    fn snapshot(&mut self, checkpoint: u64, outside: &mut Outside) {
        self.checkpoint_seen = self.checkpoint_seen.max(checkpoint);
        if self.is_sink() {
            self.memory.pending.push((checkpoint, std::mem::take(&mut self.buffer)));
        }
        self.memory.attempt = self.deployment.attempt.bits();
        let bytes = postcard::to_stdvec(&self.memory).unwrap();
        let ended = self.input_ended;
        self.snapshots.push((checkpoint, bytes, ended));
        if ended {
            self.finish_after.get_or_insert(checkpoint);
        } else {
            self.emit(Element::Barrier(checkpoint), outside);
        }
    }

    fn emit(&self, element: Element, outside: &mut Outside) {
        for output in &self.deployment.outputs {
            let count = output.channels.len() as u64;
            for (place, channel) in (0u64..).zip(&output.channels) {
                let goes = match element {
                    Element::Row((_, number)) => number % count == place,
                    Element::Barrier(_) | Element::End => true,
                };
                if goes {
                    let channel = (self.deployment.attempt, channel.consumer_attempt);
                    outside.channels.entry(channel).or_default().push_back(element);
                }
            }
        }
    }

    pub(super) fn trigger(&mut self, checkpoint: u64) {
        if checkpoint > self.checkpoint_seen && self.state == ExecutionState::Running {
            self.checkpoint_seen = checkpoint;
            self.triggered.insert(checkpoint);
        }
    }

    /// The checkpoint is published.
    pub(super) fn completed(&mut self, checkpoint: CheckpointId, outside: &mut Outside) {
        self.commit(checkpoint, outside);
        if self.finish_after.is_some_and(|after| after <= checkpoint.0)
            && self.state == ExecutionState::Running
        {
            self.state = ExecutionState::Finished;
        }
    }

    fn commit(&mut self, upto: CheckpointId, outside: &mut Outside) {
        let (ready, rest) = std::mem::take(&mut self.memory.pending)
            .into_iter()
            .partition(|(checkpoint, _)| *checkpoint <= upto.0);
        self.memory.pending = rest;
        let ready: Vec<(u64, Vec<Row>)> = ready;
        for (checkpoint, rows) in ready {
            let key = (self.deployment.subtask, checkpoint);
            if let Some(before) = outside.committed.insert(key, rows.clone()) {
                assert_eq!(before, rows, "a commit was repeated with other rows");
            }
        }
    }
}
