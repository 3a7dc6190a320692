//! A sink that prints its rows, one a line.
//!
//! At least once: after a restart, rows since the last checkpoint are printed again.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::{Batch, Record};
use thalweg_operators::FunctionResult;
use thalweg_operators::sink::{DeliveryGuarantee, Sink, SinkContext, SinkWriter};

use crate::format::RowFormat;

/// Where it prints.
#[derive(Clone)]
enum Target {
    Stdout,
    Stderr,
    Writer(Arc<Mutex<dyn Write + Send>>),
}

impl Target {
    /// In one go, so that lines of different subtasks don't mix.
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        fn whole(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
            out.write_all(bytes)?;
            out.flush()
        }
        match self {
            Self::Stdout => whole(&mut io::stdout().lock(), bytes),
            Self::Stderr => whole(&mut io::stderr().lock(), bytes),
            Self::Writer(writer) => whole(&mut *writer.lock(), bytes),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Stdout => "standard output",
            Self::Stderr => "standard error",
            Self::Writer(_) => "the writer",
        }
    }
}

/// Prints rows.
///
/// ```
/// use thalweg_connectors::{PrintSink, RowFormat};
///
/// let plain = PrintSink::<String>::stdout(RowFormat::lines());
/// let json = PrintSink::<(String, u64)>::stderr(RowFormat::json_lines()).with_prefix();
/// # let _ = (plain, json);
/// ```
pub struct PrintSink<T> {
    target: Target,
    format: RowFormat<T>,
    prefix: bool,
}

impl<T: Record> PrintSink<T> {
    /// Prints to standard output.
    pub fn stdout(format: RowFormat<T>) -> Self {
        Self { target: Target::Stdout, format, prefix: false }
    }

    /// Prints to standard error.
    pub fn stderr(format: RowFormat<T>) -> Self {
        Self { target: Target::Stderr, format, prefix: false }
    }

    /// Prints to a writer that the subtasks of this process share.
    pub fn to(writer: Arc<Mutex<dyn Write + Send>>, format: RowFormat<T>) -> Self {
        Self { target: Target::Writer(writer), format, prefix: false }
    }

    /// Puts the number of the subtask, from 1, in front of each line: `2> ...`.
    #[must_use]
    pub fn with_prefix(mut self) -> Self {
        self.prefix = true;
        self
    }
}

impl<T> Clone for PrintSink<T> {
    fn clone(&self) -> Self {
        let (target, format) = (self.target.clone(), self.format.clone());
        Self { target, format, prefix: self.prefix }
    }
}

impl<T> std::fmt::Debug for PrintSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrintSink({}, {:?})", self.target.name(), self.format)
    }
}

/// The target refused the rows.
#[derive(Debug, thiserror::Error)]
#[error("can't print to {target}: {source}")]
struct PrintError {
    target: &'static str,
    source: io::Error,
}

impl<T: Record> Sink for PrintSink<T> {
    type Row = T;

    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::AtLeastOnce
    }

    fn writer(&self, context: &SinkContext) -> FunctionResult<Box<dyn SinkWriter<T>>> {
        let prefix = self.prefix.then(|| format!("{}> ", context.subtask.index + 1));
        let (lines, prefixed) = (Vec::new(), Vec::new());
        Ok(Box::new(Writer { sink: self.clone(), prefix, lines, prefixed, first: true }))
    }
}

struct Writer<T> {
    sink: PrintSink<T>,
    prefix: Option<String>,
    lines: Vec<u8>,
    prefixed: Vec<u8>,
    first: bool,
}

impl<T: Record> SinkWriter<T> for Writer<T> {
    fn write(&mut self, batch: Batch) -> FunctionResult {
        self.lines.clear();
        self.sink.format.write(batch.values::<T>()?, self.first, &mut self.lines)?;
        self.first = false;
        let bytes = match &self.prefix {
            None => &self.lines,
            Some(prefix) => {
                self.prefixed.clear();
                for line in self.lines.split_inclusive(|byte| *byte == b'\n') {
                    self.prefixed.extend_from_slice(prefix.as_bytes());
                    self.prefixed.extend_from_slice(line);
                }
                &self.prefixed
            }
        };
        let target = self.sink.target.name();
        let printed = self.sink.target.write(bytes);
        Ok(printed.map_err(|source| PrintError { target, source })?)
    }
}
