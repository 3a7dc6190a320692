//! A job from submission to end, through failures: events and what is to be done.

mod relocation;
mod rescale;

use thalweg_core::ids::{AllocationId, ExecutionAttemptId};
use thalweg_core::job_graph::ShipStrategy::{Forward, Hash};
use thalweg_core::split::SourceSplit;
use thalweg_core::status::ExecutionState;
use thalweg_rpc::message::{Accumulator, ExecutionReport, FailureKind, TaskDeployment};

use super::*;
use crate::testing::{at, chain, configuration, description, report, slot, task_manager};

struct Scene {
    job: JobMaster,
    sequence: u64,
}

const RESTART: [(&str, &str); 3] = [
    ("restart-strategy.type", "fixed-delay"),
    ("restart-strategy.fixed-delay.attempts", "2"),
    ("restart-strategy.fixed-delay.delay", "1 s"),
];

/// source (2) -> sink (2): two regions with forward edges, one with hash edges.
fn scene(forward: bool, settings: &[(&str, &str)]) -> Scene {
    let graph = chain(&[("source", 2), ("sink", 2)], &[if forward { Forward } else { Hash }]);
    let mut description = description(&graph, configuration(settings));
    let source = graph.vertices[0].operators[0].id;
    let split =
        |id: &str| SourceSplit { id: id.to_owned(), weight: 0, bytes: Vec::new(), total: 0 };
    description.sources = SourceCoordinator::new([(source, 2, vec![split("x"), split("y")])]);
    Scene { job: JobMaster::new(description, at(0)).unwrap(), sequence: 0 }
}

impl Scene {
    fn handle(&mut self, event: JobEvent, ms: u64) -> Vec<JobAction> {
        self.job.handle(event, at(ms))
    }

    /// Grants what was requested, on TaskManagers a and b in turn.
    fn grant(&mut self, requested: &[JobAction], ms: u64) -> Vec<JobAction> {
        let Some(JobAction::RequestSlots { request, allocations, .. }) =
            requested.iter().find(|a| matches!(a, JobAction::RequestSlots { .. }))
        else {
            panic!("no request in {requested:?}")
        };
        let on = |(i, a): (usize, &AllocationId)| slot(*a, ["a", "b"][i % 2], i as u32 / 2);
        let slots = allocations.iter().enumerate().map(on).collect();
        self.handle(JobEvent::SlotsGranted { request: *request, slots }, ms)
    }

    fn start(&mut self) -> Vec<JobAction> {
        let requested = self.handle(JobEvent::Tick, 0);
        self.grant(&requested, 0)
    }

    fn attempt(&self, vertex: usize, subtask: u32) -> ExecutionAttemptId {
        let task = execution_graph::TaskIndex { vertex, subtask };
        self.job.graph().execution(task).id
    }

    fn says(&mut self, report: ExecutionReport, ms: u64) -> Vec<JobAction> {
        let task = self.job.graph().find(report.attempt);
        let slot = task.and_then(|task| self.job.graph().execution(task).slot.clone());
        let task_manager = slot.map_or(task_manager("a"), |slot| slot.task_manager);
        self.sequence += 1;
        let sequence = self.sequence;
        self.handle(JobEvent::ExecutionChanged { task_manager, sequence, report }, ms)
    }

    fn all(&mut self, state: ExecutionState, ms: u64) -> Vec<JobAction> {
        let attempts: Vec<_> = self.job.graph().tasks().map(|(_, e)| e.id).collect();
        attempts.into_iter().flat_map(|a| self.says(report(a, state), ms)).collect()
    }

    fn fail(&mut self, vertex: usize, subtask: u32, kind: FailureKind, ms: u64) -> Vec<JobAction> {
        let mut report = report(self.attempt(vertex, subtask), ExecutionState::Failed);
        let (operator, message) = (Some("map".to_owned()), "division by zero".to_owned());
        report.failure = Some(FailureInfo { operator, message, kind });
        self.says(report, ms)
    }
}

fn deployments(actions: &[JobAction]) -> Vec<(&str, &TaskDeployment)> {
    // Spelled out: a closure can't name the lifetime that it returns.
    fn each(action: &JobAction) -> Vec<(&str, &TaskDeployment)> {
        match action {
            JobAction::Deploy { task_manager, tasks } => {
                tasks.iter().map(|task| (task_manager.0.as_str(), task)).collect()
            }
            _ => Vec::new(),
        }
    }
    actions.iter().flat_map(each).collect()
}

