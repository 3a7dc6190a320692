//! What the JobManager logs: one line for each thing that people want to know.

use thalweg_core::ids::{JobId, TaskManagerId};
use thalweg_core::status::JobStatus;

use crate::dispatcher::TaskManagerObservation;
use crate::job_master::{JobResult, Observation};

pub(super) fn job(job: JobId, observation: &Observation) {
    match observation {
        Observation::Status(status) => tracing::info!(%job, "job is {status}"),
        Observation::TaskFailed { task, failure } => {
            tracing::warn!(%job, "task {task} failed: {failure}");
        }
        Observation::Restarting { tasks, delay } => {
            tracing::info!(%job, "restarting {tasks} tasks in {delay:?}");
        }
        Observation::Deployed { tasks, restored: None } => {
            tracing::info!(%job, "deploying {tasks} tasks");
        }
        Observation::Deployed { tasks, restored: Some(checkpoint) } => {
            tracing::info!(%job, "deploying {tasks} tasks from checkpoint {checkpoint}");
        }
        Observation::CheckpointCompleted(checkpoint) => {
            tracing::info!(%job, "checkpoint {checkpoint} completed");
        }
        Observation::SavepointCompleted(checkpoint) => {
            tracing::info!(%job, "savepoint {checkpoint} completed");
        }
        Observation::Rescaled { tasks } => {
            tracing::info!(%job, "the parallelism was changed: {tasks} tasks from now on");
        }
        Observation::RescaleGivenUp(why) => {
            tracing::warn!(%job, "the parallelism wasn't changed: {why}");
        }
        Observation::Relocating { tasks } => {
            tracing::info!(%job, "moving {tasks} tasks away from TaskManagers that leave");
        }
        Observation::CheckpointFailed { checkpoint, cause } => {
            tracing::warn!(%job, "checkpoint {checkpoint} failed: {cause}");
        }
    }
}

pub(super) fn task_manager(id: &TaskManagerId, observation: &TaskManagerObservation) {
    match observation {
        TaskManagerObservation::Leaving(cause) => {
            tracing::info!("TaskManager {id} is about to go: {cause}");
        }
        TaskManagerObservation::Registered { slots } => {
            tracing::info!("TaskManager {id} registered with {slots} slots");
        }
        TaskManagerObservation::Refused(why) => tracing::warn!("TaskManager {id} refused: {why}"),
        TaskManagerObservation::Lost(why) => tracing::warn!("{why}"),
    }
}

pub(super) fn job_ended(result: &JobResult) {
    let JobResult { job, name, status, .. } = result;
    match (&result.error, status) {
        (Some(error), _) => tracing::error!(%job, "job {name:?} {status}: {error}"),
        (None, JobStatus::Finished) => {
            tracing::info!(%job, "job {name:?} {status} after {} ms", result.runtime_ms);
        }
        (None, _) => tracing::info!(%job, "job {name:?} {status}"),
    }
}

/// What couldn't be deleted stays until it is found to be unreferenced.
pub(super) fn deletion(done: Result<(), String>) {
    if let Err(cause) = done {
        tracing::warn!("objects of an old checkpoint are left behind: {cause}");
    }
}
