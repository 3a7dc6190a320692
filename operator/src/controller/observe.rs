//! From the API server's objects to facts.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use super::ReconcileError;
use super::pods::trouble;
use crate::build::{
    APPLICATION_LABEL, Identity, PREFLIGHT, REVISION_LABEL, Revision, SAVEPOINT_ANNOTATION,
};
use crate::plan::{Check, DeploymentFact, Facts, PodFact, Recorded, wanted_revision};
use crate::resource::FlinkApplication;
use crate::validate::problems;

/// By which the operator holds up a resource's deletion.
pub(super) const FINALIZER: &str = "thalweg.dev/cleanup";
/// The longest token of a savepoint.
const TOKEN_LENGTH_MAX: usize = 253;

pub(super) async fn observe(
    client: &Client,
    application: &FlinkApplication,
) -> Result<Facts, ReconcileError> {
    let identity = Identity::of(application).ok_or(ReconcileError::NoIdentity)?;
    let namespace = identity.namespace.as_str();
    let of_application =
        ListParams::default().labels(&format!("{APPLICATION_LABEL}={}", identity.name));
    let deployments = Api::<Deployment>::namespaced(client.clone(), namespace);
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let records = Api::<ControllerRevision>::namespaced(client.clone(), namespace);
    let deployments = deployments.list(&of_application).await?.items;
    let (checks, pods): (Vec<Pod>, Vec<Pod>) =
        pods.list(&of_application).await?.items.into_iter().partition(is_check);
    let records = records.list(&of_application).await?.items;
    let recorded: Vec<_> =
        records.into_iter().filter_map(|each| recorded(each, &identity)).collect();
    let status = application.status.clone().unwrap_or_default();
    let wanted = wanted_revision(&identity.name, &application.spec, &recorded, &status)?;
    let metadata = &application.metadata;
    let annotations = metadata.annotations.as_ref();
    let token = annotations.and_then(|annotations| annotations.get(SAVEPOINT_ANNOTATION));
    Ok(Facts {
        generation: metadata.generation.unwrap_or(0),
        spec: application.spec.clone(),
        status,
        deleting_since: metadata.deletion_timestamp.clone(),
        has_finalizer: application.finalizers().iter().any(|each| each == FINALIZER),
        savepoint_token: token
            .filter(|token| !token.is_empty() && token.len() <= TOKEN_LENGTH_MAX)
            .cloned(),
        problems: problems(&application.spec),
        wanted,
        recorded,
        deployments: deployments.iter().map(deployment).collect(),
        pods: pods.iter().map(pod).collect(),
        checks: checks.iter().map(|pod| (revision_of(pod), check(pod))).collect(),
        identity,
    })
}

fn is_check(pod: &Pod) -> bool {
    pod.labels().get("app.kubernetes.io/component").is_some_and(|each| each == PREFLIGHT)
}

fn revision_of(pod: &Pod) -> String {
    pod.labels().get(REVISION_LABEL).cloned().unwrap_or_default()
}

/// A record of ours: of this resource, not of an earlier one of its name.
fn recorded(record: ControllerRevision, identity: &Identity) -> Option<Recorded> {
    let mut owners = record.owner_references().iter();
    owners.find(|owner| owner.uid == identity.uid)?;
    let number = record.revision;
    let Revision { name, spec, cluster_id, .. } = Revision::from_record(record.data?.0).ok()?;
    Some(Recorded { name, number, cluster_id, spec })
}

fn deployment(deployment: &Deployment) -> DeploymentFact {
    DeploymentFact {
        revision: deployment.name_any(),
        replicas: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        deleting: deployment.metadata.deletion_timestamp.is_some(),
    }
}

fn pod(pod: &Pod) -> PodFact {
    // One that is told to end has no trouble when it does.
    let goes = pod.metadata.deletion_timestamp.is_some();
    let trouble = if goes { None } else { trouble(pod) };
    PodFact { name: pod.name_any(), revision: revision_of(pod), trouble }
}

fn check(pod: &Pod) -> Check {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    match phase {
        Some("Succeeded") => Check::Passed,
        Some("Failed") => {
            let trouble = trouble(pod).unwrap_or_default();
            Check::Refused(format!("{}: {}", trouble.reason, trouble.message))
        }
        _ => Check::UnderWay,
    }
}
