//! What the application asks of a source, whichever it is.

use thalweg_core::Record;

use super::BadRecords;
use crate::time::WatermarkStrategy;

/// What the application asks of a source.
#[derive(Clone)]
pub struct SourceOptions<T> {
    /// Timestamps, watermarks, lateness, idleness.
    pub watermarks: WatermarkStrategy<T>,
    /// What becomes of records that can't be decoded.
    pub bad_records: BadRecords,
    /// Rows per second over all subtasks. None: as fast as possible.
    pub rate: Option<f64>,
}

impl<T: Record> SourceOptions<T> {
    /// No rate limit, bad records fail the job.
    pub fn new(watermarks: WatermarkStrategy<T>) -> Self {
        Self { watermarks, bad_records: BadRecords::Fail, rate: None }
    }

    /// Reads at most `rate` rows per second, all subtasks together.
    #[must_use]
    pub fn with_rate(mut self, rate: Option<f64>) -> Self {
        self.rate = rate;
        self
    }

    /// Does this with records that can't be decoded.
    #[must_use]
    pub fn with_bad_records(mut self, bad_records: BadRecords) -> Self {
        self.bad_records = bad_records;
        self
    }
}

impl<T: Record> From<WatermarkStrategy<T>> for SourceOptions<T> {
    fn from(watermarks: WatermarkStrategy<T>) -> Self {
        Self::new(watermarks)
    }
}

impl<T> std::fmt::Debug for SourceOptions<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceOptions")
            .field("watermarks", &self.watermarks)
            .field("bad_records", &self.bad_records)
            .field("rate", &self.rate)
            .finish()
    }
}
