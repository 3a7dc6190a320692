//! When the connection does what.

use thalweg_rpc::link;
use thalweg_rpc::message::{Notice, ToTaskManager};

use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn connection() -> Connection {
    Connection::new(ms(60_000), ms(100), ms(1000), ms(0), 1)
}

fn goodbye() -> TaskManagerMessage {
    let notice = Notice::Goodbye { reason: "test".to_owned() };
    TaskManagerMessage::Notice { number: 1, notice }
}

#[test]
fn an_attempt_that_fails_is_repeated_until_the_time_is_over() {
    let mut connection = connection();
    let (mut now, mut attempts) = (ms(0), 0);
    loop {
        if connection.due(now) == Due::Connect {
            connection.connecting();
            assert_eq!(connection.due(now), Due::Nothing);
            attempts += 1;
            if connection.failed(now) == ReconnectDecision::GiveUp {
                break;
            }
        }
        now += ms(100);
    }
    assert!(now >= ms(60_000) && now < ms(61_000), "{now:?}");
    assert!((8..40).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn a_registration_is_repeated_and_then_heartbeats_follow_until_there_is_silence() {
    let mut connection = connection();
    let (here, mut there) = link::in_process::<ToJobManager, ToTaskManager>();
    connection.connected(here.sender, ms(0));
    assert_eq!(connection.due(ms(0)), Due::Register);
    assert!(!connection.is_registered());
    let registration = thalweg_rpc::message::Registration {
        id: thalweg_core::ids::TaskManagerId("tm".to_owned()),
        data_address: "here".to_owned(),
        slots: 1,
        resources: Default::default(),
        build_id: 1,
        executions: vec![],
        process_id: 1,
        leaving: None,
    };
    let register = TaskManagerMessage::Register(registration);
    connection.send(Epoch(0), register, ms(0));
    assert_eq!(connection.due(ms(900)), Due::Nothing);
    connection.heard(ms(900));
    assert_eq!(connection.due(ms(1000)), Due::Register);
    assert!(connection.registered(ms(200), ms(2000), ms(1000)));
    assert!(!connection.registered(ms(200), ms(2000), ms(1001)), "a repeated answer is no news");
    assert_eq!(connection.due(ms(1000)), Due::Heartbeat);
    let heartbeat = thalweg_rpc::message::TaskManagerHeartbeat {
        id: thalweg_core::ids::TaskManagerId("tm".to_owned()),
        heartbeat_seen: 0,
        executions: vec![],
        metrics: vec![],
        leaving: None,
    };
    connection.send(Epoch(4), TaskManagerMessage::Heartbeat(heartbeat), ms(1000));
    assert_eq!(connection.due(ms(1199)), Due::Nothing);
    assert_eq!(connection.due(ms(1200)), Due::Heartbeat);
    connection.heard(ms(1500));
    assert_eq!(connection.due(ms(3499)), Due::Heartbeat);
    assert_eq!(connection.due(ms(3500)), Due::Lost);
    assert_eq!(connection.lost(ms(3500)), ReconnectDecision::RetryAfter(ms(0)));
    assert_eq!(connection.due(ms(3500)), Due::Connect);
    let sequences =
        [there.receiver.receive().await.unwrap(), there.receiver.receive().await.unwrap()];
    assert_eq!(sequences.map(|m| (m.epoch, m.sequence)), [(Epoch(0), 1), (Epoch(4), 2)]);
}

#[test]
fn without_a_connection_nothing_is_sent_and_nothing_breaks() {
    let mut connection = connection();
    connection.send(Epoch(1), goodbye(), ms(0));
    connection.register_anew(ms(0));
    assert_eq!(connection.due(ms(0)), Due::Connect);
}

#[test]
fn connections_that_break_before_they_are_registered_use_up_the_time() {
    let mut connection = connection();
    let mut now = ms(0);
    loop {
        let (here, _there) = link::in_process::<ToJobManager, ToTaskManager>();
        connection.connected(here.sender, now);
        if connection.lost(now) == ReconnectDecision::GiveUp {
            break;
        }
        now += ms(5000);
        assert!(now < ms(100_000));
    }
    assert!(now >= ms(60_000));
}
