//! The watches: one for each kind and namespace, shared by all applications. They only pass on what
//! they see.

use std::fmt::Debug;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinSet;

use super::cache::{Change, Item, Kind, Source};
use super::observe;
use crate::build::APPLICATION_LABEL;

/// Starts all watches. They end with the set, or when nobody listens any more.
pub(super) fn start(
    client: &Client,
    namespaces: &[String],
    to: &Sender<(Source, Change)>,
) -> JoinSet<()> {
    let mut watches = JoinSet::new();
    let scopes: Vec<Option<String>> = match namespaces {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    for scope in scopes {
        let mut all = Watches { client, scope, to, watches: &mut watches };
        all.full(Kind::FlinkApplication, Config::default(), observe::resource);
        let labelled = || Config::default().labels(APPLICATION_LABEL);
        all.full(Kind::Deployment, labelled(), observe::deployment);
        all.full(Kind::Pod, labelled(), observe::pod);
        all.full(Kind::ControllerRevision, labelled(), observe::record);
        all.metadata::<ServiceAccount>(Kind::ServiceAccount);
        all.metadata::<Role>(Kind::Role);
        all.metadata::<RoleBinding>(Kind::RoleBinding);
        all.metadata::<Service>(Kind::Service);
        all.metadata::<Lease>(Kind::Lease);
        all.metadata::<ConfigMap>(Kind::ConfigMap);
        all.metadata::<NetworkPolicy>(Kind::NetworkPolicy);
        all.metadata::<PodDisruptionBudget>(Kind::PodDisruptionBudget);
    }
    watches
}

struct Watches<'a> {
    client: &'a Client,
    scope: Option<String>,
    to: &'a Sender<(Source, Change)>,
    watches: &'a mut JoinSet<()>,
}

impl Watches<'_> {
    fn full<K>(
        &mut self,
        kind: Kind,
        config: Config,
        item: impl Fn(K) -> Option<Item> + Send + 'static,
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let objects: Api<K> = match &self.scope {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let source = (kind, self.scope.clone());
        self.watches.spawn(pass_on(objects, config, source, item, self.to.clone()));
    }

    fn metadata<K>(&mut self, kind: Kind)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let config = Config::default().labels(APPLICATION_LABEL);
        self.full(kind, config, move |object: PartialObjectMeta<K>| {
            observe::metadata(kind, &object)
        });
    }
}

async fn pass_on<K>(
    objects: Api<K>,
    config: Config,
    source: Source,
    item: impl Fn(K) -> Option<Item>,
    to: Sender<(Source, Change)>,
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let events = watcher(objects, config).default_backoff();
    futures::pin_mut!(events);
    while let Some(event) = events.next().await {
        let change = match event {
            Ok(Event::Init) => Some(Change::Begin),
            Ok(Event::InitApply(object)) => item(object).map(Change::Listed),
            Ok(Event::InitDone) => Some(Change::Complete),
            Ok(Event::Apply(object)) => item(object).map(Change::Set),
            Ok(Event::Delete(object)) => item(object).map(Change::Gone),
            Err(error) => {
                tracing::warn!(kind = %source.0, %error, "a watch has failed, it is tried again");
                None
            }
        };
        let Some(change) = change else { continue };
        if to.send((source.clone(), change)).await.is_err() {
            return;
        }
    }
}
