//! An application as a tree: how it is and why, what is under way, its state, its pods.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use termtree::Tree;

use super::Snapshot;
use super::text::{since, size};
use crate::build::REVISION_LABEL;
use crate::controller::trouble;
use crate::resource::{Condition, FlinkApplicationStatus};

/// The longest message that is shown of one thing.
const MESSAGE_LENGTH_MAX: usize = 300;

/// The tree, as text.
pub fn render(snapshot: &Snapshot, now: &Time) -> String {
    let application = &snapshot.application;
    let status = application.status.clone().unwrap_or_default();
    let namespace = application.namespace().unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or("not looked at by an operator yet");
    let going = match &application.metadata.deletion_timestamp {
        Some(at) => format!(", being deleted for {}", since(at, now)),
        None => String::new(),
    };
    let mut root = Tree::new(format!(
        "FlinkApplication {namespace}/{}: {phase}{going}",
        application.name_any()
    ));
    let observed = status.observed_generation.unwrap_or(0);
    if application.metadata.generation.unwrap_or(0) > observed {
        root.push("The operator hasn't looked at the newest spec yet".to_owned());
    }
    root.extend(conditions(&status, now));
    root.extend(under_way(&status, now));
    root.extend(state(&status, now));
    root.push(leader(snapshot, &status, now));
    root.extend(revisions(snapshot, &status, now));
    root.to_string()
}

