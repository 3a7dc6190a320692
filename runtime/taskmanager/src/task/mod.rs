//! A task as a state machine: one subtask's chain between its gate and its writers.
//!
//! [`Task::step`] does a bounded piece of work and says what it waits for. There are no threads
//! in here, nothing sleeps, and time is what the clock that was passed in says at the beginning
//! of a step; so the same task runs on a thread of its own and, in seeded order with others, in
//! the simulation (`driver`).
//!
//! The life of a task: made (DEPLOYING), opened in its first step (INITIALIZING), RUNNING until
//! its input has ended. Without checkpoints it commits then and is FINISHED. With checkpoints it
//! waits for one that was taken after the end to be published, commits, and is FINISHED. A task
//! that had ended in the checkpoint restored from only passes the end of its input on; so does one
//! that was stopped with a savepoint, once that is complete.
//!
//! Not here: where snapshots go and whom events are told ([`TaskObserver`]).

mod activity;
mod encoding;
mod failure;
mod input;
mod mailbox;
mod metrics;
mod observer;
mod output;
mod run;
mod spec;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::Clock;
use thalweg_core::element::{Barrier, Control, MAX_WATERMARK, StreamElement};
use thalweg_core::ids::CheckpointId;
use thalweg_core::status::ExecutionState;
use thalweg_network::AlignmentStats;
use thalweg_operators::chain::Chain;
use thalweg_operators::contract::WakeHandle;
use thalweg_rpc::message::{Accumulator, DeclineReason};

pub use activity::{Activity, ActivityAccount, ActivityTimes};
pub(crate) use failure::panic_message;
pub use input::{IoCounters, TaskInput};
pub use mailbox::Mailbox;
pub use metrics::{OperatorEntry, TaskMetrics};
pub use observer::{SnapshotPart, TaskEvent, TaskObserver, TaskOutcome, TaskSnapshot};
pub use output::TaskOutput;
pub use spec::{SpecRestore, TaskSpec};

use mailbox::Mail;
use output::Outputs;

/// What a task waits for after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// For nothing: step it again.
    Ready,
    /// To be woken, or for this time on its clock.
    Blocked {
        /// The clock's `elapsed` at which it has something to do.
        until: Option<Duration>,
    },
    /// It has ended, and has said how.
    Finished,
}

/// What a task is connected to.
pub struct TaskPorts {
    /// Where its elements come from; None for a source.
    pub input: Option<Box<dyn TaskInput>>,
    /// Where they go: a writer for each edge of [`TaskSpec::edges`], in their order.
    pub outputs: Vec<Box<dyn TaskOutput>>,
    /// What it is told.
    pub mailbox: Arc<Mailbox>,
    /// Whom it tells.
    pub observer: Arc<dyn TaskObserver>,
    /// Its figures.
    pub metrics: Arc<TaskMetrics>,
    /// Wakes it, for sources and sinks that wait for something outside.
    pub wake: WakeHandle,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The time of a step.
#[derive(Debug, Clone, Copy)]
struct Now {
    /// ms since 1970.
    wall_ms: i64,
    elapsed: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not opened.
    Deploying,
    /// Opened.
    Running,
    /// It had ended in the checkpoint restored from, or was stopped with a savepoint: waits for its
    /// inputs to end, too.
    Draining,
    /// Over.
    Ended,
}

/// A barrier that the chain was given and whose snapshot isn't complete yet.
#[derive(Debug, Clone)]
struct SnapshotUnderWay {
    barrier: Barrier,
    start_delay_ms: u64,
    alignment: AlignmentStats,
    begun: Duration,
    /// When the barrier had passed the chain: what was done until then, nothing else was.
    passed: Option<Duration>,
}

/// One subtask at work.
pub struct Task {
    spec: TaskSpec,
    input: Option<Box<dyn TaskInput>>,
    outputs: Outputs,
    mailbox: Arc<Mailbox>,
    observer: Arc<dyn TaskObserver>,
    metrics: Arc<TaskMetrics>,
    wake: WakeHandle,
    clock: Arc<dyn Clock>,
    phase: Phase,
    chain: Option<Chain>,
    /// The operator that is being made or opened.
    opening: RefCell<Option<String>>,
    activity: Option<Activity>,
    /// The gate has handed out everything, or the source has said that it has ended.
    input_ended: bool,
    /// A trigger that waits for its turn: sources take it between two polls, other tasks when no
    /// barrier can come from their channels any more.
    trigger: Option<Barrier>,
    /// The highest checkpoint whose barrier the chain was given.
    last_barrier: CheckpointId,
    under_way: Option<SnapshotUnderWay>,
    /// When the next slice of the snapshot is due, if there's other work.
    next_slice: Duration,
    /// When it's idle, unless it works before that; kept while it writes a snapshot.
    idle_from: Duration,
    /// A published checkpoint that the chain is to be told of.
    completed: Option<CheckpointId>,
    last_completed: CheckpointId,
    /// The source is to end its input at the next opportunity.
    end_input: bool,
    /// The savepoint that the job stops with, once its barrier is in the chain: nothing is taken
    /// in and no timer fires any more, unless it is given up.
    stopping: Option<CheckpointId>,
    /// The first checkpoint that was taken after all input had ended.
    final_checkpoint: Option<CheckpointId>,
    /// That all input was processed was reported.
    end_reported: bool,
    /// It had finished before it was restored, and writes its state once more.
    rewrites: bool,
    next_latency_marker: Duration,
    /// Steps that did something.
    steps: u32,
}

impl Task {
    /// A task that wasn't started yet.
    pub fn new(spec: TaskSpec, ports: TaskPorts) -> Self {
        Self {
            spec,
            input: ports.input,
            outputs: Outputs::new(ports.outputs),
            mailbox: ports.mailbox,
            observer: ports.observer,
            metrics: ports.metrics,
            wake: ports.wake,
            clock: ports.clock,
            phase: Phase::Deploying,
            chain: None,
            opening: RefCell::new(None),
            activity: None,
            input_ended: false,
            trigger: None,
            last_barrier: CheckpointId(0),
            under_way: None,
            next_slice: Duration::ZERO,
            idle_from: Duration::ZERO,
            completed: None,
            last_completed: CheckpointId(0),
            end_input: false,
            stopping: None,
            final_checkpoint: None,
            end_reported: false,
            rewrites: false,
            next_latency_marker: Duration::ZERO,
            steps: 0,
        }
    }

