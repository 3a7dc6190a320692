//! What the API server checks of a resource beyond types and bounds: CEL rules, each with a message
//! that says what to do.
//!
//! Not here: checks that CEL can't make, or not within its budget of cost; they are in `validate`.

use super::NAME_LENGTH_MAX;
use super::reserved::RESERVED;

/// A rule and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The path of the schema that it is about, empty for the whole resource; `[]` are a list's
    /// items.
    pub at: &'static str,
    /// The CEL expression that must be true.
    pub expression: String,
    /// What to do when it isn't.
    pub message: String,
}

/// All rules, in the order in which the reference lists them.
pub fn rules() -> Vec<Rule> {
    let mut rules = vec![name()];
    let fixed = [JOB, STATE, PODS, LEASE, NETWORK, NOT_YET].into_iter().flatten();
    rules.extend(fixed.map(|(at, expression, message)| Rule {
        at,
        expression: one_line(expression),
        message: one_line(message),
    }));
    rules.extend(reserved_keys());
    rules
}

type Fixed = &'static [(&'static str, &'static str, &'static str)];

const JOB: Fixed = &[
    (
        "spec.job",
        "self.parallelism <= self.maxParallelism",
        "parallelism is higher than maxParallelism: lower it",
    ),
    (
        "spec",
        "self.job.maxParallelism == oldSelf.job.maxParallelism
         || (has(self.state.restore) && (!has(oldSelf.state.restore)
             || self.state.restore.at != oldSelf.state.restore.at))",
        "job.maxParallelism is fixed while state is kept: leave it, or set a new state.restore.at \
         that says what to begin with",
    ),
    (
        "spec.job.restartStrategy",
        "self.type != 'Rate' || has(self.maxAttempts)",
        "type Rate needs maxAttempts: the number of failures that are tolerated in \
         resetAfterSeconds",
    ),
    (
        "spec.job.restartStrategy",
        "self.type != 'Exponential' || self.initialBackoffSeconds <= self.maxBackoffSeconds",
        "initialBackoffSeconds is longer than maxBackoffSeconds: lower it",
    ),
    (
        "spec.job.binary.env[]",
        "has(self.value) != has(self.valueFrom)",
        "set either value or valueFrom",
    ),
    (
        "spec.job.binary.env[]",
        "!self.name.startsWith('THALWEG_') && !self.name.startsWith('KUBERNETES_')",
        "names that begin with THALWEG_ or KUBERNETES_ are the operator's and the cluster's: \
         choose another",
    ),
];

const STATE: Fixed = &[
    (
        "spec",
        "self.upgrade.mode == 'Stateless' || !has(oldSelf.state.checkpoints.location)
         || !has(self.state.checkpoints.location)
         || self.state.checkpoints.location == oldSelf.state.checkpoints.location
         || (has(self.state.restore) && (!has(oldSelf.state.restore)
             || self.state.restore.at != oldSelf.state.restore.at))",
        "state.checkpoints.location is fixed while state is kept, as nothing lies at another one: \
         leave it, or set a new state.restore.at with from.path (status.checkpoint.path is the \
         newest checkpoint's)",
    ),
    (
        "spec",
        "self.upgrade.mode == 'Stateless' || has(self.state.checkpoints.location)",
        "state.checkpoints.location isn't set: set it (s3://BUCKET/PREFIX), or upgrade.mode to \
         Stateless if nothing is to be kept",
    ),
    (
        "spec",
        "has(self.state.savepoints.location)
         || (self.upgrade.mode != 'Savepoint' && self.deletion.policy != 'Savepoint'
             && !has(self.state.savepoints.intervalSeconds))",
        "savepoints are asked for and state.savepoints.location isn't set: set it, or change \
         upgrade.mode, deletion.policy and state.savepoints.intervalSeconds",
    ),
    ("spec.state.checkpoints.location", LOCATION, LOCATION_MESSAGE),
    ("spec.state.savepoints.location", LOCATION, LOCATION_MESSAGE),
    ("spec.state.restore.from.path", LOCATION, LOCATION_MESSAGE),
    (
        "spec.state.restore.from",
        "has(self.path) != has(self.empty)",
        "set exactly one of path and empty: path to begin with a savepoint or checkpoint, \
         empty: {} to give up the state",
    ),
];

const LOCATION: &str = "self.startsWith('s3://') || self.startsWith('file:///')";
const LOCATION_MESSAGE: &str = "a location begins with s3://BUCKET or file:///PATH";

const PODS: Fixed = &[
    (
        "spec",
        "has(self.jobManager.resources.limits) && 'memory' in self.jobManager.resources.limits",
        "jobManager.resources.limits.memory isn't set: set it, to 512Mi for a start",
    ),
    (
        "spec",
        "has(self.taskManager.resources.limits) && 'memory' in self.taskManager.resources.limits",
        "taskManager.resources.limits.memory isn't set: set it; it is the one memory number, which \
         the TaskManager divides among its needs",
    ),
    (
        "spec",
        "self.jobManager.replicas == 1 || (has(self.state.checkpoints.location)
         && self.state.checkpoints.location.startsWith('s3://'))",
        "two or more JobManagers need a store that fences them: set state.checkpoints.location to \
         s3://BUCKET/PREFIX, or jobManager.replicas to 1",
    ),
];

const LEASE: Fixed = &[
    (
        "spec.highAvailability",
        "self.renewDeadlineSeconds < self.leaseDurationSeconds",
        "renewDeadlineSeconds isn't less than leaseDurationSeconds: lower it",
    ),
    (
        "spec.highAvailability",
        "self.retryPeriodSeconds < self.renewDeadlineSeconds",
        "retryPeriodSeconds isn't less than renewDeadlineSeconds: lower it",
    ),
];

const NETWORK: Fixed = &[
    (
        "spec.networkPolicy.metricsFrom[]",
        "has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
        "set either ipBlock or selectors: podSelector, namespaceSelector or both",
    ),
    ("spec.networkPolicy.metricsFrom[].podSelector.matchExpressions[]", VALUES, VALUES_MESSAGE),
    (
        "spec.networkPolicy.metricsFrom[].namespaceSelector.matchExpressions[]",
        VALUES,
        VALUES_MESSAGE,
    ),
];

const VALUES: &str =
    "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)";
const VALUES_MESSAGE: &str = "In and NotIn need values, Exists and DoesNotExist have none";

/// What the resource has words for and the engine or the operator doesn't do yet.
const NOT_YET: Fixed = &[(
    "spec.state.backend",
    "self != 'Disk'",
    "the engine has no backend on disk yet: use Memory",
)];

fn name() -> Rule {
    Rule {
        at: "",
        expression: format!(
            "self.metadata.name.size() <= {NAME_LENGTH_MAX} && \
             self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"
        ),
        message: format!(
            "metadata.name must be at most {NAME_LENGTH_MAX} lower-case letters, digits and \
             dashes, a letter first and no dash last: pods and services are named after it"
        ),
    }
}

fn reserved_keys() -> impl Iterator<Item = Rule> {
    RESERVED.iter().map(|reserved| {
        let keys = reserved.keys.join("', '");
        let prefixes = reserved.prefixes.iter();
        let prefixes: String =
            prefixes.map(|prefix| format!(" || key.startsWith('{prefix}')")).collect();
        let named = [reserved.keys, reserved.prefixes].concat().join(", ");
        Rule {
            at: "spec.configuration",
            expression: format!("!self.exists(key, key in ['{keys}']{prefixes})"),
            message: format!("reserved keys ({named}): {}", reserved.instead),
        }
    })
}

/// Without the line breaks of the source, which messages may not have.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
