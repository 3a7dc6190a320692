//! What window operators must emit, computed the obvious way: every window of every key is there
//! with all its rows. It shares no code with the operators.

use crate::windows::WindowAssigner;

#[derive(Debug, Clone)]
struct Window {
    key: u64,
    start: i64,
    end: i64,
    values: Vec<i64>,
}

/// Key, window and values.
pub(super) type Firing = (u64, (i64, i64), Vec<i64>);

/// All windows that still exist.
pub(super) struct Model {
    assigner: WindowAssigner,
    lateness: i64,
    pub(super) watermark: i64,
    windows: Vec<Window>,
}

/// What becomes of a row.
pub(super) enum Outcome {
    Late,
    /// Windows that fire again.
    Taken(Vec<Firing>),
}

impl Model {
    pub(super) fn new(assigner: WindowAssigner, lateness: i64) -> Self {
        Self { assigner, lateness, watermark: i64::MIN, windows: Vec::new() }
    }

    /// The watermark from which on a window has fired.
    fn fires_at(&self, end: i64) -> i64 {
        if matches!(self.assigner, WindowAssigner::Session { .. }) { end } else { end - 1 }
    }

    fn gone(&self, end: i64) -> bool {
        self.fires_at(end) + self.lateness <= self.watermark
    }

    pub(super) fn row(&mut self, key: u64, timestamp: i64, value: i64) -> Outcome {
        let (size, slide, offset) = match self.assigner {
            WindowAssigner::Session { gap_ms } => {
                return self.session(key, timestamp, value, gap_ms);
            }
            WindowAssigner::Tumbling { size_ms, offset_ms } => (size_ms, size_ms, offset_ms),
            WindowAssigner::Sliding { size_ms, slide_ms, offset_ms } => {
                (size_ms, slide_ms, offset_ms)
            }
        };
        let mut taken = false;
        let mut firings = Vec::new();
        let starts = (timestamp - size + 1..=timestamp)
            .filter(|start| (start - offset).rem_euclid(slide) == 0);
        let starts: Vec<_> = starts.collect();
        if starts.is_empty() {
            let late = timestamp + self.lateness <= self.watermark;
            return if late { Outcome::Late } else { Outcome::Taken(Vec::new()) };
        }
        for start in starts {
            let end = start + size;
            if self.gone(end) {
                continue;
            }
            taken = true;
            let same = |w: &Window| w.key == key && w.start == start;
            let at = self.windows.iter().position(same).unwrap_or_else(|| {
                self.windows.push(Window { key, start, end, values: Vec::new() });
                self.windows.len() - 1
            });
            self.windows[at].values.push(value);
            if self.fires_at(end) <= self.watermark {
                firings.push((key, (start, end), self.windows[at].values.clone()));
            }
        }
        if taken { Outcome::Taken(firings) } else { Outcome::Late }
    }

    fn session(&mut self, key: u64, timestamp: i64, value: i64, gap: i64) -> Outcome {
        let mut merged =
            Window { key, start: timestamp, end: timestamp + gap, values: vec![value] };
        let mut alone = true;
        let touching =
            |w: &Window, m: &Window| w.key == key && w.start <= m.end && m.start <= w.end;
        while let Some(at) = self.windows.iter().position(|w| touching(w, &merged)) {
            let other = self.windows.swap_remove(at);
            merged.start = merged.start.min(other.start);
            merged.end = merged.end.max(other.end);
            merged.values.extend(other.values);
            alone = false;
        }
        if alone && self.gone(merged.end) {
            return Outcome::Late;
        }
        let fires = self.fires_at(merged.end) <= self.watermark;
        let firing = (key, (merged.start, merged.end), merged.values.clone());
        self.windows.push(merged);
        Outcome::Taken(if fires { vec![firing] } else { Vec::new() })
    }

    /// What fires, in any order.
    pub(super) fn watermark(&mut self, watermark: i64) -> Vec<Firing> {
        let before = self.watermark;
        self.watermark = before.max(watermark);
        let due =
            |w: &&Window| self.fires_at(w.end) > before && self.fires_at(w.end) <= self.watermark;
        let firing = |w: &Window| (w.key, (w.start, w.end), w.values.clone());
        let firings = self.windows.iter().filter(due).map(firing).collect();
        let gone: Vec<_> = self.windows.iter().map(|w| self.gone(w.end)).collect();
        let mut gone = gone.into_iter();
        self.windows.retain(|_| !gone.next().unwrap());
        firings
    }
}
