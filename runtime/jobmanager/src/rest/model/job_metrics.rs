//! A job's metrics that follow from its facts, by Flink's names. Both REST and the Prometheus
//! endpoint show these, so they are computed in one place.

use thalweg_core::status::{ExecutionState, JobStatus};

use super::{CheckpointFacts, CheckpointOutcome, JobFacts, MetricValue, Metrics};

/// The states of a job whose time is a metric, with the metric's name.
const STATE_TIMES: [(JobStatus, &str); 6] = [
    (JobStatus::Initializing, "initializingTime"),
    (JobStatus::Created, "createdTime"),
    (JobStatus::Running, "runningTime"),
    (JobStatus::Restarting, "restartingTime"),
    (JobStatus::Cancelling, "cancellingTime"),
    (JobStatus::Failing, "failingTime"),
];

/// Not one of Flink's; there once the job was restored.
const RESTORE_DURATION: &str = "lastCheckpointRestoreDuration";

/// All metrics of a job at `now_ms`: those computed here, then its own ([`JobFacts::metrics`]),
/// which win.
pub fn job_metrics(job: &JobFacts, now_ms: i64) -> Metrics {
    let mut metrics = Metrics::new();
    let mut put = |name: &str, value: i64| {
        metrics.insert(name.to_owned(), MetricValue::Integer(value));
    };
    for (state, name) in STATE_TIMES {
        put(name, if job.state == state { since(job, state, now_ms) } else { 0 });
    }
    let ended = job.state.is_globally_terminal();
    let in_state = |state| if job.state == state { since(job, state, now_ms) } else { 0 };
    put("uptime", if ended { -1 } else { in_state(JobStatus::Running) });
    put("downtime", if ended { -1 } else { in_state(JobStatus::Restarting) });
    put("deployingTime", deploying_ms(job, now_ms));
    put("allSubTasksRunningOrFinishedTime", all_running_ms(job, now_ms));
    put("numRestarts", i64::try_from(job.restarts).unwrap_or(i64::MAX));
    if let Some(checkpoints) = &job.checkpoints {
        put_checkpoints(&mut metrics, checkpoints);
        if let Some(ms) = restore_ms(job, checkpoints, now_ms) {
            metrics.insert(RESTORE_DURATION.to_owned(), MetricValue::Integer(ms));
        }
    }
    metrics.extend(job.metrics.clone());
    metrics
}

fn since(job: &JobFacts, state: JobStatus, now_ms: i64) -> i64 {
    job.timestamps.get(&state).map_or(0, |entered| (now_ms - entered).max(0))
}

/// How long the earliest of the tasks that are now being deployed has been so.
fn deploying_ms(job: &JobFacts, now_ms: i64) -> i64 {
    let tasks = job.vertices.iter().flat_map(|vertex| &vertex.subtasks);
    let deploying = tasks.filter(|task| task.state == ExecutionState::Deploying);
    let earliest = deploying.filter_map(|task| task.start_ms()).min();
    earliest.map_or(0, |start| (now_ms - start).max(0))
}

/// How long all tasks have been running or finished; 0 if some are not.
fn all_running_ms(job: &JobFacts, now_ms: i64) -> i64 {
    if job.state != JobStatus::Running {
        return 0;
    }
    let mut latest = None;
    for task in job.vertices.iter().flat_map(|vertex| &vertex.subtasks) {
        if !matches!(task.state, ExecutionState::Running | ExecutionState::Finished) {
            return 0;
        }
        latest = latest.max(task.timestamps.get(&ExecutionState::Running).copied());
    }
    latest.map_or(0, |at| (now_ms - at).max(0))
}

/// How long the last restore took: from the decision until all tasks were running. Of one that's
/// under way, how long it has taken so far.
fn restore_ms(job: &JobFacts, checkpoints: &CheckpointFacts, now_ms: i64) -> Option<i64> {
    let begun = checkpoints.latest_restored.as_ref()?.restore_ms;
    let mut end = begun;
    for task in job.vertices.iter().flat_map(|vertex| &vertex.subtasks) {
        // Those of other regions went on all the time.
        end = match task.timestamps.get(&ExecutionState::Running) {
            Some(at) => end.max(*at),
            None if job.state.is_globally_terminal() => end,
            None => end.max(now_ms),
        };
    }
    Some(end - begun)
}

fn put_checkpoints(metrics: &mut Metrics, facts: &CheckpointFacts) {
    let mut put = |name: &str, value: i64| {
        metrics.insert(name.to_owned(), MetricValue::Integer(value));
    };
    let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let counts = facts.counts;
    put("numberOfInProgressCheckpoints", count(counts.in_progress));
    put("numberOfCompletedCheckpoints", count(counts.completed));
    put("numberOfFailedCheckpoints", count(counts.failed));
    put("totalNumberOfCheckpoints", count(counts.in_progress + counts.completed + counts.failed));
    let restored = facts.latest_restored.as_ref().map_or(-1, |restored| restored.restore_ms);
    put("lastCheckpointRestoreTimestamp", restored);

    let saved = facts.latest_savepoint.as_deref();
    let latest = facts.latest_completed.as_deref().into_iter().chain(saved).max_by_key(|c| c.id);
    let of = |value: Option<i64>| value.unwrap_or(-1);
    put("lastCompletedCheckpointId", of(latest.map(|c| count(c.id))));
    put("lastCheckpointSize", of(latest.map(|c| c.sum(|s| s.checkpointed_size))));
    put("lastCheckpointFullSize", of(latest.map(|c| c.sum(|s| s.state_size))));
    put("lastCheckpointMetadataSize", of(latest.map(|c| c.metadata_size)));
    put("lastCheckpointDuration", of(latest.and_then(|c| c.end_to_end_ms())));
    put("lastCheckpointProcessedData", of(latest.map(|c| c.sum(|s| s.processed_data))));
    put("lastCheckpointPersistedData", of(latest.map(|c| c.sum(|s| s.persisted_data))));
    let completed = latest.and_then(|c| c.acknowledged().map(|s| s.acknowledged_ms).max());
    put("lastCheckpointCompletedTimestamp", of(completed));

    let path = match latest.map(|c| &c.outcome) {
        Some(CheckpointOutcome::Completed { external_path, .. }) => external_path.clone(),
        _ => "n/a".to_owned(),
    };
    metrics.insert("lastCheckpointExternalPath".to_owned(), MetricValue::Text(path));
}
