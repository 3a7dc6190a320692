//! How a harness is described and opened.

use std::sync::Arc;

use thalweg_core::clock::Clock;
use thalweg_core::ids::{CheckpointId, Epoch, JobId, OperatorId};
use thalweg_core::key_group::{DEFAULT_MAX_PARALLELISM, key_group_range};
use thalweg_core::{Key, Record};
use thalweg_state::run::RunOrigin;
use thalweg_state::{MemoryBudget, RestoredOperator, RunReader};

use super::collected::Collected;
use super::subtask::Subtask;
use super::{HarnessError, ManualClock, OperatorHarness};
use crate::contract::{
    JobInfo, OpenContext, OperatorError, OperatorFactory, OperatorInstance, OperatorMetrics,
    SnapshotContext, SubtaskInfo,
};
use crate::functions::{KeyHashes, KeySelector};
use crate::source::SourceSplit;

const NAME: &str = "operator under test";

/// Which subtask gets a row.
#[derive(Clone)]
pub(super) enum Routing {
    /// One after the other.
    InTurn,
    /// Each gets each row.
    All,
    /// The one that owns the key's key group.
    Key(Arc<dyn KeyHashes>),
}

/// What a harness and those restored from its snapshots have in common.
#[derive(Clone)]
pub(super) struct Setup {
    factory: Arc<dyn OperatorFactory>,
    pub(super) inputs: Vec<Routing>,
    pub(super) parallelism: u32,
    pub(super) max_parallelism: u32,
    splits: Vec<SourceSplit>,
    state_budget: Option<usize>,
    checkpointing: bool,
}

/// Describes a harness.
#[derive(Clone)]
pub struct HarnessBuilder {
    setup: Setup,
    now_ms: i64,
    checkpoint: CheckpointId,
    runs: Option<Arc<[Arc<Vec<u8>>]>>,
}

impl std::fmt::Debug for HarnessBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HarnessBuilder(parallelism {})", self.setup.parallelism)
    }
}

impl HarnessBuilder {
    pub(super) fn new(factory: Arc<dyn OperatorFactory>) -> Self {
        let setup = Setup {
            factory,
            inputs: vec![Routing::InTurn],
            parallelism: 1,
            max_parallelism: DEFAULT_MAX_PARALLELISM,
            splits: Vec::new(),
            state_budget: None,
            checkpointing: true,
        };
        Self { setup, now_ms: 0, checkpoint: CheckpointId(0), runs: None }
    }

    pub(super) fn restore(
        setup: Setup,
        parallelism: u32,
        now_ms: i64,
        checkpoint: CheckpointId,
        runs: Arc<[Arc<Vec<u8>>]>,
    ) -> Self {
        let setup = Setup { parallelism: parallelism.max(1), ..setup };
        Self { setup, now_ms, checkpoint, runs: Some(runs) }
    }

    /// The operator has so many inputs. Without: 1. Rows go to the subtasks in turn.
    #[must_use]
    pub fn inputs(mut self, inputs: usize) -> Self {
        self.setup.inputs.resize(inputs, Routing::InTurn);
        self
    }

    /// Rows at this input, which is made if it doesn't exist, go to the subtask that owns their
    /// key.
    #[must_use]
    pub fn keyed_by<T: Record, K: Key>(self, input: usize, key: impl KeySelector<T, K>) -> Self {
        self.route(input, Routing::Key(<dyn KeyHashes>::of::<T, K, _>(Arc::new(key))))
    }

    /// Rows at this input, which is made if it doesn't exist, go to all subtasks.
    #[must_use]
    pub fn broadcast(self, input: usize) -> Self {
        self.route(input, Routing::All)
    }

    fn route(mut self, input: usize, routing: Routing) -> Self {
        if self.setup.inputs.len() <= input {
            self.setup.inputs.resize(input + 1, Routing::InTurn);
        }
        self.setup.inputs[input] = routing;
        self
    }

    /// Number of subtasks. Without: 1.
    #[must_use]
    pub fn parallelism(mut self, parallelism: u32) -> Self {
        self.setup.parallelism = parallelism.max(1);
        self
    }

    /// Number of key groups. Without: 128.
    #[must_use]
    pub fn max_parallelism(mut self, max_parallelism: u32) -> Self {
        self.setup.max_parallelism = max_parallelism.max(1);
        self
    }

    /// The splits that a source starts with, dealt out to its subtasks in turn.
    #[must_use]
    pub fn splits(mut self, splits: Vec<SourceSplit>) -> Self {
        self.setup.splits = splits;
        self
    }

    /// Bytes of state that each subtask may use. Without: any number.
    #[must_use]
    pub fn state_budget(mut self, bytes: usize) -> Self {
        self.setup.state_budget = Some(bytes);
        self
    }

