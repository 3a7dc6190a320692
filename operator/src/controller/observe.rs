//! From the API server's objects to facts. The same conversion for what the watches show and for
//! what is read at once before something is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource, ResourceExt};
use xxhash_rust::xxh3::xxh3_64;

use super::ReconcileError;
use super::cache::{Guarded, Item, Items, Kind, Seen, fingerprint};
use super::pods::trouble;
use super::queue::Key;
use crate::build::{
    self, APPLICATION_LABEL, ERASURE, IMAGE_ANNOTATION, Identity, PREFLIGHT, REVISION_LABEL,
    SAVEPOINT_ANNOTATION,
};
use crate::plan::{Check, DeploymentFact, Erasure, Facts, PodFact, Recorded, wanted_revision};
use crate::pod_template::Role;
use crate::resource::{FlinkApplication, FlinkApplicationSpec};
use crate::validate::{own_secrets, problems};

/// By which the operator holds up a resource's deletion.
pub(super) const FINALIZER: &str = "thalweg.dev/cleanup";
/// The longest name of an image that is recorded.
const IMAGE_LENGTH_MAX: usize = 1024;
/// The longest token of a savepoint.
const TOKEN_LENGTH_MAX: usize = 253;

/// Reads at once what an application consists of, past the watches, which may lag behind; none if
/// the resource is gone. Kinds that decisions don't depend on stay as they were seen.
pub(super) async fn read(
    client: &Client,
    key: &Key,
    seen: &Items,
) -> Result<Option<(FlinkApplication, Items)>, ReconcileError> {
    let namespace = key.namespace.as_str();
    let applications: Api<FlinkApplication> = Api::namespaced(client.clone(), namespace);
    let Some(application) = applications.get_opt(&key.name).await? else { return Ok(None) };
    let mut items = seen.clone();
    items.retain(|(kind, _), _| {
        !matches!(kind, Kind::Deployment | Kind::Pod | Kind::ControllerRevision)
    });
    let deployments = list(client, key, deployment).await?;
    let pods = list(client, key, pod).await?;
    let records = list(client, key, record).await?;
    for (kind, found) in
        [(Kind::Deployment, deployments), (Kind::Pod, pods), (Kind::ControllerRevision, records)]
    {
        items.extend(found.into_iter().map(|item| ((kind, item.name.clone()), item)));
    }
    Ok(Some((application, items)))
}

async fn list<K>(
    client: &Client,
    key: &Key,
    item: fn(K) -> Option<Item>,
) -> Result<Vec<Item>, kube::Error>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let objects: Api<K> = Api::namespaced(client.clone(), &key.namespace);
    let of_application = ListParams::default().labels(&format!("{APPLICATION_LABEL}={}", key.name));
    Ok(objects.list(&of_application).await?.items.into_iter().filter_map(item).collect())
}

/// The facts of an application.
pub(super) fn facts(
    application: &FlinkApplication,
    items: &Items,
) -> Result<Facts, ReconcileError> {
    let identity = Identity::of(application).ok_or(ReconcileError::NoIdentity)?;
    let mut problems = problems(&application.spec);
    problems.extend(own_secrets(&identity, &application.spec));
    let metadata = &application.metadata;
    let annotations = metadata.annotations.as_ref();
    let token = annotations.and_then(|annotations| annotations.get(SAVEPOINT_ANNOTATION));
    let mut facts = Facts {
        generation: metadata.generation.unwrap_or(0),
        spec: application.spec.clone(),
        status: application.status.clone().unwrap_or_default(),
        deleting_since: metadata.deletion_timestamp.clone(),
        has_finalizer: application.finalizers().iter().any(|each| each == FINALIZER),
        savepoint_token: token
            .filter(|token| !token.is_empty() && token.len() <= TOKEN_LENGTH_MAX)
            .cloned(),
        problems,
        wanted: String::new(),
        version: env!("CARGO_PKG_VERSION"),
        known_epoch: None,
        refused: None,
        recorded: Vec::new(),
        deployments: Vec::new(),
        pods: Vec::new(),
        checks: Vec::new(),
        erasure: None,
        identity,
    };
    for item in items.values() {
        match &item.seen {
            Seen::Deployment(deployment) => facts.deployments.push(deployment.clone()),
            Seen::Pod(pod) => facts.pods.push(pod.clone()),
            Seen::Check(revision, check) => facts.checks.push((revision.clone(), check.clone())),
            Seen::Erasure(erasure) => facts.erasure = Some(erasure.clone()),
            // A record of ours: of this resource, not of an earlier one of its name.
            Seen::Record(record, owners) if owners.contains(&facts.identity.uid) => {
                facts.recorded.push((**record).clone());
            }
            Seen::Record(..) | Seen::Application(_) | Seen::Object => {}
        }
    }
    let Facts { identity, generation, spec, recorded, status, .. } = &facts;
    facts.wanted = wanted_revision(&identity.name, (*generation, spec), recorded, status)?;
    Ok(facts)
}

/// Whose an object is, by its label.
fn key_of(object: &impl ResourceExt) -> Option<Key> {
    let name = object.labels().get(APPLICATION_LABEL)?.clone();
    Some(Key { namespace: object.namespace()?, name })
}

fn hashed(parts: impl std::fmt::Debug) -> u64 {
    xxh3_64(format!("{parts:?}").as_bytes())
}

