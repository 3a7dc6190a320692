//! What the pods of both roles have in common.

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, HTTPGetAction, KeyToPath, LocalObjectReference, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile,
    SecretKeySelector, SecretVolumeSource, SecurityContext, Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Identity;
use crate::pod_template::Role;
use crate::resource::{EnvironmentVariable, FlinkApplicationSpec, Resources};

/// The port of the JobManager's RPC.
pub const RPC_PORT: i32 = 6123;
/// The port at which TaskManagers receive each other's data.
pub(super) const DATA_PORT: i32 = 6121;
/// The port of REST and the web pages.
pub const REST_PORT: i32 = 8081;
/// The port at which metrics are read.
pub const METRICS_PORT: i32 = 9249;

/// Environment variables that the operator sets in both roles.
pub const OPERATOR_VARIABLES: &[&str] = &["POD_NAME", "POD_UID", "POD_IP", "NODE_NAME"];

/// Where a role's settings are mounted.
pub(super) const CONFIGURATION_PATH: &str = "/etc/thalweg/configuration.yaml";
/// The volume of the settings.
pub(super) const CONFIGURATION_VOLUME: &str = "thalweg-configuration";
/// Where a role's certificate is mounted: a folder, since Kubernetes swaps its files when they are
/// renewed. Not below the settings, whose volume is read-only.
pub(super) const CERTIFICATE_PATH: &str = "/etc/thalweg-tls";
/// The volume of the certificate.
pub(super) const CERTIFICATE_VOLUME: &str = "thalweg-certificate";
/// Where JobManagers find the TaskManagers' pod template.
pub(super) const TEMPLATE_PATH: &str = "/etc/thalweg/taskmanager-pod.yaml";
/// Where a TaskManager keeps local copies of state.
pub(super) const LOCAL_STORAGE_PATH: &str = "/var/lib/thalweg";
/// How long a pod may finish what it does: a final checkpoint, a task's move.
pub(super) const GRACE_SECONDS: i64 = 120;

/// How long a pod of this template has between SIGTERM and its end.
pub(super) fn grace_seconds(template: &PodTemplateSpec) -> i64 {
    let spec = template.spec.as_ref();
    spec.and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(GRACE_SECONDS)
}

/// The key of a role's settings in the revision's ConfigMap.
pub(super) fn configuration_key(role: Role) -> String {
    format!("{}.yaml", role.as_str())
}

/// The key of the TaskManagers' pod template in the revision's ConfigMap.
pub(super) const TEMPLATE_KEY: &str = "taskmanager-pod.yaml";

/// What a pod of a role has unless a template says otherwise.
pub(super) fn defaults() -> PodTemplateSpec {
    let context = PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(65_532),
        run_as_group: Some(65_532),
        fs_group: Some(65_532),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let lost = |key: &str| Toleration {
        key: Some(format!("node.kubernetes.io/{key}")),
        operator: Some("Exists".to_owned()),
        effect: Some("NoExecute".to_owned()),
        toleration_seconds: Some(10),
        ..Default::default()
    };
    PodTemplateSpec {
        metadata: None,
        spec: Some(PodSpec {
            security_context: Some(context),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            tolerations: Some(vec![lost("not-ready"), lost("unreachable")]),
            ..Default::default()
        }),
    }
}

/// What the operator insists on in the pods of both roles. The role's own part is added to it.
pub(super) fn required(
    identity: &Identity,
    revision: &str,
    spec: &FlinkApplicationSpec,
    role: Role,
) -> PodTemplateSpec {
    let secrets = spec.image_pull_secrets.iter();
    let secrets: Vec<LocalObjectReference> =
        secrets.map(|secret| LocalObjectReference { name: secret.name.clone() }).collect();
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(identity.pod_labels(role, revision)),
            ..Default::default()
        }),
        spec: Some(PodSpec {
            containers: vec![container(spec, role)],
            image_pull_secrets: Some(secrets).filter(|secrets| !secrets.is_empty()),
            enable_service_links: Some(false),
            volumes: Some(volumes(identity, revision, role)),
            ..Default::default()
        }),
    }
}

