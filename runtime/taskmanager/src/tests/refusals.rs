//! Deployments that can't run here: each is refused with its reason, and disturbs nothing.

use std::sync::Arc;

use thalweg_core::job_graph::JobGraph;
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{FailureKind, JobInformation, TaskDeployment};

use super::job::{Program, attempt, information, tasks};
use super::job_manager::{ADDRESS, Stepping, start};

type Change = fn(&mut JobInformation, &mut TaskDeployment);

#[tokio::test(start_paused = true)]
async fn a_deployment_that_cannot_run_here_is_refused_with_its_reason() {
    let table: [(Change, FailureKind, &str); 6] = [
        (|job, _| job.build_id = 1, FailureKind::Deployment, "from the same binary"),
        (|job, _| job.graph_fingerprint = 1, FailureKind::Deployment, "env.once"),
        (
            |job, _| {
                let graph = JobGraph { vertices: vec![], ..(*job.graph).clone() };
                job.graph = Arc::new(graph);
            },
            FailureKind::Deployment,
            "isn't in the job's graph",
        ),
        (|_, task| task.slot = 9, FailureKind::Deployment, "slot 9 doesn't exist"),
        (
            |_, task| {
                let channel = task.inputs[0].clone();
                task.inputs = vec![channel; 100_000];
            },
            FailureKind::Environment,
            "taskmanager.memory.network.fraction",
        ),
        (|job, _| job.job_name = "unknown".to_owned(), FailureKind::Deployment, "no such job"),
    ];
    let program = Program::holding_at(i64::MAX);
    let mut pair = start(Stepping::Seeded(3), program, &[]).await;
    let job_manager = &mut pair.job_manager;
    job_manager.registered().await;
    for (run, (change, kind, reason)) in (1..).zip(table) {
        let mut job = information(1, false);
        let mut task = tasks(run, 1, ADDRESS, |_| None).remove(1);
        change(&mut job, &mut task);
        job_manager.deploy(job, vec![task]);
        let refused = attempt(run, 1);
        let failed = Some(ExecutionState::Failed);
        job_manager.until(reason, |jm| jm.state(refused) == failed).await;
        let failure = job_manager.reports[&refused].failure.clone().unwrap();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(reason), "{failure}");
    }
}
