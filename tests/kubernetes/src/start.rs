//! How long it takes until something runs: figures that are printed, never compared.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::application::Application;
use crate::faults::processes_of;
use crate::{kubectl, wait_until};

const TICKS_PER_SECOND: f64 = 100.0;
const DAY: f64 = 86_400.0;

/// Does something, and says how long it took.
pub fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = now();
    let done = work();
    println!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
    done
}

/// Now, for such a figure.
#[expect(clippy::disallowed_methods, reason = "for figures that are printed, never compared")]
pub fn now() -> Instant {
    Instant::now()
}

/// The seconds from the start of the process in a pod of this machine to a line of its log that
/// has this text. Waits for that.
///
/// # Panics
/// It isn't there in time, or the process has been restarted.
pub fn seconds_until(pod: &Value, text: &str) -> f64 {
    let metadata = |field: &str| pod["metadata"][field].as_str().expect("a pod has it");
    let (name, namespace) = (metadata("name"), metadata("namespace"));
    let line = wait_until(&format!("{name} says {text:?}"), || {
        let log = kubectl(&["logs", name, "--namespace", namespace], "");
        log.lines().find(|line| line.contains(text)).map(str::to_owned)
    });
    let said = second_of_day(&line).expect("a line of a log begins with its time");
    (said - started(metadata("uid"))).rem_euclid(DAY)
}

/// The processor time that the process in a pod of this machine has taken.
///
/// # Panics
/// There is none.
pub fn processor_time(pod: &Value) -> Duration {
    let uid = pod["metadata"]["uid"].as_str().expect("a pod has a uid");
    let (user, system) = (seconds_of_process(uid, 14), seconds_of_process(uid, 15));
    Duration::from_secs_f64(user + system)
}

/// When the process of a pod was started, in seconds of the day.
#[expect(clippy::disallowed_methods, reason = "for figures that are printed, never compared")]
fn started(uid: &str) -> f64 {
    let uptime = fs::read_to_string("/proc/uptime").expect("there is one");
    let uptime = uptime.split(' ').next().and_then(|seconds| seconds.parse::<f64>().ok());
    let age = uptime.expect("a number") - seconds_of_process(uid, 22);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later");
    (now.as_secs_f64() - age).rem_euclid(DAY)
}

/// A field of `/proc/PID/stat` that counts ticks, by its number there.
fn seconds_of_process(uid: &str, field: usize) -> f64 {
    let process = processes_of(uid).pop().expect("the pod has a process");
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // The name may have spaces in it, and ends the first two fields.
    let (_, rest) = stat.rsplit_once(") ").expect("its name is in parentheses");
    let ticks = rest.split(' ').nth(field - 3).and_then(|ticks| ticks.parse::<f64>().ok());
    ticks.expect("a number") / TICKS_PER_SECOND
}

/// Of `2026-01-02T03:04:05.678901Z  INFO ...`.
fn second_of_day(line: &str) -> Option<f64> {
    let (_, time) = line.split_once('Z')?.0.split_once('T')?;
    time.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))
}

/// Waits until an application's job has processed a record.
///
/// # Panics
/// It doesn't in time.
pub fn wait_for_records(application: &Application) {
    wait_until("the first record", || {
        let jobs = application.rest("/jobs/overview")?;
        let job = application.rest(&format!("/jobs/{}", jobs["jobs"][0]["jid"].as_str()?))?;
        let vertices = job["vertices"].as_array()?;
        let read = vertices.iter().filter_map(|each| each["metrics"]["read-records"].as_u64());
        (read.sum::<u64>() > 0).then_some(())
    });
}
