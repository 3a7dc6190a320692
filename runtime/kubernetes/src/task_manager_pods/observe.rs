//! Reads from a pod what matters for a TaskManager.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};

use super::{PodFacts, PodPhase};

/// The facts of a pod; None of one without a name.
pub fn facts_of(pod: &Pod) -> Option<PodFacts> {
    let status = pod.status.as_ref();
    let phase = match status.and_then(|status| status.phase.as_deref()) {
        Some("Running" | "Unknown") => PodPhase::Running,
        Some("Succeeded") => PodPhase::Succeeded,
        Some("Failed") => PodPhase::Failed,
        _ => PodPhase::Pending,
    };
    Some(PodFacts {
        name: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        phase,
        deleting: pod.metadata.deletion_timestamp.is_some(),
        problem: status.and_then(problem),
    })
}

/// The most telling: how a container ended, what it waits for, why the pod was evicted, why it
/// isn't scheduled.
fn problem(status: &PodStatus) -> Option<String> {
    let containers = || {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    };
    let ended = containers().find_map(ended);
    let waits = || containers().find_map(waits);
    let evicted = || Some(join(status.reason.clone()?, status.message.as_deref()));
    ended.or_else(evicted).or_else(waits).or_else(|| unscheduled(status))
}

fn join(reason: String, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("{reason}: {message}"),
        None => reason,
    }
}

fn ended(container: &ContainerStatus) -> Option<String> {
    let ended = container.state.as_ref()?.terminated.as_ref()?;
    if ended.exit_code == 0 {
        return None;
    }
    let reason = ended.reason.as_deref().unwrap_or("Error");
    let reason = format!("{reason} (exit code {})", ended.exit_code);
    Some(join(reason, ended.message.as_deref()))
}

fn waits(container: &ContainerStatus) -> Option<String> {
    let waits = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waits.reason.clone()?;
    // Every pod goes through these.
    let ordinary = ["ContainerCreating", "PodInitializing"].contains(&reason.as_str());
    (!ordinary).then(|| join(reason, waits.message.as_deref()))
}

fn unscheduled(status: &PodStatus) -> Option<String> {
    let conditions = status.conditions.as_ref()?;
    let unscheduled =
        conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
    let reason = unscheduled.reason.clone().unwrap_or_else(|| "Unschedulable".to_owned());
    Some(join(reason, unscheduled.message.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(yaml: &str) -> PodFacts {
        facts_of(&serde_yaml::from_str(yaml).unwrap()).unwrap()
    }

    #[test]
    fn what_is_wrong_with_a_pod_is_said_in_its_own_words() {
        let killed = facts(
            "metadata: {name: a, uid: u}
status:
  phase: Failed
  containerStatuses:
  - {name: taskmanager, image: i, imageID: '', ready: false, restartCount: 0,
     state: {terminated: {reason: OOMKilled, exitCode: 137}}}",
        );
        assert_eq!(killed.problem.as_deref(), Some("OOMKilled (exit code 137)"));
        assert_eq!(killed.phase, PodPhase::Failed);
        let image = facts(
            "metadata: {name: a, uid: u}
status:
  phase: Pending
  containerStatuses:
  - {name: taskmanager, image: i, imageID: '', ready: false, restartCount: 0,
     state: {waiting: {reason: ImagePullBackOff, message: no such image}}}",
        );
        assert_eq!(image.problem.as_deref(), Some("ImagePullBackOff: no such image"));
        let unscheduled = facts(
            "metadata: {name: a, uid: u, deletionTimestamp: 2026-01-01T00:00:00Z}
status:
  phase: Pending
  conditions:
  - {type: PodScheduled, status: 'False', reason: Unschedulable, message: 0/2 nodes}",
        );
        assert_eq!(unscheduled.problem.as_deref(), Some("Unschedulable: 0/2 nodes"));
        assert!(unscheduled.deleting);
        let evicted =
            "metadata: {name: a}\nstatus: {phase: Failed, reason: Evicted, message: disk}";
        assert_eq!(facts(evicted).problem.as_deref(), Some("Evicted: disk"));
        let starting = facts(
            "metadata: {name: a, uid: u}
status:
  phase: Pending
  containerStatuses:
  - {name: taskmanager, image: i, imageID: '', ready: false, restartCount: 0,
     state: {waiting: {reason: ContainerCreating}}}",
        );
        assert_eq!((starting.problem, starting.phase), (None, PodPhase::Pending));
        assert_eq!(facts("metadata: {name: a}").phase, PodPhase::Pending);
    }
}
