//! A job that is brought to another parallelism.

use thalweg_core::ids::{JobVertexId, TriggerId};
use thalweg_core::job_graph::JobGraph;
use thalweg_rpc::message::{CheckpointAck, CheckpointMeasures};

use super::*;

pub(super) const CHECKPOINTS: [(&str, &str); 1] = [("execution.checkpointing.interval", "1 h")];

/// source (2) -> sink (2), running, with checkpoints.
fn running() -> Scene {
    let mut scene = scene(false, &CHECKPOINTS);
    scene.start();
    scene.all(ExecutionState::Running, 10);
    scene
}

fn graph_with(scene: &Scene, parallelism: u32) -> Arc<JobGraph> {
    let graph = &scene.job.information().graph;
    let all = graph.vertices.iter().map(|vertex| (vertex.id, parallelism)).collect();
    Arc::new(rescaled(graph, &all).unwrap())
}

fn ask(scene: &mut Scene, parallelism: u32, ms: u64) -> Vec<JobAction> {
    let event =
        JobEvent::RescaleRequested { id: TriggerId::new(9), graph: graph_with(scene, parallelism) };
    scene.handle(event, ms)
}

/// All tasks acknowledge the checkpoint.
fn acknowledge(scene: &mut Scene, id: u64, ms: u64) -> Vec<JobAction> {
    acknowledge_as(scene, (id, false), ms)
}

/// All tasks acknowledge the checkpoint, perhaps at the end of their input.
fn acknowledge_as(scene: &mut Scene, (id, input_ended): (u64, bool), ms: u64) -> Vec<JobAction> {
    let attempts: Vec<_> = scene.job.graph().tasks().map(|(_, e)| e.id).collect();
    let acknowledged = attempts.into_iter().flat_map(|attempt| {
        let ack = CheckpointAck {
            job: scene.job.information().job_id,
            checkpoint: CheckpointId(id),
            attempt,
            handles: Vec::new(),
            input_ended,
            measures: CheckpointMeasures::default(),
        };
        scene.handle(JobEvent::CheckpointAcknowledged(ack), ms)
    });
    acknowledged.collect()
}

/// All tasks acknowledge the checkpoint, and its manifest is written. Gives what was asked for by
/// what that says, and what is to be done then.
fn published(scene: &mut Scene, id: u64, ms: u64) -> (Vec<VertexRequirement>, Vec<JobAction>) {
    let complete = acknowledge(scene, id, ms).into_iter().find_map(|action| match action {
        JobAction::Publish(complete) => Some(complete.requirements),
        _ => None,
    });
    let checkpoint = CheckpointId(id);
    let published = CheckpointEvent::Published { checkpoint, path: "x".to_owned(), bytes: 1 };
    let actions = scene.handle(JobEvent::Publication(published), ms);
    (complete.expect("it is complete"), actions)
}

pub(super) fn complete(scene: &mut Scene, id: u64, ms: u64) -> Vec<JobAction> {
    published(scene, id, ms).1
}

/// All tasks have come to the end of their input, and that is their last checkpoint.
pub(super) fn complete_at_the_end(scene: &mut Scene, id: u64, ms: u64) -> Vec<JobAction> {
    acknowledge_as(scene, (id, true), ms);
    let checkpoint = CheckpointId(id);
    let published = CheckpointEvent::Published { checkpoint, path: "x".to_owned(), bytes: 1 };
    scene.handle(JobEvent::Publication(published), ms)
}

fn result_of(scene: &Scene) -> Option<Result<(), String>> {
    scene.job.last_rescale().unwrap().result.clone()
}

#[test]
fn slots_come_first_then_a_checkpoint_then_the_old_tasks_end_and_new_ones_begin_with_it() {
    let mut scene = running();
    let old = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(v, s)| scene.attempt(v, s));
    let asked = ask(&mut scene, 3, 20);
    assert!(cancelled(&asked).is_empty());
    let JobAction::RequestSlots { allocations, .. } = &asked[0] else { panic!("{asked:?}") };
    assert_eq!(allocations.len(), 1, "two are there");
    let granted = scene.grant(&asked, 30);
    let triggers = |a: &&JobAction| matches!(a, JobAction::TriggerCheckpoint { .. });
    assert_eq!(granted.iter().filter(triggers).count(), 2);
    assert!(cancelled(&granted).is_empty() && result_of(&scene).is_none());
    let stopped = complete(&mut scene, 1, 40);
    assert_eq!(cancelled(&stopped).len(), 4);
    assert!(scene.job.is_rescaling());
    assert_eq!(scene.job.status(), JobStatus::Restarting);
    let deployed = scene.all(ExecutionState::Canceled, 50);
    let deployed = deployments(&deployed);
    assert_eq!(deployed.len(), 6);
    for (_, task) in &deployed {
        assert_eq!(task.restore.as_ref().unwrap().checkpoint, CheckpointId(1));
        assert_eq!((task.attempt_number, task.source_splits.len()), (1, 0));
        assert!(!old.contains(&task.attempt));
    }
    assert_eq!(scene.job.information().graph.vertices[1].parallelism, 3);
    assert_eq!((result_of(&scene), scene.job.rescales()), (Some(Ok(())), 1));
    assert_eq!(scene.job.status(), JobStatus::Running);
    assert_eq!(scene.job.restarts(), 0);
}

