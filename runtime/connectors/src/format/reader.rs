//! Reads rows from a stream of bytes: what the readers of files and sockets have in common.

use thalweg_operators::FunctionResult;
use thalweg_operators::source::{BadRecord, ReadBuffer, ReadStatus};

use super::csv_decoder::HeaderError;
use super::decoder::{DecodeProblem, Decoder};
use super::framer::{Framed, Place, RecordFramer};

/// Of a bad record so much is kept.
const RAW_BYTES: usize = 4 << 10;
/// Bytes that one read takes in at most, whatever comes of them: a read stays short even in a
/// line that is too long.
const READ_BYTES: usize = 4 << 20;

/// What bytes come from.
pub(crate) enum Input {
    /// So many were put in.
    Bytes(usize),
    /// None now; the task is woken when there are.
    Nothing,
    /// No more will come.
    End,
}

/// A record is fatally wrong.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}")]
struct Unreadable {
    name: String,
    source: thalweg_operators::FunctionError,
}

/// A header was expected.
#[derive(Debug, thiserror::Error)]
#[error("{0}: it is empty, but its first line must be a header with the names of the columns")]
struct NoHeader(String);

/// Reads rows.
pub(crate) struct RecordReader<T> {
    /// What it is read from, for messages.
    name: String,
    framer: RecordFramer,
    decoder: Box<dyn Decoder<T>>,
    header_seen: bool,
}

impl<T> RecordReader<T> {
    /// A reader for what begins at the framer's place. `header_seen`: the decoder has it already.
    pub(crate) fn new(
        name: String,
        framer: RecordFramer,
        decoder: Box<dyn Decoder<T>>,
        header_seen: bool,
    ) -> Self {
        let header_seen = header_seen || !decoder.wants_header();
        Self { name, framer, decoder, header_seen }
    }

    /// Behind the last record.
    pub(crate) fn place(&self) -> Place {
        self.framer.place()
    }

    /// The decoder, once the header was read.
    pub(crate) fn into_decoder(self) -> Box<dyn Decoder<T>> {
        self.decoder
    }

    /// Reads the header, if one is expected, from an input that never has nothing.
    pub(crate) fn read_header(
        &mut self,
        mut input: impl FnMut(&mut [u8]) -> FunctionResult<Input>,
    ) -> FunctionResult {
        while !self.header_seen {
            match self.framer.next_record() {
                Framed::NeedBytes => match input(self.framer.room())? {
                    Input::Bytes(bytes) => self.framer.filled(bytes),
                    Input::Nothing | Input::End => self.framer.finish(),
                },
                framed => {
                    take_header(&self.name, framed, self.decoder.as_mut())?;
                    self.header_seen = true;
                }
            }
        }
        Ok(())
    }

    /// Reads at most `max_rows` records of what `input` gives.
    pub(crate) fn read(
        &mut self,
        max_rows: usize,
        rows: &mut ReadBuffer<T>,
        mut input: impl FnMut(&mut [u8]) -> FunctionResult<Input>,
    ) -> FunctionResult<ReadStatus> {
        let (mut taken, mut found) = (0, 0);
        while found < max_rows {
            match self.framer.next_record() {
                Framed::NeedBytes if taken >= READ_BYTES => return Ok(ReadStatus::More),
                Framed::NeedBytes => match input(self.framer.room())? {
                    Input::Bytes(bytes) => {
                        self.framer.filled(bytes);
                        taken += bytes;
                    }
                    Input::Nothing => return Ok(ReadStatus::Pending { until: None }),
                    Input::End => self.framer.finish(),
                },
                framed if !self.header_seen => {
                    take_header(&self.name, framed, self.decoder.as_mut())?;
                    self.header_seen = true;
                }
                Framed::Record(record, line) => {
                    let record = if line == 1 { without_mark(record) } else { record };
                    match self.decoder.decode(record) {
                        Ok(Some(row)) => {
                            rows.rows.push(row);
                            found += 1;
                        }
                        Ok(None) => {}
                        Err(DecodeProblem::Bad { field, reason }) => {
                            rows.bad.push(bad_record(&self.name, line, field, reason, record));
                            found += 1;
                        }
                        Err(DecodeProblem::Fatal(source)) => {
                            return Err(Unreadable { name: self.name.clone(), source }.into());
                        }
                    }
                }
                Framed::Broken(raw, line, reason) => {
                    rows.bad.push(bad_record(&self.name, line, None, reason.to_owned(), raw));
                    found += 1;
                }
                Framed::End => return Ok(ReadStatus::End),
            }
        }
        Ok(ReadStatus::More)
    }
}

fn take_header<T>(name: &str, framed: Framed<'_>, decoder: &mut dyn Decoder<T>) -> FunctionResult {
    let unreadable = |source| Unreadable { name: name.to_owned(), source };
    match framed {
        Framed::Record(record, _) => {
            Ok(decoder.header(without_mark(record)).map_err(unreadable)?)
        }
        Framed::Broken(_, _, reason) => {
            Err(unreadable(HeaderError::Malformed(reason.to_owned()).into()).into())
        }
        Framed::End | Framed::NeedBytes => Err(NoHeader(name.to_owned()).into()),
    }
}

#[cold]
fn bad_record(
    name: &str,
    line: u64,
    field: Option<String>,
    reason: String,
    raw: &[u8],
) -> BadRecord {
    let raw = &raw[..raw.len().min(RAW_BYTES)];
    let raw = String::from_utf8_lossy(raw).into_owned();
    BadRecord { source: name.to_owned(), line, field, reason, raw }
}

/// Without the byte order mark that some programs put in front of UTF-8.
fn without_mark(record: &[u8]) -> &[u8] {
    record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record)
}
