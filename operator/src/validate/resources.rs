//! Memory and other amounts: what the API server would refuse in a pod, said before there is one.

use super::{Problem, ProblemKind::InvalidSpec};
use crate::resource::{FlinkApplicationSpec, Resources};
use thalweg_core::configuration::{MemoryPlan, MemorySize};

/// The least memory with which a JobManager starts.
const JOB_MANAGER_BYTES_MIN: u64 = 64 << 20;

pub(super) fn check(spec: &FlinkApplicationSpec, problems: &mut Vec<Problem>) {
    let job_manager = memory("spec.jobManager.resources", &spec.job_manager.resources, problems);
    if job_manager.is_some_and(|bytes| bytes < JOB_MANAGER_BYTES_MIN) {
        let field = "spec.jobManager.resources.limits[memory]";
        let message = "a JobManager needs at least 64Mi: raise it";
        problems.push(Problem::new(InvalidSpec, field, message));
    }
    let task_manager = &spec.task_manager;
    if let Some(bytes) = memory("spec.taskManager.resources", &task_manager.resources, problems) {
        let fraction = network_fraction(spec);
        let slots = u32::try_from(task_manager.slots).unwrap_or(1);
        // The engine divides it in the same way and would refuse to start.
        if let Some(fraction) = fraction
            && let Err(error) = MemoryPlan::divide(MemorySize::from_bytes(bytes), slots, fraction)
        {
            let field = "spec.taskManager.resources.limits[memory]";
            problems.push(Problem::new(InvalidSpec, field, error.to_string()));
        }
    }
    if let Some(storage) = &task_manager.local_storage
        && storage.size_limit.units().ok().is_none_or(|bytes| bytes == 0)
    {
        let field = "spec.taskManager.localStorage.sizeLimit";
        problems.push(Problem::new(InvalidSpec, field, "not a size: write one such as 8Gi"));
    }
}

fn network_fraction(spec: &FlinkApplicationSpec) -> Option<f64> {
    let option = &thalweg_core::configuration::options::network::MEMORY_FRACTION;
    let key = thalweg_core::configuration::AnyOption::key(option);
    match spec.configuration.get(key) {
        None => Some(option.default_value()),
        // What isn't a number the engine refuses with a better message.
        Some(text) => text.parse().ok().filter(|fraction| (0.01..=0.8).contains(fraction)),
    }
}

/// Checks one role's amounts; its memory in bytes, if that is an amount.
fn memory(field: &str, resources: &Resources, problems: &mut Vec<Problem>) -> Option<u64> {
    let mut refuse = |place: String, message: String| {
        problems.push(Problem::new(InvalidSpec, format!("{field}.{place}"), message));
    };
    for (list, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
        for (name, amount) in amounts {
            if let Err(error) = amount.thousandths() {
                refuse(format!("{list}[{name}]"), error.to_string());
            }
            if !is_resource_name(name) {
                let known = "not a resource: memory, cpu, ephemeral-storage, or one with a domain";
                refuse(format!("{list}[{name}]"), known.to_owned());
            }
        }
    }
    for (name, request) in &resources.requests {
        let Some(limit) = resources.limits.get(name) else { continue };
        if let (Ok(request), Ok(limit)) = (request.thousandths(), limit.thousandths())
            && request > limit
        {
            refuse(format!("requests[{name}]"), "more than the limit: lower it".to_owned());
        }
    }
    let Some(limit) = resources.limits.get("memory") else {
        refuse("limits[memory]".to_owned(), "isn't set: set it".to_owned());
        return None;
    };
    limit.units().ok()
}

/// Whether containers can have a resource of this name.
fn is_resource_name(name: &str) -> bool {
    let label = |text: &str| {
        !text.is_empty()
            && text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
    };
    match name.split_once('/') {
        Some((domain, name)) => domain.contains('.') && domain.len() <= 253 && label(name),
        None => {
            matches!(name, "memory" | "cpu" | "ephemeral-storage")
                || name.strip_prefix("hugepages-").is_some_and(label)
        }
    }
}
