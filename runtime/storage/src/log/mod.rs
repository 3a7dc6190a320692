//! The log of a job: who leads it, which checkpoints count, how it ended.
//!
//! Entries `log/<n>` are made by put-if-absent and are of three kinds: a *claim* by a new epoch's
//! leader, a *publish* of a checkpoint, the *terminal* result. A leader appends only directly
//! after the last entry that it read, so claims and publishes compete for the same name: whoever
//! finds a foreign entry there is fenced. `docs/log-protocol.md` lists the rules.
//!
//! Decisions are pure: [`search`], [`append`], [`leadership`] and [`collect`] take facts and
//! return what to do. `tests/model` checks exactly these functions against all interleavings.
//! [`Log`], [`Leader`] and [`collector`] read the facts from a [`BlobStore`] and do what was
//! decided, no more. Nothing here has a clock: time-outs are the store's.
//!
//! Not here: electing a leader, which only makes a takeover quick; what a checkpoint holds. The
//! JobManager uses all of it in its `high_availability`.
//!
//! [`BlobStore`]: crate::blob::BlobStore

pub mod append;
pub mod collect;
pub mod collector;
mod encoding;
pub mod entry;
mod error;
mod leader;
pub mod leadership;
pub mod names;
pub mod probe;
mod reader;
pub mod search;
#[cfg(test)]
mod tests;

pub use self::entry::{
    EntryBody, EntryHeader, EntryKind, LogEntry, LogPosition, Published, TerminalStatus, WriterId,
};
pub use self::error::{LogError, LogErrorKind};
pub use self::leader::{ClaimOutcome, CommitPermit, Leader};
pub use self::leadership::{Leadership, Refusal};
pub use self::reader::Log;
