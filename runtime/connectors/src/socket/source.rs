//! A source that reads lines of text from a TCP server.
//!
//! At most once: a socket can't be read again, so rows that came since the last checkpoint are
//! lost when the job restarts, and so are those that are sent while it's down. It counts as
//! unbounded, since nobody knows whether the peer will close; when it does, the input has ended.

use std::time::Duration;

use serde::de::DeserializeOwned;
use thalweg_core::Record;
use thalweg_core::job_graph::DeliveryGuarantee;
use thalweg_operators::FunctionResult;
use thalweg_operators::source::{
    Boundedness, ReadBuffer, ReadStatus, ReaderContext, Source, SourceSplit, SplitReader,
};

use super::connection::{Connection, Received, Reconnect};
use crate::format::{CsvHeader, Input, LineFormat, Place, RecordReader};

/// Reads lines from a TCP server.
///
/// ```
/// use std::time::Duration;
/// use thalweg_connectors::SocketSource;
///
/// let lines = SocketSource::lines("localhost:9999");
/// let pairs = SocketSource::<(u64, String)>::csv("localhost:9998")
///     .with_reconnect(10, Duration::from_secs(1));
/// # let _ = (lines, pairs);
/// ```
pub struct SocketSource<T> {
    address: String,
    format: LineFormat<T>,
    reconnect: Reconnect,
}

impl SocketSource<String> {
    /// Each line is a row. The address is HOST:PORT.
    pub fn lines(address: &str) -> Self {
        Self::new(address, LineFormat::lines())
    }
}

impl<T: DeserializeOwned + 'static> SocketSource<T> {
    /// CSV without a header: the columns are the fields of the row in their order.
    pub fn csv(address: &str) -> Self {
        Self::new(address, LineFormat::csv(CsvHeader::ByPosition))
    }

    /// Each line is a JSON value.
    pub fn json_lines(address: &str) -> Self {
        Self::new(address, LineFormat::json_lines())
    }
}

impl<T> SocketSource<T> {
    /// Text of this format from HOST:PORT.
    pub fn new(address: &str, format: LineFormat<T>) -> Self {
        Self { address: address.to_owned(), format, reconnect: Reconnect::default() }
    }

    /// When it can't connect, the connection breaks or the peer closes: tries again after `delay`,
    /// up to `attempts` times in a row. Without this, a peer that closes ends the input, and
    /// everything else fails the job.
    #[must_use]
    pub fn with_reconnect(mut self, attempts: u32, delay: Duration) -> Self {
        self.reconnect = Reconnect { attempts, delay };
        self
    }
}

impl<T> Clone for SocketSource<T> {
    fn clone(&self) -> Self {
        let (address, format) = (self.address.clone(), self.format.clone());
        Self { address, format, reconnect: self.reconnect }
    }
}

impl<T> std::fmt::Debug for SocketSource<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SocketSource({}, {:?})", self.address, self.format)
    }
}

impl<T: Record> Source for SocketSource<T> {
    type Row = T;

    fn boundedness(&self) -> Boundedness {
        Boundedness::Unbounded
    }

    fn guarantee(&self) -> DeliveryGuarantee {
        DeliveryGuarantee::None
    }

    fn enumerate(&self, _parallelism: u32) -> FunctionResult<Vec<SourceSplit>> {
        Ok(vec![SourceSplit { id: self.address.clone(), weight: 0, bytes: Vec::new(), total: 0 }])
    }

    fn open(
        &self,
        split: &SourceSplit,
        _position: Option<&[u8]>,
        context: &ReaderContext,
    ) -> FunctionResult<Box<dyn SplitReader<T>>> {
        let address = split.id.clone();
        let framer = self.format.framer(Place::default());
        let records = RecordReader::new(address.clone(), framer, self.format.decoder(), false);
        let connection = Connection::start(address, self.reconnect, context.wake.clone())?;
        Ok(Box::new(Reader { connection, records, left: Vec::new() }))
    }
}

struct Reader<T> {
    connection: Connection,
    records: RecordReader<T>,
    /// Received bytes that had no room yet.
    left: Vec<u8>,
}

impl<T: Record> SplitReader<T> for Reader<T> {
    fn read(&mut self, max_rows: usize, rows: &mut ReadBuffer<T>) -> FunctionResult<ReadStatus> {
        let Self { connection, records, left } = self;
        records.read(max_rows, rows, |room| {
            if left.is_empty() {
                match connection.receive()? {
                    Received::Bytes(bytes) => *left = bytes,
                    Received::Nothing => return Ok(Input::Nothing),
                    Received::End => return Ok(Input::End),
                }
            }
            let count = left.len().min(room.len());
            room[..count].copy_from_slice(&left[..count]);
            left.drain(..count);
            Ok(Input::Bytes(count))
        })
    }

    /// There is no way back in a socket.
    fn position(&self) -> Vec<u8> {
        Vec::new()
    }
}