fn container(spec: &FlinkApplicationSpec, role: Role) -> Container {
    let binary = &spec.job.binary;
    let mut env: Vec<EnvVar> = binary.env.iter().map(variable).collect();
    for (name, path) in [
        ("POD_NAME", "metadata.name"),
        ("POD_UID", "metadata.uid"),
        ("POD_IP", "status.podIP"),
        ("NODE_NAME", "spec.nodeName"),
    ] {
        env.push(field_variable(name, path));
    }
    let port = |name: &str, container_port| ContainerPort {
        name: Some(name.to_owned()),
        container_port,
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    };
    let (own, ports, resources) = match role {
        Role::JobManager => (
            [
                "jobmanager.rpc.address=$(POD_IP)",
                "kubernetes.pod.name=$(POD_NAME)",
                "kubernetes.pod.uid=$(POD_UID)",
            ]
            .as_slice(),
            vec![port("rpc", RPC_PORT), port("rest", REST_PORT), port("metrics", METRICS_PORT)],
            &spec.job_manager.resources,
        ),
        Role::TaskManager => (
            ["taskmanager.host=$(POD_IP)", "taskmanager.resource-id=$(POD_NAME)"].as_slice(),
            vec![port("data", DATA_PORT), port("metrics", METRICS_PORT)],
            &spec.task_manager.resources,
        ),
    };
    let mut args: Vec<String> =
        [role.as_str(), "--config", CONFIGURATION_PATH].map(str::to_owned).into();
    args.extend(own.iter().flat_map(|setting| ["-D".to_owned(), (*setting).to_owned()]));
    if role == Role::JobManager && !binary.args.is_empty() {
        // TaskManagers get them with their tasks. A dollar sign is one: no variables here.
        args.push("--".to_owned());
        args.extend(binary.args.iter().map(|argument| argument.replace('$', "$$")));
    }
    Container {
        name: role.as_str().to_owned(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some(spec.image_pull_policy.as_str().to_owned()),
        command: Some(vec![binary.path.clone()]),
        args: Some(args),
        env: Some(env),
        ports: Some(ports),
        resources: Some(requirements(resources)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Default::default()
            }),
            read_only_root_filesystem: Some(true),
            ..Default::default()
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        volume_mounts: Some(vec![
            mount(CONFIGURATION_VOLUME, "/etc/thalweg", true),
            mount(CERTIFICATE_VOLUME, CERTIFICATE_PATH, true),
            mount("thalweg-temporary", "/tmp", false),
        ]),
        ..Default::default()
    }
}

fn volumes(identity: &Identity, revision: &str, role: Role) -> Vec<Volume> {
    let of = match role {
        Role::JobManager => thalweg_tls::Role::JobManager,
        Role::TaskManager => thalweg_tls::Role::TaskManager,
    };
    let item = |key: String, path: &str| KeyToPath { key, path: path.to_owned(), mode: None };
    let mut items = vec![item(configuration_key(role), "configuration.yaml")];
    if role == Role::JobManager {
        items.push(item(TEMPLATE_KEY.to_owned(), TEMPLATE_KEY));
    }
    vec![
        Volume {
            name: CONFIGURATION_VOLUME.to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: revision.to_owned(),
                items: Some(items),
                ..Default::default()
            }),
            ..Default::default()
        },
        Volume {
            name: CERTIFICATE_VOLUME.to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(identity.leaf(of)),
                // For the pod's own group.
                default_mode: Some(0o440),
                ..Default::default()
            }),
            ..Default::default()
        },
        Volume {
            name: "thalweg-temporary".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity("1Gi".to_owned())),
                ..Default::default()
            }),
            ..Default::default()
        },
    ]
}

/// A probe that is passed by an answer at this path and port, asked for every so many seconds; not
/// passed after so many failures in a row.
pub(super) fn answers(
    path: &str,
    port: i32,
    (period_seconds, failure_threshold): (i32, i32),
) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(port),
            ..Default::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(5),
        failure_threshold: Some(failure_threshold),
        ..Default::default()
    }
}

/// A place where a volume is mounted.
pub(super) fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..Default::default()
    }
}

fn variable(variable: &EnvironmentVariable) -> EnvVar {
    let secret = variable.value_from.as_ref().map(|source| &source.secret_key_ref);
    EnvVar {
        name: variable.name.clone(),
        // As it was written: Kubernetes would expand $(NAME) in it.
        value: variable.value.as_ref().map(|value| value.replace('$', "$$")),
        value_from: secret.map(|secret| EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.name.clone(),
                key: secret.key.clone(),
                optional: None,
            }),
            ..Default::default()
        }),
    }
}

fn field_variable(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: path.to_owned(),
            }),
            ..Default::default()
        }),
    }
}

fn requirements(resources: &Resources) -> ResourceRequirements {
    let list = |amounts: &std::collections::BTreeMap<String, crate::resource::Quantity>| {
        let list = amounts.iter().map(|(name, amount)| (name.clone(), Quantity(amount.0.clone())));
        Some(list.collect()).filter(|list: &std::collections::BTreeMap<_, _>| !list.is_empty())
    };
    ResourceRequirements {
        limits: list(&resources.limits),
        requests: list(&resources.requests),
        ..Default::default()
    }
}
