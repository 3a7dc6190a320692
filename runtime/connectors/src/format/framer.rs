//! Cuts a stream of bytes into records: at line ends, for CSV at those outside quotes.
//!
//! Memory is bounded: a record is at most [`MAX_RECORD_BYTES`] long; a longer one is reported with
//! its beginning and passed over without being held. A quote that is never closed doesn't swallow
//! the rest of the input: only the line that it is in is reported, and the next one is a record
//! again. No I/O here: the caller puts bytes in.

use memchr::{memchr, memchr_iter};

/// The longest record, its line end not counted: 1 MiB.
pub const MAX_RECORD_BYTES: usize = 1 << 20;
/// Bytes that the buffer has room for at first, and that it grows by.
const CHUNK_BYTES: usize = 256 << 10;

/// A place between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Bytes before it.
    pub offset: u64,
    /// The line it is at, from 1.
    pub line: u64,
    /// It is within a line that was too long and of which the rest is passed over.
    pub within_long_line: bool,
}

impl Default for Place {
    /// The beginning.
    fn default() -> Self {
        Self { offset: 0, line: 1, within_long_line: false }
    }
}

/// What comes next in the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Framed<'a> {
    /// A record without its line end, and the line it begins at.
    Record(&'a [u8], u64),
    /// A line that can't be a record, its beginning, and why.
    Broken(&'a [u8], u64, &'static str),
    /// More bytes are needed.
    NeedBytes,
    /// The input has ended.
    End,
}

/// Bytes on their way to becoming records.
#[derive(Debug)]
pub struct RecordFramer {
    quoted: Option<u8>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// From `start` to here no record ends; where to go on when bytes were added.
    scanned: usize,
    place: Place,
    ended: bool,
}

impl RecordFramer {
    /// A framer for records that are lines.
    pub fn lines(place: Place) -> Self {
        Self { quoted: None, buffer: Vec::new(), start: 0, end: 0, scanned: 0, place, ended: false }
    }

    /// A framer for CSV with this delimiter: line ends between quotes belong to the record.
    pub fn csv(delimiter: u8, place: Place) -> Self {
        Self { quoted: Some(delimiter), ..Self::lines(place) }
    }

    /// Behind the last record that was given.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Room to put bytes in; tell [`Self::filled`] how many were.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start > 0 && self.buffer.len() - self.end < CHUNK_BYTES / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.scanned -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < CHUNK_BYTES / 2 {
            self.buffer.resize(self.buffer.len() + CHUNK_BYTES, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were put in.
    pub fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
    }

