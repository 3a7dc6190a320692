//! Over real loopback connections.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use thalweg_core::Batch;
use thalweg_operators::sink::Sink;
use thalweg_operators::source::{ReadBuffer, ReadStatus, Source, SplitReader};

use super::{SocketSink, SocketSource};
use crate::format::RowFormat;
use crate::testing::{reader_context, sink_context};

/// Longer than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

struct Reading<T> {
    reader: Box<dyn SplitReader<T>>,
    woken: Receiver<()>,
    found: ReadBuffer<T>,
}

impl<T> Reading<T> {
    fn start<S: Source<Row = T>>(source: &S) -> Self {
        // One wake that waits is as good as many.
        let (wake, woken) = sync_channel(1);
        let context = reader_context(Arc::new(move || wake.try_send(()).unwrap_or_default()));
        let splits = source.enumerate(4).unwrap();
        assert_eq!(splits.len(), 1);
        let reader = source.open(&splits[0], None, &context).unwrap();
        Self { reader, woken, found: ReadBuffer::default() }
    }

    /// Reads until so many rows are there, waiting only when it's told that nothing is.
    fn rows(&mut self, count: usize) {
        while self.found.rows.len() < count {
            match self.reader.read(2, &mut self.found).unwrap() {
                _ if self.found.rows.len() >= count => {}
                ReadStatus::More => {}
                ReadStatus::Pending { .. } => self.woken.recv_timeout(PATIENCE).unwrap(),
                ReadStatus::End => panic!("it ended"),
            }
        }
    }

    fn read_to_end(&mut self) -> Result<(), String> {
        loop {
            match self.reader.read(2, &mut self.found).map_err(|error| error.to_string())? {
                ReadStatus::More => {}
                ReadStatus::Pending { .. } => self.woken.recv_timeout(PATIENCE).unwrap(),
                ReadStatus::End => return Ok(()),
            }
        }
    }
}

#[test]
fn lines_come_as_they_are_sent_and_the_input_ends_when_the_peer_closes() {
    let (listener, address) = listen();
    let mut reading = Reading::start(&SocketSource::<(u64, String)>::csv(&address));
    let (mut peer, _) = listener.accept().unwrap();
    peer.write_all(b"1,a\n2,\"b").unwrap();
    reading.rows(1);
    peer.write_all(b"\nc\"\nx,y\n3,d").unwrap();
    drop(peer);
    reading.read_to_end().unwrap();
    let rows = [(1, "a".to_owned()), (2, "b\nc".to_owned()), (3, "d".to_owned())];
    assert_eq!(reading.found.rows, rows);
    assert_eq!(reading.found.bad.len(), 1);
    assert_eq!(reading.found.bad[0].source, address);
    assert_eq!(reading.found.bad[0].line, 4);
}

#[test]
fn a_peer_that_sends_more_than_is_read_is_slowed_and_nothing_is_lost() {
    let (listener, address) = listen();
    let mut reading = Reading::start(&SocketSource::lines(&address));
    let (mut peer, _) = listener.accept().unwrap();
    let count = 300_000;
    let send = move || {
        let text: String = (0..count).map(|n| format!("{n:030}\n")).collect();
        peer.write_all(text.as_bytes()).unwrap();
    };
    let sender = std::thread::Builder::new().name("sender".to_owned()).spawn(send).unwrap();
    reading.read_to_end().unwrap();
    sender.join().unwrap();
    assert_eq!(reading.found.rows.len(), count);
    assert!(reading.found.rows.iter().zip(0..).all(|(row, n)| *row == format!("{n:030}")));
}

#[test]
fn who_cannot_connect_says_so() {
    let (listener, address) = listen();
    drop(listener);
    let error = Reading::start(&SocketSource::lines(&address)).read_to_end().unwrap_err();
    assert!(error.starts_with(&format!("can't connect to {address}: ")), "{error}");
    for wrong in ["localhost", ":99", "localhost:0", "localhost:port"] {
        let error = Reading::start(&SocketSource::lines(wrong)).read_to_end().unwrap_err();
        assert!(error.ends_with("HOST:PORT is expected, as in localhost:9999"), "{error}");
    }
    let sink = SocketSink::<String>::new(&address, RowFormat::lines());
    let Err(error) = sink.writer(&sink_context(0, 0, None)) else { panic!("it connected") };
    assert!(error.to_string().contains("Is a server listening there?"), "{error}");
}

#[test]
fn it_connects_again_when_asked_and_lines_of_two_connections_stay_apart() {
    let (listener, address) = listen();
    let source = SocketSource::lines(&address).with_reconnect(2, Duration::ZERO);
    let mut reading = Reading::start(&source);
    for text in ["a\nb", "c\n", "d\n"] {
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(text.as_bytes()).unwrap();
    }
    reading.rows(4);
    // Each connection counts anew, so it goes on until nobody is there.
    drop(listener);
    let ended = reading.read_to_end();
    assert_eq!(reading.found.rows, ["a", "b", "c", "d"]);
    assert!(ended.is_err());
}

#[test]
fn closing_the_reader_ends_its_connection() {
    let (listener, address) = listen();
    let mut reading = Reading::start(&SocketSource::lines(&address));
    let (mut peer, _) = listener.accept().unwrap();
    peer.write_all(b"x\n").unwrap();
    reading.rows(1);
    drop(reading);
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn a_sink_sends_lines_and_a_peer_that_takes_nothing_fails_it_in_time() {
    let (listener, address) = listen();
    let sink = SocketSink::<String>::new(&address, RowFormat::lines())
        .with_write_timeout(Duration::from_millis(50));
    let mut writer = sink.writer(&sink_context(0, 0, None)).unwrap();
    let (mut peer, _): (TcpStream, _) = listener.accept().unwrap();
    writer.write(Batch::from_values(vec!["a".to_owned(), "b".to_owned()])).unwrap();
    let mut bytes = [0; 4];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"a\nb\n");
    let large = "x".repeat(1 << 20);
    let error = loop {
        if let Err(error) = writer.write(Batch::from_values(vec![large.clone()])) {
            break error.to_string();
        }
    };
    assert!(error.contains("took nothing for 50ms"), "{error}");
}
