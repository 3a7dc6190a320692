//! What can be wrong with a snapshot run, and where in it.

use std::fmt;
use std::io;

use thiserror::Error;

use crate::budget::Overdrawn;

/// A place within a run, for error messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The first 16 bytes.
    Header,
    /// The last 56 bytes.
    Footer,
    /// The description of the run and of its states.
    Description,
    /// The list of blocks.
    Index,
    /// A block of rows.
    Block {
        /// Its number in the run, from 0.
        number: usize,
        /// The state that its rows belong to.
        state: String,
        /// The first key group in it.
        first_key_group: u16,
        /// The last key group in it.
        last_key_group: u16,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Header => f.write_str("header"),
            Place::Footer => f.write_str("footer"),
            Place::Description => f.write_str("description"),
            Place::Index => f.write_str("index"),
            Place::Block { number, state, first_key_group: first, last_key_group: last } => {
                write!(f, "block {number} (state {state:?}, key groups {first} to {last})")
            }
        }
    }
}

/// A run that can't be written or read.
#[derive(Debug, Error)]
pub enum RunError {
    /// The source of the bytes failed.
    #[error("the {place} of the snapshot run can't be read: {source}")]
    Read {
        /// What was to be read.
        place: Place,
        /// The source's error.
        source: io::Error,
    },
    /// The bytes aren't a run at all.
    #[error("not a snapshot run: the {place} {reason}; is this the right object and offset?")]
    NotARun {
        /// Where that showed.
        place: Place,
        /// How.
        reason: &'static str,
    },
    /// A later version's run.
    #[error(
        "the snapshot run has format version {found}, this build reads up to {supported}: \
         restore it with the version that wrote it, or a later one"
    )]
    Version {
        /// The run's version.
        found: u16,
        /// The highest version that this build reads.
        supported: u16,
    },
    /// The run uses a feature that this build doesn't have.
    #[error(
        "the {place} of the snapshot run needs {feature}, which this build doesn't read: \
         restore it with the version that wrote it, or a later one"
    )]
    Unsupported {
        /// Where.
        place: Place,
        /// The feature.
        feature: String,
    },
    /// Damaged bytes.
    #[error(
        "the {place} of the snapshot run is damaged: {reason}; restore from another checkpoint"
    )]
    Corrupt {
        /// Where.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// Rows were written in the wrong order, or a state twice. A bug of the writer.
    #[error("the snapshot of state {state:?} would be unreadable: {reason}; please report this")]
    Unwritable {
        /// The state.
        state: String,
        /// What is wrong.
        reason: String,
    },
    /// A row larger than a block can be.
    #[error(
        "a row of state {state:?} has {size} bytes, more than the {limit} that a snapshot can \
         hold: store smaller values, or split them over a list or map state"
    )]
    RowTooLarge {
        /// The state.
        state: String,
        /// The row's size in bytes.
        size: usize,
        /// The largest size in bytes.
        limit: usize,
    },
    /// What waits to be written, or to be stored, doesn't fit the memory for it. The state is as
    /// it was; only the snapshot is lost.
    #[error(
        "the snapshot needs {used} bytes of buffers, more than the {limit} of its slot: raise \
         taskmanager.memory.process.size, or execution.checkpointing.interval if the store is \
         too slow"
    )]
    BuffersFull {
        /// Bytes that would be in use.
        used: usize,
        /// The slot's limit.
        limit: usize,
    },
}

impl From<Overdrawn> for RunError {
    fn from(overdrawn: Overdrawn) -> RunError {
        RunError::BuffersFull { used: overdrawn.used, limit: overdrawn.limit }
    }
}

impl RunError {
    /// The rows of a key exceed what can be kept for its turn.
    pub(crate) fn too_large() -> RunError {
        let reason = "the rows of one key exceed 4 GiB".to_owned();
        RunError::Unwritable { state: String::new(), reason }
    }

    /// The same, of this state, if it's of one that wasn't named.
    pub(crate) fn of_state(mut self, name: &str) -> RunError {
        if let RunError::Unwritable { state, .. } = &mut self
            && state.is_empty()
        {
            name.clone_into(state);
        }
        self
    }

    pub(super) fn corrupt(place: Place, reason: impl Into<String>) -> RunError {
        RunError::Corrupt { place, reason: reason.into() }
    }
}
