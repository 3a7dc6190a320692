//! How far event time has come at a window operator, across a restore.
//!
//! A restored task's watermark begins at the very beginning again, while its state is that of a
//! later time: a window that had fired may still have rows, kept for other windows or for late
//! rows. So the snapshot holds what each key group had reached: as the ranges of key groups of
//! the subtasks that wrote it, of which every new subtask reads all. That is exact at any
//! parallelism, also where the old subtasks' watermarks differed.

use thalweg_core::Record;
use thalweg_core::element::{MIN_WATERMARK, Watermark};
use thalweg_core::key_group::{KeyGroupRange, key_group};
use thalweg_state::run::RunWriter;
use thalweg_state::{OperatorListState, OperatorState};

use crate::contract::{OpenContext, OperatorError};

/// The event time that key groups have reached: a row of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Record)]
#[record(crate = "thalweg_core")]
struct Reached {
    first_key_group: u32,
    /// The key group after the last.
    end_key_group: u32,
    watermark: Watermark,
}

/// The event time of a subtask's key groups.
pub(super) struct EventTime {
    key_groups: KeyGroupRange,
    max_parallelism: u32,
    /// Windows up to here have fired, all of them.
    watermark: Watermark,
    /// What each key group had reached in the snapshot. Empty once `watermark` has passed all.
    restored: Vec<Watermark>,
    state: OperatorState,
    reached: OperatorListState<Reached>,
}

impl EventTime {
    pub(super) fn open(context: &OpenContext<'_>) -> Result<Self, OperatorError> {
        let key_groups = context.subtask.key_groups;
        let mut state = OperatorState::with_budget(context.restored.clone(), &context.state_budget);
        let reached = state.union_list_state::<Reached>("window-event-time")?;
        let of_group = |group: u32| {
            let rows = reached.get(&state)?;
            let own = |r: &&Reached| r.first_key_group <= group && group < r.end_key_group;
            Ok(rows.iter().find(own).map_or(MIN_WATERMARK, |r| r.watermark))
        };
        let restored: Vec<_> =
            key_groups.iter().map(of_group).collect::<Result<_, OperatorError>>()?;
        let watermark = restored.iter().copied().min().unwrap_or(MIN_WATERMARK);
        let max_parallelism = context.subtask.max_parallelism;
        let mut time = Self { key_groups, max_parallelism, watermark, restored, state, reached };
        time.forget_passed();
        Ok(time)
    }

    /// What all key groups have reached.
    pub(super) fn watermark(&self) -> Watermark {
        self.watermark
    }

    /// What the key group of a key with this hash has reached.
    #[inline]
    pub(super) fn of_hash(&self, hash: u64) -> Watermark {
        if self.restored.is_empty() {
            return self.watermark;
        }
        let group = key_group(hash, self.max_parallelism);
        self.of_place(group.wrapping_sub(self.key_groups.start) as usize)
    }

    /// What the key group at this place in the subtask's range has reached.
    pub(super) fn of_place(&self, place: usize) -> Watermark {
        let restored = self.restored.get(place).copied();
        restored.map_or(self.watermark, |restored| restored.max(self.watermark))
    }

    /// Windows up to `watermark` have fired, all of them.
    pub(super) fn reach(&mut self, watermark: Watermark) {
        self.watermark = self.watermark.max(watermark);
        self.forget_passed();
    }

    fn forget_passed(&mut self) {
        if self.restored.iter().all(|restored| *restored <= self.watermark) {
            self.restored = Vec::new();
        }
    }

    pub(super) fn snapshot(&mut self, writer: &mut RunWriter) -> Result<(), OperatorError> {
        let mut rows: Vec<Reached> = Vec::new();
        for (place, group) in self.key_groups.iter().enumerate() {
            let watermark = self.of_place(place);
            match rows.last_mut() {
                Some(last) if last.watermark == watermark => last.end_key_group = group + 1,
                _ => rows.push(Reached {
                    first_key_group: group,
                    end_key_group: group + 1,
                    watermark,
                }),
            }
        }
        self.reached.update(&mut self.state, rows)?;
        Ok(self.state.snapshot(writer).map_err(thalweg_state::StateError::from)?)
    }
}
