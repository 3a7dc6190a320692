//! Minimum, maximum, average and percentiles of a growing series, in bounded memory.

/// How many of the latest values the percentiles are taken over.
const WINDOW: usize = 1_000;

/// Statistics over a series: count, sum and extremes over all of it, percentiles over its latest
/// 1,000 values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatisticsSummary {
    count: i64,
    sum: i64,
    min: i64,
    max: i64,
    window: Vec<i64>,
    /// Where in the full window the next value goes.
    next: usize,
}

impl StatisticsSummary {
    /// Adds a value. Negative ones stand for "unknown" and are left out.
    pub fn add(&mut self, value: i64) {
        if value < 0 {
            return;
        }
        (self.min, self.max) = if self.count == 0 {
            (value, value)
        } else {
            (self.min.min(value), self.max.max(value))
        };
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        if self.window.len() < WINDOW {
            self.window.push(value);
        } else {
            self.window[self.next] = value;
            self.next = (self.next + 1) % WINDOW;
        }
    }

    /// The lowest value, 0 of none.
    pub fn min(&self) -> i64 {
        self.min
    }

    /// The highest value, 0 of none.
    pub fn max(&self) -> i64 {
        self.max
    }

    /// The sum.
    pub fn sum(&self) -> i64 {
        self.sum
    }

    /// The average, cut to a whole number, 0 of none.
    pub fn average(&self) -> i64 {
        if self.count == 0 { 0 } else { self.sum / self.count }
    }

    /// The latest values in rising order, for [`percentile`].
    pub fn sorted(&self) -> Vec<i64> {
        let mut values = self.window.clone();
        values.sort_unstable();
        values
    }
}

impl FromIterator<i64> for StatisticsSummary {
    fn from_iter<I: IntoIterator<Item = i64>>(values: I) -> Self {
        let mut summary = Self::default();
        values.into_iter().for_each(|value| summary.add(value));
        summary
    }
}

/// The value below which `fraction` of `sorted` lies, interpolated at position
/// `fraction x (n + 1)`, as Flink's statistics do. NaN of none.
pub fn percentile(sorted: &[i64], fraction: f64) -> f64 {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else { return f64::NAN };
    let position = fraction * (sorted.len() as f64 + 1.0);
    if position < 1.0 {
        return *first as f64;
    }
    if position >= sorted.len() as f64 {
        return *last as f64;
    }
    let below = position.floor();
    let lower = sorted[below as usize - 1] as f64;
    let upper = sorted[below as usize] as f64;
    lower + (position - below) * (upper - lower)
}