    /// `name (2/4)`.
    pub fn name(&self) -> String {
        self.spec.task_name()
    }

    /// Does a bounded piece of work: about as much as one batch gives rise to. A panic of user
    /// code is caught and fails the task.
    pub fn step(&mut self) -> Step {
        match catch_unwind(AssertUnwindSafe(|| self.try_step())) {
            Ok(step) => step,
            Err(payload) => self.panicked(payload.as_ref()),
        }
    }

    fn try_step(&mut self) -> Step {
        let now = Now { wall_ms: self.clock.wall_ms(), elapsed: self.clock.elapsed() };
        self.outputs.begin_step(now.elapsed);
        if let Some(mail) = self.mailbox.take()
            && self.read(mail)
        {
            return self.end(TaskOutcome::Canceled);
        }
        let result = match self.phase {
            Phase::Deploying => self.open(),
            Phase::Running => self.run(now),
            Phase::Draining => self.drain(now),
            Phase::Ended => Ok(Step::Finished),
        };
        match result {
            Ok(step) => step,
            Err(failure) => self.end(TaskOutcome::Failed(failure)),
        }
    }

    /// Gives true when it is to end now.
    fn read(&mut self, mail: Mail) -> bool {
        if mail.cancel {
            return true;
        }
        self.end_input |= mail.end_input;
        if let Some(barrier) = mail.trigger {
            self.triggered(barrier);
        }
        if let Some(checkpoint) = mail.aborted {
            self.trigger.take_if(|trigger| trigger.checkpoint <= checkpoint);
            // One that is completed isn't aborted, whatever is said of those up to it.
            let completed = mail.completed.unwrap_or_default().max(self.last_completed);
            self.stopping.take_if(|stop| *stop <= checkpoint && *stop > completed);
            self.abort_encoding(checkpoint);
            if let Some(input) = &mut self.input {
                input.abort_checkpoint(checkpoint);
            }
        }
        if let Some(chain) = self.chain.as_mut().filter(|_| !mail.write_bases.is_empty()) {
            chain.write_bases(&mail.write_bases);
        }
        if let Some(checkpoint) = mail.completed
            && checkpoint > self.last_completed
        {
            self.last_completed = checkpoint;
            self.completed = Some(checkpoint);
        }
        false
    }

