//! The leader's fields of the status, from what REST shows and the pods. Pure. Always all of them:
//! a field that one write has and the next one lacks would be removed.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};
use thalweg_core::status::ExecutionState;
use thalweg_jobmanager::high_availability::EarlierRun;
use thalweg_jobmanager::high_availability::lineage::Entered;
use thalweg_jobmanager::rest::model::{
    CheckpointFacts, CheckpointOutcome, CheckpointStatistics, ClusterFacts, JobFacts,
    OperationOutcome,
};

use super::PROTOCOL;

/// Who reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderFacts {
    /// Its pod.
    pub pod: String,
    /// Its term.
    pub epoch: u64,
    /// Its version.
    pub version: String,
    /// The labels of TaskManager pods, as a selector.
    pub selector: String,
    /// Where its identity stands among those that the application has had, and whether the state
    /// lies under another one: it runs nothing then.
    pub lineage: Entered,
}

/// Pods of TaskManagers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PodCounts {
    /// How many there should be.
    pub desired: u32,
    /// How many haven't registered.
    pub pending: u32,
    /// How many are to wait without work.
    pub standby: u32,
}

/// The `status` of a leader: its own fields, all of them. An application has one job; of several
/// the latest is reported. `history`: how many savepoints are listed; `earlier`: what an earlier
/// resource of the name has left of the job.
pub fn report(
    leader: &LeaderFacts,
    cluster: &ClusterFacts,
    earlier: Option<&EarlierRun>,
    pods: PodCounts,
    history: usize,
) -> Value {
    let job = cluster.jobs.last();
    let parallelism = job.map_or(0, |job| parallelism(job));
    let checkpoints = job.and_then(|job| job.checkpoints.as_ref());
    let slots: u64 = cluster.task_managers.iter().map(|tm| u64::from(tm.slots)).sum();
    let free: u64 = cluster.task_managers.iter().map(|tm| tm.free_slots()).sum();
    let mut status = json!({
        "savepoints": job.map(|job| savepoints(job, history)).unwrap_or_default(),
        "taskManagers": {
            "desired": pods.desired,
            "pending": pods.pending,
            "registered": cluster.task_managers.len(),
            "standby": pods.standby,
            "slotsTotal": slots,
            "slotsFree": free,
        },
        "jobManager": object([
            ("leader", Some(json!(leader.pod))),
            ("epoch", Some(json!(leader.epoch))),
            ("version", Some(json!(leader.version))),
            ("protocol", Some(json!(PROTOCOL))),
            ("lineage", Some(json!(leader.lineage.place))),
            ("stateElsewhere", leader.lineage.elsewhere.as_ref().map(|id| json!(id))),
        ]),
        "replicas": parallelism,
        "selector": leader.selector,
    });
    if let (Some(job), Some(status)) = (job, status.as_object_mut()) {
        status.insert("job".to_owned(), job_status(job, earlier, parallelism));
        let checkpoint = checkpoints.and_then(checkpoint);
        status.extend(checkpoint.map(|checkpoint| ("checkpoint".to_owned(), checkpoint)));
    }
    status
}

fn parallelism(job: &JobFacts) -> u32 {
    job.vertices.iter().map(|vertex| vertex.parallelism).max().unwrap_or(0)
}

fn time(ms: i64) -> Option<Value> {
    Timestamp::from_millisecond(ms).ok().map(|at| json!(at.to_string()))
}

/// The members that there is a value for.
fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let members = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn job_status(job: &JobFacts, earlier: Option<&EarlierRun>, parallelism: u32) -> Value {
    let counts = job.task_counts();
    let running = counts.get(&ExecutionState::Running).copied().unwrap_or(0);
    let total: usize = counts.values().sum();
    let maximum = job.vertices.iter().map(|vertex| vertex.max_parallelism).max();
    let restored = job.checkpoints.as_ref().and_then(|all| all.latest_restored.as_ref());
    let restored = restored.map(|restored| {
        object([
            ("path", Some(json!(restored.external_path.clone().unwrap_or_default()))),
            ("checkpointId", Some(json!(restored.id))),
            ("at", time(restored.restore_ms)),
        ])
    });
    object([
        ("id", Some(json!(job.id))),
        ("name", Some(json!(job.name))),
        ("state", Some(json!(job.state.name()))),
        ("startedAt", time(job.start_ms()).filter(|_| job.start_ms() > 0)),
        ("endedAt", job.end_ms().and_then(time)),
        ("parallelism", Some(json!(parallelism))),
        ("maxParallelism", maximum.map(|maximum| json!(maximum))),
        ("tasks", Some(json!({"running": running, "total": total}))),
        ("restarts", Some(json!(job.restarts))),
        ("restoredFrom", restored),
        ("earlier", earlier.map(earlier_run)),
    ])
}

fn earlier_run(earlier: &EarlierRun) -> Value {
    let (id, path) = earlier.checkpoint.as_ref().map(|(id, path)| (id.0, path)).unzip();
    object([
        ("uid", Some(json!(earlier.owner))),
        ("ended", Some(json!(earlier.ended))),
        ("stopped", Some(json!(earlier.stopped))),
        ("checkpointId", id.map(|id| json!(id))),
        ("path", path.map(|path| json!(path))),
    ])
}

fn checkpoint(all: &CheckpointFacts) -> Option<Value> {
    let latest = all.latest_completed.as_ref()?;
    let CheckpointOutcome::Completed { external_path, .. } = &latest.outcome else { return None };
    let since = all.history.iter().take_while(|statistics| statistics.id > latest.id);
    let failed = since.filter(|s| matches!(s.outcome, CheckpointOutcome::Failed { .. }));
    let completed = latest.end_to_end_ms().and_then(|took| time(latest.trigger_ms + took));
    Some(object([
        ("id", Some(json!(latest.id))),
        ("path", Some(json!(external_path))),
        ("completedAt", completed),
        ("sizeBytes", Some(json!(latest.sum(|subtask| subtask.state_size)))),
        ("durationMillis", latest.end_to_end_ms().map(|took| json!(took))),
        ("failedSinceLast", Some(json!(failed.count()))),
    ]))
}

/// The latest first; each under the name of the operation that asked for it.
fn savepoints(job: &JobFacts, history: usize) -> Vec<Value> {
    let done = job.operations.iter().rev().filter_map(|operation| {
        let OperationOutcome::Completed { checkpoint, location } = &operation.outcome else {
            return None;
        };
        let statistics = job.checkpoints.as_ref().and_then(|all| all.find(*checkpoint));
        let at = |statistics: &CheckpointStatistics| {
            time(statistics.trigger_ms + statistics.end_to_end_ms()?)
        };
        operation.is_savepoint.then(|| {
            object([
                ("token", Some(json!(operation.trigger.to_string()))),
                ("path", Some(json!(location))),
                ("completedAt", statistics.and_then(at)),
            ])
        })
    });
    done.take(history).collect()
}
