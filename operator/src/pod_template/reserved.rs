//! Parts of a pod that have a field of their own in the resource, or that the operator needs as
//! they are. A template that sets one is refused, as it would be ignored otherwise.

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};

use super::Role;

/// Names of volumes that begin so are the operator's.
pub const VOLUME_PREFIX: &str = "thalweg-";
/// Where the operator mounts what the engine needs.
pub const MOUNT_PATHS: &[&str] = &["/etc/thalweg", "/etc/thalweg-tls", "/tmp", "/var/lib/thalweg"];
/// Labels that begin so are the operator's.
const LABEL_PREFIXES: &[&str] = &["thalweg.dev/", "app.kubernetes.io/"];

/// What of a template isn't the user's to set, each with what to use instead. `variables` are the
/// names of the environment variables that are set otherwise.
pub fn reserved_parts(template: &PodTemplateSpec, variables: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(metadata) = &template.metadata {
        let labels = metadata.labels.iter().flat_map(|labels| labels.keys());
        for label in labels.filter(|label| starts_with_any(label, LABEL_PREFIXES)) {
            found.push(format!("metadata.labels: {label} is the operator's: remove it"));
        }
        let known = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
            labels: metadata.labels.clone(),
            annotations: metadata.annotations.clone(),
            ..Default::default()
        };
        if *metadata != known {
            found.push("metadata: only labels and annotations can be set".to_owned());
        }
    }
    if let Some(spec) = &template.spec {
        pod(spec, &mut found);
        for container in &spec.containers {
            let mut check = |role: Role| {
                if container.name == role.as_str() {
                    main_container(container, variables, &mut found);
                }
            };
            check(Role::JobManager);
            check(Role::TaskManager);
        }
    }
    found
}

fn pod(spec: &PodSpec, found: &mut Vec<String>) {
    let mut refuse = |set: bool, what: &str| {
        if set {
            found.push(format!("spec.{what}"));
        }
    };
    let account = spec.service_account_name.is_some() || spec.service_account.is_some();
    refuse(account, "serviceAccountName: each role has its own account: use spec.serviceAccount");
    let token = spec.automount_service_account_token.is_some();
    refuse(token, "automountServiceAccountToken: only JobManagers have a token: remove it");
    refuse(spec.restart_policy.is_some(), "restartPolicy: it follows from the role: remove it");
    refuse(spec.image_pull_secrets.is_some(), "imagePullSecrets: use spec.imagePullSecrets");
    refuse(spec.node_name.is_some(), "nodeName: use nodeSelector or affinity");
    refuse(spec.hostname.is_some(), "hostname: the pod's name is used: remove it");
    refuse(spec.subdomain.is_some(), "subdomain: remove it");
    refuse(spec.resources.is_some(), "resources: use spec.jobManager and spec.taskManager");
    refuse(spec.ephemeral_containers.is_some(), "ephemeralContainers: use kubectl debug");
    let deadline = spec.active_deadline_seconds.is_some();
    refuse(deadline, "activeDeadlineSeconds: remove it");
    for volume in spec.volumes.iter().flatten() {
        let own = volume.name.starts_with(VOLUME_PREFIX);
        let what = format!("volumes: {} is a name of the operator's: choose another", volume.name);
        refuse(own, &what);
    }
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    for container in containers {
        refuse(container.name.is_empty(), "containers: a container without a name: set it");
    }
}

fn main_container(container: &Container, variables: &[&str], found: &mut Vec<String>) {
    let name = &container.name;
    let mut refuse = |set: bool, what: &str| {
        if set {
            found.push(format!("spec.containers[{name}].{what}"));
        }
    };
    refuse(container.image.is_some(), "image: use spec.image");
    refuse(container.image_pull_policy.is_some(), "imagePullPolicy: use spec.imagePullPolicy");
    refuse(container.command.is_some(), "command: use spec.job.binary");
    refuse(container.args.is_some(), "args: use spec.job.binary");
    let instead = "resources: use resources of spec.jobManager or spec.taskManager";
    refuse(container.resources.is_some(), instead);
    let message = container.termination_message_path.is_some()
        || container.termination_message_policy.is_some();
    refuse(message, "terminationMessagePath and -Policy: the operator reads them: remove them");
    refuse(container.restart_policy.is_some(), "restartPolicy: remove it");
    let probes = container.liveness_probe.is_some()
        || container.readiness_probe.is_some()
        || container.startup_probe.is_some();
    refuse(probes, "probes: they are the operator's: remove them");
    for port in container.ports.iter().flatten() {
        let what = format!("ports: {} is the operator's: choose another", port.container_port);
        refuse([6121, 6122, 6123, 8081, 9249].contains(&port.container_port), &what);
    }
    for variable in container.env.iter().flatten() {
        let reserved = variable.name.starts_with("THALWEG_");
        let what = format!("env: {} is set already: use spec.job.binary.env", variable.name);
        refuse(reserved || variables.contains(&variable.name.as_str()), &what);
    }
    for mount in container.volume_mounts.iter().flatten() {
        let path = mount.mount_path.trim_end_matches('/');
        let own = MOUNT_PATHS.contains(&path)
            || path.starts_with("/etc/thalweg/")
            || path.starts_with("/etc/thalweg-tls/");
        let what = format!("volumeMounts: {path} is the operator's: choose another path");
        refuse(own || path.is_empty(), &what);
        let own = mount.name.starts_with(VOLUME_PREFIX);
        let what = format!("volumeMounts: volume {} is the operator's", mount.name);
        refuse(own, &what);
    }
}

fn starts_with_any(text: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| text.starts_with(prefix))
}
