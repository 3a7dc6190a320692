//! `/config`, `/overview`, `/datasets`.

use serde::Serialize;
use thalweg_core::status::JobStatus;

use crate::rest::model::ClusterFacts;

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Configuration {
    refresh_interval: u64,
    timezone_name: &'static str,
    timezone_offset: i64,
    flink_version: String,
    flink_revision: String,
    features: Features,
}

/// What a page may offer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Features {
    web_submit: bool,
    web_cancel: bool,
    web_rescale: bool,
    web_history: bool,
}

/// How a page should show this cluster. All times are UTC; nothing can be submitted, since an
/// application is shipped as its binary.
pub(crate) fn configuration(cluster: &ClusterFacts) -> Configuration {
    let flink_revision = match cluster.build_time.as_str() {
        "" => cluster.commit.clone(),
        time => format!("{} @ {time}", cluster.commit),
    };
    Configuration {
        refresh_interval: cluster.refresh_interval_ms,
        timezone_name: "Coordinated Universal Time",
        timezone_offset: 0,
        flink_version: cluster.version.clone(),
        flink_revision,
        features: Features {
            web_submit: false,
            web_cancel: true,
            web_rescale: false,
            web_history: false,
        },
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Overview {
    taskmanagers: usize,
    slots_total: u64,
    slots_available: u64,
    jobs_running: usize,
    jobs_finished: usize,
    jobs_cancelled: usize,
    jobs_failed: usize,
    flink_version: String,
    flink_commit: String,
}

/// The cluster in numbers; a job that hasn't ended counts as running.
pub(crate) fn overview(cluster: &ClusterFacts) -> Overview {
    let jobs = |state| cluster.jobs.iter().filter(|job| job.state == state).count();
    let open = cluster.jobs.iter().filter(|job| !job.state.is_globally_terminal());
    let managers = || cluster.task_managers.iter();
    Overview {
        taskmanagers: cluster.task_managers.len(),
        slots_total: managers().map(|manager| u64::from(manager.slots)).sum(),
        slots_available: managers().map(|manager| manager.free_slots()).sum(),
        jobs_running: open.count(),
        jobs_finished: jobs(JobStatus::Finished),
        jobs_cancelled: jobs(JobStatus::Canceled),
        jobs_failed: jobs(JobStatus::Failed),
        flink_version: cluster.version.clone(),
        flink_commit: cluster.commit.clone(),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataSets {
    data_sets: [(); 0],
}

/// The results that outlive their job: none, this runtime keeps no cluster partitions.
pub(crate) fn data_sets() -> DataSets {
    DataSets { data_sets: [] }
}
