//! What checkpoints that were given up have left is deleted, and nothing else.

use super::*;

fn deletions(actions: &[CheckpointAction]) -> Vec<CheckpointAction> {
    let is_deletion = |action: &&CheckpointAction| {
        matches!(action, CheckpointAction::DeleteObjects(_) | CheckpointAction::DeleteAbandoned(_))
    };
    actions.iter().filter(is_deletion).cloned().collect()
}

fn objects(names: &[&str]) -> CheckpointAction {
    CheckpointAction::DeleteObjects(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn what_tasks_store_of_a_checkpoint_that_was_given_up_is_deleted_once_another_is_published() {
    let mut scene = scene();
    scene.tick(0);
    scene.tick(1000);
    scene.ack(0, 0, 1, 1100);
    let given_up = scene.handle(CheckpointEvent::Interrupted, 1200);
    assert_eq!(deletions(&given_up), [objects(&["1/0-0"])]);
    // One acknowledges late, twice: its object goes. The others have died, or will never say.
    for _ in 0..2 {
        assert_eq!(scene.ack(1, 1, 1, 1300), [objects(&["1/1-1"])]);
    }
    scene.tick(3000);
    scene.ack_all(2, 3100);
    let mut attempts: Vec<_> = scene.graph.tasks().map(|(_, execution)| execution.id).collect();
    attempts.sort_unstable();
    let kept_objects = ["2/0-0", "2/0-1", "2/1-0", "2/1-1"].map(str::to_owned).to_vec();
    let (job, checkpoint) = (job_id(), CheckpointId(1));
    let left = AbandonedCheckpoint { job, checkpoint, attempts, kept_objects };
    let published = scene.published(2, 3200);
    assert_eq!(deletions(&published), [CheckpointAction::DeleteAbandoned(left)]);
    scene.tick(4300);
    scene.ack_all(3, 4400);
    assert!(deletions(&scene.published(3, 4500)).is_empty(), "once");
    assert_eq!(scene.ack(0, 1, 1, 4600), [objects(&["1/0-1"])], "one that stood still till now");
}

#[test]
fn nothing_is_deleted_of_a_checkpoint_that_may_be_there() {
    let mut scene = scene();
    scene.tick(0);
    scene.tick(1000);
    scene.ack_all(1, 1100);
    assert!(scene.ack(0, 0, 1, 1150).is_empty(), "a repeat, while it is being published");
    // Nobody can say whether its manifest is there.
    let cause = "timed out".to_owned();
    let failed = CheckpointEvent::PublishFailed { checkpoint: CheckpointId(1), cause };
    let failed = scene.handle(failed, 1200);
    assert!(deletions(&failed).is_empty(), "{failed:?}");
    assert!(scene.ack(0, 0, 1, 1300).is_empty());
    scene.tick(3000);
    scene.ack_all(2, 3100);
    assert!(deletions(&scene.published(2, 3200)).is_empty());
    assert!(scene.ack(0, 0, 2, 3300).is_empty(), "it is published");
}
