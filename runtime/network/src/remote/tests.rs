//! Two processes' networks over real loopback TCP, and what may come to a data port.

mod secure;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::RowType;
use thalweg_core::element::Control;
use tokio::runtime::Runtime;

use super::frame::{Frame, FrameKind, HEADER_BYTES};
use super::hello::{self, ProcessIdentity};
use super::*;
use crate::partitioner::{Partitioner, RebalancePartitioner};
use crate::testing::*;
use crate::{ChannelTarget, GateEvent, NetworkEnvironment, NetworkError, WriterOptions};

fn identity() -> ProcessIdentity {
    ProcessIdentity { build: 7, cluster: "test".to_owned() }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A process with a data port.
struct Process {
    environment: NetworkEnvironment,
    server: DataServer,
}

fn process(runtime: &Runtime, channel_bytes: usize, options: ServerOptions) -> Process {
    let registry = registry(channel_bytes);
    let transport = TcpTransport::default();
    let start =
        DataServer::start(&transport, "127.0.0.1:0", Arc::clone(&registry), identity(), options);
    let server = runtime.block_on(start).unwrap();
    let address = format!("127.0.0.1:{}", server.port());
    let client = client(runtime, identity(), ClientOptions::default());
    Process { environment: NetworkEnvironment::new(address, registry, Some(client)), server }
}

fn client(runtime: &Runtime, identity: ProcessIdentity, options: ClientOptions) -> DataClient {
    DataClient::new(Arc::new(TcpTransport::default()), runtime.handle().clone(), identity, options)
}

/// A process that only sends.
fn sender(runtime: &Runtime, options: ClientOptions) -> NetworkEnvironment {
    let client = client(runtime, identity(), options);
    NetworkEnvironment::new("sender", registry(1 << 20), Some(client))
}

fn park_until_available(writer: &crate::RecordWriter) {
    while !writer.is_available() {
        std::thread::park();
    }
}

/// Sends `count` rows over all targets and the end.
fn send_all(
    environment: NetworkEnvironment,
    producer: u32,
    targets: &[ChannelTarget],
    count: u64,
) -> NetworkEnvironment {
    let partitioner = Partitioner::Rebalance(RebalancePartitioner::new(producer));
    let options = WriterOptions { batch_rows: 500, ..WriterOptions::default() };
    let mut writer = writer(&environment, partitioner, targets, options, unparks_this_thread());
    let mut next = 0;
    while next < count {
        park_until_available(&writer);
        let rows_now = (1 + next % 700).min(count - next);
        writer.write(rows(producer, next, rows_now), Duration::ZERO).unwrap();
        next += rows_now;
    }
    writer.write_control(Control::EndOfInput).unwrap();
    assert_eq!(writer.counters().records, count);
    environment
}

#[test]
fn rows_of_many_channels_arrive_complete_and_in_order_through_small_windows() {
    let runtime = runtime();
    let receiver = process(&runtime, 20_000, ServerOptions::default());
    let address = receiver.environment.address().to_owned();
    let (producers, consumers, count) = (3, 4, 40_000);
    let consume = |consumer| {
        let specs: Vec<_> = (0..producers).map(|p| spec(p, consumer, 0)).collect();
        let mut gate = gate(&receiver.environment, &specs, 800, unparks_this_thread());
        let mut received = Vec::new();
        let mut ends = 0;
        loop {
            match wait(&mut gate) {
                GateEvent::Finished => return (received, ends),
                GateEvent::EndOfInput { .. } => ends += 1,
                event => received.extend(rows_of(&[event])),
            }
        }
    };
    let consume = &consume;
    let mut all = Vec::new();
    std::thread::scope(|scope| {
        let produce = |producer| {
            let targets: Vec<_> =
                (0..consumers).map(|consumer| target(&address, producer, consumer)).collect();
            let environment = sender(&runtime, ClientOptions::default());
            scope.spawn(move || send_all(environment, producer, &targets, count))
        };
        // What a producer leaves, its connection, must outlive it: it has rows under way.
        let _producers: Vec<_> = (0..producers).map(produce).collect();
        let threads: Vec<_> = (0..consumers).map(|c| scope.spawn(move || consume(c))).collect();
        for thread in threads {
            let (received, ends) = thread.join().unwrap();
            assert_eq!(ends, 1);
            for producer in 0..producers {
                let of_one: Vec<u64> =
                    received.iter().filter(|row| row.0 == producer).map(|row| row.1).collect();
                assert_eq!(of_one.len() as u64, count / u64::from(consumers));
                assert!(of_one.is_sorted());
            }
            all.extend(received);
        }
    });
    all.sort_unstable();
    let expected: Vec<Row> = (0..producers).flat_map(|p| (0..count).map(move |n| (p, n))).collect();
    assert!(all == expected, "{} of {} rows", all.len(), expected.len());
}

#[test]
fn a_slow_consumer_stops_its_own_channel_only_and_within_its_window() {
    let runtime = runtime();
    let window = 10_000;
    let receiver = process(&runtime, window, ServerOptions::default());
    let address = receiver.environment.address().to_owned();
    let environment = sender(&runtime, ClientOptions::default());
    let slow = gate(&receiver.environment, &[spec(0, 0, 0)], 100, Wakes::default().waker());
    let mut quick = gate(&receiver.environment, &[spec(1, 1, 0)], 100, unparks_this_thread());
    let open = |producer, consumer| {
        let targets = [target(&address, producer, consumer)];
        let options = WriterOptions { batch_rows: 100, ..WriterOptions::default() };
        writer(&environment, Partitioner::Forward, &targets, options, unparks_this_thread())
    };
    let (mut to_slow, mut to_quick) = (open(0, 0), open(1, 1));
    park_until_available(&to_slow);
    let mut written = 0;
    while to_slow.is_available() {
        to_slow.write(rows(0, written, 100), Duration::ZERO).unwrap();
        written += 100;
        assert!(written < 100_000, "nothing stopped the writer");
    }
    assert!(to_slow.queued_bytes() < window + 4000);
    let mut received = 0;
    for n in 0..200 {
        park_until_available(&to_quick);
        to_quick.write(rows(1, n * 100, 100), Duration::ZERO).unwrap();
        to_quick.flush().unwrap();
        while received <= n * 100 {
            received += rows_of(&[wait(&mut quick)]).len() as u64;
        }
    }
    assert!(!to_slow.is_available());
    assert!(slow.queued_bytes() < window + 4000);
    // Its consumer goes: the writer isn't kept.
    drop(slow);
    park_until_available(&to_slow);
    to_slow.write(rows(0, 0, 100), Duration::ZERO).unwrap();
    assert_eq!(to_slow.check(), Ok(()));
    // Nor does it matter to this writer any more what becomes of the other process.
    drop(receiver.server);
    while to_quick.check().is_ok() {
        std::thread::park();
    }
    assert_eq!(to_slow.check(), Ok(()));
}

#[test]
fn a_lost_connection_fails_both_ends_but_not_a_channel_that_had_ended() {
    let runtime = runtime();
    let receiver = process(&runtime, 10_000, ServerOptions::default());
    let address = receiver.environment.address().to_owned();
    let environment = sender(&runtime, ClientOptions::default());
    let waker = unparks_this_thread;
    let mut open = gate(&receiver.environment, &[spec(0, 0, 0)], 100, waker());
    let mut ended = gate(&receiver.environment, &[spec(0, 1, 0)], 100, waker());
    let to = |consumer| {
        let targets = [target(&address, 0, consumer)];
        writer(&environment, Partitioner::Forward, &targets, WriterOptions::default(), waker())
    };
    let (mut to_open, mut to_ended) = (to(0), to(1));
    park_until_available(&to_open);
    to_ended.write(rows(0, 0, 5), Duration::ZERO).unwrap();
    to_ended.write_control(Control::EndOfInput).unwrap();
    to_open.write(rows(0, 0, 5), Duration::ZERO).unwrap();
    to_open.flush().unwrap();
    // The rows on the first channel were sent behind the second one's end.
    assert_eq!(rows_of(&[wait(&mut open)]).len(), 5);
    environment.disconnect(&address);
    let error = loop {
        match open.poll(Duration::ZERO) {
            Ok(GateEvent::Empty) => std::thread::park(),
            Ok(event) => panic!("{event:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, NetworkError::PartitionConnectionLost { .. }), "{error}");
    assert_eq!(rows_of(&drain(&mut ended, Duration::ZERO)).len(), 5);
    while to_open.check().is_ok() {
        std::thread::park();
    }
    let error = to_open.write(rows(0, 0, 1), Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains(&address), "{error}");
    // A later attempt has channels of its own and a new connection.
    let mut again = gate(&receiver.environment, &[spec(0, 2, 0)], 100, waker());
    let mut to_again = to(2);
    to_again.write(rows(0, 0, 3), Duration::ZERO).unwrap();
    to_again.flush().unwrap();
    assert_eq!(rows_of(&[wait(&mut again)]).len(), 3);
}

#[test]
fn the_end_of_the_receiving_process_fails_its_producers() {
    let runtime = runtime();
    let receiver = process(&runtime, 10_000, ServerOptions::default());
    let address = receiver.environment.address().to_owned();
    let _gate = gate(&receiver.environment, &[spec(0, 0, 0)], 100, Wakes::default().waker());
    let environment = sender(&runtime, ClientOptions::default());
    let targets = [target(&address, 0, 0)];
    let waker = unparks_this_thread();
    let writer =
        writer(&environment, Partitioner::Forward, &targets, WriterOptions::default(), waker);
    park_until_available(&writer);
    drop(receiver.server);
    while writer.check().is_ok() {
        std::thread::park();
    }
}

/// What a client of another identity or to another port gets.
fn refusal(runtime: &Runtime, address: &str, identity: ProcessIdentity) -> NetworkError {
    let options =
        ClientOptions { connect_timeout: Duration::from_millis(300), ..ClientOptions::default() };
    let client = client(runtime, identity, options);
    let environment = NetworkEnvironment::new("sender", registry(1000), Some(client));
    let targets = [target(address, 0, 0)];
    let waker = unparks_this_thread();
    let writer =
        writer(&environment, Partitioner::Forward, &targets, WriterOptions::default(), waker);
    while writer.check().is_ok() {
        std::thread::park();
    }
    writer.check().unwrap_err()
}

#[test]
fn another_build_another_cluster_and_a_dead_port_are_refused_with_what_differs() {
    let runtime = runtime();
    let receiver = process(&runtime, 1000, ServerOptions::default());
    let address = receiver.environment.address().to_owned();
    let build = refusal(&runtime, &address, ProcessIdentity { build: 8, ..identity() });
    assert!(matches!(&build, NetworkError::Refused { peer, .. } if *peer == address));
    assert!(build.to_string().contains("0000000000000008"), "{build}");
    let other = ProcessIdentity { cluster: "other".to_owned(), ..identity() };
    let cluster = refusal(&runtime, &address, other).to_string();
    assert!(cluster.contains("\"test\"") && cluster.contains("\"other\""), "{cluster}");
    drop(receiver);
    let dead = refusal(&runtime, &address, identity());
    assert!(matches!(dead, NetworkError::ConnectFailed { .. }), "{dead}");
    assert!(dead.to_string().contains("taskmanager.data.port"), "{dead}");
}

/// Sends bytes to a port and gives what comes back until it is closed.
fn talk(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // The port may close before all is written; then reading ends too.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return answer,
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
    }
}

fn frame_bytes(frame: &Frame) -> Vec<u8> {
    [&frame.header[..], &frame.payload].concat()
}

#[test]
fn garbage_closes_its_own_connection_and_disturbs_nothing() {
    let runtime = runtime();
    let options = ServerOptions {
        handshake_timeout: Duration::from_millis(200),
        frame_bytes: 1000,
        ..ServerOptions::default()
    };
    let receiver = process(&runtime, 10_000, options);
    let port = receiver.server.port();
    let mut gate = gate(&receiver.environment, &[spec(0, 0, 0)], 100, unparks_this_thread());
    let environment = sender(&runtime, ClientOptions::default());
    let address = receiver.environment.address().to_owned();
    let targets = [target(&address, 0, 0)];
    let options = WriterOptions::default();
    let waker = unparks_this_thread();
    let mut writer = writer(&environment, Partitioner::Forward, &targets, options, waker);
    park_until_available(&writer);

    let ours = hello::encode(&identity());
    let mut wrong_version = ours.clone();
    wrong_version[8] ^= 1;
    // What isn't a hello gets no answer; what is one is told who it talks to.
    assert_eq!(talk(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), b"");
    assert_eq!(talk(port, b""), b"");
    assert_eq!(talk(port, &ours[..12]), b"");
    assert_eq!(talk(port, &wrong_version), ours);

    let open = frame_bytes(&Frame::open(0, &id(9, 9)));
    let batch = |sequence, bytes: usize| {
        frame_bytes(&Frame::new(FrameKind::Batch, 0, sequence, vec![1; bytes].into()))
    };
    let mut flipped = batch(0, 100);
    flipped[HEADER_BYTES + 50] ^= 1;
    let mut unknown_kind = batch(0, 100);
    unknown_kind[3] = 99;
    let mut other_version = batch(0, 100);
    other_version[2] = 9;
    let mut endless = batch(0, 100);
    endless[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    // Within the limit: nobody may wait for the bytes that it promises.
    let mut longer = batch(0, 100);
    longer[17] ^= 1;
    let wrong: [&[u8]; 12] = [
        b"some bytes that are no frame at all",
        &flipped,
        &unknown_kind,
        &other_version,
        &endless,
        &longer,
        &batch(0, 1001),
        &batch(1, 100),
        &batch(0, 3),
        &open,
        &frame_bytes(&Frame::credit(0, 10)),
        &frame_bytes(&Frame::new(FrameKind::Control, 0, 0, vec![77; 9].into())),
    ];
    for (case, wrong) in wrong.iter().enumerate() {
        let answer = talk(port, &[&ours, &open, *wrong].concat());
        assert!(answer.starts_with(&ours), "case {case}");
    }
    let unopened = [&ours[..], &batch(0, 100)].concat();
    assert_eq!(talk(port, &unopened), ours);

    writer.write(rows(0, 0, 5), Duration::ZERO).unwrap();
    writer.flush().unwrap();
    assert_eq!(rows_of(&[wait(&mut gate)]).len(), 5);
}

#[test]
fn more_connections_than_allowed_are_closed() {
    let runtime = runtime();
    let options = ServerOptions { connections_max: 1, ..ServerOptions::default() };
    let receiver = process(&runtime, 10_000, options);
    let ours = hello::encode(&identity());
    let mut first = TcpStream::connect(("127.0.0.1", receiver.server.port())).unwrap();
    first.write_all(&ours).unwrap();
    let mut answer = vec![0; ours.len()];
    first.read_exact(&mut answer).unwrap();
    assert_eq!(answer, ours);
    assert_eq!(talk(receiver.server.port(), &ours), b"");
}

#[test]
fn a_batch_larger_than_a_frame_is_cut_by_rows_and_a_row_larger_than_one_is_an_error() {
    let runtime = runtime();
    let receiver =
        process(&runtime, 1 << 20, ServerOptions { frame_bytes: 1000, ..ServerOptions::default() });
    let address = receiver.environment.address().to_owned();
    let row_type = RowType::of::<(String,)>();
    let spec = crate::InputChannelSpec { id: id(0, 0), input: 0, row_type };
    let mut gate = gate(&receiver.environment, &[spec], 4096, unparks_this_thread());
    let environment =
        sender(&runtime, ClientOptions { frame_bytes: 1000, ..ClientOptions::default() });
    let targets = [target(&address, 0, 0)];
    let waker = unparks_this_thread();
    let options = WriterOptions::default();
    let mut writer = environment
        .create_writer(row_type, Partitioner::Forward, &targets, options, waker)
        .unwrap();
    let sent: Vec<(String,)> = (0..300).map(|n| ("x".repeat(n * 3),)).collect();
    writer.write(thalweg_core::Batch::from_values(sent.clone()), Duration::ZERO).unwrap();
    writer.flush().unwrap();
    let mut received: Vec<(String,)> = Vec::new();
    while received.len() < sent.len() {
        let GateEvent::Batch { batch, .. } = wait(&mut gate) else { panic!() };
        received.extend_from_slice(batch.values().unwrap());
    }
    assert!(received == sent);
    let large = thalweg_core::Batch::from_values(vec![("y".repeat(1000),)]);
    // Which of both sends it depends on whether the reader waits.
    let written = writer.write(large, Duration::ZERO).and_then(|()| writer.flush());
    let error = written.unwrap_err();
    assert!(matches!(error, NetworkError::RowTooLarge { limit: 1000, .. }), "{error}");
    assert!(error.to_string().contains("1000"), "{error}");
}

#[test]
fn bytes_that_are_not_the_edges_rows_fail_the_gate_with_the_edges_name() {
    let runtime = runtime();
    let receiver = process(&runtime, 10_000, ServerOptions::default());
    let mut gate = gate(&receiver.environment, &[spec(0, 0, 0)], 100, unparks_this_thread());
    let bytes = [
        hello::encode(&identity()),
        frame_bytes(&Frame::open(0, &id(0, 0))),
        frame_bytes(&Frame::new(FrameKind::Batch, 0, 0, vec![0xff; 40].into())),
    ];
    let mut stream = TcpStream::connect(("127.0.0.1", receiver.server.port())).unwrap();
    stream.write_all(&bytes.concat()).unwrap();
    let error = loop {
        match gate.poll(Duration::ZERO) {
            Ok(GateEvent::Empty) => std::thread::park(),
            Ok(event) => panic!("{event:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, NetworkError::Decode { .. }), "{error}");
    assert!(error.to_string().contains("edge 3"), "{error}");
}

#[test]
fn a_producer_whose_consumer_does_not_come_hears_it_from_the_other_process() {
    let runtime = runtime();
    let receiver = process(&runtime, 10_000, ServerOptions::default());
    let address = receiver.environment.address().to_owned();
    let environment = sender(&runtime, ClientOptions::default());
    let open = |consumer| {
        let targets = [target(&address, 0, consumer)];
        let options = WriterOptions::default();
        writer(&environment, Partitioner::Forward, &targets, options, unparks_this_thread())
    };
    let first = open(0);
    let second = open(1);
    // The second channel's window is granted: so the first one's `Open` has arrived before it.
    let _gate = gate(&receiver.environment, &[spec(0, 1, 0)], 100, Wakes::default().waker());
    park_until_available(&second);
    receiver.environment.registry().expire(ms(0));
    receiver.environment.registry().expire(ms(60_000));
    while first.check().is_ok() {
        std::thread::park();
    }
    let waited = Duration::from_secs(60);
    assert_eq!(first.check(), Err(NetworkError::ConsumerMissing { channel: id(0, 0), waited }));
    assert!(second.check().is_ok());
}

#[test]
fn rows_leave_at_once_when_the_reader_in_the_other_process_has_taken_everything() {
    let runtime = runtime();
    let receiver = process(&runtime, 1 << 20, ServerOptions::default());
    let address = receiver.environment.address().to_owned();
    let environment = sender(&runtime, ClientOptions::default());
    let mut gate = gate(&receiver.environment, &[spec(0, 0, 0)], 100, unparks_this_thread());
    let targets = [target(&address, 0, 0)];
    let waker = unparks_this_thread();
    let options = WriterOptions::default();
    let mut writer = writer(&environment, Partitioner::Forward, &targets, options, waker);
    park_until_available(&writer);
    for n in 0..3 {
        // Far below a quarter of the window: told of all the same, since nothing is left.
        while writer.queued_bytes() > 0 {
            std::thread::yield_now();
        }
        writer.write(rows(0, n, 1), Duration::ZERO).unwrap();
        assert_eq!(writer.next_flush(), None);
        assert_eq!(rows_of(&[wait(&mut gate)]), [(0, n)]);
    }
}
