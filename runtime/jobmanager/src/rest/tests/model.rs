//! What follows from facts.

use thalweg_core::status::{ExecutionState, JobStatus};

use super::facts::{DAY, checkpoint, job};
use crate::rest::model::*;

#[test]
fn percentiles_are_interpolated_at_fraction_times_count_plus_one() {
    let eleven: Vec<i64> = (1..=11).map(|n| n * 10).collect();
    let table: [(&[i64], f64, f64); 8] = [
        (&[7], 0.5, 7.0),
        (&[219_789, 220_804], 0.25, 219_789.0),
        (&[219_789, 220_804], 0.5, 220_296.5),
        (&[219_789, 220_804], 0.75, 220_804.0),
        (&eleven, 0.5, 60.0),
        (&eleven, 0.9, 108.0),
        (&eleven, 0.95, 110.0),
        (&eleven, 0.01, 10.0),
    ];
    for (values, fraction, expected) in table {
        let actual = percentile(values, fraction);
        assert!((actual - expected).abs() < 1e-9, "{values:?} at {fraction}: {actual}");
    }
    assert!(percentile(&[], 0.5).is_nan());
}

#[test]
fn a_summary_keeps_all_extremes_and_only_the_latest_thousand_values() {
    let summary: StatisticsSummary = (0..2_500).chain([-1]).collect();
    assert_eq!((summary.min(), summary.max(), summary.average()), (0, 2_499, 1_249));
    assert_eq!(summary.sorted(), (1_500..2_500).collect::<Vec<_>>());
}

#[test]
fn a_jobs_times_are_of_the_state_it_is_in() {
    let number =
        |job: &JobFacts, name: &str| job_metrics(job, DAY + 30_000)[name].as_i64().unwrap();
    let mut job = job();
    let times = |job: &JobFacts| {
        ["uptime", "runningTime", "downtime", "restartingTime", "createdTime"]
            .map(|name| number(job, name))
    };
    assert_eq!(times(&job), [7_893, 7_893, 0, 0, 0]);
    assert_eq!(number(&job, "allSubTasksRunningOrFinishedTime"), 7_468);
    assert_eq!(number(&job, "deployingTime"), 0);

    job.vertices[1].subtasks[0].state = ExecutionState::Deploying;
    assert_eq!(number(&job, "allSubTasksRunningOrFinishedTime"), 0);
    assert_eq!(number(&job, "deployingTime"), 7_753);

    job.state = JobStatus::Restarting;
    job.timestamps.insert(JobStatus::Restarting, DAY + 29_000);
    assert_eq!(times(&job), [0, 0, 1_000, 1_000, 0]);

    job.state = JobStatus::Failed;
    job.timestamps.insert(JobStatus::Failed, DAY + 29_500);
    assert_eq!(times(&job), [-1, 0, -1, 0, 0]);
    assert_eq!((job.end_ms(), job.duration_ms(DAY + 40_000)), (Some(DAY + 29_500), 7_697));
}

#[test]
fn a_jobs_checkpoint_metrics_are_those_of_the_latest_completed_one() {
    let mut job = job();
    let metrics = job_metrics(&job, 0);
    let text = |name: &str| metrics[name].to_string();
    assert_eq!(text("lastCompletedCheckpointId"), "11");
    assert_eq!(text("lastCheckpointSize"), "4115880");
    assert_eq!(text("totalNumberOfCheckpoints"), "12");
    assert!(text("lastCheckpointExternalPath").ends_with("/chk-11"));
    job.checkpoints = Some(CheckpointFacts::default());
    let metrics = job_metrics(&job, 0);
    assert_eq!(metrics["lastCheckpointSize"], MetricValue::Integer(-1));
    assert_eq!(metrics["lastCheckpointExternalPath"].to_string(), "n/a");
}

#[test]
fn a_restore_lasts_until_the_last_task_runs_and_restarts_are_counted() {
    let mut job = job();
    let number = |job: &JobFacts, name: &str, now: i64| {
        job_metrics(job, now).get(name).map_or(-9, |value| value.as_i64().unwrap())
    };
    let duration = |job: &JobFacts, now: i64| number(job, "lastCheckpointRestoreDuration", now);
    assert_eq!(
        (duration(&job, DAY), number(&job, "lastCheckpointRestoreTimestamp", DAY)),
        (-9, -1)
    );
    job.restarts = 3;
    assert_eq!(number(&job, "numRestarts", DAY), 3);

    let restored = |restore_ms: i64| RestoredCheckpointFacts {
        restore_ms,
        ..RestoredCheckpointFacts::default()
    };
    let checkpoints = job.checkpoints.get_or_insert_default();
    checkpoints.latest_restored = Some(restored(DAY + 21_000));
    let running = |task: &SubtaskFacts| task.timestamps[&ExecutionState::Running];
    let tasks = || job.vertices.iter().flat_map(|vertex| &vertex.subtasks);
    let last = tasks().map(running).max().unwrap();
    assert_eq!(duration(&job, DAY + 50_000), last - (DAY + 21_000), "over");
    assert_eq!(number(&job, "lastCheckpointRestoreTimestamp", DAY), DAY + 21_000);

    job.vertices[0].subtasks[0].timestamps.remove(&ExecutionState::Running);
    assert_eq!(duration(&job, DAY + 50_000), 29_000, "under way");
    job.state = JobStatus::Failed;
    let last = job.vertices.iter().flat_map(|vertex| &vertex.subtasks);
    let last = last.filter_map(|task| task.timestamps.get(&ExecutionState::Running)).max();
    assert_eq!(duration(&job, DAY + 50_000), last.unwrap() - (DAY + 21_000), "it never ended");
}

#[test]
fn a_failed_checkpoint_lasts_until_its_failure_and_an_unanswered_one_has_no_duration() {
    let mut statistics = checkpoint(5);
    assert_eq!(statistics.end_to_end_ms(), Some(67));
    statistics.outcome =
        CheckpointOutcome::Failed { at_ms: DAY + 44_120, message: "expired".into() };
    assert_eq!(statistics.end_to_end_ms(), Some(1_000));
    statistics.outcome = CheckpointOutcome::InProgress;
    statistics.tasks.iter_mut().for_each(|task| task.subtasks.fill(None));
    assert_eq!(statistics.end_to_end_ms(), None);
}

#[test]
fn metric_values_and_names_are_written_as_flink_writes_them() {
    let table: [(MetricValue, &str); 6] = [
        (0.into(), "0"),
        (i64::MIN.into(), "-9223372036854775808"),
        (0.0.into(), "0.0"),
        (f64::NAN.into(), "NaN"),
        (f64::NEG_INFINITY.into(), "-Infinity"),
        ("n/a".to_owned().into(), "n/a"),
    ];
    for (value, expected) in table {
        assert_eq!(value.to_string(), expected);
    }
    assert_eq!(
        operator_metric_name("discard: Writer", "numRecordsIn"),
        "discard__Writer.numRecordsIn"
    );
}