/// What is true, with its reason; and that it isn't ready, with why.
fn conditions(status: &FlinkApplicationStatus, now: &Time) -> Vec<Tree<String>> {
    let told = |condition: &&Condition| condition.status == "True" || condition.r#type == "Ready";
    let line = |condition: &Condition| {
        let Condition { r#type, status, reason, message, last_transition_time, .. } = condition;
        let value = if status == "True" { String::new() } else { format!("={status}") };
        let since = since(last_transition_time, now);
        Tree::new(format!("{type}{value}: {reason}{} (for {since})", after_colon(message)))
    };
    status.conditions.iter().filter(told).map(line).collect()
}

fn under_way(status: &FlinkApplicationStatus, now: &Time) -> Vec<Tree<String>> {
    let mut lines = Vec::new();
    if let Some(operation) = &status.operation {
        let target = operation.target.as_ref().map(|target| format!(" to {target}"));
        let deadline = operation.deadline.as_ref().map(|deadline| match deadline.0 < now.0 {
            true => format!(", {} over its deadline", since(deadline, now)),
            false => format!(", {} left", since(now, deadline)),
        });
        lines.push(Tree::new(format!(
            "Operation: {}{}, step {}, for {}{}{}",
            operation.r#type,
            target.unwrap_or_default(),
            operation.step,
            since(&operation.started_at, now),
            deadline.unwrap_or_default(),
            after_colon(operation.message.as_deref().unwrap_or_default()),
        )));
    }
    if let Some(failure) = &status.last_failure {
        let code = failure.exit_code.map(|code| format!(" (exit code {code})"));
        let pod = failure.pod.as_ref().map(|pod| format!(" of pod {pod}"));
        lines.push(Tree::new(format!(
            "Last failure: {}{}{}, {} ago{}",
            failure.reason,
            code.unwrap_or_default(),
            pod.unwrap_or_default(),
            since(&failure.at, now),
            after_colon(&failure.message),
        )));
    }
    lines
}

/// The job, and what it would go on with.
fn state(status: &FlinkApplicationStatus, now: &Time) -> Vec<Tree<String>> {
    let mut lines = Vec::new();
    if let Some(job) = &status.job {
        let mut words = vec![format!("Job {}: {}", job.id, job.state)];
        words.extend(job.parallelism.map(|parallelism| format!("parallelism {parallelism}")));
        let tasks = job.tasks.as_ref();
        words.extend(tasks.map(|tasks| format!("{} of {} tasks run", tasks.running, tasks.total)));
        words.extend(job.restarts.map(|restarts| match restarts {
            1 => "1 restart".to_owned(),
            more => format!("{more} restarts"),
        }));
        match (&job.started_at, &job.ended_at) {
            (_, Some(end)) => words.push(format!("ended {} ago", since(end, now))),
            (Some(start), None) => words.push(format!("for {}", since(start, now))),
            (None, None) => {}
        }
        let mut line = Tree::new(words.join(", "));
        if let Some(restored) = &job.restored_from {
            line.push(format!("Restored from {}", restored.path));
        }
        lines.push(line);
    }
    if let Some(checkpoint) = &status.checkpoint {
        let mut words = vec![format!("Checkpoint {}", checkpoint.id)];
        let completed = checkpoint.completed_at.as_ref();
        words.extend(completed.map(|at| format!("{} ago", since(at, now))));
        words.extend(checkpoint.size_bytes.map(size));
        words.extend(checkpoint.duration_millis.map(|millis| format!("took {millis} ms")));
        let failed = checkpoint.failed_since_last.filter(|failed| *failed > 0);
        words.extend(failed.map(|failed| format!("{failed} failed since")));
        lines.push(Tree::new(words.join(", ")).with_leaves([checkpoint.path.clone()]));
    }
    if !status.savepoints.is_empty() {
        let savepoints = status.savepoints.iter().map(|savepoint| {
            let at = savepoint.completed_at.as_ref();
            let at = at.map(|at| format!(", {} ago", since(at, now)));
            format!("{}{}", savepoint.path, at.unwrap_or_default())
        });
        lines.push(Tree::new("Savepoints, the newest first".to_owned()).with_leaves(savepoints));
    }
    lines
}

/// Who leads by the Lease, and who by the status: they differ for a moment when it changes.
fn leader(snapshot: &Snapshot, status: &FlinkApplicationStatus, now: &Time) -> Tree<String> {
    let Some(lease) = &snapshot.lease else {
        return Tree::new("Lease: there is none".to_owned());
    };
    let spec = lease.spec.clone().unwrap_or_default();
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    let renewed = spec.renew_time.map(|at| format!(", renewed {} ago", since(&Time(at.0), now)));
    let mut line = match holder {
        Some(holder) => Tree::new(format!("Lease: {holder} leads{}", renewed.unwrap_or_default())),
        None => Tree::new("Lease: nobody leads".to_owned()),
    };
    if let Some(leader) = &status.job_manager {
        let version = Some(&leader.version).filter(|version| !version.is_empty());
        line.push(format!(
            "Reported by {}, epoch {}{}",
            leader.leader,
            leader.epoch,
            version.map(|version| format!(", version {version}")).unwrap_or_default()
        ));
    }
    line
}

/// Each revision with its pods; those on record without any in one line.
fn revisions(
    snapshot: &Snapshot,
    status: &FlinkApplicationStatus,
    now: &Time,
) -> Vec<Tree<String>> {
    let mut names: Vec<String> = snapshot.revisions.iter().map(ResourceExt::name_any).collect();
    let pods = snapshot.pods.iter().filter_map(revision_of);
    for name in snapshot.deployments.iter().map(ResourceExt::name_any).chain(pods) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut lines = Vec::new();
    let mut idle = Vec::new();
    for name in names {
        let pods: Vec<&Pod> = snapshot
            .pods
            .iter()
            .filter(|pod| revision_of(pod).as_deref() == Some(name.as_str()))
            .collect();
        let mut deployments = snapshot.deployments.iter();
        let deployment = deployments.find(|deployment| deployment.name_any() == name);
        let marks = marks(&name, status);
        if pods.is_empty() && deployment.is_none() {
            idle.push(format!("{name}{marks}"));
            continue;
        }
        let mut line = Tree::new(format!("Revision {name}{marks}"));
        line.extend(roles(deployment, &pods, status, now));
        lines.push(line);
    }
    if !idle.is_empty() {
        lines.push(Tree::new("Revisions without pods".to_owned()).with_leaves(idle));
    }
    lines
}

fn marks(name: &str, status: &FlinkApplicationStatus) -> String {
    let is = |revision: &Option<String>| revision.as_deref() == Some(name);
    let marks = [
        (is(&status.current_revision), "current"),
        (is(&status.update_revision), "wanted"),
        (is(&status.stable_revision), "stable"),
    ];
    let marks: Vec<&str> = marks.iter().filter(|mark| mark.0).map(|mark| mark.1).collect();
    if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) }
}