    /// No byte follows: what is left is the last record.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// The next record.
    #[inline]
    pub fn next_record(&mut self) -> Framed<'_> {
        if self.place.within_long_line && !self.pass_over() {
            return if self.ended { Framed::End } else { Framed::NeedBytes };
        }
        let bytes = &self.buffer[self.start..self.end];
        let Some(line_end) = memchr(b'\n', &bytes[self.scanned - self.start..]) else {
            return self.incomplete();
        };
        let line_end = line_end + (self.scanned - self.start);
        let quotes_matter = self.quoted.is_some() && memchr(b'"', &bytes[..line_end]).is_some();
        if quotes_matter {
            return self.next_quoted();
        }
        self.give(line_end, 1)
    }

    /// Gives the record that ends at `end` behind `start`, where a line end stands.
    #[inline]
    fn give(&mut self, end: usize, lines: u64) -> Framed<'_> {
        let (start, line) = (self.start, self.place.line);
        self.advance(end + 1, lines);
        if end > MAX_RECORD_BYTES {
            return Framed::Broken(&self.buffer[start..start + end], line, TOO_LONG);
        }
        Framed::Record(without_return(&self.buffer[start..start + end]), line)
    }

    #[inline]
    fn advance(&mut self, bytes: usize, lines: u64) {
        self.start += bytes;
        self.scanned = self.start;
        self.place.offset += bytes as u64;
        self.place.line += lines;
    }

    /// The next record, when there are quotes in its first line.
    #[cold]
    fn next_quoted(&mut self) -> Framed<'_> {
        let bytes = &self.buffer[self.start..self.end];
        match quoted_end(bytes, self.quoted.unwrap_or(b',')) {
            QuotedEnd::LineEnd(end) => {
                let lines = 1 + memchr_iter(b'\n', &bytes[..end]).count() as u64;
                self.give(end, lines)
            }
            QuotedEnd::NotHere if self.ended => self.last(),
            QuotedEnd::InQuotes | QuotedEnd::NotHere
                if !self.ended && bytes.len() <= MAX_RECORD_BYTES =>
            {
                Framed::NeedBytes
            }
            QuotedEnd::InQuotes | QuotedEnd::NotHere | QuotedEnd::Broken => self.unclosed(),
        }
    }

    /// Gives all that is left as a record: the input has ended within it.
    fn last(&mut self) -> Framed<'_> {
        let (start, end, line) = (self.start, self.end, self.place.line);
        let lines = memchr_iter(b'\n', &self.buffer[start..end]).count() as u64;
        self.advance(end - start, lines);
        Framed::Record(without_return(&self.buffer[start..end]), line)
    }

    /// Reports the first line only.
    fn unclosed(&mut self) -> Framed<'_> {
        let bytes = &self.buffer[self.start..self.end];
        let end = memchr(b'\n', bytes).unwrap_or(bytes.len());
        let (start, line) = (self.start, self.place.line);
        let newline = usize::from(end < bytes.len());
        self.advance(end + newline, newline as u64);
        Framed::Broken(&self.buffer[start..start + end], line, UNCLOSED)
    }

    /// No line end is there.
    #[cold]
    fn incomplete(&mut self) -> Framed<'_> {
        let (start, left) = (self.start, self.end - self.start);
        let line = self.place.line;
        if left > MAX_RECORD_BYTES {
            self.advance(left, 0);
            self.place.within_long_line = true;
            return Framed::Broken(&self.buffer[start..start + left], line, TOO_LONG);
        }
        self.scanned = self.end;
        match (self.ended, left) {
            (false, _) => Framed::NeedBytes,
            (true, 0) => Framed::End,
            (true, _) => {
                let bytes = &self.buffer[start..start + left];
                match self.quoted.map(|delimiter| quoted_end(bytes, delimiter)) {
                    Some(QuotedEnd::InQuotes) => self.unclosed(),
                    _ => self.last(),
                }
            }
        }
    }

    /// Drops bytes up to the end of a line that was too long. False: it doesn't end here.
    fn pass_over(&mut self) -> bool {
        match memchr(b'\n', &self.buffer[self.start..self.end]) {
            Some(end) => {
                self.advance(end + 1, 1);
                self.place.within_long_line = false;
                true
            }
            None => {
                self.advance(self.end - self.start, 0);
                false
            }
        }
    }
}

const TOO_LONG: &str = "it is longer than 1 MiB";
const UNCLOSED: &str = "a quote is opened and never closed";

fn without_return(record: &[u8]) -> &[u8] {
    record.strip_suffix(b"\r").unwrap_or(record)
}

/// Where a record with quotes ends.
enum QuotedEnd {
    /// Its line end stands here.
    LineEnd(usize),
    /// There is no line end outside quotes.
    NotHere,
    /// A quote isn't closed.
    InQuotes,
    /// What closes a quote of an earlier line has text behind it: rather than closing that one it
    /// opens another, and the earlier one was never closed.
    Broken,
}

/// Where the record ends that is at the beginning of `bytes`.
fn quoted_end(bytes: &[u8], delimiter: u8) -> QuotedEnd {
    let mut at = 0;
    loop {
        // At the beginning of a field.
        if bytes.get(at) == Some(&b'"') {
            let Some(end) = closing_quote(bytes, at + 1) else { return QuotedEnd::InQuotes };
            let ends_field = match bytes.get(end + 1) {
                None | Some(b'\n' | b'\r') => true,
                Some(next) => *next == delimiter,
            };
            if !ends_field && memchr(b'\n', &bytes[at..end]).is_some() {
                return QuotedEnd::Broken;
            }
            at = end + 1;
        }
        // Whatever follows within the field, a quote there is a character like others.
        let rest = bytes.get(at..).unwrap_or_default();
        match memchr::memchr2(delimiter, b'\n', rest) {
            Some(found) if rest[found] == b'\n' => return QuotedEnd::LineEnd(at + found),
            Some(found) => at += found + 1,
            None => return QuotedEnd::NotHere,
        }
    }
}

/// Where the quotes end whose content begins at `from`; two quotes stand for one.
pub(super) fn closing_quote(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let end = from + memchr(b'"', bytes.get(from..)?)?;
        if bytes.get(end + 1) != Some(&b'"') {
            return Some(end);
        }
        from = end + 2;
    }
}