#[test]
fn the_checkpoint_taken_for_another_parallelism_and_those_after_it_tell_of_it() {
    let mut scene = running();
    let program = Arc::clone(&scene.job.information().graph);
    let asked = ask(&mut scene, 3, 20);
    scene.grant(&asked, 30);
    let of = |vertex: &thalweg_core::job_graph::JobVertex| VertexRequirement {
        vertex_id: vertex.id,
        declared: 2,
        parallelism: 3,
    };
    let expected: Vec<_> = program.vertices.iter().map(of).collect();
    assert_eq!(published(&mut scene, 1, 40).0, expected);
    scene.all(ExecutionState::Canceled, 50);
    scene.all(ExecutionState::Running, 60);
    let hour = 3_600_000;
    scene.handle(JobEvent::Tick, hour + 60);
    assert_eq!(published(&mut scene, 2, hour + 70).0, expected);

    // Whoever takes over goes on with it, and tells of it too.
    let (graph, met) = required(&program, &expected).unwrap();
    assert_eq!(met, expected);
    assert!(graph.vertices.iter().all(|vertex| vertex.parallelism == 3));
    assert!(
        crate::job_master::rescale::declared(&graph, &met).values().all(|declared| *declared == 2)
    );
    // What the program was told since counts more.
    let four = program.vertices.iter().map(|vertex| (vertex.id, 4)).collect();
    let four = rescaled(&program, &four).unwrap();
    assert_eq!(required(&four, &expected), Ok((four.clone(), Vec::new())));
    let mut unknown = expected;
    unknown[0].vertex_id = JobVertexId::new(7);
    assert!(required(&program, &unknown).is_err());
}

#[test]
fn fewer_tasks_need_no_slots_and_give_back_those_that_they_do_not_need() {
    let mut scene = running();
    let asked = ask(&mut scene, 1, 20);
    assert!(!asked.iter().any(|a| matches!(a, JobAction::RequestSlots { .. })), "{asked:?}");
    complete(&mut scene, 1, 30);
    let actions = scene.all(ExecutionState::Canceled, 40);
    assert_eq!(deployments(&actions).len(), 2);
    let released = |a: &JobAction| matches!(a, JobAction::ReleaseSlots(slots) if slots.len() == 1);
    assert!(actions.iter().any(released), "{actions:?}");
}

#[test]
fn without_slots_or_a_checkpoint_or_after_a_failure_nothing_has_changed() {
    for how in ["slots", "checkpoint", "failure"] {
        let mut scene = running();
        let asked = ask(&mut scene, 3, 20);
        let JobAction::RequestSlots { request, .. } = asked[0] else { panic!("{asked:?}") };
        match how {
            "slots" => {
                let message = "it needs 3 slots".to_owned();
                scene.handle(JobEvent::SlotsUnavailable { request, message }, 30);
                assert_eq!(scene.job.status(), JobStatus::Running);
            }
            "checkpoint" => {
                scene.grant(&asked, 30);
                let checkpoint = CheckpointId(1);
                complete_without_manifest(&mut scene, checkpoint, 40);
            }
            _ => {
                let failed = scene.fail(0, 0, FailureKind::Environment, 30);
                assert!(failed.contains(&JobAction::WithdrawRequest), "{failed:?}");
            }
        }
        assert!(matches!(result_of(&scene), Some(Err(_))), "{how}");
        assert_eq!(scene.job.information().graph.vertices[0].parallelism, 2, "{how}");
        assert!(!scene.job.is_rescaling() && scene.job.rescales() == 0, "{how}");
    }
}

/// All acknowledge, and the manifest can't be written.
pub(super) fn complete_without_manifest(scene: &mut Scene, checkpoint: CheckpointId, ms: u64) {
    acknowledge(scene, checkpoint.0, ms);
    let cause = "disk full".to_owned();
    let failed = CheckpointEvent::PublishFailed { checkpoint, cause };
    let actions = scene.handle(JobEvent::Publication(failed), ms);
    assert!(cancelled(&actions).is_empty());
}

#[test]
fn a_parallelism_that_cannot_be_is_refused_with_the_vertex_and_the_number() {
    let scene = scene(true, &[]);
    let graph = &scene.job.information().graph;
    let (source, sink) = (graph.vertices[0].id, graph.vertices[1].id);
    let refused = |of: &[(JobVertexId, u32)]| {
        rescaled(graph, &of.iter().copied().collect()).unwrap_err().to_string()
    };
    let forward = refused(&[(source, 3)]);
    assert!(forward.contains("\"source\"") && forward.contains("parallelism 3"), "{forward}");
    for number in [0, 129] {
        let bounds = refused(&[(sink, number)]);
        assert!(bounds.contains(&number.to_string()) && bounds.contains("128"), "{bounds}");
    }
    assert!(refused(&[(JobVertexId::new(7), 1)]).contains("no vertex"));
    let both = rescaled(graph, &BTreeMap::from([(source, 3), (sink, 3)])).unwrap();
    assert_eq!(both.fingerprint(), graph.fingerprint());
}