fn cancelled(actions: &[JobAction]) -> Vec<ExecutionAttemptId> {
    let of = |action: &JobAction| match action {
        JobAction::CancelTask { attempt, .. } => Some(*attempt),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

fn result(actions: &[JobAction]) -> Option<&JobResult> {
    actions.iter().find_map(|action| match action {
        JobAction::Ended(result) => Some(result.as_ref()),
        _ => None,
    })
}

#[test]
fn a_job_waits_for_all_its_slots_deploys_with_channels_and_splits_and_finishes() {
    let mut scene = scene(false, &[]);
    let requested = scene.handle(JobEvent::Tick, 0);
    assert_eq!(scene.job.status(), JobStatus::Created);
    assert!(deployments(&requested).is_empty());
    let deployed = scene.grant(&requested, 5);
    assert_eq!(scene.job.status(), JobStatus::Running);
    let deployed = deployments(&deployed);
    let places: Vec<_> = deployed.iter().map(|(on, t)| (*on, t.slot, t.subtask)).collect();
    assert_eq!(places, [("a", 0, 0), ("a", 0, 0), ("b", 0, 1), ("b", 0, 1)], "slots are shared");
    let (source, sink) = (deployed[0].1, deployed[3].1);
    assert_eq!(source.source_splits[0].1[0].id, "x");
    assert_eq!(sink.source_splits, []);
    let channels: Vec<_> = source.outputs[0].channels.iter().map(|c| c.consumer_attempt).collect();
    assert_eq!(channels, [scene.attempt(1, 0), scene.attempt(1, 1)]);
    let from: Vec<_> =
        sink.inputs.iter().map(|i| (i.producer_subtask, i.producer_address.as_str())).collect();
    assert_eq!(from, [(0, "a:1"), (1, "b:1")]);

    scene.all(ExecutionState::Running, 10);
    let mut last = Vec::new();
    for (vertex, subtask) in [(0, 0), (0, 1), (1, 1), (1, 0)] {
        let mut finished = report(scene.attempt(vertex, subtask), ExecutionState::Finished);
        let operator = scene.job.graph().graph.vertices[vertex].operators[0].id;
        let name = "rows".to_owned();
        finished.accumulators =
            vec![Accumulator { operator, subtask, name, value: vec![subtask as u8] }];
        assert_eq!(scene.job.result(), None);
        last = scene.says(finished, 100);
    }
    let result = result(&last).unwrap();
    assert_eq!((result.status, result.runtime_ms), (JobStatus::Finished, 100));
    assert_eq!(result.accumulators.len(), 4);
    assert!(result.accumulators[0].subtask < result.accumulators[1].subtask, "ordered");
    assert!(last.iter().any(|a| matches!(a, JobAction::ReleaseSlots(s) if s.len() == 2)));
}

#[test]
fn a_failure_restarts_its_region_only_after_all_its_tasks_ended_and_the_delay() {
    let mut scene = scene(true, &RESTART);
    scene.start();
    scene.all(ExecutionState::Running, 10);
    let (source, sink, other) = (scene.attempt(0, 0), scene.attempt(1, 0), scene.attempt(0, 1));
    let actions = scene.fail(1, 0, FailureKind::User, 100);
    assert_eq!(cancelled(&actions), [source]);
    assert_eq!(scene.job.status(), JobStatus::Restarting);
    assert!(deployments(&scene.handle(JobEvent::Tick, 2000)).is_empty(), "one isn't known to end");
    let restarted = scene.says(report(source, ExecutionState::Canceled), 2100);
    let restarted = deployments(&restarted);
    assert_eq!(restarted.len(), 2);
    assert!(restarted.iter().all(|(on, task)| *on == "a" && task.attempt_number == 1));
    assert!(scene.attempt(1, 0) != sink && scene.attempt(0, 1) == other);
    assert_eq!(scene.job.status(), JobStatus::Running);
    assert!(scene.says(report(sink, ExecutionState::Failed), 2200).is_empty(), "long past");

    scene.all(ExecutionState::Running, 2300);
    scene.fail(1, 0, FailureKind::User, 3000);
    scene.says(report(scene.attempt(0, 0), ExecutionState::Canceled), 3001);
    assert!(deployments(&scene.handle(JobEvent::Tick, 3999)).is_empty(), "the delay");
    assert_eq!(scene.job.deadline(at(3999).elapsed), Some(at(4000).elapsed));
    assert_eq!(deployments(&scene.handle(JobEvent::Tick, 4000)).len(), 2);
    assert_eq!((scene.job.failures().iter().count(), scene.job.restarts()), (2, 2));
    scene.says(report(other, ExecutionState::Canceled), 5000);
    assert_eq!(scene.job.status(), JobStatus::Failing, "cancelled by nobody: the third failure");
}

#[test]
fn a_job_that_may_not_restart_fails_with_the_first_cause_after_all_its_tasks_ended() {
    let mut scene = scene(false, &[]);
    scene.start();
    scene.all(ExecutionState::Running, 10);
    let actions = scene.fail(1, 1, FailureKind::User, 100);
    assert_eq!(cancelled(&actions).len(), 3);
    assert_eq!(scene.job.status(), JobStatus::Failing);
    scene.fail(0, 0, FailureKind::User, 110);
    let ended = scene.all(ExecutionState::Canceled, 120);
    let result = result(&ended).unwrap();
    assert_eq!(result.status, JobStatus::Failed);
    let error = result.error.as_ref().unwrap().to_string();
    assert_eq!(error, "operator \"map\": division by zero");
    assert!(scene.handle(JobEvent::Cancel, 130).is_empty(), "it has ended");
}

#[test]
fn a_deployment_that_can_never_work_is_not_tried_again() {
    let mut scene = scene(false, &RESTART);
    scene.start();
    scene.fail(0, 0, FailureKind::Deployment, 10);
    assert_eq!(scene.job.status(), JobStatus::Failing);
    let mut refused = self::scene(false, &RESTART);
    refused.start();
    let (attempts, cause) = (vec![refused.attempt(0, 0)], "too large".to_owned());
    refused.handle(JobEvent::DeploymentRefused { attempts, cause }, 10);
    assert_eq!(refused.job.status(), JobStatus::Failing);
}

#[test]
fn cancelling_ends_all_tasks_and_one_that_waits_for_slots_ends_at_once() {
    let mut scene = scene(false, &RESTART);
    scene.start();
    assert_eq!(cancelled(&scene.handle(JobEvent::Cancel, 10)).len(), 4);
    assert!(cancelled(&scene.handle(JobEvent::Cancel, 11)).is_empty());
    let ended = scene.all(ExecutionState::Canceled, 20);
    assert_eq!(result(&ended).unwrap().status, JobStatus::Canceled);

    let mut waiting = self::scene(false, &RESTART);
    waiting.handle(JobEvent::Tick, 0);
    let ended = waiting.handle(JobEvent::Cancel, 10);
    assert_eq!(result(&ended).unwrap().status, JobStatus::Canceled);
    assert!(ended.contains(&JobAction::WithdrawRequest));
}

#[test]
fn a_lost_task_manager_fails_its_tasks_and_its_slots_are_asked_for_again() {
    let mut scene = scene(false, &RESTART);
    scene.start();
    scene.all(ExecutionState::Running, 10);
    let lost = |id| JobEvent::TaskManagerLost {
        task_manager: task_manager(id),
        cause: "TaskManager b was lost: its connection closed".to_owned(),
    };
    let actions = scene.handle(lost("b"), 100);
    assert_eq!(cancelled(&actions), [scene.attempt(0, 0), scene.attempt(1, 0)]);
    scene.all(ExecutionState::Canceled, 110);
    let requested = scene.handle(JobEvent::Tick, 1100);
    let Some(JobAction::RequestSlots { allocations, .. }) = requested.first() else {
        panic!("{requested:?}")
    };
    assert_eq!(allocations.len(), 1, "the other slot is still held");
    assert_eq!(deployments(&scene.grant(&requested, 1200)).len(), 4);
}

#[test]
fn a_task_manager_that_ends_tasks_by_itself_and_goes_away_has_them_restarted_once() {
    let mut scene = scene(true, &RESTART);
    scene.start();
    scene.all(ExecutionState::Running, 10);
    let (source, sink) = (scene.attempt(0, 0), scene.attempt(1, 0));
    let actions = scene.says(report(source, ExecutionState::Canceling), 20);
    assert_eq!(cancelled(&actions), [source, sink], "the deadline for their end runs");
    assert_eq!(scene.job.status(), JobStatus::Restarting);
    scene.says(report(sink, ExecutionState::Canceling), 30);
    assert!(deployments(&scene.handle(JobEvent::Tick, 5000)).is_empty(), "they aren't gone yet");
    let lost = JobEvent::TaskManagerLost {
        task_manager: task_manager("a"),
        cause: "TaskManager a was lost: its connection closed".to_owned(),
    };
    let requested = scene.handle(lost, 6000);
    assert_eq!(deployments(&scene.grant(&requested, 6001)).len(), 2);
    assert_eq!((scene.job.status(), scene.job.restarts()), (JobStatus::Running, 1));
}

#[test]
fn missing_slots_fail_a_job_that_never_ran_and_restart_one_that_did() {
    let mut scene = scene(false, &RESTART);
    let requested = scene.handle(JobEvent::Tick, 0);
    let unavailable = |request| {
        let message = "needs 2 more slots".to_owned();
        JobEvent::SlotsUnavailable { request, message }
    };
    let ended = scene.handle(unavailable(1), 10);
    let error = result(&ended).unwrap().error.as_ref().unwrap().to_string();
    assert!(error.contains("needs 2 more slots"), "{error} {requested:?}");

    let mut ran = self::scene(false, &RESTART);
    ran.start();
    ran.handle(JobEvent::TaskManagerLost { task_manager: task_manager("a"), cause: "x".into() }, 9);
    ran.handle(JobEvent::TaskManagerLost { task_manager: task_manager("b"), cause: "x".into() }, 9);
    assert!(matches!(ran.handle(JobEvent::Tick, 2000)[..], [JobAction::RequestSlots { .. }]));
    ran.handle(unavailable(2), 3000);
    assert_eq!(ran.job.status(), JobStatus::Restarting);
    assert!(matches!(ran.handle(JobEvent::Tick, 4000)[..], [JobAction::RequestSlots { .. }]));
    ran.handle(unavailable(3), 5000);
    assert_eq!(ran.job.status(), JobStatus::Failed, "the strategy allows two");
}

#[test]
fn a_deployment_that_is_not_listed_is_sent_again_and_fails_after_a_minute() {
    let mut scene = scene(false, &RESTART);
    scene.start();
    let heartbeat = |sequence| JobEvent::Heartbeat {
        task_manager: task_manager("a"),
        sequence,
        heartbeat_seen: 0,
        reports: Vec::new(),
    };
    assert!(deployments(&scene.handle(heartbeat(1), 100)).is_empty());
    let again = scene.handle(heartbeat(2), 200);
    let attempts: Vec<_> = deployments(&again).iter().map(|(_, task)| task.attempt).collect();
    assert_eq!(attempts, [scene.attempt(0, 0), scene.attempt(1, 0)]);
    scene.handle(JobEvent::Tick, 60_000);
    assert_eq!(scene.job.status(), JobStatus::Restarting);
}

#[test]
fn a_cancelled_task_is_gone_only_when_the_task_manager_has_seen_that_it_is_not_wanted() {
    let mut scene = scene(false, &[]);
    scene.start();
    scene.handle(JobEvent::Cancel, 10);
    let heartbeat = |id, sequence, heartbeat_seen| JobEvent::Heartbeat {
        task_manager: task_manager(id),
        sequence,
        heartbeat_seen,
        reports: Vec::new(),
    };
    scene.handle(heartbeat("a", 1, 5), 20);
    let (expected, _) = scene.job.heartbeat_to(&task_manager("a"), 6);
    assert_eq!(expected, []);
    scene.handle(heartbeat("a", 2, 5), 30);
    assert!(
        !scene
            .job
            .graph()
            .execution(execution_graph::TaskIndex { vertex: 0, subtask: 0 })
            .state
            .is_terminal(),
        "a deployment may still be on its way"
    );
    scene.handle(heartbeat("a", 3, 6), 40);
    scene.job.heartbeat_to(&task_manager("b"), 7);
    let ended = scene.handle(heartbeat("b", 1, 8), 50);
    assert_eq!(result(&ended).unwrap().status, JobStatus::Canceled);
}

#[test]
fn a_task_that_does_not_end_costs_its_process() {
    let mut scene = scene(false, &[]);
    scene.start();
    scene.all(ExecutionState::Running, 10);
    scene.handle(JobEvent::Cancel, 1000);
    assert!(scene.handle(JobEvent::Tick, 180_999).is_empty());
    let actions = scene.handle(JobEvent::Tick, 181_000);
    assert!(actions.iter().all(|a| matches!(a, JobAction::GiveUpTaskManager { .. })));
    assert!(!actions.is_empty());
}
