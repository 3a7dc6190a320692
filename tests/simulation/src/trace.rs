//! What happened, in its order: as a hash that two runs of a seed are compared by, and as text for
//! the one who looks for the cause.

use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3Default;

/// How many of the last lines a failure shows.
const TAIL: usize = 60;

struct State {
    hash: Xxh3Default,
    events: u64,
    print: bool,
    tail: std::collections::VecDeque<String>,
}

/// The trace of a run. Clones are the same.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<State>>);

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trace")
    }
}

impl Trace {
    /// An empty one; `print`: each event goes to stderr as it happens.
    pub fn new(print: bool) -> Self {
        let (hash, tail) = (Xxh3Default::new(), std::collections::VecDeque::new());
        Self(Arc::new(Mutex::new(State { hash, events: 0, print, tail })))
    }

    /// An event on a host.
    pub fn event(&self, host: &str, what: impl Display) {
        let at = turmoil_elapsed();
        self.add(at, host, &what.to_string());
    }

    /// An event outside of hosts.
    pub fn outside(&self, at: Duration, what: impl Display) {
        self.add(at, "-", &what.to_string());
    }

    /// An event of which there are very many: a line only when everything is printed.
    pub fn detail(&self, host: &str, name: &str, what: &(impl Debug + ?Sized), number: u64) {
        let at = turmoil_elapsed();
        let mut state = self.0.lock();
        for part in [host, name] {
            state.hash.update(part.as_bytes());
        }
        state.hash.update(&at.as_nanos().to_le_bytes());
        state.hash.update(&number.to_le_bytes());
        state.events += 1;
        if state.print {
            eprintln!("{:>9.3} {host:<5} {name}: {what:?}", at.as_secs_f64());
        }
    }

    fn add(&self, at: Duration, host: &str, what: &str) {
        let mut state = self.0.lock();
        let line = format!("{:>9.3} {host:<5} {what}", at.as_secs_f64());
        state.hash.update(line.as_bytes());
        state.events += 1;
        if state.print {
            eprintln!("{line}");
        }
        if state.tail.len() == TAIL {
            state.tail.pop_front();
        }
        state.tail.push_back(line);
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.0.lock().hash.digest()
    }

    /// How much happened.
    pub fn events(&self) -> u64 {
        self.0.lock().events
    }

    /// The last lines.
    pub fn tail(&self) -> String {
        self.0.lock().tail.iter().map(|line| format!("  {line}\n")).collect()
    }
}

fn turmoil_elapsed() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}
