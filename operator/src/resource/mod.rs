//! `FlinkApplication` (`thalweg.dev/v1alpha1`): what a user writes and what is reported back.
//!
//! The doc comments of these types become the descriptions in the CustomResourceDefinition and in
//! docs/flinkapplication.md, so they are written for users. [`rules`] holds what the API server
//! checks beyond types and bounds, [`definition`] makes the CustomResourceDefinition, `reference`
//! the page.
//!
//! Not here: checks that the API server can't make (`validate`), and what a change of a field
//! leads to (`plan`).

mod application;
pub mod definition;
mod job;
mod lifecycle;
mod network_policy;
mod pods;
mod quantity;
pub mod reference;
pub mod reserved;
pub mod rules;
mod schema;
mod state;
mod status;
#[cfg(test)]
pub(crate) mod tests;

pub use application::{
    FlinkApplication, FlinkApplicationSpec, ImagePullPolicy, LocalObjectReference, ServiceAccount,
};
pub use job::{
    Binary, EnvironmentVariable, EnvironmentVariableSource, Job, RestartStrategy,
    RestartStrategyType, SecretKeySelector,
};
pub use lifecycle::{
    Deletion, DeletionPolicy, HighAvailability, Preflight, Rollback, Stability, Upgrade,
    UpgradeMode, UpgradeStrategy,
};
pub use network_policy::{IpBlock, LabelSelector, MetricsPeer, NetworkPolicy, SelectorRequirement};
pub use pods::{JobManager, LocalStorage, PodTemplate, Resources, TaskManager};
pub use quantity::{Quantity, QuantityError};
pub use state::{
    Backend, Checkpoints, Empty, Restore, RestoreSource, Savepoints, State as StateSpec,
};
pub use status::{
    CheckpointStatus, Condition, EarlierRun, FlinkApplicationStatus, JobManagerStatus, JobStatus,
    LastFailure, Operation, RestoredFrom, SavepointStatus, TaskCounts, TaskManagersStatus,
};

/// The API group.
pub const GROUP: &str = "thalweg.dev";
/// The API version.
pub const VERSION: &str = "v1alpha1";
/// The longest name of a resource: so the names of what is made for it stay within 63 characters.
pub const NAME_LENGTH_MAX: usize = 45;
