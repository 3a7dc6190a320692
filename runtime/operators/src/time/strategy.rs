//! How a stream gets its timestamps and watermarks.

use std::sync::Arc;
use std::time::Duration;

use thalweg_core::Record;
use thalweg_core::element::{MIN_WATERMARK, Watermark};

use crate::contract::OutputTag;

type Timestamps<T> = Arc<dyn Fn(&[T], &mut Vec<i64>) + Send + Sync>;

/// How a stream gets its timestamps and watermarks.
///
/// ```
/// # use std::time::Duration;
/// # use thalweg_operators::time::WatermarkStrategy;
/// // Rows are (event time, amount); they come at most five seconds out of order.
/// let strategy = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(5))
///     .with_timestamps(|row: &(i64, u64)| row.0)
///     .with_idleness(Duration::from_secs(60));
/// # let _ = strategy;
/// ```
pub struct WatermarkStrategy<T> {
    timestamps: Option<Timestamps<T>>,
    bound_ms: Option<i64>,
    idleness: Option<Duration>,
    late: Option<OutputTag<T>>,
}

impl<T> Clone for WatermarkStrategy<T> {
    fn clone(&self) -> Self {
        Self {
            timestamps: self.timestamps.clone(),
            bound_ms: self.bound_ms,
            idleness: self.idleness,
            late: self.late.clone(),
        }
    }
}

impl<T> std::fmt::Debug for WatermarkStrategy<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatermarkStrategy")
            .field("bound_ms", &self.bound_ms)
            .field("idleness", &self.idleness)
            .field("late", &self.late.is_some())
            .finish_non_exhaustive()
    }
}

impl<T: Record> WatermarkStrategy<T> {
    /// No event time: the only watermark is the one at the end of bounded input.
    pub fn no_watermarks() -> Self {
        Self { timestamps: None, bound_ms: None, idleness: None, late: None }
    }

    /// Timestamps only rise within a split.
    pub fn monotonous_timestamps() -> Self {
        Self::bounded_out_of_orderness(Duration::ZERO)
    }

    /// A row comes at most `bound` of event time after one with a higher timestamp. The watermark
    /// is the highest timestamp - bound - 1 ms.
    pub fn bounded_out_of_orderness(bound: Duration) -> Self {
        let bound_ms = i64::try_from(bound.as_millis()).unwrap_or(i64::MAX);
        Self { bound_ms: Some(bound_ms), ..Self::no_watermarks() }
    }

    /// A row's event time in ms since 1970.
    #[must_use]
    pub fn with_timestamps(mut self, of: impl Fn(&T) -> i64 + Send + Sync + 'static) -> Self {
        self.timestamps =
            Some(Arc::new(move |rows, out: &mut Vec<i64>| out.extend(rows.iter().map(&of))));
        self
    }

    /// A split without rows for this long doesn't hold back event time any more, until it has
    /// rows again. Off unless set; never applies to bounded sources; time in which the source
    /// itself is held back doesn't count.
    #[must_use]
    pub fn with_idleness(mut self, after: Duration) -> Self {
        self.idleness = Some(after);
        self
    }

    /// A row is late when its timestamp is below the highest before it in its split minus the
    /// bound. Late rows go to this side output and nowhere else; without it they stay in the
    /// stream, and each operator decides. Decided row by row, so it doesn't depend on batches,
    /// parallelism or speed.
    #[must_use]
    pub fn with_late_output(mut self, late: OutputTag<T>) -> Self {
        self.late = Some(late);
        self
    }

    /// After how long a split is idle.
    pub fn idleness(&self) -> Option<Duration> {
        self.idleness
    }

    /// Where late rows go.
    pub fn late_output(&self) -> Option<&OutputTag<T>> {
        self.late.as_ref()
    }

    /// Whether it gives timestamps.
    pub fn has_timestamps(&self) -> bool {
        self.timestamps.is_some()
    }

    /// Computes the timestamps of `rows` into `out`. False: this strategy gives none.
    pub fn timestamps(&self, rows: &[T], out: &mut Vec<i64>) -> bool {
        match &self.timestamps {
            Some(of) => {
                of(rows, out);
                true
            }
            None => false,
        }
    }

    /// Watermarks for one split.
    pub fn generator(&self) -> WatermarkGenerator {
        WatermarkGenerator { bound_ms: self.bound_ms, highest: MIN_WATERMARK }
    }
}

/// The watermarks of one split.
#[derive(Debug, Clone)]
pub struct WatermarkGenerator {
    bound_ms: Option<i64>,
    highest: i64,
}

impl WatermarkGenerator {
    /// The highest timestamp seen. `i64::MIN`: none yet.
    pub fn highest(&self) -> i64 {
        self.highest
    }

    /// Goes on where an earlier one was.
    pub fn restore(&mut self, highest: i64) {
        self.highest = highest;
    }

    /// Takes note of the next row's timestamp. True: the row is late.
    #[inline]
    pub fn observe(&mut self, timestamp: i64) -> bool {
        let late =
            self.bound_ms.is_some_and(|bound| timestamp < self.highest.saturating_sub(bound));
        self.highest = self.highest.max(timestamp);
        late
    }

    /// The watermark after the rows observed.
    pub fn watermark(&self) -> Watermark {
        match self.bound_ms {
            Some(bound) if self.highest > MIN_WATERMARK => {
                self.highest.saturating_sub(bound).saturating_sub(1)
            }
            _ => MIN_WATERMARK,
        }
    }
}
