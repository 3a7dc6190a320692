//! A line on stderr, now and then: how many records, how fast, and how far event time is.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use thalweg_jobmanager::JobManagerHandle;
use thalweg_jobmanager::rest::RestGateway;
use thalweg_jobmanager::rest::model::{JobFacts, MetricValue, SubtaskFacts, operator_metric_name};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::metrics::Reporter;

/// How often it is printed.
const INTERVAL: Duration = Duration::from_secs(1);

/// Prints progress until it is finished.
pub(super) struct Progress {
    stop: oneshot::Sender<()>,
    printing: JoinHandle<()>,
    runtime: Handle,
}

/// Begins to print.
pub(super) fn start(reporter: &Reporter, runtime: &Handle) -> Progress {
    let (stop, mut stopped) = oneshot::channel();
    let job_manager = reporter.job_manager().cloned();
    let printing = runtime.spawn(async move {
        let Some(job_manager) = job_manager else { return };
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.tick().await;
        let mut before = 0;
        loop {
            let ended = tokio::select! {
                _ = ticks.tick() => false,
                _ = &mut stopped => true,
            };
            before = print(&job_manager, before, ended);
            if ended {
                return;
            }
        }
    });
    Progress { stop, printing, runtime: runtime.clone() }
}

impl Progress {
    /// Prints a last line.
    pub(super) fn finish(self) {
        if self.stop.send(()).is_ok() {
            // A panic while printing progress isn't worth another one.
            let _ = self.runtime.block_on(self.printing);
        }
    }
}

/// Prints the newest job's progress and gives the number of its records.
fn print(job_manager: &JobManagerHandle, before: u64, ended: bool) -> u64 {
    let facts = job_manager.cluster();
    let Some(job) = facts.jobs.last() else { return before };
    let records = source_records(job);
    let rate = if ended {
        let ms = job.duration_ms(job_manager.now_ms()).max(1);
        records as f64 * 1000.0 / ms as f64
    } else {
        records.saturating_sub(before) as f64 / INTERVAL.as_secs_f64()
    };
    let watermark = lowest_watermark(job).map_or("none".to_owned(), date);
    let line = format!(
        "{}: {} {records} records read, {rate:.0}/s, watermark {watermark}",
        job.name, job.state
    );
    let mut stderr = std::io::stderr().lock();
    // On a terminal one line that changes; in a file one line after the other.
    let over = stderr.is_terminal();
    let written = match (over, ended) {
        (true, false) => write!(stderr, "\r\x1b[K{line}"),
        (true, true) => writeln!(stderr, "\r\x1b[K{line}"),
        (false, _) => writeln!(stderr, "{line}"),
    };
    // Nobody can be told that stderr is gone.
    drop(written.and_then(|()| stderr.flush()));
    records
}

fn source_records(job: &JobFacts) -> u64 {
    let sources = job.vertices.iter().filter(|vertex| vertex.inputs.is_empty());
    let read = sources.flat_map(|vertex| {
        let head = vertex.operators.first().map(|o| operator_metric_name(&o.name, "numRecordsOut"));
        vertex.subtasks.iter().map(move |subtask| {
            head.as_deref().and_then(|name| number(subtask, name)).unwrap_or(0.0)
        })
    });
    read.sum::<f64>() as u64
}

fn lowest_watermark(job: &JobFacts) -> Option<i64> {
    let all = job.vertices.iter().flat_map(|vertex| &vertex.subtasks);
    let known = all.filter_map(|subtask| number(subtask, "currentInputWatermark"));
    known
        .fold(None, |lowest: Option<f64>, w| Some(lowest.map_or(w, |l| l.min(w))))
        .map(|w| w as i64)
}

fn number(subtask: &SubtaskFacts, name: &str) -> Option<f64> {
    match subtask.metrics.get(name)? {
        MetricValue::Integer(number) => Some(*number as f64),
        MetricValue::Float(number) => Some(*number),
        MetricValue::Text(_) => None,
    }
}

/// A time as people write it, in UTC; algorithm: days to civil of Howard Hinnant's date algorithms.
fn date(ms: i64) -> String {
    if ms >= i64::MAX / 2 {
        return "end of input".to_owned();
    }
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn times_are_written_as_dates() {
        for (ms, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00Z"),
            (951_827_696_999, "2000-02-29T12:34:56Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (i64::MAX, "end of input"),
        ] {
            assert_eq!(date(ms), expected);
        }
    }
}
