//! Performing actions: by server-side apply, as the owner of nothing but its own fields.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{Event as KubernetesEvent, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::observe::FINALIZER;
use super::{FIELD_MANAGER, ReconcileError, requests};
use crate::build::{Identity, Revision, application_objects, preflight_name, superfluous};
use crate::plan::{Action, Event, Facts, OperatorStatus};
use crate::resource::{FlinkApplication, GROUP, VERSION};

/// Writes the operator's part of the status, if it says something new.
pub(super) async fn status(
    client: &Client,
    facts: &Facts,
    status: &OperatorStatus,
) -> Result<(), ReconcileError> {
    let new = serde_json::to_value(status)?;
    let old = serde_json::to_value(&facts.status)?;
    let own = [
        "observedGeneration",
        "conditions",
        "phase",
        "currentRevision",
        "updateRevision",
        "stableRevision",
        "operation",
        "lastFailure",
    ];
    if own.iter().all(|field| old[*field] == new[*field]) {
        return Ok(());
    }
    let applications: Api<FlinkApplication> =
        Api::namespaced(client.clone(), &facts.identity.namespace);
    let patch = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": "FlinkApplication",
        "status": new,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    applications.patch_status(&facts.identity.name, &params, &Patch::Apply(patch)).await?;
    Ok(())
}

/// Performs an action. Repeating one is harmless.
pub(super) async fn perform(
    client: &Client,
    application: &FlinkApplication,
    facts: &Facts,
    action: &Action,
    now: &Time,
) -> Result<(), ReconcileError> {
    let identity = &facts.identity;
    let namespace = identity.namespace.as_str();
    let applications: Api<FlinkApplication> = Api::namespaced(client.clone(), namespace);
    match action {
        Action::AddFinalizer => finalizer(&applications, application, true).await?,
        Action::RemoveFinalizer => finalizer(&applications, application, false).await?,
        Action::DeleteResource => {
            gone(applications.delete(&identity.name, &DeleteParams::background()).await)?;
        }
        Action::ApplyApplication { leading } => {
            application_level(client, facts, leading.as_deref()).await?;
        }
        Action::StartRevision { revision, cluster_id, replicas, begin_with } => {
            let wanted =
                rendered(client, facts, revision, cluster_id, begin_with.as_deref()).await?;
            for object in wanted.objects(identity, *replicas)? {
                apply(client, namespace, object).await?;
            }
        }
        Action::StartCheck { revision, cluster_id, path } => {
            // It leaves no record: only a revision that was started has one.
            let wanted = Revision::render(identity, &facts.spec, cluster_id, None)?;
            if wanted.name == *revision {
                for object in wanted.preflight(identity, path)? {
                    apply(client, namespace, object).await?;
                }
            }
        }
        Action::EndCheck { revision } => {
            let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
            gone(pods.delete(&preflight_name(revision), &DeleteParams::default()).await)?;
        }
        Action::SetReplicas { revision, replicas } => {
            let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
            let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
            let params =
                PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
            deployments.patch(revision, &params, &patch).await?;
        }
        Action::StopRevision { revision } => {
            let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
            gone(deployments.delete(revision, &DeleteParams::background()).await)?;
        }
        Action::ForgetRevision { revision } => {
            let records: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
            gone(records.delete(revision, &DeleteParams::background()).await)?;
        }
        Action::TakeCheckpoint { .. } | Action::TakeSavepoint { .. } | Action::Rescale { .. } => {
            requests::send(client, identity, action, now).await?;
        }
        Action::Publish(event) => publish(client, identity, event, now).await?,
    }
    Ok(())
}

