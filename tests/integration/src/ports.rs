//! Free ports, for what must be known before a process is started.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range that systems take ports for outgoing connections from, so that nobody gets one
/// of these by chance between its choice and its use.
const FIRST: u16 = 18_000;
const COUNT: u16 = 14_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 that nobody listens on, and that no other call in this process gives.
pub fn free_port() -> u16 {
    // Test processes that run at the same time begin at different places.
    let start = (std::process::id() % 140) as u16 * 100;
    for _ in 0..COUNT {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start + number % COUNT) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {FIRST} to {} is free", FIRST + COUNT);
}
