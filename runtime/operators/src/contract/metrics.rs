//! The counters of one operator subtask. Written by its task once a batch, read by reporters.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Counters of one operator subtask.
#[derive(Debug)]
pub struct OperatorMetrics {
    records_in: AtomicU64,
    records_out: AtomicU64,
    late_records_dropped: AtomicU64,
    record_errors: AtomicU64,
    watermark: AtomicI64,
    state_bytes: AtomicU64,
}

impl Default for OperatorMetrics {
    fn default() -> Self {
        Self {
            records_in: AtomicU64::new(0),
            records_out: AtomicU64::new(0),
            late_records_dropped: AtomicU64::new(0),
            record_errors: AtomicU64::new(0),
            watermark: AtomicI64::new(i64::MIN),
            state_bytes: AtomicU64::new(0),
        }
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $field:ident, $add:ident) => {
        $(#[$doc])*
        pub fn $field(&self) -> u64 {
            self.$field.load(Relaxed)
        }

        /// Counts up.
        pub fn $add(&self, count: u64) {
            if count > 0 {
                self.$field.fetch_add(count, Relaxed);
            }
        }
    };
}

impl OperatorMetrics {
    counter!(
        /// Rows that came in (Flink: numRecordsIn).
        records_in, add_records_in
    );
    counter!(
        /// Rows that went out (numRecordsOut).
        records_out, add_records_out
    );
    counter!(
        /// Rows that came too late (numLateRecordsDropped), also those given to a late output.
        late_records_dropped, add_late_records_dropped
    );
    counter!(
        /// Records that couldn't be decoded (numRecordsInErrors).
        record_errors, add_record_errors
    );

    /// The last watermark (currentInputWatermark; for a source currentOutputWatermark).
    pub fn watermark(&self) -> i64 {
        self.watermark.load(Relaxed)
    }

    /// Sets the last watermark.
    pub fn set_watermark(&self, watermark: i64) {
        self.watermark.store(watermark, Relaxed);
    }

    /// Bytes of state held.
    pub fn state_bytes(&self) -> u64 {
        self.state_bytes.load(Relaxed)
    }

    /// Sets the bytes of state held.
    pub fn set_state_bytes(&self, bytes: u64) {
        self.state_bytes.store(bytes, Relaxed);
    }
}
