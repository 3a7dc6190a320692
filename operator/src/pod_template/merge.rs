//! Layers of a pod template, merged by name.

use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::Role;

/// What a pod is made of, from the lowest layer to the highest.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// What holds unless a template says otherwise.
    pub defaults: PodTemplateSpec,
    /// `spec.podTemplate`.
    pub common: PodTemplateSpec,
    /// `spec.jobManager.podTemplate` or `spec.taskManager.podTemplate`.
    pub role: PodTemplateSpec,
    /// What the operator insists on.
    pub required: PodTemplateSpec,
}

/// The pod's template. Containers, volumes, variables and ports are merged by their names, mounts
/// by their paths; other lists (tolerations, arguments) are replaced by the highest layer.
pub fn merge(role: Role, layers: Layers) -> PodTemplateSpec {
    let Layers { defaults, mut common, role: own, required } = layers;
    if let Some(spec) = &mut common.spec {
        // What the common layer says of the other role's container isn't for this pod.
        spec.containers.retain(|container| container.name != role.other().as_str());
    }
    let mut merged = defaults;
    merged.merge_from(common);
    merged.merge_from(own);
    merged.merge_from(required);
    if let Some(spec) = &mut merged.spec {
        // `kubectl logs` and `exec` take the first one.
        spec.containers.sort_by_key(|container| container.name != role.as_str());
    }
    merged
}