    /// The operator is told that no checkpoints are taken.
    #[must_use]
    pub fn without_checkpoints(mut self) -> Self {
        self.setup.checkpointing = false;
        self
    }

    /// What the clock shows at first: ms since 1970. Without: 0, or what it showed when the
    /// snapshot was taken.
    #[must_use]
    pub fn at(mut self, now_ms: i64) -> Self {
        self.now_ms = now_ms;
        self
    }

    /// Other code for what the snapshot holds: the application's next version.
    #[must_use]
    pub fn with(mut self, factory: impl OperatorFactory + 'static) -> Self {
        self.setup.factory = Arc::new(factory);
        self
    }

    /// Makes the operators, opens them, and restores their state if there is a snapshot.
    ///
    /// # Errors
    /// An operator fails to open, or doesn't take all the state that there is.
    pub fn open(self) -> Result<OperatorHarness, HarnessError> {
        let Self { setup, now_ms, checkpoint, runs } = self;
        let clock = Arc::new(ManualClock::new(now_ms));
        let mut subtasks = Vec::new();
        for index in 0..setup.parallelism {
            let restored = match &runs {
                Some(runs) => Some(restored(runs, index, setup.parallelism)?),
                None => None,
            };
            subtasks.push(setup.subtask(index, &clock, restored)?);
        }
        let collected = Collected::new(subtasks.len());
        let pushed = vec![0; setup.inputs.len()];
        Ok(OperatorHarness { setup, subtasks, clock, collected, pushed, checkpoint })
    }
}

fn restored(
    runs: &[Arc<Vec<u8>>],
    index: u32,
    parallelism: u32,
) -> Result<Arc<RestoredOperator>, HarnessError> {
    let readers: Result<_, _> = runs.iter().map(|run| RunReader::open(run.clone())).collect();
    Ok(Arc::new(RestoredOperator::new(readers?, index, parallelism)?))
}

impl Setup {
    fn subtask(
        &self,
        index: u32,
        clock: &Arc<ManualClock>,
        restored: Option<Arc<RestoredOperator>>,
    ) -> Result<Subtask, HarnessError> {
        let mut instance = self.factory.create();
        let metrics = Arc::new(OperatorMetrics::default());
        let place = index as usize;
        let splits = self.splits.iter().skip(place).step_by(self.parallelism as usize);
        let job =
            JobInfo { id: JobId::derive("harness"), name: "harness".to_owned(), epoch: Epoch(1) };
        let mut context = OpenContext {
            job: &job,
            operator: OperatorId::derive(NAME),
            name: NAME,
            subtask: SubtaskInfo {
                index,
                parallelism: self.parallelism,
                max_parallelism: self.max_parallelism,
                attempt: u32::from(restored.is_some()),
                key_groups: key_group_range(self.max_parallelism, self.parallelism, index),
            },
            restored: restored.clone(),
            splits: if restored.is_none() { splits.cloned().collect() } else { Vec::new() },
            checkpointing: self.checkpointing,
            state_budget: match self.state_budget {
                Some(bytes) => MemoryBudget::new(bytes),
                None => MemoryBudget::unlimited(),
            },
            stores: Arc::new(thalweg_storage::LocalStores),
            clock: clock.clone() as Arc<dyn Clock>,
            wake: Arc::new(|| {}),
            metrics: metrics.clone(),
        };
        let opened: Result<(), OperatorError> = match &mut instance {
            OperatorInstance::Source(source) => source.open(&mut context),
            OperatorInstance::Operator(operator) => operator.open(&mut context),
        };
        opened.map_err(|source| HarnessError::Operator { subtask: place, source })?;
        let unclaimed = restored.map_or_else(Vec::new, |restored| restored.unclaimed());
        if !unclaimed.is_empty() {
            let states = unclaimed.into_iter().map(|state| state.name).collect();
            return Err(HarnessError::Unclaimed { states });
        }
        Ok(Subtask::new(place, instance, self.inputs.len(), metrics))
    }

    /// One run per subtask.
    pub(super) fn snapshot(
        &self,
        checkpoint: CheckpointId,
        processing_time: i64,
        subtasks: &mut [Subtask],
    ) -> Result<Vec<Arc<Vec<u8>>>, HarnessError> {
        let context = SnapshotContext { checkpoint, processing_time, input_ended: false };
        let origin = |subtask| RunOrigin {
            operator: NAME.to_owned(),
            subtask,
            parallelism: self.parallelism,
            max_parallelism: self.max_parallelism,
        };
        let runs = (0..).zip(subtasks);
        runs.map(|(index, s)| s.snapshot(&context, origin(index)).map(Arc::new)).collect()
    }
}
