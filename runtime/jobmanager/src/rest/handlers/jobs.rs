//! `/jobs`, `/jobs/overview` and what belongs to a job as a whole: details, status, configuration,
//! accumulators.

use std::sync::Arc;

use serde::Serialize;
use thalweg_core::job_graph::DeliveryGuarantee;
use thalweg_core::status::{ExecutionState, JobStatus};

use super::io_metrics::{IoMetrics, io_metrics};
use super::plan::{Plan, plan};
use super::states;
use crate::rest::json::Entries;
use crate::rest::model::{AccumulatorFacts, ClusterFacts, JobFacts, VertexFacts};

#[derive(Debug, Serialize)]
pub(crate) struct Jobs<T> {
    jobs: Vec<T>,
}

#[derive(Debug, Serialize)]
pub(crate) struct JobIdAndStatus<'a> {
    id: &'a str,
    status: JobStatus,
}

/// `/jobs`.
pub(crate) fn ids(cluster: &ClusterFacts) -> Jobs<JobIdAndStatus<'_>> {
    let jobs = cluster.jobs.iter().map(Arc::as_ref);
    Jobs { jobs: jobs.map(|job| JobIdAndStatus { id: &job.id, status: job.state }).collect() }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobOverview<'a> {
    jid: &'a str,
    name: &'a str,
    start_time: i64,
    end_time: i64,
    duration: i64,
    state: JobStatus,
    last_modification: i64,
    tasks: TaskCounts,
    pending_operators: usize,
}

#[derive(Debug, Serialize)]
struct TaskCounts {
    running: usize,
    canceling: usize,
    canceled: usize,
    total: usize,
    created: usize,
    scheduled: usize,
    deploying: usize,
    reconciling: usize,
    finished: usize,
    initializing: usize,
    failed: usize,
}

/// `/jobs/overview`.
pub(crate) fn overview(cluster: &ClusterFacts, now_ms: i64) -> Jobs<JobOverview<'_>> {
    Jobs { jobs: cluster.jobs.iter().map(|job| job_overview(job, now_ms)).collect() }
}

fn job_overview(job: &JobFacts, now_ms: i64) -> JobOverview<'_> {
    let counts = job.task_counts();
    let of = |state| counts.get(&state).copied().unwrap_or(0);
    JobOverview {
        jid: &job.id,
        name: &job.name,
        start_time: job.start_ms(),
        end_time: job.end_ms().unwrap_or(-1),
        duration: job.duration_ms(now_ms),
        state: job.state,
        last_modification: job.last_modification_ms(),
        tasks: TaskCounts {
            running: of(ExecutionState::Running),
            canceling: of(ExecutionState::Canceling),
            canceled: of(ExecutionState::Canceled),
            total: counts.values().sum(),
            created: of(ExecutionState::Created),
            scheduled: of(ExecutionState::Scheduled),
            deploying: of(ExecutionState::Deploying),
            reconciling: 0,
            finished: of(ExecutionState::Finished),
            initializing: of(ExecutionState::Initializing),
            failed: of(ExecutionState::Failed),
        },
        pending_operators: 0,
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobDetails<'a> {
    jid: &'a str,
    name: &'a str,
    #[serde(rename = "isStoppable")]
    is_stoppable: bool,
    state: JobStatus,
    job_type: &'static str,
    start_time: i64,
    end_time: i64,
    duration: i64,
    #[serde(rename = "maxParallelism")]
    max_parallelism: i64,
    now: i64,
    timestamps: Entries<'static, i64>,
    vertices: Vec<JobVertex<'a>>,
    /// How many vertices, not tasks, are in each state.
    status_counts: Entries<'static, usize>,
    plan: Plan<'a>,
    pending_operators: usize,
    /// The weakest of `guarantees`. Flink says neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_guarantee: Option<DeliveryGuarantee>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guarantees: Vec<ConnectorGuarantee<'a>>,
}

/// What a source or sink promises when the job restarts from a checkpoint.
#[derive(Debug, Serialize)]
struct ConnectorGuarantee<'a> {
    operator: &'a str,
    guarantee: DeliveryGuarantee,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct JobVertex<'a> {
    id: &'a str,
    #[serde(rename = "slotSharingGroupId")]
    slot_sharing_group_id: &'a str,
    name: &'a str,
    #[serde(rename = "maxParallelism")]
    max_parallelism: u32,
    parallelism: u32,
    status: ExecutionState,
    start_time: i64,
    end_time: i64,
    duration: i64,
    tasks: Entries<'static, usize>,
    metrics: IoMetrics,
}

