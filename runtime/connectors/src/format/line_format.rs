//! How a text is read: which records there are and what type of row they become.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::csv_decoder::CsvDecoder;
use super::decoder::{Decoder, Lines};
use super::framer::{Place, RecordFramer};
use super::json_decoder::JsonDecoder;

/// Where the names of the columns of a CSV text come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CsvHeader {
    /// From the first line of the input. Columns are matched to fields by name.
    FromInput,
    /// There is no header line; these are the columns. They are matched to fields by name.
    Given(Vec<String>),
    /// There is no header line; the columns are the fields of the struct, or of the tuple, in
    /// their order.
    ByPosition,
}

/// How a text is read into rows of `T`.
///
/// ```
/// use thalweg_connectors::{CsvHeader, LineFormat};
///
/// let lines = LineFormat::lines();
/// let pairs = LineFormat::<(String, u64)>::csv(CsvHeader::ByPosition).with_delimiter(b';');
/// # let _ = (lines, pairs);
/// ```
pub struct LineFormat<T> {
    /// None: records are lines.
    csv: Option<(CsvHeader, u8)>,
    make: Make<T>,
}

type Make<T> = Arc<dyn Fn(Option<&(CsvHeader, u8)>) -> Box<dyn Decoder<T>> + Send + Sync>;

impl LineFormat<String> {
    /// Each line is a row.
    pub fn lines() -> Self {
        Self { csv: None, make: Arc::new(|_| Box::new(Lines)) }
    }
}

impl<T: DeserializeOwned + 'static> LineFormat<T> {
    /// CSV by RFC 4180. A record has as many fields as there are columns; columns that `T` has no
    /// field for are passed over.
    pub fn csv(header: CsvHeader) -> Self {
        let make: Make<T> = Arc::new(|csv| match csv {
            Some((header, delimiter)) => Box::new(CsvDecoder::new(header, *delimiter)),
            None => Box::new(CsvDecoder::new(&CsvHeader::FromInput, b',')),
        });
        Self { csv: Some((header, b',')), make }
    }

    /// Each line is a JSON value; blank lines are passed over.
    pub fn json_lines() -> Self {
        Self { csv: None, make: Arc::new(|_| Box::new(JsonDecoder::new())) }
    }
}

impl<T> LineFormat<T> {
    /// What stands between the fields of CSV, a comma unless set. A single byte other than a
    /// quote or a line end; formats other than CSV have none, so it changes nothing there.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: u8) -> Self {
        if let Some((_, current)) = &mut self.csv {
            *current = delimiter;
        }
        self
    }

    /// Makes rows of records.
    pub fn decoder(&self) -> Box<dyn Decoder<T>> {
        (self.make)(self.csv.as_ref())
    }

    /// Cuts a text into records, from `place` on.
    pub fn framer(&self, place: Place) -> RecordFramer {
        match &self.csv {
            Some((_, delimiter)) => RecordFramer::csv(*delimiter, place),
            None => RecordFramer::lines(place),
        }
    }
}

impl<T> Clone for LineFormat<T> {
    fn clone(&self) -> Self {
        Self { csv: self.csv.clone(), make: self.make.clone() }
    }
}

impl<T> std::fmt::Debug for LineFormat<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineFormat").field("csv", &self.csv).finish_non_exhaustive()
    }
}
