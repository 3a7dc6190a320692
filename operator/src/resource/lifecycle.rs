//! `spec.upgrade`, `spec.deletion` and `spec.highAvailability`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a changed spec is brought about.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Upgrade {
    /// What the new revision begins with. `LastState`: a final checkpoint, or the newest one if the
    /// job isn't running. `Savepoint`: a savepoint. `Stateless`: nothing; this is no consent to
    /// give up state that is there, only `state.restore` is.
    pub mode: UpgradeMode,
    /// `Recreate`: the old revision's pods go, then the new one's come. `Warm`: the new pods are
    /// ready before the old job stops, so for a while there are twice as many; what fails before
    /// the new job runs leaves the old one alone. It is `Recreate` all the same where there would
    /// be no way back: the running revision isn't stable, its job doesn't run, or the new one
    /// begins with a restore or keeps its state elsewhere.
    pub strategy: UpgradeStrategy,
    /// What becomes of a program that can't read the old one's state, which is checked before the
    /// old job stops. `Enforce`: the upgrade is refused. `Warn`: it goes on, with an event. `"Off"`
    /// (in quotes: without them YAML takes it for false): nothing is checked.
    pub preflight: Preflight,
    /// From when on a new revision counts as stable.
    pub stability: Stability,
    /// The longest that an upgrade may take until the new revision is stable.
    #[schemars(range(min = 10, max = 86_400))]
    pub progress_deadline_seconds: i64,
    /// What becomes of a revision that isn't stable by then. `Auto`: the stable one comes back,
    /// with the newest checkpoint. `Manual`: the application is `Stalled` and waits for a new spec.
    /// `"Off"` (in quotes: without them YAML takes it for false): the revision goes on trying.
    pub rollback: Rollback,
    /// The number of old revisions that are kept.
    #[schemars(range(min = 1, max = 100))]
    pub revision_history_limit: i32,
}

impl Default for Upgrade {
    fn default() -> Self {
        Upgrade {
            mode: UpgradeMode::LastState,
            strategy: UpgradeStrategy::Recreate,
            preflight: Preflight::Enforce,
            stability: Stability::default(),
            progress_deadline_seconds: 600,
            rollback: Rollback::Auto,
            revision_history_limit: 10,
        }
    }
}

/// What a new revision begins with.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
pub enum UpgradeMode {
    /// A final or the newest checkpoint.
    LastState,
    /// A savepoint.
    Savepoint,
    /// Nothing.
    Stateless,
}

/// In which order pods go and come.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
pub enum UpgradeStrategy {
    /// First the old ones go.
    Recreate,
    /// First the new ones get ready.
    Warm,
}

/// What becomes of a program that can't read its predecessor's state.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
pub enum Preflight {
    /// It is refused.
    Enforce,
    /// It is reported.
    Warn,
    /// It isn't checked.
    Off,
}

/// What becomes of a revision that isn't stable in time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
pub enum Rollback {
    /// The stable one comes back.
    Auto,
    /// The user decides.
    Manual,
    /// It goes on trying.
    Off,
}

/// From when on a revision counts as stable: all of these.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Stability {
    /// This many checkpoints of it were completed. Not asked for without a location for them.
    #[schemars(range(min = 0, max = 1000))]
    pub min_checkpoints: i32,
    /// Its job has been running for so long.
    #[schemars(range(min = 0, max = 86_400))]
    pub min_running_seconds: i64,
    /// Its job has restarted at most so many times.
    #[schemars(range(min = 0, max = 1000))]
    pub max_restarts: i32,
}

impl Default for Stability {
    fn default() -> Self {
        Stability { min_checkpoints: 1, min_running_seconds: 60, max_restarts: 0 }
    }
}

/// What happens when the resource is deleted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Deletion {
    /// `Retain`: a final checkpoint; the state stays, and a new resource of the same name goes on
    /// with it. `Savepoint`: a savepoint as well. `Delete`: the job is stopped and its state is
    /// deleted; savepoints stay.
    pub policy: DeletionPolicy,
    /// The longest that this may take. Then the resource goes, with an event that says what wasn't
    /// done.
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: i64,
}

impl Default for Deletion {
    fn default() -> Self {
        Deletion { policy: DeletionPolicy::Retain, timeout_seconds: 300 }
    }
}

/// What becomes of a deleted application's state.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays.
    Retain,
    /// It stays, and a savepoint is taken.
    Savepoint,
    /// It is deleted.
    Delete,
}

/// The Lease by which one JobManager leads.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct HighAvailability {
    /// How long a standby waits after the leader's last sign of life before it takes over.
    #[schemars(range(min = 3, max = 3600))]
    pub lease_duration_seconds: i32,
    /// How long a leader tries to renew before it reports that it can't. Less than the Lease's
    /// duration.
    #[schemars(range(min = 2, max = 3600))]
    pub renew_deadline_seconds: i32,
    /// How often the leader renews and standbys look. Less than the renewal's deadline.
    #[schemars(range(min = 1, max = 3600))]
    pub retry_period_seconds: i32,
}

impl Default for HighAvailability {
    fn default() -> Self {
        HighAvailability {
            lease_duration_seconds: 15,
            renew_deadline_seconds: 10,
            retry_period_seconds: 5,
        }
    }
}
