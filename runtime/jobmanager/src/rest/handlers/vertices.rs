//! `/jobs/:jobid/vertices/:vertexid` and its subtasks, their times, their TaskManagers.

use std::collections::BTreeMap;

use serde::Serialize;
use thalweg_core::status::ExecutionState;

use super::io_metrics::{IoMetrics, io_metrics};
use super::jobs::{Accumulator, accumulators};
use super::states;
use super::statistics::{Aggregated, aggregated, status_duration, subtask_span};
use crate::rest::json::Entries;
use crate::rest::model::{SubtaskFacts, VertexFacts};

/// Shown in place of a TaskManager or its address while a subtask has none.
const UNASSIGNED: &str = "(unassigned)";

#[derive(Debug, Serialize)]
pub(crate) struct Vertex<'a> {
    id: &'a str,
    name: &'a str,
    parallelism: u32,
    #[serde(rename = "maxParallelism")]
    max_parallelism: u32,
    now: i64,
    subtasks: Vec<Subtask<'a>>,
    aggregated: Aggregated,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Subtask<'a> {
    subtask: u32,
    status: ExecutionState,
    attempt: u32,
    endpoint: &'a str,
    start_time: i64,
    end_time: i64,
    duration: i64,
    metrics: IoMetrics,
    taskmanager_id: &'a str,
    status_duration: Entries<'static, i64>,
    /// The same as `start-time`, which older clients spelt so.
    #[serde(rename = "start_time")]
    start_time_: i64,
}

/// The vertex with all of its subtasks.
pub(crate) fn vertex(facts: &VertexFacts, now_ms: i64) -> Vertex<'_> {
    let all: Vec<_> = facts.subtasks.iter().collect();
    Vertex {
        id: &facts.id,
        name: &facts.name,
        parallelism: facts.parallelism,
        max_parallelism: facts.max_parallelism,
        now: now_ms,
        subtasks: all.iter().map(|facts| subtask(facts, now_ms)).collect(),
        aggregated: aggregated(&all, now_ms),
    }
}

/// `.../subtasks/:subtaskindex`.
pub(crate) fn subtask(facts: &SubtaskFacts, now_ms: i64) -> Subtask<'_> {
    let span = subtask_span(facts, now_ms);
    Subtask {
        subtask: facts.index,
        status: facts.state,
        attempt: facts.attempt,
        endpoint: facts.endpoint.as_deref().unwrap_or(UNASSIGNED),
        start_time: span.start,
        end_time: span.end,
        duration: span.duration,
        metrics: io_metrics([facts]),
        taskmanager_id: facts.task_manager_id.as_deref().unwrap_or(UNASSIGNED),
        status_duration: status_duration(facts, now_ms),
        start_time_: span.start,
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct SubtaskTimes<'a> {
    id: &'a str,
    name: &'a str,
    now: i64,
    subtasks: Vec<SubtaskTime<'a>>,
}

#[derive(Debug, Serialize)]
struct SubtaskTime<'a> {
    subtask: u32,
    endpoint: &'a str,
    duration: i64,
    timestamps: Entries<'static, i64>,
}

/// `.../subtasktimes`. A duration here counts from the time that a subtask was scheduled.
pub(crate) fn subtask_times(facts: &VertexFacts, now_ms: i64) -> SubtaskTimes<'_> {
    let times = facts.subtasks.iter().map(|subtask| {
        let scheduled = subtask.timestamps.get(&ExecutionState::Scheduled);
        let end = subtask.end_ms().unwrap_or(now_ms);
        SubtaskTime {
            subtask: subtask.index,
            endpoint: subtask.endpoint.as_deref().unwrap_or(UNASSIGNED),
            duration: scheduled.map_or(-1, |start| (end - start).max(0)),
            timestamps: states::execution_timestamps(subtask),
        }
    });
    SubtaskTimes { id: &facts.id, name: &facts.name, now: now_ms, subtasks: times.collect() }
}

#[derive(Debug, Serialize)]
pub(crate) struct VertexTaskManagers<'a> {
    id: &'a str,
    name: &'a str,
    now: i64,
    taskmanagers: Vec<Share<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Share<'a> {
    endpoint: &'a str,
    status: ExecutionState,
    start_time: i64,
    end_time: i64,
    duration: i64,
    metrics: IoMetrics,
    status_counts: Entries<'static, usize>,
    taskmanager_id: &'a str,
    aggregated: Aggregated,
}

/// `.../taskmanagers`: each TaskManager's share of the vertex.
pub(crate) fn task_managers(facts: &VertexFacts, now_ms: i64) -> VertexTaskManagers<'_> {
    let mut shares: BTreeMap<&str, Vec<&SubtaskFacts>> = BTreeMap::new();
    for subtask in &facts.subtasks {
        let id = subtask.task_manager_id.as_deref().unwrap_or(UNASSIGNED);
        shares.entry(id).or_default().push(subtask);
    }
    let taskmanagers = shares.into_iter().map(|(id, subtasks)| share(id, &subtasks, now_ms));
    VertexTaskManagers {
        id: &facts.id,
        name: &facts.name,
        now: now_ms,
        taskmanagers: taskmanagers.collect(),
    }
}

fn share<'a>(id: &'a str, subtasks: &[&'a SubtaskFacts], now_ms: i64) -> Share<'a> {
    let each = || subtasks.iter().copied();
    let span = states::span(each(), now_ms);
    Share {
        endpoint: each().find_map(|s| s.endpoint.as_deref()).unwrap_or(UNASSIGNED),
        status: states::aggregate(each()),
        start_time: span.start,
        end_time: span.end,
        duration: span.duration,
        metrics: io_metrics(each()),
        status_counts: states::execution_counts(each().map(|subtask| subtask.state)),
        taskmanager_id: id,
        aggregated: aggregated(subtasks, now_ms),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct VertexAccumulators<'a> {
    id: &'a str,
    user_accumulators: Vec<Accumulator<'a>>,
}

/// `.../accumulators`.
pub(crate) fn vertex_accumulators(facts: &VertexFacts) -> VertexAccumulators<'_> {
    VertexAccumulators { id: &facts.id, user_accumulators: accumulators(&facts.accumulators) }
}
