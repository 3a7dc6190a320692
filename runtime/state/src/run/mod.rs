//! The snapshot run: the one format that checkpoints, savepoints, rescaling and a change of
//! backend write and read. One operator subtask's snapshot is a base run, and the delta runs of
//! what has changed since. Byte by byte in `docs/checkpoint-format.md`.
//!
//! A run is a header, blocks of sorted rows, a description (who wrote it, which states with
//! which schemas), an index of the blocks and a footer. A row is
//! (state, key group, key, namespace, sub-key) -> value, or a tombstone. Every byte lies under a
//! checksum. Not here: what each kind of state puts in its rows, which is beside that state.

mod block;
mod description;
mod error;
mod footer;
mod index;
mod layers;
mod merge;
mod read_at;
mod reader;
mod row;
mod shown;
#[cfg(test)]
pub(crate) mod tests;
mod varint;
mod verify;
mod writer;

pub use self::description::{RunDescription, RunKind, RunOrigin, StateDeclaration, StateKind};
pub use self::error::{Place, RunError};
pub use self::layers::layers;
pub use self::merge::MergedRows;
pub use self::read_at::ReadAt;
pub use self::reader::{BlockInfo, RowCursor, RunReader};
pub use self::row::{Row, RowKey, RowOperation};
pub use self::shown::ShownRow;
pub use self::verify::verify;
pub use self::writer::{LastSnapshot, RunWriter};
