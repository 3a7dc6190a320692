//! Jobs from their deployment to their end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use thalweg_core::ids::{CheckpointId, Epoch, ExecutionAttemptId};
use thalweg_core::key_group::key_group_range;
use thalweg_core::status::ExecutionState;
use thalweg_network::remote::TcpTransport;
use thalweg_rpc::message::{
    CheckpointAck, FailureKind, JobManagerMessage, OperatorRestore, RestorePiece, TaskRestore,
};

use super::job::{self, Program, attempt, check, collected, information, tasks};
use super::job_manager::{ADDRESS, JobManager, Pair, Stepping, start, start_with};
use crate::{DataPlane, ExitReason};

fn attempts(run: u128, parallelism: u32) -> Vec<ExecutionAttemptId> {
    (0..=parallelism).map(|number| attempt(run, number)).collect()
}

fn results(job_manager: &JobManager) -> Vec<(i64, i64)> {
    collected(job_manager.reports.values().flat_map(|report| &report.accumulators))
}

async fn shut_down(mut pair: Pair) {
    pair.job_manager.send(JobManagerMessage::ShutDown { reason: "done".to_owned() });
    let exit = pair.task_manager.ended().await;
    assert_eq!(exit, ExitReason::ShutDown { reason: "done".to_owned() });
}

