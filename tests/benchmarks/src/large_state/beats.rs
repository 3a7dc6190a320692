//! How far each subtask is, told by datagrams every few milliseconds: what a throughput within a
//! second and a pause of some milliseconds are measured with.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use thalweg::core::{Clock, SystemClock};
use thalweg::prelude::*;

use crate::Outcome;

/// The clock is read after so many records, and ...
const RECORDS: u64 = 256;
/// ... a datagram is sent after so much time.
const INTERVAL: Duration = Duration::from_millis(2);

/// The beats that this process has begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Counts the records of one subtask from its start, and tells.
pub(crate) struct Beat {
    socket: UdpSocket,
    port: u16,
    subtask: u64,
    run: u64,
    records: u64,
    clock: SystemClock,
    next: Duration,
}

impl Beat {
    pub(crate) fn new(port: u16, subtask: u32) -> FunctionResult<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let run = u64::from(std::process::id()) << 32 | BEGUN.fetch_add(1, Ordering::Relaxed);
        let (subtask, clock) = (u64::from(subtask), SystemClock::new());
        Ok(Self { socket, port, subtask, run, records: 0, clock, next: Duration::ZERO })
    }

    /// Another record.
    #[inline]
    pub(crate) fn record(&mut self) {
        if self.records.is_multiple_of(RECORDS) {
            self.tell();
        }
        self.records += 1;
    }

    fn tell(&mut self) {
        let now = self.clock.elapsed();
        if now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        let words = [self.subtask, self.run, self.records];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        // One that is lost is followed by another.
        let _ = self.socket.send_to(&bytes, ("127.0.0.1", self.port));
    }
}

/// What one subtask has told from one start to its end: when, in ms of the wall clock, and how
/// many records.
type Told = Vec<(i64, u64)>;

/// All that was told, by start of a subtask.
#[derive(Debug, Default)]
pub(crate) struct Beats(Arc<Mutex<BTreeMap<(u64, u64), Told>>>);

impl Beats {
    /// Listens, as long as the process lives, at the port that it gives.
    pub(crate) fn listen() -> Outcome<(Self, u16)> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let port = socket.local_addr()?.port();
        let beats = Self::default();
        let told = beats.0.clone();
        std::thread::Builder::new().name("beats".to_owned()).spawn(move || {
            let (clock, mut words) = (SystemClock::new(), [0; 24]);
            while let Ok(24) = socket.recv(&mut words) {
                let word = |place: usize| {
                    let mut bytes = [0; 8];
                    bytes.copy_from_slice(&words[8 * place..8 * place + 8]);
                    u64::from_le_bytes(bytes)
                };
                let Ok(mut told) = told.lock() else { return };
                told.entry((word(0), word(1))).or_default().push((clock.wall_ms(), word(2)));
            }
        })?;
        Ok((beats, port))
    }

    fn with<R>(&self, look: impl FnOnce(&BTreeMap<(u64, u64), Told>) -> R) -> Outcome<R> {
        let told = self.0.lock().map_err(|_| "the listener has panicked")?;
        Ok(look(&told))
    }

    /// The records that were processed up to this moment, by all starts together.
    pub(crate) fn records_until(&self, moment: i64) -> Outcome<f64> {
        self.with(|told| told.values().map(|told| until(told, moment)).sum())
    }

    /// The first moment, from `since`, at which all subtasks of a new set of `parallelism` had
    /// begun to process; none yet while some haven't. `known` are the starts of before.
    pub(crate) fn all_began(&self, known: &[(u64, u64)], parallelism: u32) -> Outcome<Option<i64>> {
        self.with(|told| {
            let mut first = BTreeMap::new();
            for (start, told) in told.iter().filter(|(start, _)| !known.contains(start)) {
                // Of several starts the last one counts: the others came to nothing.
                let began = told.first().map(|(at, _)| *at);
                first.insert(start.0, began.max(first.get(&start.0).copied().flatten()));
            }
            if first.len() < parallelism as usize {
                return None;
            }
            first.into_values().flatten().max()
        })
    }

    /// The starts that are known by now.
    pub(crate) fn starts(&self) -> Outcome<Vec<(u64, u64)>> {
        self.with(|told| told.keys().copied().collect())
    }

    /// The last moment at which any of these starts told something.
    pub(crate) fn last_of(&self, starts: &[(u64, u64)]) -> Outcome<Option<i64>> {
        self.with(|told| {
            let of = told.iter().filter(|(start, _)| starts.contains(start));
            of.filter_map(|(_, told)| told.last()).map(|(at, _)| *at).max()
        })
    }
}

/// Between two datagrams the records rise evenly.
fn until(told: &Told, moment: i64) -> f64 {
    let next = told.partition_point(|(at, _)| *at <= moment);
    let Some(&(before, records)) = next.checked_sub(1).and_then(|last| told.get(last)) else {
        return 0.0;
    };
    let Some(&(after, more)) = told.get(next) else { return records as f64 };
    let part = (moment - before) as f64 / (after - before).max(1) as f64;
    records as f64 + part * (more - records) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_between_two_datagrams_rise_evenly_and_starts_add_up() {
        let beats = Beats::default();
        let told = [((0, 1), vec![(100, 0), (200, 1000)]), ((0, 2), vec![(300, 0), (400, 500)])];
        beats.0.lock().unwrap().extend(told);
        for (moment, expected) in [(99, 0.0), (150, 500.0), (250, 1000.0), (350, 1250.0)] {
            assert_eq!(beats.records_until(moment).unwrap(), expected, "{moment}");
        }
        assert_eq!(beats.all_began(&[(0, 1)], 1).unwrap(), Some(300));
        assert_eq!(beats.all_began(&[(0, 1)], 2).unwrap(), None);
        assert_eq!(beats.last_of(&[(0, 1)]).unwrap(), Some(200));
    }
}
