//! The paths of the cluster, the JobManager and the TaskManagers.

use axum::Router;
use axum::routing::delete;

use super::answer::{Answer, Routes, aggregated, json, read};
use super::commands::shut_down;
use crate::rest::handlers::{cluster, job_manager, metrics, task_managers};
use crate::rest::request::RestRequest;

pub(super) fn routes() -> Routes {
    Router::new()
        .route("/config", read(|r| json(&cluster::configuration(&r.cluster()))))
        .route("/overview", read(|r| json(&cluster::overview(&r.cluster()))))
        .route("/datasets", read(|_| json(&cluster::data_sets())))
        .route("/cluster", delete(shut_down))
        .route("/jobmanager/config", read(|r| json(&job_manager::configuration(&r.cluster()))))
        .route("/jobmanager/environment", read(|r| json(&job_manager::environment(&r.cluster()))))
        .route("/jobmanager/logs", read(|_| json(&job_manager::logs())))
        .route(
            "/jobmanager/metrics",
            read(|r| {
                let get = r.query_list("get");
                json(&metrics::metrics(&r.cluster().job_manager_metrics, &get))
            }),
        )
        .route("/taskmanagers", read(|r| json(&task_managers::task_managers(&r.cluster()))))
        .route("/taskmanagers/metrics", read(task_managers_metrics))
        .route(
            "/taskmanagers/{taskmanagerid}",
            read(|r| json(&task_managers::details(r.task_manager(&r.cluster())?))),
        )
        .route(
            "/taskmanagers/{taskmanagerid}/metrics",
            read(|r| {
                let cluster = r.cluster();
                json(&metrics::metrics(&r.task_manager(&cluster)?.metrics, &r.query_list("get")))
            }),
        )
        .route(
            "/taskmanagers/{taskmanagerid}/logs",
            read(|r| r.task_manager(&r.cluster()).and_then(|_| json(&job_manager::logs()))),
        )
}

fn task_managers_metrics(request: &RestRequest) -> Answer {
    let cluster = request.cluster();
    let wanted = request.query_list("taskmanagers");
    let all = cluster.task_managers.iter();
    let chosen = all.filter(|facts| wanted.is_empty() || wanted.contains(&facts.id.as_str()));
    aggregated(request, chosen.map(|facts| &facts.metrics))
}
