//! `/jobmanager/...`: configuration and environment of the JobManager's process.

use serde::Serialize;

use crate::rest::model::ClusterFacts;

/// A configuration key that contains one of these holds a secret.
const SENSITIVE: [&str; 12] = [
    "password",
    "secret",
    "fs.azure.account.key",
    "apikey",
    "api-key",
    "auth-params",
    "service-key",
    "token",
    "basic-auth",
    "jaas.config",
    "http-headers",
    "private-key",
];

#[derive(Debug, Serialize)]
pub(crate) struct ConfigurationEntry<'a> {
    key: &'a str,
    value: &'a str,
}

/// The effective configuration, its secrets hidden.
pub(crate) fn configuration(cluster: &ClusterFacts) -> Vec<ConfigurationEntry<'_>> {
    let entries = cluster.configuration.iter();
    entries.map(|(key, value)| ConfigurationEntry { key, value: shown(key, value) }).collect()
}

fn shown<'a>(key: &str, value: &'a str) -> &'a str {
    let key = key.to_ascii_lowercase();
    if SENSITIVE.iter().any(|part| key.contains(part)) { "******" } else { value }
}

#[derive(Debug, Serialize)]
pub(crate) struct Environment<'a> {
    jvm: Runtime<'a>,
    classpath: [&'a str; 0],
}

#[derive(Debug, Serialize)]
struct Runtime<'a> {
    version: &'a str,
    arch: &'a str,
    options: &'a [String],
}

/// What the process runs on. `jvm` is the name that dashboards read.
pub(crate) fn environment(cluster: &ClusterFacts) -> Environment<'_> {
    let facts = &cluster.environment;
    Environment {
        jvm: Runtime {
            version: &facts.version,
            arch: &facts.architecture,
            options: &facts.options,
        },
        classpath: [],
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Logs {
    logs: [(); 0],
}

/// The log files of a process: none, logs go to stderr, where the platform collects them.
pub(crate) fn logs() -> Logs {
    Logs { logs: [] }
}
