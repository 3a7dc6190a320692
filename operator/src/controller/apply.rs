//! Performing actions: by server-side apply, as the owner of nothing but its own fields.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Event as KubernetesEvent, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::cache::{Items, Kind, fingerprint};
use super::memory::{Memory, Need};
use super::observe::FINALIZER;
use super::{FIELD_MANAGER, ReconcileError, outstanding, requests};
use crate::build::{IMAGE_ANNOTATION, Identity, Revision, Turn, preflight_name, superfluous};
use crate::plan::{Action, Event, Facts, OperatorStatus};
use crate::resource::{FlinkApplication, FlinkApplicationSpec, GROUP, VERSION};

/// Writes the operator's part of the status, if it says something new.
pub(super) async fn status(
    client: &Client,
    facts: &Facts,
    status: &OperatorStatus,
) -> Result<(), ReconcileError> {
    if !outstanding::is_news(facts, status)? {
        return Ok(());
    }
    let new = serde_json::to_value(status)?;
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

/// What performing needs to know.
pub(super) struct Performer<'a> {
    pub(super) client: &'a Client,
    pub(super) application: &'a FlinkApplication,
    pub(super) facts: &'a Facts,
    /// The spec that is acted upon.
    pub(super) spec: &'a FlinkApplicationSpec,
    pub(super) items: &'a Items,
    pub(super) now: &'a Time,
    /// The process's own clock.
    pub(super) elapsed: Duration,
}