/// The revision as it was first rendered; rendered now if it never was. Its record becomes the
/// newest: it is the one that was started last.
async fn rendered(
    client: &Client,
    facts: &Facts,
    revision: &str,
    cluster_id: &str,
    begin_with: Option<&str>,
) -> Result<Revision, ReconcileError> {
    let identity = &facts.identity;
    let records: Api<ControllerRevision> = Api::namespaced(client.clone(), &identity.namespace);
    let newest = facts.recorded.iter().map(|record| record.number).max().unwrap_or(0);
    let before = records.get_opt(revision).await?;
    let (wanted, number) = match before.map(|record| (record.revision, record.data)) {
        Some((number, Some(data))) => (Revision::from_record(data.0)?, number),
        _ => (Revision::render(identity, &facts.spec, cluster_id, begin_with)?, 0),
    };
    if number == 0 || number < newest {
        apply(client, &identity.namespace, wanted.record(identity, newest + 1)?).await?;
    }
    Ok(wanted)
}

async fn application_level(
    client: &Client,
    facts: &Facts,
    leading: Option<&str>,
) -> Result<(), ReconcileError> {
    let identity = &facts.identity;
    let mut revisions: Vec<&str> =
        facts.deployments.iter().map(|each| each.revision.as_str()).collect();
    revisions.extend(leading.filter(|leading| !revisions.contains(leading)));
    for object in application_objects(identity, &facts.spec, leading, &revisions)? {
        apply(client, &identity.namespace, object).await?;
    }
    for (kind, name) in superfluous(identity, &facts.spec) {
        let group = match kind {
            "NetworkPolicy" => "networking.k8s.io",
            _ => "policy",
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        let objects: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), &identity.namespace, &resource);
        gone(objects.delete(&name, &DeleteParams::default()).await)?;
    }
    Ok(())
}

/// Applies an object as `build` made it.
async fn apply(client: &Client, namespace: &str, object: Value) -> Result<(), ReconcileError> {
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let types = TypeMeta { api_version: text("apiVersion"), kind: text("kind") };
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let kind = GroupVersionKind::try_from(types).map_err(|error| ReconcileError::JobManager {
        target: name.clone(),
        reason: error.to_string(),
    })?;
    let resource = ApiResource::from_gvk(&kind);
    let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    objects.patch(&name, &params, &Patch::Apply(&object)).await?;
    Ok(())
}

/// A deletion of what is gone already is none.
fn gone<T>(outcome: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match outcome {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

async fn finalizer(
    applications: &Api<FlinkApplication>,
    application: &FlinkApplication,
    wanted: bool,
) -> Result<(), ReconcileError> {
    let name = application.metadata.name.as_deref().unwrap_or_default();
    // As it is now: the status has just been written.
    let Some(application) = applications.get_opt(name).await? else { return Ok(()) };
    let mut finalizers = application.metadata.finalizers.unwrap_or_default();
    finalizers.retain(|each| each != FINALIZER);
    if wanted {
        finalizers.push(FINALIZER.to_owned());
    }
    // With the version that was read: a list that somebody else has changed isn't overwritten.
    let patch = Patch::Merge(json!({ "metadata": {
        "finalizers": finalizers,
        "resourceVersion": application.metadata.resource_version,
    }}));
    gone(applications.patch(name, &PatchParams::default(), &patch).await)?;
    Ok(())
}

/// An event has the same name whenever it is decided again: the second one is a conflict.
async fn publish(
    client: &Client,
    identity: &Identity,
    event: &Event,
    now: &Time,
) -> Result<(), ReconcileError> {
    let events: Api<KubernetesEvent> = Api::namespaced(client.clone(), &identity.namespace);
    let made: KubernetesEvent = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": event.name(&identity.name), "namespace": identity.namespace },
        "involvedObject": {
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": "FlinkApplication",
            "name": identity.name,
            "namespace": identity.namespace,
            "uid": identity.uid,
        },
        "type": if event.warning { "Warning" } else { "Normal" },
        "reason": event.reason,
        "message": event.message.chars().take(1000).collect::<String>(),
        "action": event.reason,
        "reportingComponent": FIELD_MANAGER,
        "source": { "component": FIELD_MANAGER },
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }))?;
    match events.create(&PostParams::default(), &made).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        // A namespace that is being deleted takes no events; nothing is lost with this one.
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
        other => Ok(other.map(drop)?),
    }
}