    fn triggered(&mut self, barrier: Barrier) {
        let known = self.trigger.as_ref().map_or(self.last_barrier, |trigger| trigger.checkpoint);
        if barrier.checkpoint <= known.max(self.last_barrier) {
            return;
        }
        if self.phase != Phase::Running {
            let declined =
                TaskEvent::CheckpointDeclined(barrier.checkpoint, DeclineReason::NotReady);
            return self.observer.observe(declined);
        }
        self.metrics.saw_checkpoint(barrier.checkpoint);
        // There is another one: the one that the job was to stop with was given up.
        self.stopping.take_if(|stop| *stop > self.last_completed);
        self.trigger = Some(barrier);
    }

    fn open(&mut self) -> Result<Step, thalweg_rpc::message::FailureInfo> {
        self.observer.observe(TaskEvent::StateChanged(ExecutionState::Initializing));
        let began = self.clock.elapsed();
        let mut chain = match self.spec.open(&self.clock, &self.wake, &self.opening) {
            Ok(chain) => chain,
            Err(failed) => {
                self.chain = failed.chain;
                return Err(failed.failure);
            }
        };
        let entry = |(id, name, metrics): (_, &Arc<str>, &Arc<_>)| OperatorEntry {
            id,
            name: name.clone(),
            metrics: Arc::clone(metrics),
        };
        self.metrics.set_operators(chain.operators().map(entry).collect());
        if !chain.has_source() {
            // An input without channels has ended before it began: it holds back no event time.
            let input = self.input.as_deref();
            let empty = |at: &usize| !input.is_some_and(|input| input.has_channels(*at));
            for at in (0..self.spec.inputs.max(1)).filter(empty) {
                chain.push(at, StreamElement::Control(Control::Watermark(MAX_WATERMARK)));
                chain.push(at, StreamElement::Control(Control::EndOfInput));
            }
        }
        self.chain = Some(chain);
        let restore = self.spec.restore.take().filter(|restore| restore.finished);
        self.rewrites = restore.as_ref().is_some_and(|r| r.rewrites) && self.spec.checkpointing;
        self.phase = if restore.is_some() { Phase::Draining } else { Phase::Running };
        self.metrics.set_initialization(self.clock.elapsed().saturating_sub(began));
        self.observer.observe(TaskEvent::StateChanged(ExecutionState::Running));
        Ok(Step::Ready)
    }

    /// Commits what the chain still holds and ends.
    fn finish(&mut self) -> Step {
        let results = self.chain.as_mut().map(Chain::take_results).unwrap_or_default();
        let subtask = self.spec.subtask.index;
        let results = results.into_iter();
        let results = results
            .map(|(operator, name, value)| Accumulator { operator, subtask, name, value })
            .collect();
        self.end(TaskOutcome::Finished { results })
    }

    /// Closes the operators, tells how it ended, and only then lets go of its channels: who reads
    /// them fails by that, and the cause is to be known first.
    fn end(&mut self, outcome: TaskOutcome) -> Step {
        if self.phase == Phase::Ended {
            return Step::Finished;
        }
        self.phase = Phase::Ended;
        let close = || self.chain.as_mut().map(Chain::close);
        let closed = catch_unwind(AssertUnwindSafe(close));
        let outcome = match (closed, outcome) {
            (Err(payload), TaskOutcome::Finished { .. }) => {
                TaskOutcome::Failed(failure::of_panic(self.operator(), payload.as_ref()))
            }
            (_, outcome) => outcome,
        };
        self.publish_counters();
        self.publish_levels();
        self.metrics.activity.end(self.clock.elapsed());
        self.observer.observe(TaskEvent::Ended(outcome));
        // A destructor of user code may panic too; the task has ended all the same.
        let chain = self.chain.take();
        let _ = catch_unwind(AssertUnwindSafe(move || drop(chain)));
        self.input = None;
        self.outputs = Outputs::new(Vec::new());
        Step::Finished
    }

    fn panicked(&mut self, payload: &(dyn Any + Send)) -> Step {
        self.end(TaskOutcome::Failed(failure::of_panic(self.operator(), payload)))
    }

    /// The operator that was called last.
    fn operator(&self) -> Option<String> {
        match &self.chain {
            Some(chain) => Some(chain.current_operator().to_string()),
            None => self.opening.borrow().clone(),
        }
    }

    /// From now on it does this.
    fn account(&mut self, activity: Activity, now: Duration) {
        if self.activity != Some(activity) {
            self.activity = Some(activity);
            self.metrics.activity.change(activity, now);
        }
    }

    fn publish_counters(&self) {
        let input = self.input.as_ref().map(|input| input.counters());
        self.metrics.set_io(input.unwrap_or_default(), self.outputs.counters());
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name())
            .field("attempt", &self.spec.attempt)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
