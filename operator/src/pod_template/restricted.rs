//! The Pod Security Standard "restricted" (of Kubernetes 1.34), as a pure check.
//!
//! Also checked, because it is the operator's own promise: no pod mounts more of the API server's
//! tokens than its role needs, or an ephemeral volume made from somebody else's data. The chart's
//! admission policy refuses the same, should a JobManager ask for it.

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Container, PodSpec, PodTemplateSpec, SELinuxOptions, SecurityContext, Volume,
    VolumeProjection,
};

/// Sysctls that the baseline standard allows.
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
const SELINUX_TYPES: &[&str] =
    &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// What of a pod breaks the standard; empty if nothing does.
pub fn violations(template: &PodTemplateSpec) -> Vec<String> {
    let mut found = Vec::new();
    let Some(spec) = &template.spec else { return vec!["spec: it has none".to_owned()] };
    pod(spec, &mut found);
    for value in spec.volumes.iter().flatten() {
        volume(value, &mut found);
    }
    let containers = spec.containers.iter().map(|each| ("containers", each));
    let init = spec.init_containers.iter().flatten().map(|each| ("initContainers", each));
    for (list, each) in containers.chain(init) {
        container(&format!("spec.{list}[{}]", each.name), spec, each, &mut found);
    }
    if spec.ephemeral_containers.is_some() {
        found.push("spec.ephemeralContainers: remove them".to_owned());
    }
    let annotations = template.metadata.iter().flat_map(|metadata| &metadata.annotations).flatten();
    for (key, value) in annotations {
        let legacy = key.starts_with("container.apparmor.security.beta.kubernetes.io/");
        if legacy && value != "runtime/default" && !value.starts_with("localhost/") {
            found.push(format!("metadata.annotations: {key} must be runtime/default"));
        }
    }
    found
}

fn pod(spec: &PodSpec, found: &mut Vec<String>) {
    let mut refuse = |wrong: bool, what: &str| {
        if wrong {
            found.push(format!("spec.{what}"));
        }
    };
    refuse(spec.host_network == Some(true), "hostNetwork: remove it");
    refuse(spec.host_pid == Some(true), "hostPID: remove it");
    refuse(spec.host_ipc == Some(true), "hostIPC: remove it");
    refuse(spec.os.as_ref().is_some_and(|os| os.name != "linux"), "os: only linux runs it");
    let Some(context) = &spec.security_context else { return };
    refuse(context.run_as_user == Some(0), "securityContext.runAsUser: must not be 0");
    refuse(context.run_as_non_root == Some(false), "securityContext.runAsNonRoot: must be true");
    for sysctl in context.sysctls.iter().flatten() {
        let allowed = SYSCTLS.contains(&sysctl.name.as_str());
        refuse(!allowed, &format!("securityContext.sysctls: {} isn't allowed", sysctl.name));
    }
    let seccomp = context.seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
    let wrong = seccomp.is_some_and(|kind| !is_profile(kind));
    refuse(wrong, "securityContext.seccompProfile: must be RuntimeDefault or Localhost");
    kernel(context.app_armor_profile.as_ref(), context.se_linux_options.as_ref(), &mut refuse);
    let windows = context.windows_options.is_some();
    refuse(windows, "securityContext.windowsOptions: remove them");
}

