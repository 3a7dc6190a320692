//! The rules of the table, one by one, and all of them against messages in any order.

use std::collections::BTreeSet;

use proptest::prelude::*;
use thalweg_core::ids::JobVertexId;

use super::*;

fn attempt(number: u128) -> ExecutionAttemptId {
    ExecutionAttemptId::new(number)
}

fn task(number: u128, slot: u32, allocation: u128) -> TaskDeployment {
    TaskDeployment {
        attempt: attempt(number),
        attempt_number: 0,
        vertex: JobVertexId::new(1),
        subtask: 0,
        allocation: AllocationId::new(allocation),
        slot,
        inputs: vec![],
        outputs: vec![],
        source_splits: vec![],
        restore: None,
    }
}

fn at(epoch: u64, sequence: u64) -> Stamp {
    (Epoch(epoch), sequence)
}

const JOB: JobId = JobId::new(9);

fn failed() -> TaskOutcome {
    let message = "out of luck".to_owned();
    TaskOutcome::Failed(FailureInfo { operator: None, message, kind: FailureKind::User })
}

#[test]
fn a_deployment_starts_once_however_often_it_comes() {
    let mut table = TaskTable::new(2);
    assert_eq!(table.deploy(at(1, 1), JOB, &task(1, 0, 5)), DeployDecision::Start);
    assert_eq!(table.deploy(at(1, 2), JOB, &task(1, 0, 5)), DeployDecision::Ignore);
    assert!(table.ended(attempt(1), failed()));
    assert_eq!(table.deploy(at(1, 3), JOB, &task(1, 0, 5)), DeployDecision::Ignore);
    assert!(!table.ended(attempt(1), TaskOutcome::Canceled), "an end stays as it is");
    assert_eq!(table.state(attempt(1)), Some(ExecutionState::Failed));
}

#[test]
fn a_slot_is_shared_within_an_allocation_and_refused_to_others_until_it_is_free() {
    let mut table = TaskTable::new(1);
    assert_eq!(table.deploy(at(1, 1), JOB, &task(1, 0, 5)), DeployDecision::Start);
    assert_eq!(table.deploy(at(1, 1), JOB, &task(2, 0, 5)), DeployDecision::Start);
    assert_eq!(table.deploy(at(1, 2), JOB, &task(3, 0, 6)), DeployDecision::Refuse);
    let report = table.report(attempt(3), CheckpointId(0)).unwrap();
    assert_eq!(report.state, ExecutionState::Failed);
    assert!(report.failure.unwrap().message.contains("slot 0 is still used"));
    for number in [1, 2] {
        table.ended(attempt(number), TaskOutcome::Canceled);
    }
    assert_eq!(table.deploy(at(1, 3), JOB, &task(4, 0, 6)), DeployDecision::Start);
    assert_eq!(table.deploy(at(1, 3), JOB, &task(5, 1, 6)), DeployDecision::Refuse);
    let report = table.report(attempt(5), CheckpointId(0)).unwrap();
    assert!(report.failure.unwrap().message.contains("slot 1 doesn't exist"));
}

#[test]
fn a_deployment_that_a_heartbeat_has_overtaken_counts_only_if_it_is_expected() {
    let mut table = TaskTable::new(1);
    assert!(!table.heartbeat(at(1, 10), &[attempt(1)]).stale);
    assert_eq!(table.deploy(at(1, 9), JOB, &task(1, 0, 5)), DeployDecision::Start);
    assert_eq!(table.deploy(at(1, 9), JOB, &task(2, 0, 5)), DeployDecision::Ignore);
    assert_eq!(table.deploy(at(1, 11), JOB, &task(2, 0, 5)), DeployDecision::Start);
    // An older heartbeat, come late, cancels nothing.
    assert!(table.heartbeat(at(1, 8), &[]).stale);
    assert_eq!(table.live_attempts(), [attempt(1), attempt(2)]);
}

#[test]
fn what_a_heartbeat_does_not_expect_is_cancelled_and_forgotten_once_it_has_ended() {
    let mut table = TaskTable::new(1);
    for number in [1, 2] {
        table.deploy(at(1, 5), JOB, &task(number, 0, 5));
    }
    table.deploy(at(1, 8), JOB, &task(3, 0, 5));
    let result = table.heartbeat(at(1, 7), &[attempt(1)]);
    assert_eq!(result.cancel, [attempt(2)], "3 was deployed after the heartbeat");
    assert_eq!(table.state(attempt(2)), Some(ExecutionState::Canceling));
    table.ended(attempt(2), TaskOutcome::Canceled);
    assert!(table.state(attempt(2)).is_some(), "the JobManager hasn't heard of it");
    let result = table.heartbeat(at(1, 9), &[attempt(1), attempt(3)]);
    assert_eq!((result.cancel.len(), result.jobs_gone.len()), (0, 0));
    assert_eq!(table.state(attempt(2)), None);
    for number in [1, 3] {
        table.ended(attempt(number), failed());
    }
    assert_eq!(table.heartbeat(at(1, 10), &[]).jobs_gone, [JOB]);
}

