//! What a deployment needs before its task can be made, and what may take long: the job's code
//! and the state to begin with. Then, on the executor's loop, the task itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_core::Clock;
use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::{checkpointing, execution, metrics, network};
use thalweg_core::ids::Epoch;
use thalweg_core::key_group::key_group_range;
use thalweg_network::{NetworkEnvironment, Waker};
use thalweg_operators::chain::EdgeTarget;
use thalweg_operators::code::JobCode;
use thalweg_operators::contract::{JobInfo, SubtaskInfo};
use thalweg_rpc::message::{FailureInfo, FailureKind, JobInformation, TaskDeployment};
use thalweg_state::MemoryBudget;
use thalweg_storage::BlobStoreOpener;

use super::code::CodeCache;
use super::restore::{self, RestoredSubtask};
use super::stores::Stores;
use super::wiring::{self, WiringOptions};
use crate::driver::TaskWaker;
use crate::task::{
    Mailbox, SpecRestore, Task, TaskMetrics, TaskObserver, TaskPorts, TaskSpec, panic_message,
};

/// A deployment on its way to become a task.
#[derive(Debug, Clone)]
pub(super) struct Deployment {
    pub(super) job: Arc<JobInformation>,
    pub(super) task: Arc<TaskDeployment>,
    pub(super) epoch: Epoch,
}

/// What was fetched for it.
pub(super) struct Prepared {
    pub(super) code: Arc<JobCode>,
    pub(super) restore: Option<SpecRestore>,
}

/// Refuses what can't work here.
pub(super) fn check(deployment: &Deployment, build_id: u64) -> Result<SubtaskInfo, FailureInfo> {
    let Deployment { job, task, .. } = deployment;
    if job.build_id != build_id {
        return Err(refusal(format!(
            "job {:?} was captured by another binary (build {:016x}) than this TaskManager's \
             (build {build_id:016x}); start JobManager and TaskManagers from the same binary or \
             image",
            job.job_name, job.build_id
        )));
    }
    let Some(vertex) = job.graph.vertex(task.vertex) else {
        return Err(refusal(format!("vertex {} isn't in the job's graph", task.vertex)));
    };
    if task.subtask >= vertex.parallelism {
        return Err(refusal(format!(
            "subtask {} of vertex {:?}, which has {}",
            task.subtask, vertex.name, vertex.parallelism
        )));
    }
    Ok(SubtaskInfo {
        index: task.subtask,
        parallelism: vertex.parallelism,
        max_parallelism: vertex.max_parallelism,
        attempt: task.attempt_number,
        key_groups: key_group_range(vertex.max_parallelism, vertex.parallelism, task.subtask),
    })
}

/// Loads the code and fetches the state. Blocks, and calls user code, whose panics it catches.
pub(super) async fn prepare(
    codes: &CodeCache,
    stores: &Stores,
    configuration: &Configuration,
    deployment: &Deployment,
    subtask: SubtaskInfo,
) -> Result<Prepared, FailureInfo> {
    let Deployment { job, task, .. } = deployment;
    let load = std::panic::AssertUnwindSafe(|| codes.get(job));
    let code = match std::panic::catch_unwind(load) {
        Ok(loaded) => loaded.map_err(|error| refusal(error.to_string()))?,
        Err(payload) => {
            let message = panic_message(payload.as_ref());
            return Err(refusal(format!("the program panicked when it was captured: {message}")));
        }
    };
    let Some(restore) = &task.restore else { return Ok(Prepared { code, restore: None }) };
    let opened = match (&restore.directory, &job.checkpoint_directory) {
        (Some(directory), _) => stores.open_once(directory).map(Some),
        (None, Some(directory)) => stores.get(directory).map(Some),
        (None, None) => Ok(None),
    };
    let store = opened.map_err(|error| environment(error.to_string()))?;
    let restored_subtask = RestoredSubtask {
        index: subtask.index,
        parallelism: subtask.parallelism,
        key_groups: subtask.key_groups,
        continued: is_incremental(&effective(configuration, &job.configuration), job),
    };
    let fetched = restore::fetch(store.as_deref(), restore, restored_subtask).await;
    let restore = fetched.map_err(|(operator, error)| {
        let vertex = job.graph.vertex(task.vertex);
        let node = vertex.and_then(|v| v.operators.iter().find(|o| o.id == operator));
        FailureInfo {
            operator: node.map(|node| node.name.clone()),
            ..environment(format!("checkpoint {}: {error}", restore.checkpoint))
        }
    })?;
    Ok(Prepared { code, restore: Some(restore) })
}