async fn counts_without_checkpoints(
    stepping: Stepping,
) -> Vec<(ExecutionAttemptId, ExecutionState)> {
    let program = Program::holding_at(i64::MAX);
    let mut pair = start(stepping, Arc::clone(&program), &[]).await;
    let job_manager = &mut pair.job_manager;
    job_manager.registered().await;
    let deployed = tasks(1, 2, ADDRESS, |_| None);
    job_manager.deploy(information(2, false), deployed.clone());
    // Again: the same attempts don't start twice.
    job_manager.deploy(information(2, false), deployed);
    let attempts = attempts(1, 2);
    job_manager.until("the end", |jm| jm.all(&attempts, ExecutionState::Finished)).await;
    check(&results(job_manager));
    assert_eq!(program.loads.load(Ordering::Relaxed), 1, "one load serves all tasks of a job");
    let told = job_manager.told.clone();
    shut_down(pair).await;
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_to_its_end_on_threads() {
    counts_without_checkpoints(Stepping::Threads).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_to_its_end_on_one_thread_and_a_seed_repeats_its_run() {
    let first = counts_without_checkpoints(Stepping::Seeded(5)).await;
    assert_eq!(counts_without_checkpoints(Stepping::Seeded(5)).await, first);
    counts_without_checkpoints(Stepping::Seeded(6)).await;
}

/// What a task restored from `acks` of a run of parallelism 1 and `old` starts from.
fn restore(acks: &[CheckpointAck], old: u32, new: u32, number: u32) -> Option<TaskRestore> {
    let operators =
        if number == 0 { vec![None] } else { vec![Some(job::COUNT), Some(job::COLLECT)] };
    let mut restores = Vec::new();
    for wanted in operators {
        let own = key_group_range(128, new, number.saturating_sub(1));
        let mut pieces = Vec::new();
        for old_number in 0..=old {
            let is_source = old_number == 0;
            if is_source != wanted.is_none() {
                continue;
            }
            let ack = acks.iter().find(|ack| ack.attempt == attempt(1, old_number)).unwrap();
            let handles = ack.handles.iter().filter(|handle| {
                wanted.is_none_or(|operator| handle.operator == operator)
                    && handle.key_groups.is_none_or(|g| !g.intersection(own).is_empty())
            });
            let old_subtask = old_number.saturating_sub(1);
            pieces
                .extend(handles.map(|handle| RestorePiece { old_subtask, handle: handle.clone() }));
        }
        let operator = pieces[0].handle.operator;
        let old_parallelism = if number == 0 { 1 } else { old };
        restores.push(OperatorRestore { operator, old_parallelism, pieces });
    }
    let checkpoint = CheckpointId(1);
    Some(TaskRestore {
        checkpoint,
        finished: false,
        rewrites: false,
        directory: None,
        operators: restores,
    })
}

async fn checkpoints_and_restores(stepping: Stepping, program: Arc<Program>) -> u64 {
    let mut pair = start(stepping, Arc::clone(&program), &[]).await;
    let job_manager = &mut pair.job_manager;
    job_manager.registered().await;
    job_manager.deploy(information(2, true), tasks(1, 2, ADDRESS, |_| None));
    let first = attempts(1, 2);
    job_manager.until("RUNNING", |jm| jm.all(&first, ExecutionState::Running)).await;
    job_manager.trigger(1, first[0]);
    job_manager.until("three acknowledgements", |jm| jm.acks.len() == 3).await;
    job_manager.completed(1);
    // Everything after the checkpoint is lost.
    for attempt in &first {
        job_manager.send(JobManagerMessage::CancelTask { attempt: *attempt });
    }
    job_manager.until("CANCELED", |jm| jm.all(&first, ExecutionState::Canceled)).await;
    let acks = std::mem::take(&mut job_manager.acks);
    assert!(acks.iter().all(|ack| ack.checkpoint == CheckpointId(1) && !ack.input_ended));
    let bytes = acks.iter().map(|ack| ack.measures.checkpointed_bytes).sum();

    program.release();
    let restored = tasks(2, 3, ADDRESS, |number| restore(&acks, 2, 3, number));
    job_manager.deploy(information(3, true), restored);
    let second = attempts(2, 3);
    let ended = |jm: &JobManager| {
        second.iter().all(|id| jm.reports.get(id).is_some_and(|report| report.input_ended))
    };
    job_manager.until("all input", ended).await;
    assert!(job_manager.all(&second, ExecutionState::Running), "they wait for a last checkpoint");
    for attempt in &second {
        job_manager.trigger(2, *attempt);
    }
    job_manager.until("four acknowledgements", |jm| jm.acks.len() == 4).await;
    assert!(job_manager.acks.iter().all(|ack| ack.input_ended));
    job_manager.completed(2);
    job_manager.until("FINISHED", |jm| jm.all(&second, ExecutionState::Finished)).await;
    check(&results(job_manager));
    shut_down(pair).await;
    bytes
}

/// The program, which holds somewhere in the middle.
const HOLD: i64 = job::ROWS / 2 + 13;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_restored_at_another_parallelism_counts_each_row_once_on_threads() {
    checkpoints_and_restores(Stepping::Threads, Program::holding_at(HOLD)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_leave_their_tasks_in_parts_are_restored_whole() {
    let bytes = checkpoints_and_restores(Stepping::Threads, Program::with_ballast(HOLD)).await;
    assert!(bytes > 30 * super::ballast::BYTES as u64, "{bytes}");
}

#[tokio::test(start_paused = true)]
async fn a_job_restored_at_another_parallelism_counts_each_row_once_in_seeded_order() {
    for seed in 0..5 {
        checkpoints_and_restores(Stepping::Seeded(seed), Program::holding_at(HOLD)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_reported_with_the_operators_name_and_the_process_goes_on() {
    let program = Program {
        hold: Arc::new(AtomicI64::new(i64::MAX)),
        poison: true,
        ballast: false,
        loads: AtomicU32::new(0),
    };
    let mut pair = start(Stepping::Threads, Arc::new(program), &[]).await;
    let job_manager = &mut pair.job_manager;
    job_manager.registered().await;
    job_manager.deploy(information(1, false), tasks(1, 1, ADDRESS, |_| None));
    let consumer = attempt(1, 1);
    job_manager.until("FAILED", |jm| jm.state(consumer) == Some(ExecutionState::Failed)).await;
    let failure = job_manager.reports[&consumer].failure.clone().unwrap();
    assert_eq!((failure.operator.as_deref(), failure.kind), (Some("count"), FailureKind::User));
    assert!(failure.message.contains("poisoned"), "{failure}");
    // The heartbeat that expects nothing ends the rest, and forgets it.
    job_manager.expected.clear();
    let source = attempt(1, 0);
    job_manager
        .until("the end of the source", |jm| {
            jm.state(source).is_some_and(ExecutionState::is_terminal)
        })
        .await;
    shut_down(pair).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_go_on_while_the_job_manager_is_away() {
    let program = Program::holding_at(100);
    let mut pair = start(Stepping::Threads, Arc::clone(&program), &[]).await;
    let job_manager = &mut pair.job_manager;
    job_manager.registered().await;
    job_manager.deploy(information(2, false), tasks(1, 2, ADDRESS, |_| None));
    let attempts = attempts(1, 2);
    job_manager.until("RUNNING", |jm| jm.all(&attempts, ExecutionState::Running)).await;
    job_manager.disconnect();
    program.release();
    job_manager.until("FINISHED", |jm| jm.all(&attempts, ExecutionState::Finished)).await;
    assert!(job_manager.registrations >= 2);
    check(&results(job_manager));
    let records: f64 = pair
        .task_manager
        .metrics()
        .tasks
        .iter()
        .flat_map(|task| &task.values)
        .filter(|(name, _)| name == "numRecordsIn")
        .map(|(_, value)| value)
        .sum();
    assert_eq!(records, job::ROWS as f64);
    shut_down(pair).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_told_to_end_says_goodbye_and_cancels_its_tasks() {
    let mut pair = start(Stepping::Seeded(1), Program::holding_at(100), &[]).await;
    let job_manager = &mut pair.job_manager;
    job_manager.registered().await;
    job_manager.deploy(information(1, false), tasks(1, 1, ADDRESS, |_| None));
    let attempts = attempts(1, 1);
    job_manager.until("RUNNING", |jm| jm.all(&attempts, ExecutionState::Running)).await;
    pair.task_manager.stop("SIGTERM");
    job_manager.until("CANCELED", |jm| jm.all(&attempts, ExecutionState::Canceled)).await;
    assert_eq!(job_manager.goodbye.as_deref(), Some("SIGTERM"));
    let reason = "SIGTERM".to_owned();
    assert_eq!(pair.task_manager.ended().await, ExitReason::Stopped { reason });
}

#[tokio::test(start_paused = true)]
async fn without_a_job_manager_a_task_manager_gives_up_in_time() {
    let settings = [("taskmanager.registration.timeout", "30 s")];
    let mut pair = start(Stepping::Seeded(1), Program::holding_at(0), &settings).await;
    pair.job_manager.registered().await;
    let begin = tokio::time::Instant::now();
    drop(pair.job_manager);
    let exit = pair.task_manager.ended().await;
    assert!(matches!(exit, ExitReason::RegistrationTimedOut { .. }), "{exit}");
    assert!((30..32).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_task_managers_exchange_rows_over_the_network() {
    let network = || DataPlane::Network {
        transport: Arc::new(TcpTransport::default()),
        cluster: "test".to_owned(),
        host: "127.0.0.1".to_owned(),
    };
    let program = Program::holding_at(i64::MAX);
    let mut reader = start_with(Stepping::Threads, Arc::clone(&program), &[], network()).await;
    let mut counter = start_with(Stepping::Threads, program, &[], network()).await;
    let address = counter.task_manager.data_address().to_owned();
    assert_ne!(address, reader.task_manager.data_address());
    reader.job_manager.registered().await;
    counter.job_manager.registered().await;
    let mut counting = tasks(1, 2, &address, |_| None);
    let reading = vec![counting.remove(0)];
    reader.job_manager.deploy(information(2, false), reading);
    counter.job_manager.deploy(information(2, false), counting);
    let all = attempts(1, 2);
    let reads = reader
        .job_manager
        .until("the reader's end", |jm| jm.all(&all[..1], ExecutionState::Finished));
    let counts = counter
        .job_manager
        .until("the counters' end", |jm| jm.all(&all[1..], ExecutionState::Finished));
    tokio::join!(reads, counts);
    check(&results(&counter.job_manager));
    shut_down(reader).await;
    shut_down(counter).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_is_told_all_ends_with_their_results_and_a_former_one_is_not_obeyed() {
    let program = Program::holding_at(i64::MAX);
    let mut pair = start(Stepping::Seeded(2), Arc::clone(&program), &[]).await;
    let job_manager = &mut pair.job_manager;
    job_manager.registered().await;
    job_manager.deploy(information(2, false), tasks(1, 2, ADDRESS, |_| None));
    let finished = attempts(1, 2);
    job_manager.until("FINISHED", |jm| jm.all(&finished, ExecutionState::Finished)).await;
    program.hold.store(100, Ordering::Relaxed);
    let deployed = tasks(2, 1, ADDRESS, |_| None);
    job_manager.expected = finished.clone();
    job_manager.expected.extend(deployed.iter().map(|task| task.attempt));
    let job = Arc::new(information(1, false));
    job_manager.send(JobManagerMessage::DeployTasks { job, tasks: deployed });
    let running = attempts(2, 1);
    job_manager.until("RUNNING", |jm| jm.all(&running, ExecutionState::Running)).await;

    // The next leader has heard of nothing, but knows what should be there.
    job_manager.disconnect();
    job_manager.reports.clear();
    job_manager.epoch = Epoch(2);
    job_manager.until("FINISHED, again", |jm| jm.all(&finished, ExecutionState::Finished)).await;
    check(&results(job_manager));
    let cancel = |attempt| JobManagerMessage::CancelTask { attempt };
    job_manager.send_as(Epoch(1), cancel(running[0]));
    job_manager.send_as(Epoch(1), JobManagerMessage::ShutDown { reason: "old".to_owned() });
    job_manager.expected = vec![running[0]];
    let canceled = Some(ExecutionState::Canceled);
    job_manager.until("CANCELED", |jm| jm.state(running[1]) == canceled).await;
    assert_eq!(job_manager.state(running[0]), Some(ExecutionState::Running));
    shut_down(pair).await;
}