#[test]
fn a_new_leader_cancels_what_it_does_not_know_of() {
    let mut table = TaskTable::new(1);
    table.deploy(at(1, 900), JOB, &task(1, 0, 5));
    assert_eq!(table.heartbeat(at(2, 1), &[]).cancel, [attempt(1)]);
}

#[test]
fn a_cancelled_attempt_that_is_unknown_stays_cancelled_when_its_deployment_comes_late() {
    let mut table = TaskTable::new(1);
    assert_eq!(table.cancel(at(1, 4), attempt(1)), CancelDecision::ReportCanceled);
    assert_eq!(table.cancel(at(1, 5), attempt(1)), CancelDecision::Ignore);
    assert_eq!(table.deploy(at(1, 3), JOB, &task(1, 0, 5)), DeployDecision::Ignore);
    assert_eq!(table.state(attempt(1)), Some(ExecutionState::Canceled));
    table.heartbeat(at(1, 6), &[]);
    assert_eq!(table.state(attempt(1)), None);
}

#[test]
fn results_are_kept_and_the_end_isnt_shown_until_they_have_arrived() {
    let mut table = TaskTable::new(1);
    table.deploy(at(1, 1), JOB, &task(1, 0, 5));
    table.state_changed(attempt(1), ExecutionState::Running);
    let operator = thalweg_core::ids::OperatorId::new(1);
    let result = Accumulator { operator, subtask: 0, name: "rows".to_owned(), value: vec![1] };
    table.ended(attempt(1), TaskOutcome::Finished { results: vec![result.clone()] });
    let summary = |table: &TaskTable| table.summaries(|_| CheckpointId(0))[0].clone();
    assert_eq!(summary(&table).state, ExecutionState::Running);
    let report = table.report(attempt(1), CheckpointId(3)).unwrap();
    assert_eq!((report.state, report.checkpoint), (ExecutionState::Finished, CheckpointId(3)));
    assert_eq!(report.accumulators, [result]);
    table.end_delivered(attempt(1));
    assert_eq!(summary(&table).state, ExecutionState::Finished);
    // Another leader hasn't got them.
    assert_eq!(table.new_leader(), [attempt(1)]);
    assert_eq!(summary(&table).state, ExecutionState::Running);
    assert_eq!(table.report(attempt(1), CheckpointId(3)), Some(report));
}

#[derive(Debug, Clone)]
enum Said {
    Deploy(u128),
    Cancel(u128),
    Heartbeat(Vec<u128>),
    Ended(u128),
}

fn said() -> impl Strategy<Value = Said> {
    let number = 1..5_u128;
    prop_oneof![
        number.clone().prop_map(Said::Deploy),
        number.clone().prop_map(Said::Cancel),
        prop::collection::vec(number.clone(), 0..4).prop_map(Said::Heartbeat),
        number.prop_map(Said::Ended),
    ]
}

proptest! {
    /// Messages in any order and number: an attempt never starts again after it has ended here,
    /// and the last heartbeat leaves nothing running that it doesn't expect.
    #[test]
    fn an_attempt_starts_at_most_once_while_it_is_known_and_strays_are_cancelled(
        messages in prop::collection::vec((said(), 1..40_u64), 1..40),
    ) {
        let mut table = TaskTable::new(1);
        let mut running = BTreeSet::new();
        for (message, sequence) in messages {
            match message {
                Said::Deploy(number) => {
                    let known = table.state(attempt(number)).is_some();
                    let decision = table.deploy(at(1, sequence), JOB, &task(number, 0, 5));
                    if decision == DeployDecision::Start {
                        prop_assert!(!known);
                        prop_assert!(running.insert(number));
                    }
                }
                Said::Cancel(number) => {
                    let decision = table.cancel(at(1, sequence), attempt(number));
                    prop_assert_eq!(decision == CancelDecision::Cancel, running.contains(&number));
                }
                Said::Heartbeat(expected) => {
                    let expected: Vec<_> = expected.into_iter().map(attempt).collect();
                    let result = table.heartbeat(at(1, sequence), &expected);
                    for stray in result.cancel {
                        prop_assert!(!expected.contains(&stray));
                        prop_assert!(running.contains(&stray.bits()));
                    }
                }
                Said::Ended(number) => {
                    let news = table.ended(attempt(number), TaskOutcome::Canceled);
                    prop_assert_eq!(news, running.remove(&number));
                }
            }
        }
        let last = table.heartbeat(at(2, 1), &[]);
        let canceling: BTreeSet<_> = last.cancel.iter().map(|id| id.bits()).collect();
        prop_assert_eq!(canceling, running);
    }
}
