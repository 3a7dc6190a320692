//! `/jobs/:jobid/exceptions`: the failures that a job has lived through or died of.

use serde::Serialize;

use crate::rest::json::Entries;
use crate::rest::model::{ExceptionFacts, JobFacts};

/// How many are shown unless the request says otherwise.
pub(crate) const DEFAULT_MAX: usize = 20;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobExceptions<'a> {
    exception_history: History<'a>,
}

#[derive(Debug, Serialize)]
struct History<'a> {
    entries: Vec<Entry<'a>>,
    truncated: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(flatten)]
    root: Exception<'a>,
    concurrent_exceptions: Vec<Exception<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Exception<'a> {
    exception_name: &'a str,
    stacktrace: &'a str,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_manager_id: Option<&'a str>,
    failure_labels: Entries<'a, &'a str>,
}

/// The latest `max` failures that carry all of `labels`.
pub(crate) fn exceptions<'a>(
    job: &'a JobFacts,
    max: usize,
    labels: &[(&str, &str)],
) -> JobExceptions<'a> {
    let carries = |facts: &&ExceptionFacts| {
        labels.iter().all(|(key, value)| facts.failure_labels.get(*key).is_some_and(|v| v == value))
    };
    let matching: Vec<_> = job.exceptions.iter().filter(carries).collect();
    let entries = matching.iter().take(max).map(|facts| Entry {
        root: exception(facts),
        concurrent_exceptions: facts.concurrent.iter().map(exception).collect(),
    });
    JobExceptions {
        exception_history: History {
            entries: entries.collect(),
            truncated: matching.len() > max || job.exceptions_truncated,
        },
    }
}

fn exception(facts: &ExceptionFacts) -> Exception<'_> {
    let labels = facts.failure_labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    Exception {
        exception_name: &facts.name,
        stacktrace: &facts.stacktrace,
        timestamp: facts.timestamp_ms,
        task_name: facts.task_name.as_deref(),
        endpoint: facts.endpoint.as_deref(),
        task_manager_id: facts.task_manager_id.as_deref(),
        failure_labels: Entries::of(labels),
    }
}
