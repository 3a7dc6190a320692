//! What happened, in its order: as a hash that two runs of a seed are compared by, and as text for
//! the one who looks for the cause.

use std::fmt::Display;
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
        self.add(at, host, &what.to_string(), true);
    }

    /// An event outside of hosts.
    pub fn outside(&self, at: Duration, what: impl Display) {
        self.add(at, "-", &what.to_string(), true);
    }

    /// An event that is only worth a line when everything is printed.
    pub fn detail(&self, host: &str, what: impl Display) {
        self.add(turmoil_elapsed(), host, &what.to_string(), false);
    }

    fn add(&self, at: Duration, host: &str, what: &str, keep: bool) {
        let mut state = self.0.lock();
        let line = format!("{:>9.3} {host:<5} {what}", at.as_secs_f64());
        state.hash.update(line.as_bytes());
        state.events += 1;
        if state.print {
            eprintln!("{line}");
        }
        if keep {
            if state.tail.len() == TAIL {
                state.tail.pop_front();
            }
            state.tail.push_back(line);
        }
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