fn revision_of(pod: &Pod) -> Option<String> {
    pod.labels().get(REVISION_LABEL).cloned()
}

fn roles(
    deployment: Option<&Deployment>,
    pods: &[&Pod],
    status: &FlinkApplicationStatus,
    now: &Time,
) -> Vec<Tree<String>> {
    let of_role = |role: &str| -> Vec<Tree<String>> {
        let component = "app.kubernetes.io/component";
        let pods =
            pods.iter().filter(|pod| pod.labels().get(component).is_some_and(|is| is == role));
        pods.map(|found| pod(found, now)).collect()
    };
    let mut lines = Vec::new();
    let managers = deployment.map(|deployment| {
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let ready = deployment.status.as_ref().and_then(|each| each.ready_replicas).unwrap_or(0);
        format!("JobManagers: {ready} of {wanted} ready")
    });
    let managers = managers.unwrap_or_else(|| "JobManagers: their Deployment is gone".to_owned());
    let mut line = Tree::new(managers);
    line.extend(of_role("jobmanager"));
    lines.push(line);
    let workers = of_role("taskmanager");
    let counts = status.task_managers.as_ref().map(|counts| {
        format!(
            "TaskManagers: {} registered of {} wanted, {} of {} slots free",
            counts.registered, counts.desired, counts.slots_free, counts.slots_total
        )
    });
    let mut line = Tree::new(counts.unwrap_or_else(|| "TaskManagers".to_owned()));
    line.extend(workers);
    lines.push(line);
    let checks = of_role("preflight");
    if !checks.is_empty() {
        let mut line = Tree::new("Check before the upgrade".to_owned());
        line.extend(checks);
        lines.push(line);
    }
    let erasing = of_role("state-deletion");
    if !erasing.is_empty() {
        let mut line = Tree::new("Deletion of the state".to_owned());
        line.extend(erasing);
        lines.push(line);
    }
    lines
}

fn pod(pod: &Pod, now: &Time) -> Tree<String> {
    let status = pod.status.clone().unwrap_or_default();
    let phase = match &pod.metadata.deletion_timestamp {
        Some(_) => "ending".to_owned(),
        None => status.phase.unwrap_or_else(|| "Unknown".to_owned()),
    };
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
    let node = node.map(|node| format!(" on {node}")).unwrap_or_default();
    let begun = pod.metadata.creation_timestamp.as_ref();
    let age = begun.map(|begun| format!(", for {}", since(begun, now))).unwrap_or_default();
    let restarts: i32 =
        status.container_statuses.iter().flatten().map(|each| each.restart_count).sum();
    let restarts = match restarts {
        0 => String::new(),
        1 => ", restarted once".to_owned(),
        more => format!(", restarted {more} times"),
    };
    let mut line = Tree::new(format!("{}: {phase}{node}{age}{restarts}", pod.name_any()));
    if let Some(trouble) = trouble(pod) {
        let code = trouble.exit_code.map(|code| format!(" (exit code {code})"));
        let code = code.unwrap_or_default();
        line.push(format!("{}{code}{}", trouble.reason, after_colon(&trouble.message)));
    }
    line
}

/// A message behind what it is about, on one line.
fn after_colon(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_LENGTH_MAX) {
        _ if line.is_empty() => String::new(),
        Some((end, _)) => format!(": {}...", &line[..end]),
        None => format!(": {line}"),
    }
}
