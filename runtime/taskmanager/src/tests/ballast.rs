//! An operator with ballast: besides what another one does it keeps much for each key, which
//! doesn't compress, and complains when that isn't there after a restore.

use std::collections::BTreeSet;

use thalweg_core::Batch;
use thalweg_core::record::Key;
use thalweg_operators::contract::{
    OpenContext, Operator, OperatorError, Output, Progress, RunContext, SnapshotContext,
};
use thalweg_state::run::RunWriter;
use thalweg_state::{EncodingBudget, KeyedState, ValueState};

/// Bytes for each key.
pub(super) const BYTES: usize = 200_000;

pub(super) struct Ballast {
    operator: Box<dyn Operator>,
    kept: Option<(KeyedState<i64>, ValueState<Vec<u8>>)>,
    restored: bool,
    /// Keys of which it knows that all is there.
    seen: BTreeSet<i64>,
}

impl Ballast {
    pub(super) fn of(operator: Box<dyn Operator>) -> Ballast {
        Ballast { operator, kept: None, restored: false, seen: BTreeSet::new() }
    }
}

/// What a key has: noise.
fn noise(key: i64) -> Vec<u8> {
    let mut noise = key.unsigned_abs() + 1;
    let byte = || {
        noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (noise >> 56) as u8
    };
    std::iter::repeat_with(byte).take(BYTES).collect()
}

impl Operator for Ballast {
    fn open(&mut self, context: &mut OpenContext<'_>) -> Result<(), OperatorError> {
        self.restored = context.restored.is_some();
        let groups = context.subtask.key_groups;
        let mut state = KeyedState::new(groups, 128, context.restored.clone())?;
        let kept = state.value_state("ballast")?;
        self.kept = Some((state, kept));
        self.operator.open(context)
    }

    fn process(
        &mut self,
        input: usize,
        batch: &mut Batch,
        context: &mut RunContext<'_>,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        if let Some((state, kept)) = &mut self.kept {
            for (key, _) in batch.values::<(i64, i64)>()? {
                if !self.seen.insert(*key) {
                    continue;
                }
                state.set_current_key(*key, key.key_hash());
                match kept.get(state)? {
                    Some(found) if self.restored => assert!(*found == noise(*key), "damaged"),
                    Some(_) => {}
                    None => {
                        assert!(!self.restored, "key {key} has lost its ballast");
                        kept.set(state, noise(*key))?;
                    }
                }
            }
        }
        self.operator.process(input, batch, context, output)
    }

    fn snapshot(
        &mut self,
        context: &SnapshotContext,
        writer: &mut RunWriter,
    ) -> Result<(), OperatorError> {
        if let Some((state, _)) = &mut self.kept {
            state.snapshot(writer)?;
        }
        self.operator.snapshot(context, writer)
    }

    fn encode(
        &mut self,
        writer: &mut RunWriter,
        budget: &mut EncodingBudget,
    ) -> Result<Progress, OperatorError> {
        if let Some((state, _)) = &mut self.kept
            && !state.encode(writer, budget)?
        {
            return Ok(Progress::More);
        }
        self.operator.encode(writer, budget)
    }

    fn abort_snapshot(&mut self) {
        if let Some((state, _)) = &mut self.kept {
            state.abort_snapshot();
        }
        self.operator.abort_snapshot();
    }
}
