//! What the application asks of a source, whichever it is.

use thalweg_core::Record;

use super::BadRecords;
use crate::time::WatermarkStrategy;

/// What the application asks of a source.
#[derive(Debug, Clone)]
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
}
