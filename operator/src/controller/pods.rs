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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(status: Value) -> Option<(String, String, Option<i32>)> {
        let pod = json!({ "metadata": { "name": "p" }, "status": status });
        let trouble = trouble(&serde_json::from_value(pod).expect("a pod"))?;
        Some((trouble.reason, trouble.message, trouble.exit_code))
    }

    fn container(state: Value, last: Value) -> Value {
        json!({
            "name": "taskmanager", "image": "i", "imageID": "", "ready": false, "restartCount": 1,
            "state": state, "lastState": last,
        })
    }

    fn waiting(reason: &str, message: &str) -> Value {
        json!({ "waiting": { "reason": reason, "message": message } })
    }

    #[test]
    fn a_pods_trouble_is_told_in_its_own_words() {
        let killed = json!({ "terminated": {
            "exitCode": 137, "reason": "OOMKilled", "message": "", "containerID": "",
        }});
        let ended = json!({ "terminated": {
            "exitCode": 1, "reason": "Error", "message": "no such class of state",
        }});
        let done = json!({ "terminated": { "exitCode": 0, "reason": "Completed" } });
        let no_image = "Back-off pulling image \"x\"";
        let nowhere = "0/2 nodes are available: 2 Insufficient memory.";
        let scheduled = |status: &str| {
            json!([{ "type": "PodScheduled", "status": status, "reason": "Unschedulable",
                "message": nowhere }])
        };
        let of = |state: Value| json!({ "containerStatuses": [container(state, json!({}))] });
        let again = |last: &Value| {
            let state = waiting("CrashLoopBackOff", "back-off 10s");
            json!({ "containerStatuses": [container(state, last.clone())] })
        };
        let says =
            |reason: &str, message: &str, code| Some((reason.to_owned(), message.to_owned(), code));
        for (status, expected) in [
            (json!({}), None),
            (of(json!({ "running": {} })), None),
            (of(done.clone()), None),
            (of(waiting("ContainerCreating", "")), None),
            (of(killed.clone()), says("OOMKilled", "", Some(137))),
            (of(ended.clone()), says("Error", "no such class of state", Some(1))),
            (of(waiting("ImagePullBackOff", no_image)), says("ImagePullBackOff", no_image, None)),
            // Why it ended says more than that it is restarted, and that says more than nothing.
            (again(&killed), says("OOMKilled", "", Some(137))),
            (again(&ended), says("Error", "no such class of state", Some(1))),
            (again(&done), says("CrashLoopBackOff", "back-off 10s", None)),
            (
                json!({ "initContainerStatuses": [container(ended, json!({}))] }),
                says("Error", "no such class of state", Some(1)),
            ),
            (
                json!({ "phase": "Failed", "reason": "Evicted", "message": "low on memory" }),
                says("Evicted", "low on memory", None),
            ),
            (json!({ "conditions": scheduled("False") }), says("Unschedulable", nowhere, None)),
            (json!({ "conditions": scheduled("True") }), None),
        ] {
            assert_eq!(found(status.clone()), expected, "{status}");
        }
    }
}
