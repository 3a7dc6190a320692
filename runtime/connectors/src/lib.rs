//! The ways in and out: one source or sink a file.
//!
//! A connector is only what the contracts of `thalweg_operators` ask for: a source enumerates its
//! splits and reads one, a sink writes, prepares and commits. Watermarks, idleness, rates, bad
//! records, positions in checkpoints and the order of commits are done for all of them there.
//! Each connector's page says what it guarantees.
//!
//! [`mod@format`] is what text connectors share: cutting bytes into records, decoding, encoding.

pub mod blackhole;
pub mod collect;
pub mod collection;
pub mod datagen;
pub mod file;
pub mod format;
mod position;
pub mod print;
pub mod socket;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use blackhole::BlackholeSink;
pub use collect::{CollectSink, Collected};
pub use collection::CollectionSource;
pub use datagen::DataGenerator;
pub use file::{FileSink, FileSource};
pub use format::{CsvHeader, LineFormat, RowFormat};
pub use print::PrintSink;
pub use socket::{SocketSink, SocketSource};
