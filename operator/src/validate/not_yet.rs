//! What the resource has words for and isn't built yet: refused by name, never ignored.

use super::{Problem, ProblemKind::NotSupported};
use crate::resource::{Backend, FlinkApplicationSpec};

pub(super) fn check(spec: &FlinkApplicationSpec, problems: &mut Vec<Problem>) {
    let mut refuse = |refused: bool, field: &str, message: &str| {
        if refused {
            problems.push(Problem::new(NotSupported, field, message));
        }
    };
    refuse(
        spec.state.backend == Backend::Disk,
        "spec.state.backend",
        "the engine has no backend on disk yet: use Memory",
    );
}