/// A resource, without what only the API server needs.
pub(super) fn resource(mut guarded: Guarded) -> Option<Item> {
    guarded.managed_fields_mut().clear();
    let (namespace, name) = (guarded.namespace()?, guarded.name_any());
    let metadata = guarded.meta();
    let status = match &guarded.0 {
        Ok(application) => serde_json::to_string(&application.status).unwrap_or_default(),
        Err(invalid) => invalid.error.clone(),
    };
    let going = metadata.deletion_timestamp.is_some();
    let known = (&metadata.uid, metadata.generation, going, &metadata.finalizers);
    let fingerprint = hashed((known, &metadata.annotations, status));
    let key = Key { namespace, name: name.clone() };
    Some(Item { key, name, seen: Seen::Application(Arc::new(guarded)), fingerprint })
}

pub(super) fn deployment(deployment: Deployment) -> Option<Item> {
    let fact = DeploymentFact {
        revision: deployment.name_any(),
        replicas: deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1),
        deleting: deployment.metadata.deletion_timestamp.is_some(),
    };
    let fingerprint = fingerprint(Some(Kind::Deployment), &deployment.metadata);
    let key = key_of(&deployment)?;
    Some(Item { key, name: fact.revision.clone(), seen: Seen::Deployment(fact), fingerprint })
}

pub(super) fn pod(pod: Pod) -> Option<Item> {
    let component = pod.labels().get("app.kubernetes.io/component");
    let name = pod.name_any();
    let revision = pod.labels().get(REVISION_LABEL).cloned().unwrap_or_default();
    let (key, uid) = (key_of(&pod)?, pod.uid());
    if component.is_some_and(|component| component == PREFLIGHT) {
        let check = check(&pod);
        let fingerprint = hashed((uid, &revision, &check));
        return Some(Item { key, name, seen: Seen::Check(revision, check), fingerprint });
    }
    if component.is_some_and(|component| component == ERASURE) {
        let trouble = trouble(&pod);
        let fact = PodFact { name: name.clone(), revision, trouble, ..PodFact::default() };
        let made_at = pod.metadata.creation_timestamp.clone();
        let erasure = Erasure { check: check(&pod), made_at, pod: fact };
        let fingerprint = hashed((uid, &erasure));
        return Some(Item { key, name, seen: Seen::Erasure(erasure), fingerprint });
    }
    // One that is told to end has no trouble when it does.
    let goes = pod.metadata.deletion_timestamp.is_some();
    let trouble = if goes { None } else { trouble(&pod) };
    let role = [Role::JobManager, Role::TaskManager]
        .into_iter()
        .find(|role| component.is_some_and(|component| component == role.as_str()));
    let image = role.and_then(|role| image(&pod, role));
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let mut conditions = conditions.into_iter().flatten();
    let ready = conditions.any(|each| each.type_ == "Ready" && each.status == "True") && !goes;
    let fact = PodFact { name: name.clone(), revision, role, image, trouble, ready };
    let fingerprint = hashed((uid, &fact));
    Some(Item { key, name, seen: Seen::Pod(fact), fingerprint })
}

/// The image that a pod's main container runs, by its digest.
fn image(pod: &Pod, role: Role) -> Option<String> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let main = statuses.iter().find(|status| status.name == role.as_str())?;
    let image = Some(&main.image_id).filter(|id| !id.is_empty() && id.len() <= IMAGE_LENGTH_MAX);
    image.filter(|_| main.state.as_ref().is_some_and(|state| state.running.is_some())).cloned()
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

/// What decisions need of a record: the rendered templates aren't kept.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordHead {
    name: String,
    spec: FlinkApplicationSpec,
    cluster_id: String,
    /// Read for what TaskManagers use, then dropped.
    files: BTreeMap<String, String>,
}

pub(super) fn record(record: ControllerRevision) -> Option<Item> {
    let (key, number) = (key_of(&record)?, record.revision);
    let owners = record.owner_references().iter().map(|owner| owner.uid.clone()).collect();
    let fingerprint = fingerprint(Some(Kind::ControllerRevision), &record.metadata);
    let image_digest = record.annotations().get(IMAGE_ANNOTATION).cloned();
    let head = serde_json::from_value(record.data?.0).ok()?;
    let RecordHead { name, spec, cluster_id, files } = head;
    let begin_with = build::begins_with(&files);
    // Without them its TaskManagers are refused with a message that says so.
    let references = build::references(&files).unwrap_or_default();
    let recorded = Recorded {
        name: name.clone(),
        number,
        cluster_id,
        begin_with,
        spec,
        references,
        image_digest,
    };
    Some(Item { key, name, seen: Seen::Record(Box::new(recorded), owners), fingerprint })
}

/// An object of which only the metadata are read.
pub(super) fn metadata<K>(kind: Kind, object: &PartialObjectMeta<K>) -> Option<Item> {
    let labels = object.metadata.labels.as_ref()?;
    let (name, namespace) = (object.metadata.name.clone()?, object.metadata.namespace.clone()?);
    let key = Key { namespace, name: labels.get(APPLICATION_LABEL)?.clone() };
    let fingerprint = fingerprint(Some(kind), &object.metadata);
    Some(Item { key, name, seen: Seen::Object, fingerprint })
}
