//! Text formats, shared by files, sockets and standard output.
//!
//! Reading: a [`RecordFramer`] cuts bytes into records, a [`Decoder`] makes each one a row, and
//! [`LineFormat`] says how for a type. Writing: a [`RowFormat`]. Not here: where the bytes come
//! from and go to.

mod csv_decoder;
mod decoder;
mod field_names;
mod framer;
mod json_decoder;
mod line_format;
mod reader;
mod row_format;
#[cfg(test)]
mod tests;

pub use decoder::{DecodeProblem, Decoder};
pub use framer::{Framed, MAX_RECORD_BYTES, Place, RecordFramer};
pub use line_format::{CsvHeader, LineFormat};
pub(crate) use reader::{Input, RecordReader};
pub use row_format::RowFormat;