fn is_profile(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

/// What holds for the security contexts of pods and of containers alike.
fn kernel(
    app_armor: Option<&AppArmorProfile>,
    se_linux: Option<&SELinuxOptions>,
    refuse: &mut impl FnMut(bool, &str),
) {
    let wrong = app_armor.is_some_and(|profile| !is_profile(&profile.type_));
    refuse(wrong, "securityContext.appArmorProfile: must be RuntimeDefault or Localhost");
    if let Some(options) = se_linux {
        let kind = options.type_.as_deref().unwrap_or_default();
        let identity = options.user.is_some() || options.role.is_some();
        let wrong = identity || !SELINUX_TYPES.contains(&kind);
        refuse(wrong, "securityContext.seLinuxOptions: no user, no role, a container's type");
    }
}

fn volume(volume: &Volume, found: &mut Vec<String>) {
    let allowed = volume.config_map.is_some()
        || volume.csi.is_some()
        || volume.downward_api.is_some()
        || volume.empty_dir.is_some()
        || volume.ephemeral.is_some()
        || volume.persistent_volume_claim.is_some()
        || volume.projected.is_some()
        || volume.secret.is_some();
    // A volume without a source is an emptyDir.
    let bare = Volume { name: volume.name.clone(), ..Default::default() };
    if !allowed && *volume != bare {
        found.push(format!(
            "spec.volumes[{}]: its kind isn't allowed: use configMap, csi, downwardAPI, emptyDir, \
             ephemeral, persistentVolumeClaim, projected or secret",
            volume.name
        ));
    }
    let claims = volume.ephemeral.iter().flat_map(|each| &each.volume_claim_template);
    for claim in claims.map(|template| &template.spec) {
        let copies = claim.data_source.is_some() || claim.data_source_ref.is_some();
        if copies || claim.volume_name.is_some() {
            found.push(format!(
                "spec.volumes[{}]: an ephemeral volume begins empty: remove dataSource, \
                 dataSourceRef and volumeName",
                volume.name
            ));
        }
    }
    let sources = volume.projected.iter().flat_map(|projected| &projected.sources).flatten();
    for VolumeProjection { service_account_token, .. } in sources {
        if service_account_token.is_some() && !volume.name.starts_with(super::VOLUME_PREFIX) {
            found.push(format!(
                "spec.volumes[{}]: it holds a token of the ServiceAccount: only the operator's own \
                 volumes do",
                volume.name
            ));
        }
    }
}

fn container(path: &str, pod: &PodSpec, container: &Container, found: &mut Vec<String>) {
    let mut refuse = |wrong: bool, what: &str| {
        if wrong {
            found.push(format!("{path}.{what}"));
        }
    };
    let of_pod = pod.security_context.clone().unwrap_or_default();
    let context = container.security_context.clone().unwrap_or_default();
    let SecurityContext { privileged, allow_privilege_escalation, capabilities, .. } = &context;
    refuse(*privileged == Some(true), "securityContext.privileged: remove it");
    let escalation = *allow_privilege_escalation != Some(false);
    refuse(escalation, "securityContext.allowPrivilegeEscalation: must be false");
    let dropped = capabilities.iter().flat_map(|all| &all.drop).flatten();
    let drops_all = dropped.into_iter().any(|capability| capability == "ALL");
    refuse(!drops_all, "securityContext.capabilities.drop: must be [ALL]");
    let added = capabilities.iter().flat_map(|all| &all.add).flatten();
    let adds = added.into_iter().any(|capability| capability != "NET_BIND_SERVICE");
    refuse(adds, "securityContext.capabilities.add: nothing but NET_BIND_SERVICE");
    let non_root = context.run_as_non_root.or(of_pod.run_as_non_root) == Some(true);
    refuse(!non_root, "securityContext.runAsNonRoot: must be true");
    refuse(context.run_as_user == Some(0), "securityContext.runAsUser: must not be 0");
    let seccomp = context.seccomp_profile.as_ref().or(of_pod.seccomp_profile.as_ref());
    let right = seccomp.is_some_and(|profile| is_profile(&profile.type_));
    refuse(!right, "securityContext.seccompProfile: must be RuntimeDefault or Localhost");
    let mount = context.proc_mount.as_deref().unwrap_or("Default");
    refuse(mount != "Default", "securityContext.procMount: must be Default");
    kernel(context.app_armor_profile.as_ref(), context.se_linux_options.as_ref(), &mut refuse);
    refuse(context.windows_options.is_some(), "securityContext.windowsOptions: remove them");
    for port in container.ports.iter().flatten() {
        let host = port.host_port.unwrap_or(0) != 0;
        refuse(host, &format!("ports[{}].hostPort: remove it", port.container_port));
    }
    let hooks = container
        .lifecycle
        .iter()
        .flat_map(|lifecycle| [&lifecycle.post_start, &lifecycle.pre_stop].into_iter().flatten());
    let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
    let hosts = hooks
        .map(|hook| {
            let http = hook.http_get.as_ref().and_then(|get| get.host.as_deref());
            http.or(hook.tcp_socket.as_ref().and_then(|socket| socket.host.as_deref()))
        })
        .chain(probes.into_iter().flatten().map(|probe| {
            let http = probe.http_get.as_ref().and_then(|get| get.host.as_deref());
            http.or(probe.tcp_socket.as_ref().and_then(|socket| socket.host.as_deref()))
        }));
    let elsewhere = hosts.flatten().any(|host| !matches!(host, "" | "127.0.0.1" | "::1"));
    refuse(elsewhere, "probes and hooks: they must not name a host");
}
