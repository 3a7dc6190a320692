//! Where the job's output goes: a sink whose outside is a ledger that outlives every process. It
//! takes what is promised literally: a commit before its checkpoint is published, or of something
//! that was never described, is a violation, and so is a beginning before what was published or
//! committed already; a commit that is repeated is none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::Batch;
use thalweg_core::ids::{CheckpointId, Epoch, OperatorId};
use thalweg_operators::FunctionResult;
use thalweg_operators::sink::{
    Committable, DeliveryGuarantee, PrepareCommit, Sink, SinkContext, SinkWriter,
};

use crate::dice::Dice;
use crate::obedience::Obedience;
use crate::store::FaultyStore;
use crate::trace::Trace;

#[derive(Debug)]
struct Entry {
    /// The sink's.
    operator: OperatorId,
    checkpoint: CheckpointId,
    rows: Vec<String>,
    commits: u32,
}

#[derive(Debug, Default)]
struct Books {
    /// By a number that is never used again.
    entries: Vec<Entry>,
    /// The checkpoints in which each sink has taken part, by the leader's word.
    prepared: BTreeMap<OperatorId, BTreeSet<CheckpointId>>,
    violations: Vec<String>,
}

/// The ledger. Clones are the same.
#[derive(Clone)]
pub struct Ledger {
    books: Arc<Mutex<Books>>,
    store: FaultyStore,
    dice: Arc<Mutex<Dice>>,
    commit_failures: u64,
    careless: bool,
    /// The job has a log, which says what is published.
    has_log: bool,
    heal_at: std::time::Duration,
    obedience: Obedience,
    trace: Trace,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger")
    }
}

impl Ledger {
    /// An empty one. `commit_failures` per mille of commits fail after they were done.
    pub fn new(plan: &crate::plan::Plan, store: FaultyStore, trace: Trace) -> Self {
        Self {
            books: Arc::default(),
            store,
            dice: Arc::new(Mutex::new(Dice::new(plan.seed, "ledger"))),
            commit_failures: plan.commit_failures,
            careless: plan.careless_sink,
            has_log: plan.high_availability.is_some(),
            heal_at: plan.heal_at,
            obedience: Obedience::default(),
            trace,
        }
    }

    /// Whose tasks open its sinks.
    pub fn obedience(&self) -> &Obedience {
        &self.obedience
    }

    /// The committed rows, ascending.
    pub fn committed(&self) -> Vec<String> {
        let books = self.books.lock();
        let committed = books.entries.iter().filter(|entry| entry.commits > 0);
        let mut rows: Vec<String> = committed.flat_map(|entry| entry.rows.clone()).collect();
        rows.sort_unstable();
        rows
    }

    /// What went against the contract of sinks.
    pub fn violations(&self) -> Vec<String> {
        self.books.lock().violations.clone()
    }

    /// The highest published checkpoint in which a sink has taken part; nothing is published while
    /// a task of the leader's is on its way to its beginning. What it took part in since isn't, and
    /// its number may be used by others.
    fn highest_published_with(&self, operator: OperatorId) -> Option<CheckpointId> {
        let published = self.store.highest_published();
        let mut books = self.books.lock();
        let prepared = books.prepared.entry(operator).or_default();
        prepared.retain(|checkpoint| Some(*checkpoint) <= published);
        prepared.last().copied()
    }

    /// A sink that has finished stays at the checkpoint before its end: others don't count.
    fn highest_committed(&self, operator: OperatorId) -> Option<CheckpointId> {
        let books = self.books.lock();
        let own = books.entries.iter().filter(|e| e.commits > 0 && e.operator == operator);
        own.map(|entry| entry.checkpoint).max()
    }
}

/// A sink of lines into the ledger.
#[derive(Debug, Clone)]
pub struct LedgerSink(pub Ledger);

impl Sink for LedgerSink {
    type Row = String;

    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::ExactlyOnce
    }

    fn writer(&self, context: &SinkContext) -> FunctionResult<Box<dyn SinkWriter<String>>> {
        let ledger = self.0.clone();
        let operator = context.operator;
        let name = format!("{operator:?}/{}", context.subtask.index);
        let (from, committed) = (context.restored_from, ledger.highest_committed(operator));
        ledger.trace.event("sink", format_args!("{name} opens, restored from {from:?}"));
        ledger.obedience.opened(context.job.epoch);
        // Another leader's tasks have seen less, and commit nothing that it hasn't.
        let counts = ledger.store.leads(context.job.epoch);
        if from < committed && counts && !ledger.careless {
            let violation = format!(
                "{name} is restored from {from:?} although {committed:?} was committed already"
            );
            ledger.books.lock().violations.push(violation);
        }
        let published = ledger.highest_published_with(operator);
        if from < published && counts && ledger.has_log {
            let violation =
                format!("{name} is restored from {from:?} although {published:?} is published");
            ledger.books.lock().violations.push(violation);
        }
        let epoch = context.job.epoch;
        Ok(Box::new(Writer { ledger, operator, epoch, name, rows: Vec::new() }))
    }
}

struct Writer {
    ledger: Ledger,
    operator: OperatorId,
    epoch: Epoch,
    name: String,
    rows: Vec<String>,
}

impl SinkWriter<String> for Writer {
    fn write(&mut self, batch: Batch) -> FunctionResult {
        let (rows, _) = batch.into_parts::<String>()?;
        if self.ledger.careless {
            let (operator, checkpoint) = (self.operator, CheckpointId(0));
            let entry = Entry { operator, checkpoint, rows, commits: 1 };
            self.ledger.books.lock().entries.push(entry);
        } else {
            self.rows.extend(rows);
        }
        Ok(())
    }

    fn prepare_commit(&mut self, request: PrepareCommit) -> FunctionResult<Vec<Committable>> {
        let Some(checkpoint) = request.checkpoint else {
            return Err("a commit without a checkpoint although checkpoints are on".into());
        };
        if self.ledger.store.leads(self.epoch) {
            let mut books = self.ledger.books.lock();
            books.prepared.entry(self.operator).or_default().insert(checkpoint);
        }
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let rows = std::mem::take(&mut self.rows);
        let mut books = self.ledger.books.lock();
        let number = books.entries.len() as u64;
        self.ledger.trace.event(
            "sink",
            format_args!("{} describes {number}: {} rows of {checkpoint}", self.name, rows.len()),
        );
        let operator = self.operator;
        books.entries.push(Entry { operator, checkpoint, rows, commits: 0 });
        Ok(vec![number.to_le_bytes().to_vec()])
    }

    fn commit(&mut self, committables: &[Committable]) -> FunctionResult {
        for committable in committables {
            let number = u64::from_le_bytes(committable.as_slice().try_into()?);
            let mut books = self.ledger.books.lock();
            let Some(entry) = books.entries.get_mut(number as usize) else {
                books.violations.push(format!("{number} is committed and was never described"));
                continue;
            };
            entry.commits += 1;
            let (checkpoint, times) = (entry.checkpoint, entry.commits);
            self.ledger.trace.event(
                "sink",
                format_args!("{} commits {number} of {checkpoint}, time {times}", self.name),
            );
            // What a failed checkpoint was to commit is in the next one.
            if self.ledger.store.highest_published() < Some(checkpoint) {
                let violation = format!("{number} of {checkpoint} is committed unpublished");
                books.violations.push(violation);
            }
        }
        let now = turmoil::sim_elapsed().unwrap_or_default();
        if now < self.ledger.heal_at && self.ledger.dice.lock().chance(self.ledger.commit_failures)
        {
            return Err("injected: the commit was done and its answer lost".into());
        }
        Ok(())
    }
}
