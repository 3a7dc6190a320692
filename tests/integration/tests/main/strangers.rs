//! Who doesn't belong to a cluster doesn't disturb it: TaskManagers of other binaries, and whoever
//! sends garbage to its ports.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use thalweg_integration_tests::{Cluster, FraudInput, application, other_build, wait_until};

/// A TaskManager of `stranger` is refused by fraud-detection's JobManager, on both sides with the
/// cause; then the right one does the work.
fn refuses(stranger: &Path, seed: u64) {
    let input = FraudInput::new(3_000, seed);
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "1"]));
    cluster.job_manager.as_mut().unwrap().wait_for_line("TaskManagers are expected");
    let mut refused = cluster.task_manager_of(stranger, 1);
    refused.wait().failed_with(&["another binary", "same binary"]);
    cluster.job_manager.as_mut().unwrap().wait_for_line("another binary");
    assert!(cluster.rest.task_managers().is_empty());
    cluster.start_task_manager(1);
    cluster.wait().succeeded();
    input.check("run");
}

#[test]
fn a_task_manager_of_another_application_is_refused() {
    refuses(&application("personalisation"), 61);
}

#[test]
fn a_task_manager_of_another_build_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    refuses(&other_build(&application("fraud-detection"), &folder), 62);
}

/// Sends bytes and reads until the other side closes, for a short time: some wait for more.
fn send(port: u16, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    // An error means that it has closed already, which it may.
    drop(stream.write_all(bytes));
    drop(stream.read(&mut [0; 1_024]));
    stream
}

/// What somebody might send by mistake or on purpose.
fn garbage() -> Vec<Vec<u8>> {
    let mut noise = Vec::new();
    let mut word = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..8_192 {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        noise.extend(word.to_le_bytes());
    }
    let with = |magic: &[u8], rest: &[u8]| [magic, rest].concat();
    vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        vec![0; 64],
        vec![0xff; 100_000],
        b"THALW".to_vec(),
        with(b"THALWRPC", &[0xff; 4_096]),
        with(b"THALWRPC", &[1, 0, 0, 0]),
        with(b"THALWEGD", &[0xff; 4_096]),
        with(b"THALWEGD", &noise),
        noise,
    ]
}

#[test]
fn garbage_sent_to_the_rpc_port_and_the_data_ports_disturbs_nobody() {
    let input = FraudInput::new(12_000, 63);
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    cluster.start_job_manager(&input.arguments("run", &["--parallelism", "3", "--rate", "3000"]));
    cluster.start_task_manager(2);
    cluster.start_task_manager(2);
    let job = cluster.rest.wait_for_job("RUNNING");
    cluster.rest.wait_for_task_managers(2);
    let mut ports: Vec<u16> = wait_until("the data ports are known", || {
        let all = cluster.rest.task_managers();
        let ports: Vec<u16> =
            all.iter().filter_map(|t| u16::try_from(t["dataPort"].as_i64()?).ok()).collect();
        (ports.len() == 2).then_some(ports)
    });
    ports.push(cluster.rpc_port);
    let mut open = Vec::new();
    for port in ports {
        assert_ne!(port, 0);
        open.extend(garbage().iter().map(|bytes| send(port, bytes)));
    }
    let state = cluster.rest.state(&job);
    assert_eq!(state.as_deref(), Some("RUNNING"), "the garbage came too late");
    let ended = cluster.wait().succeeded();
    assert!(!ended.stderr.contains("panicked at"), "{}", ended.stderr);
    input.check("run");
    drop(open);
}
