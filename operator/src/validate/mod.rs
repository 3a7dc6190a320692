//! What is wrong with a resource that the API server has let through: what its rules can't say, or
//! what an older definition didn't know to refuse.
//!
//! Not here: whether the cluster admits the pods; a server-side dry run tells that.

mod configuration;
mod not_yet;
mod resources;
mod secrets;
mod templates;
#[cfg(test)]
pub(crate) mod tests;

pub use secrets::own_secrets;

use crate::resource::FlinkApplicationSpec;

/// The condition that a problem makes true.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProblemKind {
    /// A field of the spec.
    InvalidSpec,
    /// A pod template.
    InvalidPodTemplate,
    /// Something that isn't built yet.
    NotSupported,
}

/// Something that is wrong with a spec.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// Where, from `spec` on.
    pub field: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Problem {
    fn new(kind: ProblemKind, field: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { kind, field: field.into(), message: message.into() }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// All that is wrong with a spec, in the order of its fields; empty if it can be acted upon. What
/// depends on whose it is, [`own_secrets`] tells.
pub fn problems(spec: &FlinkApplicationSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    configuration::check(spec, &mut problems);
    resources::check(spec, &mut problems);
    not_yet::check(spec, &mut problems);
    templates::check(spec, &mut problems);
    problems
}