impl Performer<'_> {
    /// Performs an action, as far as it isn't known to be done. Repeating one is harmless.
    pub(super) async fn perform(
        &self,
        action: &Action,
        memory: &mut Memory,
    ) -> Result<(), ReconcileError> {
        let Performer { client, facts, .. } = *self;
        let identity = &facts.identity;
        let namespace = identity.namespace.as_str();
        let applications: Api<FlinkApplication> = Api::namespaced(client.clone(), namespace);
        match action {
            Action::AddFinalizer => finalizer(&applications, self.application, true).await?,
            Action::RemoveFinalizer => finalizer(&applications, self.application, false).await?,
            Action::DeleteResource => {
                gone(applications.delete(&identity.name, &DeleteParams::background()).await)?;
            }
            Action::ApplyApplication { leading, preparing } => {
                let turn = Turn { leading: leading.as_deref(), preparing: preparing.as_deref() };
                self.application_level(turn, memory).await?;
            }
            Action::PrepareRevision { .. } | Action::StartRevision { .. } => {
                self.bring(action, memory).await?;
            }
            Action::KeepRevision { revision, replicas } => {
                self.keep_revision(revision, *replicas, memory).await?;
            }
            Action::StartCheck { revision, cluster_id, path } => {
                self.start_check(revision, cluster_id, path).await?;
            }
            Action::StartErasure { revision, places, successor, seconds } => {
                let erasure = (places.as_slice(), successor.as_str(), *seconds);
                self.start_erasure(revision, erasure).await?;
            }
            Action::EndErasure => {
                let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
                let name = self.facts.identity.erasure();
                gone(pods.delete(&name, &DeleteParams::default()).await)?;
            }
            Action::EndCheck { revision } => self.end_check(revision).await?,
            Action::SetReplicas { revision, replicas } => {
                let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
                let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
                let params =
                    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
                deployments.patch(revision, &params, &patch).await?;
            }
            Action::RecordImage { revision, image } => {
                let records: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
                let annotations = json!({ IMAGE_ANNOTATION: image });
                let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
                gone(records.patch(revision, &PatchParams::default(), &patch).await)?;
            }
            Action::StopRevision { revision } => {
                let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
                gone(deployments.delete(revision, &DeleteParams::background()).await)?;
                memory.deleted(("Deployment", revision));
            }
            Action::ForgetRevision { revision } => self.forget(revision, memory).await?,
            Action::TakeCheckpoint { .. }
            | Action::TakeSavepoint { .. }
            | Action::StopWithSavepoint { .. }
            | Action::Rescale { .. } => self.request(action, memory).await?,
            Action::Publish(event) => self.publish(event, memory).await?,
        }
        Ok(())
    }

    async fn end_check(&self, revision: &str) -> Result<(), ReconcileError> {
        let (name, namespace) = (preflight_name(revision), &self.facts.identity.namespace);
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        gone(maps.delete(&name, &DeleteParams::default()).await)?;
        // The last, as its check is ended again for as long as it is there.
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        gone(pods.delete(&name, &DeleteParams::default()).await)?;
        Ok(())
    }

    async fn forget(&self, revision: &str, memory: &mut Memory) -> Result<(), ReconcileError> {
        let namespace = &self.facts.identity.namespace;
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        gone(maps.delete(revision, &DeleteParams::background()).await)?;
        // The last: without a record nobody knows of the ConfigMap.
        let records: Api<ControllerRevision> = Api::namespaced(self.client.clone(), namespace);
        gone(records.delete(revision, &DeleteParams::background()).await)?;
        memory.deleted(("ConfigMap", revision));
        Ok(())
    }

    /// A revision that was started is checked as it was recorded; one that wasn't leaves no record.
    async fn start_check(
        &self,
        revision: &str,
        cluster_id: &str,
        path: &str,
    ) -> Result<(), ReconcileError> {
        let Performer { client, facts, .. } = *self;
        let identity = &facts.identity;
        let records: Api<ControllerRevision> = Api::namespaced(client.clone(), &identity.namespace);
        let recorded = records.get_opt(revision).await?.and_then(|record| record.data);
        let checked = match recorded {
            Some(data) => Revision::from_record(data.0)?,
            None => Revision::render(identity, &facts.spec, cluster_id, None)?,
        };
        if checked.name == *revision {
            for object in checked.preflight(identity, path)? {
                apply(client, &identity.namespace, &object).await?;
            }
        }
        Ok(())
    }

    /// With the image and settings of a revision as it was recorded.
    async fn start_erasure(
        &self,
        revision: &str,
        (places, successor, seconds): (&[String], &str, i64),
    ) -> Result<(), ReconcileError> {
        let Performer { client, facts, .. } = *self;
        let identity = &facts.identity;
        let records: Api<ControllerRevision> = Api::namespaced(client.clone(), &identity.namespace);
        let recorded = records.get_opt(revision).await?.and_then(|record| record.data);
        let Some(data) = recorded else {
            return Err(ReconcileError::NoRecord { revision: revision.to_owned() });
        };
        let recorded = Revision::from_record(data.0)?;
        for object in recorded.erasure(identity, places, successor, seconds)? {
            apply(client, &identity.namespace, &object).await?;
        }
        Ok(())
    }

    /// Records a revision that is to be started, or got ready, and applies it.
    async fn bring(&self, action: &Action, memory: &mut Memory) -> Result<(), ReconcileError> {
        let (Action::PrepareRevision { revision, cluster_id, replicas, begin_with }
        | Action::StartRevision { revision, cluster_id, replicas, begin_with }) = action
        else {
            return Ok(());
        };
        let counts = match action {
            Action::StartRevision { .. } => Counts::AsLatest,
            _ => Counts::No,
        };
        let rendering = (revision.as_str(), cluster_id.as_str(), begin_with.as_deref());
        let wanted = rendered(self.client, self.facts, rendering, counts).await?;
        self.revision(&wanted, *replicas, memory).await
    }

    async fn request(&self, action: &Action, memory: &mut Memory) -> Result<(), ReconcileError> {
        let request = outstanding::request(action);
        if memory.needs_request(&request, self.elapsed) == Need::Now {
            let sent = requests::send(self.client, &self.facts.identity, action, self.now);
            let failed = sent.await?;
            memory.sent(request, self.elapsed);
            if let Some(event) = failed.and_then(|reason| failure(action, &reason)) {
                self.publish(&event, memory).await?;
            }
        }
        Ok(())
    }

    async fn publish(&self, event: &Event, memory: &mut Memory) -> Result<(), ReconcileError> {
        let identity = &self.facts.identity;
        let name = event.name(identity);
        if !memory.is_published(&name) {
            publish(self.client, identity, event, self.now).await?;
            memory.published(name);
        }
        Ok(())
    }

    async fn application_level(
        &self,
        turn: Turn<'_>,
        memory: &mut Memory,
    ) -> Result<(), ReconcileError> {
        let Performer { client, facts, .. } = *self;
        let namespace = facts.identity.namespace.as_str();
        for object in outstanding::application_objects(facts, self.spec, turn)? {
            self.apply_if_needed(&object, memory).await?;
        }
        for (kind, name) in superfluous(&facts.identity, self.spec) {
            if !outstanding::is_there(self.items, kind, &name) {
                continue;
            }
            let group = match kind {
                "NetworkPolicy" => "networking.k8s.io",
                _ => "policy",
            };
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
            let objects: Api<DynamicObject> =
                Api::namespaced_with(client.clone(), namespace, &resource);
            gone(objects.delete(&name, &DeleteParams::default()).await)?;
            memory.deleted((kind, &name));
        }
        Ok(())
    }

    async fn apply_if_needed(
        &self,
        object: &Value,
        memory: &mut Memory,
    ) -> Result<(), ReconcileError> {
        let content = outstanding::content(object);
        let (kind, name) = outstanding::kind_and_name(object);
        let (watched, before) = outstanding::seen(self.items, kind, name);
        if memory.needs((kind, name), content, (watched, before), self.elapsed) == Need::Now {
            let after = apply(self.client, &self.facts.identity.namespace, object).await?;
            memory.applied((kind, name), content, (before, after), self.elapsed);
        }
        Ok(())
    }

    /// Applies what a revision consists of, and remembers that.
    async fn revision(
        &self,
        revision: &Revision,
        replicas: i32,
        memory: &mut Memory,
    ) -> Result<(), ReconcileError> {
        let identity = &self.facts.identity;
        let content = outstanding::revision_content(&revision.name, replicas);
        for object in revision.objects(identity, replicas)? {
            let (kind, name) = outstanding::kind_and_name(&object);
            let (_, before) = outstanding::seen(self.items, kind, name);
            let after = apply(self.client, &identity.namespace, &object).await?;
            memory.applied((kind, name), content, (before, after), self.elapsed);
        }
        Ok(())
    }

    /// Mends a revision's objects that somebody has changed or deleted: as they were rendered, so
    /// that this touches no pod of one that is as it should be.
    async fn keep_revision(
        &self,
        revision: &str,
        replicas: i32,
        memory: &mut Memory,
    ) -> Result<(), ReconcileError> {
        let need =
            outstanding::need_of_revision(self.items, revision, replicas, memory, self.elapsed);
        if need != Need::Now {
            return Ok(());
        }
        let namespace = &self.facts.identity.namespace;
        let records: Api<ControllerRevision> = Api::namespaced(self.client.clone(), namespace);
        let data = records.get_opt(revision).await?.and_then(|record| record.data);
        let Some(data) = data else {
            return Err(ReconcileError::NoRecord { revision: revision.to_owned() });
        };
        self.revision(&Revision::from_record(data.0)?, replicas, memory).await
    }
}

