//! Rows of CSV records, by RFC 4180: fields may stand in quotes, two quotes within stand for one.
//! A quote within a field that doesn't begin with one is a character like others; text behind a
//! closing quote is refused.

use std::marker::PhantomData;

use csv::{ByteRecord, DeserializeErrorKind, ErrorKind};
use memchr::memchr;
use serde::de::DeserializeOwned;

use super::decoder::{DecodeProblem, Decoder};
use super::field_names::field_names;
use super::framer::closing_quote;
use super::line_format::CsvHeader;

/// Makes rows of CSV records.
pub(super) struct CsvDecoder<T> {
    delimiter: u8,
    from_input: bool,
    /// The columns, when fields go by name.
    header: Option<ByteRecord>,
    /// Names of the columns as far as they're known, for messages.
    names: Vec<String>,
    /// How many fields a record has, when that is known.
    fields: Option<usize>,
    record: ByteRecord,
    scratch: Vec<u8>,
    row: PhantomData<fn() -> T>,
}

/// The header doesn't fit.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("the header line can't be read: {0}")]
    Malformed(String),
    #[error("the header line isn't UTF-8: CSV files are read as UTF-8, convert it first")]
    Encoding,
    #[error("the header has two columns of the name {0:?}: rename one of them")]
    Twice(String),
    #[error(
        "the header has no column {missing:?}; it has {found}. Columns are matched to the \
         fields of {type_name} by name: rename the column, or give the field \
         #[serde(rename = \"...\")] or #[serde(default)]"
    )]
    Missing { missing: String, found: String, type_name: &'static str },
}

impl<T: DeserializeOwned> CsvDecoder<T> {
    pub(super) fn new(header: &CsvHeader, delimiter: u8) -> Self {
        let mut decoder = Self {
            delimiter,
            from_input: matches!(header, CsvHeader::FromInput),
            header: None,
            names: Vec::new(),
            fields: None,
            record: ByteRecord::new(),
            scratch: Vec::new(),
            row: PhantomData,
        };
        match header {
            CsvHeader::FromInput => {}
            CsvHeader::Given(names) => {
                decoder.fields = Some(names.len());
                decoder.header = Some(ByteRecord::from(names.clone()));
                decoder.names.clone_from(names);
            }
            CsvHeader::ByPosition => {
                if let Some(names) = field_names::<T>() {
                    decoder.fields = Some(names.len());
                    decoder.names = names.iter().map(|name| (*name).to_owned()).collect();
                }
            }
        }
        decoder
    }

    fn name(&self, field: usize) -> String {
        match self.names.get(field) {
            Some(name) => name.clone(),
            None => format!("{}", field + 1),
        }
    }

    /// Splits a record into fields.
    #[inline]
    fn split(&mut self, record: &[u8]) -> Result<(), DecodeProblem> {
        self.record.clear();
        if memchr(b'"', record).is_some() {
            return self.split_quoted(record);
        }
        let mut from = 0;
        for end in memchr::memchr_iter(self.delimiter, record) {
            self.record.push_field(&record[from..end]);
            from = end + 1;
        }
        self.record.push_field(&record[from..]);
        Ok(())
    }

    #[cold]
    fn split_quoted(&mut self, record: &[u8]) -> Result<(), DecodeProblem> {
        let mut rest = Some(record);
        while let Some(field) = rest {
            if field.first() != Some(&b'"') {
                let end = memchr(self.delimiter, field).unwrap_or(field.len());
                self.record.push_field(&field[..end]);
                rest = field.get(end + 1..);
                continue;
            }
            let number = self.record.len();
            let bad = |reason: &str| (number, reason.to_owned());
            let end = closing_quote(field, 1).ok_or_else(|| bad("a quote is never closed"));
            let parted = end.and_then(|end| match field.get(end + 1) {
                None => Ok((&field[1..end], None)),
                Some(next) if *next == self.delimiter => Ok((&field[1..end], field.get(end + 2..))),
                Some(_) => Err(bad("text follows the closing quote")),
            });
            let (content, after) = match parted {
                Ok(parted) => parted,
                Err((number, reason)) => {
                    return Err(DecodeProblem::Bad { field: Some(self.name(number)), reason });
                }
            };
            self.push_unquoted(content);
            rest = after;
        }
        Ok(())
    }

    /// Pushes a field of which two quotes stand for one.
    fn push_unquoted(&mut self, mut content: &[u8]) {
        self.scratch.clear();
        while let Some(quote) = memchr(b'"', content) {
            self.scratch.extend_from_slice(&content[..=quote]);
            content = &content[(quote + 2).min(content.len())..];
        }
        self.scratch.extend_from_slice(content);
        self.record.push_field(&self.scratch);
    }

    #[cold]
    fn problem(&self, error: &csv::Error) -> DecodeProblem {
        let ErrorKind::Deserialize { err, .. } = error.kind() else {
            return DecodeProblem::Bad { field: None, reason: error.to_string() };
        };
        let missing = match err.kind() {
            DeserializeErrorKind::Message(message) => missing_field(message),
            _ => None,
        };
        if let (Some(missing), Some(_)) = (missing, &self.header) {
            return DecodeProblem::Fatal(Box::new(HeaderError::Missing {
                missing: missing.to_owned(),
                found: self.names.join(", "),
                type_name: std::any::type_name::<T>(),
            }));
        }
        let number = err.field().and_then(|field| usize::try_from(field).ok());
        let value = number.and_then(|number| self.record.get(number)).map(|value| {
            let shown = value.get(..64).unwrap_or(value);
            format!(" ({:?})", String::from_utf8_lossy(shown))
        });
        let reason = match err.kind() {
            DeserializeErrorKind::InvalidUtf8(error) => error.to_string(),
            kind => kind.to_string(),
        };
        DecodeProblem::Bad {
            field: number.map(|number| self.name(number)),
            reason: format!("{reason}{}", value.unwrap_or_default()),
        }
    }
}

/// The field that serde misses.
pub(super) fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.split('`').next()
}

impl<T: DeserializeOwned> Decoder<T> for CsvDecoder<T> {
    fn wants_header(&self) -> bool {
        self.from_input
    }

    fn header(&mut self, record: &[u8]) -> thalweg_operators::FunctionResult {
        self.names.clear();
        self.split(record).map_err(|problem| match problem {
            DecodeProblem::Bad { reason, .. } => HeaderError::Malformed(reason).into(),
            DecodeProblem::Fatal(error) => error,
        })?;
        let mut names: Vec<String> = Vec::with_capacity(self.record.len());
        for name in &self.record {
            let name = std::str::from_utf8(name).map_err(|_| HeaderError::Encoding)?;
            if names.iter().any(|other| other == name) {
                return Err(HeaderError::Twice(name.to_owned()).into());
            }
            names.push(name.to_owned());
        }
        self.fields = Some(names.len());
        self.header = Some(self.record.clone());
        self.names = names;
        Ok(())
    }

    #[inline]
    fn decode(&mut self, record: &[u8]) -> Result<Option<T>, DecodeProblem> {
        if record.is_empty() {
            return Ok(None);
        }
        self.split(record)?;
        if let Some(expected) = self.fields
            && expected != self.record.len()
        {
            let found = self.record.len();
            let reason = format!("it has {found} fields where {expected} are expected");
            return Err(DecodeProblem::Bad { field: None, reason });
        }
        match self.record.deserialize(self.header.as_ref()) {
            Ok(row) => Ok(Some(row)),
            Err(error) => Err(self.problem(&error)),
        }
    }
}
