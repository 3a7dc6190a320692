//! Connections over real sockets: what is sent arrives, and what isn't ours is refused without
//! disturbing anybody.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::ids::{CheckpointId, Epoch, ExecutionAttemptId, JobId, TaskManagerId};
use thalweg_core::status::ExecutionState;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::message::{
    ExecutionReport, FailureInfo, FailureKind, Fenced, JobManagerHeartbeat, JobManagerMessage,
    JobProgress, Leaving, Notice, Registration, TaskManagerHeartbeat, TaskManagerMessage,
    TaskManagerResources, ToJobManager,
};
use crate::*;

const OURS: Identity = Identity { build_id: 7 };

async fn job_manager() -> (Acceptor, String) {
    let (sender, acceptor) = accept_channel();
    let runtime = Handle::current();
    let listening = listen(&TcpTransport, "127.0.0.1:0", OURS, sender, &runtime);
    let address = listening.await.unwrap();
    (acceptor, address.to_string())
}

fn connector(address: &str, build_id: u64) -> Connector {
    let (transport, address) = (Arc::new(TcpTransport), address.to_owned());
    Connector::Remote { transport, address, identity: Identity { build_id } }
}

fn goodbye(sequence: u64, reason: &str) -> ToJobManager {
    let notice = Notice::Goodbye { reason: reason.to_owned() };
    let message = TaskManagerMessage::Notice { number: sequence, notice };
    Fenced { epoch: Epoch(1), sequence, message }
}

#[tokio::test]
async fn messages_arrive_in_both_directions_in_order_whole_and_the_end_is_noticed() {
    let (mut acceptor, address) = job_manager().await;
    let (local, local_acceptor) = accept_channel();
    let mut acceptors = [Some(local_acceptor), None];
    let in_process = Connector::InProcess { acceptor: local, name: "tm".to_owned() };
    for (remote, connector) in [(true, connector(&address, 7)), (false, in_process)] {
        let mut here = connector.connect(&Handle::current()).await.unwrap();
        let acceptor = if remote { &mut acceptor } else { acceptors[0].as_mut().unwrap() };
        let mut there = acceptor.accept().await.unwrap().link;
        let long = "x".repeat(3 << 20);
        for sequence in 1..20 {
            here.sender.try_send(goodbye(sequence, &long[..sequence as usize * 100_000])).unwrap();
            let received = there.receiver.receive().await.unwrap();
            assert!(received == goodbye(sequence, &long[..sequence as usize * 100_000]));
        }
        let attempt = ExecutionAttemptId::new(u128::MAX);
        let message = JobManagerMessage::CancelTask { attempt };
        let cancel = Fenced { epoch: Epoch(u64::MAX), sequence: u64::MAX, message };
        there.sender.try_send(cancel.clone()).unwrap();
        assert_eq!(here.receiver.receive().await, Ok(cancel));
        drop(here);
        assert_eq!(there.receiver.receive().await, Err(LinkError::Closed));
    }
}

#[tokio::test]
async fn a_process_that_ends_within_a_message_or_with_some_unread_has_closed_its_connection() {
    let (mut acceptor, address) = job_manager().await;
    for unread in [false, true] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let mut hello = b"THALWRPC".to_vec();
        hello.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        hello.extend_from_slice(&OURS.build_id.to_le_bytes());
        hello.extend_from_slice(&[2, 0]);
        // Six bytes of a message are announced, and one of them comes.
        hello.extend_from_slice(&[0, 0, 0, 6, 1]);
        stream.write_all(&hello).await.unwrap();
        let mut link = acceptor.accept().await.unwrap().link;
        let mut welcome = [0; 25];
        stream.read_exact(&mut welcome).await.unwrap();
        if unread {
            let cancel = JobManagerMessage::CancelTask { attempt: ExecutionAttemptId::new(1) };
            let message = Fenced { epoch: Epoch(1), sequence: 1, message: cancel };
            link.sender.try_send(message).unwrap();
            stream.readable().await.unwrap();
        }
        drop(stream);
        assert_eq!(link.receiver.receive().await, Err(LinkError::Closed), "unread: {unread}");
    }
}