/// Whether a revision becomes the one that was started last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    No,
    AsLatest,
}

/// The revision as it was first rendered; rendered now if it never was: its name, the identity of
/// its state, what it begins with. If it counts, its record becomes the newest.
async fn rendered(
    client: &Client,
    facts: &Facts,
    (revision, cluster_id, begin_with): (&str, &str, Option<&str>),
    counts: Counts,
) -> Result<Revision, ReconcileError> {
    let identity = &facts.identity;
    let records: Api<ControllerRevision> = Api::namespaced(client.clone(), &identity.namespace);
    let newest = facts.recorded.iter().map(|record| record.number).max().unwrap_or(0);
    let before = records.get_opt(revision).await?;
    let (wanted, number) = match before.map(|record| (record.revision, record.data)) {
        Some((number, Some(data))) => (Revision::from_record(data.0)?, Some(number)),
        _ => (Revision::render(identity, &facts.spec, cluster_id, begin_with)?, None),
    };
    let number = match (counts, number) {
        (Counts::No, None) => 0,
        (Counts::AsLatest, number)
            if number.is_none_or(|number| number == 0 || number < newest) =>
        {
            newest + 1
        }
        _ => return Ok(wanted),
    };
    apply(client, &identity.namespace, &wanted.record(identity, number)?).await?;
    Ok(wanted)
}

/// Applies an object as `build` made it; its fingerprint then.
async fn apply(client: &Client, namespace: &str, object: &Value) -> Result<u64, ReconcileError> {
    let (kind, name) = outstanding::kind_and_name(object);
    let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
    let types = TypeMeta { api_version, kind: kind.to_owned() };
    let gvk = GroupVersionKind::try_from(types).map_err(|error| ReconcileError::NoKind {
        name: name.to_owned(),
        reason: error.to_string(),
    })?;
    let resource = ApiResource::from_gvk(&gvk);
    let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = objects.patch(name, &params, &Patch::Apply(object)).await?;
    Ok(fingerprint(Kind::named(kind), &applied.metadata))
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

/// What to tell of a request that has come to nothing, once for each token.
fn failure(action: &Action, reason: &str) -> Option<Event> {
    let (event, what, token) = match action {
        Action::TakeSavepoint { token, .. } => ("SavepointError", "savepoint", token),
        Action::StopWithSavepoint { token, .. } => {
            ("SavepointError", "stop with the savepoint", token)
        }
        Action::TakeCheckpoint { token, .. } => ("CheckpointError", "checkpoint", token),
        _ => return None,
    };
    let message = format!("the {what} {token} has failed and isn't tried again: {reason}");
    Some(Event { reason: event, warning: true, message, key: token.clone() })
}

/// An event has the same name whenever it is decided again: the second one is a conflict.
pub(super) async fn publish(
    client: &Client,
    identity: &Identity,
    event: &Event,
    now: &Time,
) -> Result<(), ReconcileError> {
    let events: Api<KubernetesEvent> = Api::namespaced(client.clone(), &identity.namespace);
    let made: KubernetesEvent = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "name": event.name(identity), "namespace": identity.namespace },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_savepoint_or_checkpoint_that_fails_is_told_of_whatever_it_was_asked_for() {
        let job = "j".to_owned();
        let (token, location) = ("t-1".to_owned(), "s3://b/p".to_owned());
        let take = Action::TakeSavepoint {
            job: job.clone(),
            token: token.clone(),
            location: location.clone(),
        };
        let checkpoint = Action::TakeCheckpoint { job: job.clone(), token: token.clone() };
        let stop = Action::StopWithSavepoint { job, token, location };
        for (action, expected) in
            [(take, "SavepointError"), (stop, "SavepointError"), (checkpoint, "CheckpointError")]
        {
            let event = failure(&action, "no access").expect("it is told");
            assert_eq!((event.reason, event.warning), (expected, true));
            assert!(event.message.contains("t-1") && event.message.contains("no access"));
        }
    }
}
