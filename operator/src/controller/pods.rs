//! What is wrong with a pod, in its own words.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::plan::Trouble;

/// Waiting reasons that are no trouble: a pod on its way.
const ON_ITS_WAY: &[&str] = &["ContainerCreating", "PodInitializing"];

/// What keeps a pod's containers from running, or has ended one of them; none if nothing does.
pub fn trouble(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses);
    if let Some(found) = containers.flatten().find_map(of_container) {
        return Some(found);
    }
    if let Some(reason) = status.reason.as_ref().filter(|reason| !reason.is_empty()) {
        // Evicted, NodeLost, ...
        let message = status.message.clone().unwrap_or_default();
        return Some(Trouble { reason: reason.clone(), message, exit_code: None });
    }
    let mut conditions = status.conditions.iter().flatten();
    let unscheduled =
        conditions.find(|each| each.type_ == "PodScheduled" && each.status == "False")?;
    Some(Trouble {
        reason: unscheduled.reason.clone().unwrap_or_else(|| "Unschedulable".to_owned()),
        message: unscheduled.message.clone().unwrap_or_default(),
        exit_code: None,
    })
}

fn of_container(status: &ContainerStatus) -> Option<Trouble> {
    let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        let ended = state.as_ref()?.terminated.as_ref()?;
        (ended.exit_code != 0).then(|| Trouble {
            reason: ended.reason.clone().unwrap_or_else(|| "Error".to_owned()),
            message: ended.message.clone().unwrap_or_default(),
            exit_code: Some(ended.exit_code),
        })
    };
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    let waiting = waiting.filter(|waiting| {
        waiting.reason.as_ref().is_some_and(|reason| !ON_ITS_WAY.contains(&reason.as_str()))
    });
    // Why it ended the last time says more than that it is restarted.
    let last = waiting.and_then(|_| ended(&status.last_state));
    ended(&status.state).or(last).or_else(|| {
        let waiting = waiting?;
        Some(Trouble {
            reason: waiting.reason.clone()?,
            message: waiting.message.clone().unwrap_or_default(),
            exit_code: None,
        })
    })
}
