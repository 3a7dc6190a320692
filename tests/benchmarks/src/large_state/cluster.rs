//! The processes of the job with large state: MinIO, a JobManager, TaskManagers, each with a slot
//! or more; what REST says of checkpoints.

use serde_json::Value;
use thalweg::prelude::Duration;
use thalweg_integration_tests::{Cluster, S3, try_within};

use super::beats::Beats;
use super::job::{Plan, VALUE_BYTES};
use crate::Outcome;
use crate::application::LARGE_STATE;
use crate::measure::processes::pause;

/// The time between two checkpoints.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
/// The longest that anything may take: the first records, a checkpoint, a restart.
const PATIENCE: Duration = Duration::from_secs(600);

/// The running job.
pub(crate) struct LargeState {
    pub(crate) cluster: Cluster,
    pub(crate) beats: Beats,
    pub(crate) job: String,
    pub(crate) plan: Plan,
    // Dropped last: it is needed until then.
    _s3: S3,
}

/// A checkpoint that is complete.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checkpoint {
    pub(crate) id: u64,
    /// In ms of the wall clock.
    pub(crate) triggered: i64,
    pub(crate) duration: i64,
    /// Bytes that were written for it.
    pub(crate) bytes: u64,
}

/// A row's bytes: key and value.
pub(crate) const ROW_BYTES: u64 = 8 + VALUE_BYTES as u64;

impl LargeState {
    /// Starts the job in TaskManagers with so many slots each, and waits until all rows are
    /// written and in a checkpoint. `prefix` is a name of its own in the bucket.
    pub(crate) fn start(
        prefix: &str,
        (keys, write_every, parallelism): (u64, u64, u32),
        slots: &[u32],
        settings: &[(&str, &str)],
    ) -> Outcome<Self> {
        let s3 = S3::new(prefix);
        let (checkpoints, interval) =
            (s3.location("checkpoints"), format!("{} ms", INTERVAL.as_millis()));
        let mut all = s3.settings(None);
        let own = [
            ("execution.checkpointing.dir", checkpoints.as_str()),
            ("execution.checkpointing.interval", &interval),
            ("execution.checkpointing.tolerable-failed-checkpoints", "1000"),
            ("taskmanager.memory.process.size", "6 gb"),
            ("restart-strategy.type", "fixed-delay"),
            ("restart-strategy.fixed-delay.attempts", "1000"),
            ("restart-strategy.fixed-delay.delay", "50 ms"),
        ];
        for (key, value) in own.iter().chain(settings) {
            all.retain(|(other, _)| other != key);
            all.push(((*key).to_owned(), (*value).to_owned()));
        }
        let all: Vec<_> = all.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let mut cluster = Cluster::new(&std::env::current_exe()?, &all);
        for slots in slots {
            cluster.start_task_manager(*slots);
        }
        let (beats, port) = Beats::listen()?;
        let plan = Plan { keys, write_every, port, parallelism };
        let mut arguments = vec![LARGE_STATE.to_owned()];
        arguments.extend(plan.arguments());
        cluster.start_job_manager(&arguments);
        let job = cluster.rest.wait_for_job("RUNNING");
        let large = Self { cluster, beats, job, plan, _s3: s3 };
        large.wait("all rows are written", || {
            Ok((large.beats.records_until(i64::MAX)? >= keys as f64).then_some(()))
        })?;
        // The one that is under way may have begun before.
        large.wait_for_checkpoints(2)?;
        Ok(large)
    }

    /// Waits for an answer.
    pub(crate) fn wait<T>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> Outcome<Option<T>>,
    ) -> Outcome<T> {
        let answer = try_within(PATIENCE, || ask().transpose());
        answer.ok_or_else(|| format!("waited {PATIENCE:?} in vain: {what}"))?
    }

    /// Waits for so many more checkpoints, and gives them.
    pub(crate) fn wait_for_checkpoints(&self, more: usize) -> Outcome<Vec<Checkpoint>> {
        let last = self.completed().last().map_or(0, |checkpoint| checkpoint.id);
        let mut found: Vec<Checkpoint> = Vec::new();
        self.wait(&format!("{more} more checkpoints"), || {
            // REST remembers only some of them.
            let newest = found.last().map_or(last, |checkpoint| checkpoint.id);
            found.extend(self.completed().into_iter().filter(|checkpoint| checkpoint.id > newest));
            Ok((found.len() >= more).then_some(()))
        })?;
        Ok(found)
    }

    /// The latest checkpoints, the oldest of them first.
    fn completed(&self) -> Vec<Checkpoint> {
        let path = format!("/jobs/{}/checkpoints", self.job);
        let answer = self.cluster.rest.json(&path).unwrap_or_default();
        let history = answer["history"].as_array().cloned().unwrap_or_default();
        let completed = history.iter().filter(|checkpoint| checkpoint["status"] == "COMPLETED");
        let mut completed: Vec<_> = completed.filter_map(checkpoint).collect();
        completed.sort_by_key(|checkpoint| checkpoint.id);
        completed
    }

    /// Rows that were written between two moments.
    pub(crate) fn rows_written(&self, from: i64, to: i64) -> Outcome<f64> {
        let records = self.beats.records_until(to)? - self.beats.records_until(from)?;
        Ok(records / self.plan.write_every as f64)
    }

    /// Records per second between two moments.
    pub(crate) fn throughput(&self, from: i64, to: i64) -> Outcome<f64> {
        let records = self.beats.records_until(to)? - self.beats.records_until(from)?;
        Ok(records * 1000.0 / (to - from).max(1) as f64)
    }

    /// Waits until all subtasks of a new set process, and gives the time since `since`, in ms.
    pub(crate) fn processing_again(
        &self,
        known: &[(u64, u64)],
        parallelism: u32,
        since: i64,
    ) -> Outcome<i64> {
        let began =
            self.wait("all subtasks process again", || self.beats.all_began(known, parallelism))?;
        // A start that came to nothing would be followed by another one.
        pause(Duration::from_secs(1));
        let began = self.beats.all_began(known, parallelism)?.unwrap_or(began);
        Ok(began - since)
    }
}

fn checkpoint(of: &Value) -> Option<Checkpoint> {
    Some(Checkpoint {
        id: of["id"].as_u64()?,
        triggered: of["trigger_timestamp"].as_i64()?,
        duration: of["end_to_end_duration"].as_i64()?,
        bytes: of["checkpointed_size"].as_u64()?,
    })
}
