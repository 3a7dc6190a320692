//! When the status is written: at once when the job's state changes, and at most every 10 s for the
//! rest. Pure.

use std::time::Duration;

use serde_json::Value;

/// How often what isn't urgent is written at most.
const PERIOD: Duration = Duration::from_secs(10);

/// What was written last, and when.
#[derive(Debug, Clone, Default)]
pub struct StatusSchedule {
    written: Option<(Value, Duration)>,
}

impl StatusSchedule {
    /// Whether this status is to be written now.
    pub fn is_due(&self, status: &Value, now: Duration) -> bool {
        let Some((written, at)) = &self.written else { return true };
        if written == status {
            return false;
        }
        urgent(written) != urgent(status) || now >= *at + PERIOD
    }

    /// It was written.
    pub fn written(&mut self, status: Value, now: Duration) {
        self.written = Some((status, now));
    }

    /// Somebody else has written these fields, or nobody knows: they are written again.
    pub fn forget(&mut self) {
        self.written = None;
    }
}

/// What people and the operator wait for.
fn urgent(status: &Value) -> [&Value; 4] {
    let leading = &status["jobManager"];
    [&status["job"]["state"], &leading["lineage"], &leading["epoch"], &status["savepoints"]]
}
