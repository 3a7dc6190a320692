//! A sink that writes lines of text to a TCP server.
//!
//! No guarantee: rows that are on their way when a process or the connection breaks are lost, and
//! after a restart rows since the last checkpoint are sent again.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use thalweg_core::{Batch, Record};
use thalweg_operators::FunctionResult;
use thalweg_operators::sink::{DeliveryGuarantee, Sink, SinkContext, SinkWriter};

use super::connection::connect;
use crate::format::RowFormat;

/// How long the peer may take nothing.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Writes lines to a TCP server.
///
/// ```
/// use thalweg_connectors::{RowFormat, SocketSink};
///
/// let sink = SocketSink::<String>::new("localhost:9999", RowFormat::lines());
/// # let _ = sink;
/// ```
pub struct SocketSink<T> {
    address: String,
    format: RowFormat<T>,
    timeout: Duration,
}

impl<T: Record> SocketSink<T> {
    /// Lines to HOST:PORT. Each subtask has its own connection.
    pub fn new(address: &str, format: RowFormat<T>) -> Self {
        Self { address: address.to_owned(), format, timeout: WRITE_TIMEOUT }
    }

    /// How long the peer may take nothing before the job fails: 30 s unless set. While it takes
    /// nothing, the task waits. At least 1 ms.
    #[must_use]
    pub fn with_write_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(Duration::from_millis(1));
        self
    }
}

impl<T> Clone for SocketSink<T> {
    fn clone(&self) -> Self {
        let (address, format) = (self.address.clone(), self.format.clone());
        Self { address, format, timeout: self.timeout }
    }
}

impl<T> std::fmt::Debug for SocketSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SocketSink({}, {:?})", self.address, self.format)
    }
}

/// The peer doesn't take the rows.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{address} took nothing for {timeout:?}: is the program there still reading?")]
    Timeout { address: String, timeout: Duration },
    #[error("the connection to {address} broke: {source}")]
    Broken { address: String, source: io::Error },
}

impl<T: Record> Sink for SocketSink<T> {
    type Row = T;

    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::None
    }

    fn writer(&self, _context: &SinkContext) -> FunctionResult<Box<dyn SinkWriter<T>>> {
        let stream = connect(&self.address)?;
        stream.set_write_timeout(Some(self.timeout))?;
        // Batches are written whole, so waiting for more bytes would only delay them.
        stream.set_nodelay(true)?;
        Ok(Box::new(Writer { sink: self.clone(), stream, lines: Vec::new(), first: true }))
    }
}

struct Writer<T> {
    sink: SocketSink<T>,
    stream: TcpStream,
    lines: Vec<u8>,
    first: bool,
}

impl<T: Record> SinkWriter<T> for Writer<T> {
    fn write(&mut self, batch: Batch) -> FunctionResult {
        self.lines.clear();
        self.sink.format.write(batch.values::<T>()?, self.first, &mut self.lines)?;
        self.first = false;
        let address = self.sink.address.clone();
        self.stream.write_all(&self.lines).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                WriteError::Timeout { address, timeout: self.sink.timeout }
            }
            _ => WriteError::Broken { address, source },
        })?;
        Ok(())
    }
}
