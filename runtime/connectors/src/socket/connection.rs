//! The thread that reads a socket, and the bounded queue that it fills.
//!
//! The thread blocks in the socket so that the task never does. When the queue is full it stops
//! reading, and TCP slows the peer.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use thalweg_operators::contract::WakeHandle;

/// Bytes that wait at most for the task.
const QUEUE_BYTES: usize = 4 << 20;
/// Bytes that are taken from the socket at once.
const READ_BYTES: usize = 64 << 10;
/// How long one attempt to connect may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether and how often to connect again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reconnect {
    /// Attempts in a row that may fail.
    pub(super) attempts: u32,
    pub(super) delay: Duration,
}

/// A socket can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    #[error("can't connect to {address}: {source}. Is a server listening there? Start it first")]
    Connect { address: String, source: io::Error },
    #[error("{0} isn't an address: HOST:PORT is expected, as in localhost:9999")]
    Address(String),
    #[error("the connection to {address} broke: {source}")]
    Broken { address: String, source: io::Error },
    #[error("can't start the thread that reads {address}: {source}")]
    Thread { address: String, source: io::Error },
}

/// What the thread has found.
pub(super) enum Received {
    Bytes(Vec<u8>),
    Nothing,
    End,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Vec<u8>>,
    bytes: usize,
    ended: bool,
    error: Option<SocketError>,
    closed: bool,
    /// To be shut down when the task closes.
    stream: Option<TcpStream>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    wake: WakeHandle,
}

/// A connection that is read in the background, from when it's made until it's dropped.
pub(super) struct Connection {
    shared: Arc<Shared>,
}

impl Connection {
    /// Begins to connect. What goes wrong is told by [`Self::receive`].
    pub(super) fn start(
        address: String,
        reconnect: Reconnect,
        wake: WakeHandle,
    ) -> Result<Self, SocketError> {
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared { state, changed: Condvar::new(), wake });
        let of_thread = shared.clone();
        let run = {
            let address = address.clone();
            move || of_thread.run(&address, reconnect)
        };
        let thread = std::thread::Builder::new().name("socket-source".to_owned()).spawn(run);
        thread.map_err(|source| SocketError::Thread { address, source })?;
        Ok(Self { shared })
    }

    /// What has come. An error comes after all bytes before it.
    pub(super) fn receive(&self) -> Result<Received, SocketError> {
        let mut state = self.shared.state.lock();
        if let Some(bytes) = state.queue.pop_front() {
            state.bytes -= bytes.len();
            self.shared.changed.notify_all();
            return Ok(Received::Bytes(bytes));
        }
        if let Some(error) = state.error.take() {
            state.ended = true;
            return Err(error);
        }
        Ok(if state.ended { Received::End } else { Received::Nothing })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        if let Some(stream) = state.stream.take() {
            // It may be broken already; the thread ends either way.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn run(&self, address: &str, reconnect: Reconnect) {
        let mut failures = 0;
        loop {
            let before = failures;
            let outcome = connect(address).and_then(|stream| {
                failures = 0;
                self.read(stream, address)
            });
            let mut state = self.state.lock();
            state.stream = None;
            if state.closed {
                return;
            }
            // A connection that was made begins a new count, but itself counts as one, so that a
            // peer that closes at once isn't called without an end.
            failures = if failures < before { 1 } else { before + 1 };
            if failures > reconnect.attempts {
                match outcome {
                    Ok(()) => state.ended = true,
                    Err(error) => state.error = Some(error),
                }
                drop(state);
                (self.wake)();
                return;
            }
            tracing::info!(address, failures, "the socket source connects again");
            // Woken early only when it's closed.
            if !state.closed {
                self.changed.wait_for(&mut state, reconnect.delay);
            }
            if state.closed {
                return;
            }
        }
    }

    /// Reads until the peer closes, or the task does.
    fn read(&self, mut stream: TcpStream, address: &str) -> Result<(), SocketError> {
        let broken = |source| SocketError::Broken { address: address.to_owned(), source };
        {
            let mut state = self.state.lock();
            if state.closed {
                return Ok(());
            }
            state.stream = Some(stream.try_clone().map_err(broken)?);
        }
        let mut last = b'\n';
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let count = match stream.read(&mut bytes) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.end_line(last);
                    return Err(broken(error));
                }
            };
            if count == 0 {
                self.end_line(last);
                return Ok(());
            }
            last = bytes[count - 1];
            if !self.push(bytes[..count].to_vec()) {
                return Ok(());
            }
        }
    }

    /// What one connection leaves of a line doesn't run into the first line of the next.
    fn end_line(&self, last: u8) {
        if last != b'\n' {
            self.push(vec![b'\n']);
        }
    }

    /// False: the task has closed.
    fn push(&self, bytes: Vec<u8>) -> bool {
        let mut state = self.state.lock();
        while state.bytes >= QUEUE_BYTES && !state.closed {
            self.changed.wait(&mut state);
        }
        if state.closed {
            return false;
        }
        let was_empty = state.queue.is_empty();
        state.bytes += bytes.len();
        state.queue.push_back(bytes);
        drop(state);
        if was_empty {
            (self.wake)();
        }
        true
    }
}

/// Connects to the first of the name's addresses that answers.
pub(super) fn connect(address: &str) -> Result<TcpStream, SocketError> {
    let failed = |source| SocketError::Connect { address: address.to_owned(), source };
    if !address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    }) {
        return Err(SocketError::Address(address.to_owned()));
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in address.to_socket_addrs().map_err(failed)? {
        match TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}