/// What a task is given here.
pub(super) struct Surroundings<'a> {
    pub(super) network: &'a NetworkEnvironment,
    pub(super) configuration: &'a Configuration,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) state_budget: MemoryBudget,
    pub(super) snapshot_buffers: MemoryBudget,
    pub(super) uploads: Option<MemoryBudget>,
    pub(super) stores: Arc<dyn BlobStoreOpener>,
    pub(super) observer: Arc<dyn TaskObserver>,
    pub(super) metrics: Arc<TaskMetrics>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) waker: Arc<TaskWaker>,
}

/// Wires and makes the task.
pub(super) fn make(
    deployment: &Deployment,
    prepared: Prepared,
    subtask: SubtaskInfo,
    around: Surroundings<'_>,
) -> Result<Task, FailureInfo> {
    let Deployment { job, task, epoch } = deployment;
    let configuration = effective(around.configuration, &job.configuration);
    let options = WiringOptions {
        batch_rows: configuration.get(&network::BATCH_ROWS) as usize,
        linger: configuration.get(&execution::BUFFER_TIMEOUT),
    };
    let (for_channels, for_operators) = (around.waker.clone(), around.waker);
    let waker: Waker = Arc::new(move || for_channels.wake());
    let wired = wiring::wire(around.network, &prepared.code, task, options, &waker);
    let wiring = wired.map_err(|error| environment(error.to_string()))?;
    // Not those that have channels here: an input may have some at other subtasks only.
    let edges = job.graph.inputs(task.vertex).map(|(_, edge)| usize::from(edge.input) + 1);
    let inputs = edges.max().unwrap_or(0);
    let edge = |output: &thalweg_rpc::message::OutputDeployment| EdgeTarget {
        operator: output.operator_index as usize,
        tag: output.tag.clone(),
    };
    let spec = TaskSpec {
        job: JobInfo { id: job.job_id, name: job.job_name.clone(), epoch: *epoch },
        attempt: task.attempt,
        vertex: task.vertex,
        subtask,
        code: prepared.code,
        inputs,
        edges: task.outputs.iter().map(edge).collect(),
        splits: task.source_splits.iter().cloned().collect(),
        restore: prepared.restore,
        checkpointing: job.checkpointing,
        incremental: is_incremental(&configuration, job),
        allow_unclaimed: configuration.get(&checkpointing::IGNORE_UNCLAIMED_STATE),
        state_budget: around.state_budget,
        snapshot_buffers: around.snapshot_buffers,
        uploads: around.uploads,
        stores: around.stores,
        latency_interval: configuration.get(&metrics::LATENCY_INTERVAL),
    };
    let ports = TaskPorts {
        input: wiring.input,
        outputs: wiring.outputs,
        mailbox: around.mailbox,
        observer: around.observer,
        metrics: around.metrics,
        wake: Arc::new(move || for_operators.wake()),
        clock: Arc::clone(around.clock),
    };
    Ok(Task::new(spec, ports))
}

/// Whether a job's snapshots go on from each other: not where they go inline into a message.
fn is_incremental(configuration: &Configuration, job: &JobInformation) -> bool {
    job.checkpoint_directory.is_some() && configuration.get(&checkpointing::INCREMENTAL)
}

/// The process's configuration with what the job sets in its place. What isn't an option of this
/// build was refused by the JobManager already.
fn effective(process: &Configuration, job: &BTreeMap<String, String>) -> Configuration {
    let mut configuration = process.clone();
    for (key, value) in job {
        if let Err(error) = configuration.set_str(key, value) {
            tracing::warn!(key, "an option of the job isn't used here: {error}");
        }
    }
    configuration
}

fn refusal(message: String) -> FailureInfo {
    FailureInfo { operator: None, message, kind: FailureKind::Deployment }
}

pub(super) fn environment(message: String) -> FailureInfo {
    FailureInfo { operator: None, message, kind: FailureKind::Environment }
}
