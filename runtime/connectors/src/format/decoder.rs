//! What makes a row of a record's bytes, and the decoder of plain lines.

use thalweg_operators::{FunctionError, FunctionResult};

/// Why a record gave no row.
#[derive(Debug)]
pub enum DecodeProblem {
    /// This record is wrong; the next one may be right.
    Bad {
        /// The field that is wrong, when it is one.
        field: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
    /// No record can be right: the header, or the type, doesn't fit.
    Fatal(FunctionError),
}

/// Makes rows of records. Each reader has its own.
pub trait Decoder<T>: Send {
    /// Whether the first record of the input is a header.
    fn wants_header(&self) -> bool {
        false
    }

    /// Takes the header.
    ///
    /// # Errors
    /// It isn't one.
    fn header(&mut self, record: &[u8]) -> FunctionResult {
        let _ = record;
        Ok(())
    }

    /// The row of a record, which comes without its line end. None: a blank line, which means
    /// nothing in this format.
    ///
    /// # Errors
    /// As [`DecodeProblem`] says.
    fn decode(&mut self, record: &[u8]) -> Result<Option<T>, DecodeProblem>;
}

/// Each line is a row.
pub(super) struct Lines;

impl Decoder<String> for Lines {
    fn decode(&mut self, record: &[u8]) -> Result<Option<String>, DecodeProblem> {
        match std::str::from_utf8(record) {
            Ok(line) => Ok(Some(line.to_owned())),
            Err(error) => Err(DecodeProblem::Bad { field: None, reason: not_utf8(&error) }),
        }
    }
}

/// The reason for bytes that aren't UTF-8.
pub(super) fn not_utf8(error: &std::str::Utf8Error) -> String {
    format!("it isn't UTF-8 from byte {} on", error.valid_up_to() + 1)
}