/// `/jobs/:jobid`.
pub(crate) fn details(job: &JobFacts, now_ms: i64) -> JobDetails<'_> {
    let vertices = || job.vertices.iter();
    let operators = vertices().flat_map(|vertex| &vertex.operators);
    let guarantees = operators.filter_map(|operator| {
        let guarantee = operator.guarantee?;
        Some(ConnectorGuarantee { operator: &operator.name, guarantee })
    });
    let guarantees: Vec<_> = guarantees.collect();
    JobDetails {
        jid: &job.id,
        name: &job.name,
        is_stoppable: false,
        state: job.state,
        job_type: job.job_type.name(),
        start_time: job.start_ms(),
        end_time: job.end_ms().unwrap_or(-1),
        duration: job.duration_ms(now_ms),
        max_parallelism: job.max_parallelism.map_or(-1, i64::from),
        now: now_ms,
        timestamps: states::job_timestamps(&job.timestamps),
        vertices: vertices().map(|vertex| job_vertex(vertex, now_ms)).collect(),
        status_counts: states::execution_counts(
            vertices().map(|vertex| states::aggregate(&vertex.subtasks)),
        ),
        plan: plan(job),
        pending_operators: 0,
        delivery_guarantee: guarantees.iter().map(|connector| connector.guarantee).min(),
        guarantees,
    }
}

fn job_vertex(vertex: &VertexFacts, now_ms: i64) -> JobVertex<'_> {
    let span = states::span(&vertex.subtasks, now_ms);
    JobVertex {
        id: &vertex.id,
        slot_sharing_group_id: &vertex.slot_sharing_group_id,
        name: &vertex.name,
        max_parallelism: vertex.max_parallelism,
        parallelism: vertex.parallelism,
        status: states::aggregate(&vertex.subtasks),
        start_time: span.start,
        end_time: span.end,
        duration: span.duration,
        tasks: states::execution_counts(vertex.subtasks.iter().map(|subtask| subtask.state)),
        metrics: io_metrics(&vertex.subtasks),
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct StatusAnswer {
    status: JobStatus,
}

/// `/jobs/:jobid/status`.
pub(crate) fn status(job: &JobFacts) -> StatusAnswer {
    StatusAnswer { status: job.state }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobConfiguration<'a> {
    jid: &'a str,
    name: &'a str,
    execution_config: ExecutionConfiguration<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ExecutionConfiguration<'a> {
    restart_strategy: &'a str,
    job_parallelism: u32,
    object_reuse_mode: bool,
    user_config: Entries<'a, &'a str>,
}

/// `/jobs/:jobid/config`.
pub(crate) fn configuration(job: &JobFacts) -> JobConfiguration<'_> {
    let config = &job.execution_config;
    let user = config.user_config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    JobConfiguration {
        jid: &job.id,
        name: &job.name,
        execution_config: ExecutionConfiguration {
            restart_strategy: &config.restart_strategy,
            job_parallelism: config.parallelism,
            object_reuse_mode: config.object_reuse,
            user_config: Entries::of(user),
        },
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobAccumulators<'a> {
    job_accumulators: [(); 0],
    user_task_accumulators: Vec<Accumulator<'a>>,
    serialized_user_task_accumulators: Entries<'static, ()>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Accumulator<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    value: &'a str,
}

/// `/jobs/:jobid/accumulators`. Values are text; Java-serialised ones don't exist here.
pub(crate) fn job_accumulators(job: &JobFacts) -> JobAccumulators<'_> {
    JobAccumulators {
        job_accumulators: [],
        user_task_accumulators: accumulators(&job.accumulators),
        serialized_user_task_accumulators: Entries(Vec::new()),
    }
}

/// A list of accumulators.
pub(crate) fn accumulators(facts: &[AccumulatorFacts]) -> Vec<Accumulator<'_>> {
    facts
        .iter()
        .map(|AccumulatorFacts { name, kind, value }| Accumulator { name, kind, value })
        .collect()
}
