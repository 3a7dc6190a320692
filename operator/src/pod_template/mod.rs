//! Pod templates: what users may add to the pods that the operator makes.
//!
//! - [`read`]: a template as it was written, read strictly.
//! - [`merge`]: the operator's defaults, the common template, the role's, then what the operator
//!   insists on; lists merged by name.
//! - `restricted`: the Pod Security Standard "restricted", which all pods must pass.
//!
//! Not here: whether the cluster would admit the pod; a server-side dry run tells that.

mod merge;
mod read;
mod reserved;
mod restricted;
#[cfg(test)]
mod tests;

pub use merge::{Layers, merge};
pub use read::{ReadError, read};
pub use reserved::{MOUNT_PATHS, VOLUME_PREFIX, reserved_parts};
pub use restricted::violations;

/// Which pods a template is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The JobManager's.
    JobManager,
    /// The TaskManagers'.
    TaskManager,
}

impl Role {
    /// The name of its container, its component in labels, and its word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::JobManager => "jobmanager",
            Role::TaskManager => "taskmanager",
        }
    }

    /// The other one.
    pub fn other(self) -> Role {
        match self {
            Role::JobManager => Role::TaskManager,
            Role::TaskManager => Role::JobManager,
        }
    }
}