#[tokio::test]
async fn another_build_is_refused_with_both_builds_and_the_remedy() {
    let (_acceptor, address) = job_manager().await;
    let error = connector(&address, 8).connect(&Handle::current()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    let error = error.to_string();
    for part in [&address, "0000000000000007", "0000000000000008", "same binary"] {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_job_manager_that_takes_nobody_goes_on_answering_and_tells_others_to_come_again() {
    let (mut acceptor, address) = job_manager().await;
    let (mut waiting, mut refused) = (Vec::new(), 0);
    for _ in 0..200 {
        match connector(&address, 7).connect(&Handle::current()).await {
            Ok(link) => waiting.push(link),
            Err(ConnectError::Unreachable { cause, .. }) => {
                assert!(cause.contains("doesn't lead"), "{cause}");
                refused += 1;
            }
            Err(error) => panic!("a TaskManager would end by this: {error}"),
        }
    }
    assert_eq!((waiting.len(), refused), (64, 136));
    let answer = leader::ask(&TcpTransport, &address, OURS).await;
    assert_eq!(answer.map(|answer| answer.build_id), Ok(OURS.build_id));
    // Then it leads.
    acceptor.accept().await.unwrap();
    connector(&address, 7).connect(&Handle::current()).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_address_and_may_pass() {
    let error = connector("127.0.0.1:1", 7).connect(&Handle::current()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn garbage_closes_its_connection_with_an_answer_and_disturbs_no_other() {
    let (mut acceptor, address) = job_manager().await;
    let mut good = connector(&address, 7).connect(&Handle::current()).await.unwrap();
    let mut there = acceptor.accept().await.unwrap().link;

    let mut http = TcpStream::connect(&address).await.unwrap();
    http.write_all(b"GET /jobs/overview HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    http.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("rest.port"), "{text}");
    drop(http);

    let hello = |tail: &[u8]| {
        let mut bytes = b"THALWRPC".to_vec();
        bytes.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
        bytes.extend_from_slice(&7u64.to_le_bytes());
        bytes.extend_from_slice(&[2, 0]);
        bytes.extend_from_slice(tail);
        bytes
    };
    let too_long = (MESSAGE_BYTES_MAX as u32 + 1).to_be_bytes();
    let bad_checksum = [0, 0, 0, 6, 1, 2, 3, 4, 5, 6];
    let too_short = [0, 0, 0, 1, 9];
    for tail in [&too_long[..], &bad_checksum[..], &too_short[..]] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(&hello(tail)).await.unwrap();
        let mut link = acceptor.accept().await.unwrap().link;
        let received = link.receiver.receive().await;
        assert!(matches!(received, Err(LinkError::Garbage(_))), "{received:?}");
        drop(link);
        let mut rest = Vec::new();
        // Closed, by an end or a reset.
        let _ = stream.read_to_end(&mut rest).await;
    }

    good.sender.try_send(goodbye(1, "still here")).unwrap();
    assert_eq!(there.receiver.receive().await, Ok(goodbye(1, "still here")));
    drop(there);
    assert_eq!(good.receiver.receive().await, Err(LinkError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_after_the_time_for_the_handshake() {
    let (_acceptor, address) = job_manager().await;
    let mut silent = TcpStream::connect(&address).await.unwrap();
    let mut rest = Vec::new();
    assert_eq!(silent.read_to_end(&mut rest).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_too_long_or_too_much_is_refused_at_the_sender() {
    let (mut acceptor, address) = job_manager().await;
    let here = connector(&address, 7).connect(&Handle::current()).await.unwrap();
    let _there = acceptor.accept().await.unwrap();
    let text = "x".repeat(MESSAGE_BYTES_MAX);
    assert!(matches!(here.sender.try_send(goodbye(1, &text)), Err(SendError::TooLarge(_))));
    // Nobody reads: at most the queue, the sockets and the peer's queue fill up.
    let some = goodbye(1, &text[..1 << 20]);
    let taken = (0..20_000).take_while(|_| here.sender.try_send(some.clone()).is_ok()).count();
    assert!(taken < 20_000, "a queue without bounds");
    assert_eq!(here.sender.try_send(some), Err(SendError::Full));
}

/// The leader is at an address where nobody answers, and then at another one.
#[derive(Debug)]
struct Moves {
    addresses: [String; 2],
    looks: std::sync::atomic::AtomicUsize,
}

impl LeaderLocator for Moves {
    fn locate(&self) -> Locating<'_> {
        let look = self.looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let address = self.addresses[look.min(1)].clone();
        Box::pin(
            async move { Ok(LeaderAddress { address, epoch: Epoch(1), revision: String::new() }) },
        )
    }
}

/// Connections to a pod that is gone are never answered.
#[derive(Debug)]
struct Gone;

impl Transport for Gone {
    fn connect(
        &self,
        address: String,
    ) -> futures::future::BoxFuture<'static, std::io::Result<Box<dyn ByteStream>>> {
        if address == "gone:6123" {
            return Box::pin(std::future::pending());
        }
        TcpTransport.connect(address)
    }

    fn bind(
        &self,
        address: String,
    ) -> futures::future::BoxFuture<'static, std::io::Result<Box<dyn Listener>>> {
        TcpTransport.bind(address)
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_gone_without_a_word_is_left_as_soon_as_another_one_leads() {
    let (mut acceptor, address) = job_manager().await;
    let locator = Moves { addresses: ["gone:6123".to_owned(), address], looks: Default::default() };
    let connector = Connector::Located {
        transport: Arc::new(Gone),
        locator: Arc::new(locator),
        identity: OURS,
        period: Duration::from_secs(5),
        seed: 1,
    };
    let begun = tokio::time::Instant::now();
    let left = connector.connect(&Handle::current()).await.unwrap_err();
    assert!(left.to_string().contains("leads now"), "{left}");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    connector.connect(&Handle::current()).await.unwrap();
    acceptor.accept().await.unwrap();
}

#[test]
fn a_frame_with_any_bit_changed_is_refused() {
    let heartbeat = TaskManagerHeartbeat {
        id: TaskManagerId("tm".to_owned()),
        heartbeat_seen: 3,
        executions: Vec::new(),
        metrics: Vec::new(),
        leaving: None,
    };
    let message = TaskManagerMessage::Heartbeat(heartbeat);
    let message: ToJobManager = Fenced { epoch: Epoch(1), sequence: 2, message };
    let bytes = crate::frame::encode(&message).unwrap();
    assert_eq!(crate::frame::decode::<ToJobManager>(&bytes), Ok(message));
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(crate::frame::decode::<ToJobManager>(&changed).is_err(), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert!(crate::frame::decode::<ToJobManager>(&bytes[..length]).is_err());
    }
}

#[tokio::test]
async fn another_version_is_refused_with_both_and_is_told_who_leads_all_the_same() {
    let (_acceptor, address) = job_manager().await;
    let says = |role: u8| {
        let mut hello = b"THALWRPC".to_vec();
        hello.extend_from_slice(&1u32.to_le_bytes());
        hello.extend_from_slice(&OURS.build_id.to_le_bytes());
        hello.extend_from_slice(&[role, 0]);
        hello
    };
    let mut answers = Vec::new();
    for role in [2, 3] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(&says(role)).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answers.push(answer);
    }
    let text = String::from_utf8_lossy(&answers[0][22..]);
    assert!(text.contains("version 2 of the protocol, not 1"), "{text}");
    assert_eq!((answers[0][22], answers[1][22]), (1, 2), "a refusal, and an answer");
}

/// Bytes of what is said most often. Whoever gives these messages another field, or another order,
/// raises the version, if the last release has that already, and changes the number below.
#[test]
fn the_messages_are_those_of_their_version() {
    let leaving = Some(Leaving { reason: "SIGTERM".to_owned(), remaining_ms: 5 });
    let failure = Some(FailureInfo {
        operator: Some("map".to_owned()),
        message: "reset".to_owned(),
        kind: FailureKind::Connection,
    });
    let report = ExecutionReport {
        job: JobId::new(1),
        attempt: ExecutionAttemptId::new(2),
        slot: 3,
        state: ExecutionState::Failed,
        failure,
        input_ended: true,
        checkpoint: CheckpointId(4),
        accumulators: Vec::new(),
    };
    let registration = Registration {
        id: TaskManagerId("tm".to_owned()),
        data_address: "host:1".to_owned(),
        slots: 2,
        resources: TaskManagerResources::default(),
        build_id: 7,
        executions: vec![report],
        process_id: 9,
        leaving: leaving.clone(),
    };
    let beat = TaskManagerHeartbeat {
        id: TaskManagerId("tm".to_owned()),
        heartbeat_seen: 3,
        executions: Vec::new(),
        metrics: Vec::new(),
        leaving,
    };
    let progress = JobProgress {
        job: JobId::new(1),
        completed: CheckpointId(4),
        pending: None,
        begun: CheckpointId(5),
    };
    let answer = JobManagerHeartbeat {
        expected: vec![ExecutionAttemptId::new(2)],
        jobs: vec![progress],
        dismissed: Some("nothing is left".to_owned()),
    };
    let bytes = [
        crate::frame::encode(&TaskManagerMessage::Register(registration)).unwrap(),
        crate::frame::encode(&TaskManagerMessage::Heartbeat(beat)).unwrap(),
        crate::frame::encode(&JobManagerMessage::Heartbeat(answer)).unwrap(),
    ]
    .concat();
    assert_eq!((PROTOCOL_VERSION, crc32c::crc32c(&bytes)), (2, 1_493_526_285));
}

#[test]
fn only_the_highest_epoch_is_obeyed() {
    let mut guard = EpochGuard::default();
    let table = [
        (1, Admission::NewLeader),
        (1, Admission::Obey),
        (3, Admission::NewLeader),
        (2, Admission::Stale),
        (3, Admission::Obey),
    ];
    for (epoch, admission) in table {
        assert_eq!(guard.admit(Epoch(epoch)), admission, "{epoch}");
    }
    assert_eq!(guard.epoch(), Epoch(3));
}

#[test]
fn notices_are_repeated_until_acknowledged_and_newer_ones_replace_older() {
    let ms = Duration::from_millis;
    let mut outbox = Outbox::default();
    let goodbye = |reason: &str| Notice::Goodbye { reason: reason.to_owned() };
    assert_eq!(outbox.push(goodbye("a"), ms(0)), 1);
    assert_eq!(outbox.push(goodbye("b"), ms(5)), 2);
    assert_eq!(outbox.due(ms(10), ms(10)), []);
    assert_eq!(outbox.due(ms(15), ms(10)), [(2, goodbye("b"))]);
    assert_eq!(outbox.due(ms(20), ms(10)), []);
    assert_eq!(outbox.due(ms(25), ms(10)), [(2, goodbye("b"))]);
    outbox.acknowledge(&[1, 2, 9]);
    assert!(outbox.is_empty() && outbox.due(ms(99), ms(10)).is_empty());
}

#[test]
fn reconnecting_backs_off_and_gives_up_after_the_registration_timeout() {
    let ms = Duration::from_millis;
    let mut reconnect = Reconnect::new(ms(1000), ms(50), 1);
    // A quarter more or less, and never beyond the time-out.
    let about = |decision, pause: u64| match decision {
        ReconnectDecision::RetryAfter(after) => {
            (ms(pause * 3 / 4)..=ms(pause * 5 / 4)).contains(&after)
        }
        ReconnectDecision::GiveUp => false,
    };
    for (at, pause) in [(60, 100), (200, 200), (500, 400)] {
        let decision = reconnect.failed(ms(at));
        assert!(about(decision, pause), "{decision:?}");
    }
    assert_eq!(reconnect.failed(ms(1000)), ReconnectDecision::RetryAfter(ms(50)));
    assert_eq!(reconnect.failed(ms(1050)), ReconnectDecision::GiveUp);
    reconnect.disconnected(ms(5000));
    assert!(about(reconnect.failed(ms(5001)), 100));
}
