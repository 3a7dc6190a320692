//! What the watches have shown: for each application what belongs to it, reduced to what decisions
//! need. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use xxhash_rust::xxh3::xxh3_64;

use super::queue::Key;
use crate::plan::{Check, DeploymentFact, Erasure, PodFact, Recorded};
use crate::resource::FlinkApplication;

/// A resource that may be one that this operator can't read.
pub(super) type Guarded = DeserializeGuard<FlinkApplication>;

/// A kind of object that is watched. Secrets never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    FlinkApplication,
    Deployment,
    Pod,
    ControllerRevision,
    ServiceAccount,
    Role,
    RoleBinding,
    Service,
    Lease,
    ConfigMap,
    NetworkPolicy,
    PodDisruptionBudget,
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Kind; 12] = [
        Kind::FlinkApplication,
        Kind::Deployment,
        Kind::Pod,
        Kind::ControllerRevision,
        Kind::ServiceAccount,
        Kind::Role,
        Kind::RoleBinding,
        Kind::Service,
        Kind::Lease,
        Kind::ConfigMap,
        Kind::NetworkPolicy,
        Kind::PodDisruptionBudget,
    ];

    /// By its name in manifests.
    pub(super) fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.to_string() == name)
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What is kept of an object.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// The resource itself.
    Application(Arc<Guarded>),
    /// A Deployment of JobManagers.
    Deployment(DeploymentFact),
    /// A pod of either role.
    Pod(PodFact),
    /// A pod that checks a revision.
    Check(String, Check),
    /// The pod that deletes the state.
    Erasure(Erasure),
    /// A revision on record, and the uids of whom it belongs to.
    Record(Box<Recorded>, Vec<String>),
    /// Only that it is there.
    Object,
}

/// An object that was seen.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Whose it is.
    pub(super) key: Key,
    /// Its name.
    pub(super) name: String,
    /// What is kept of it.
    pub(super) seen: Seen,
    /// Another one when something has changed that decisions depend on, or a part of the object
    /// that the operator applies.
    pub(super) fingerprint: u64,
}

/// Where a change comes from: a kind, and the namespace that is watched if it is one.
pub(super) type Source = (Kind, Option<String>);

/// A change that a watch has shown.
#[derive(Debug)]
pub(super) enum Change {
    /// All objects are listed anew.
    Begin,
    /// One of these.
    Listed(Item),
    /// These were all.
    Complete,
    /// An object is new or has changed.
    Set(Item),
    /// An object is gone.
    Gone(Item),
}

/// What belongs to one application, by kind and name.
pub(super) type Items = BTreeMap<(Kind, String), Item>;

/// Everything that was seen.
#[derive(Debug)]
pub(super) struct Cache {
    applications: BTreeMap<Key, Items>,
    listing: BTreeMap<Source, Vec<Item>>,
    missing: BTreeSet<Source>,
}

impl Cache {
    /// Nothing was seen yet of these namespaces; none: all.
    pub(super) fn new(namespaces: &[String]) -> Cache {
        let scopes: Vec<Option<String>> = match namespaces {
            [] => vec![None],
            some => some.iter().cloned().map(Some).collect(),
        };
        let sources = Kind::ALL
            .into_iter()
            .flat_map(|kind| scopes.iter().map(move |scope| (kind, scope.clone())));
        Cache {
            applications: BTreeMap::new(),
            listing: BTreeMap::new(),
            missing: sources.collect(),
        }
    }

    /// What is watched and wasn't read yet.
    pub(super) fn missing(&self) -> &BTreeSet<Source> {
        &self.missing
    }

    /// The applications that there are.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.applications().map(|(key, _)| key)
    }

    /// The applications that there are, and their resources.
    pub(super) fn applications(&self) -> impl Iterator<Item = (&Key, &Arc<Guarded>)> {
        self.applications.iter().filter_map(|(key, items)| Some((key, resource(key, items)?)))
    }

    /// What belongs to an application; none if its resource isn't there.
    pub(super) fn items(&self, key: &Key) -> Option<&Items> {
        self.applications.get(key).filter(|items| resource(key, items).is_some())
    }

    /// Takes a change in; the applications that it makes a difference to.
    pub(super) fn change(&mut self, source: Source, change: Change) -> BTreeSet<Key> {
        let kind = source.0;
        match change {
            Change::Begin => drop(self.listing.insert(source, Vec::new())),
            Change::Listed(item) => self.listing.entry(source).or_default().push(item),
            Change::Complete => return self.replace(source),
            Change::Set(item) => return self.set(kind, item).into_iter().collect(),
            Change::Gone(item) => {
                return self.remove(&item.key, &(kind, item.name)).into_iter().collect();
            }
        }
        BTreeSet::new()
    }

    fn replace(&mut self, source: Source) -> BTreeSet<Key> {
        let (kind, scope) = &source;
        let listed = self.listing.remove(&source).unwrap_or_default();
        let there: BTreeSet<(&Key, &str)> =
            listed.iter().map(|item| (&item.key, item.name.as_str())).collect();
        let mut old = Vec::new();
        for (key, items) in &self.applications {
            if scope.as_ref().is_some_and(|scope| *scope != key.namespace) {
                continue;
            }
            let of_kind = items.keys().filter(|(each, _)| each == kind);
            let gone = of_kind.filter(|(_, name)| !there.contains(&(key, name.as_str())));
            old.extend(gone.map(|name| (key.clone(), name.clone())));
        }
        let mut touched: BTreeSet<Key> =
            old.into_iter().filter_map(|(key, name)| self.remove(&key, &name)).collect();
        touched.extend(listed.into_iter().filter_map(|item| self.set(*kind, item)));
        self.missing.remove(&source);
        touched
    }

    fn set(&mut self, kind: Kind, item: Item) -> Option<Key> {
        let key = item.key.clone();
        let items = self.applications.entry(key.clone()).or_default();
        let fingerprint = item.fingerprint;
        let before = items.insert((kind, item.name.clone()), item);
        (before.map(|before| before.fingerprint) != Some(fingerprint)).then_some(key)
    }

    fn remove(&mut self, key: &Key, name: &(Kind, String)) -> Option<Key> {
        let items = self.applications.get_mut(key)?;
        let removed = items.remove(name).map(|_| key.clone());
        if items.is_empty() {
            self.applications.remove(key);
        }
        removed
    }
}

fn resource<'a>(key: &Key, items: &'a Items) -> Option<&'a Arc<Guarded>> {
    match &items.get(&(Kind::FlinkApplication, key.name.clone()))?.seen {
        Seen::Application(resource) => Some(resource),
        _ => None,
    }
}

/// What tells whether somebody has changed a part of an object that the operator applies, without
/// what changes by itself: a status, or the holder of a Lease.
pub(super) fn fingerprint(kind: Option<Kind>, metadata: &ObjectMeta) -> u64 {
    let generation = metadata.generation.filter(|generation| *generation > 0);
    let own = (&metadata.uid, &metadata.labels, metadata.deletion_timestamp.is_some());
    let owners: Vec<&str> =
        metadata.owner_references.iter().flatten().map(|owner| owner.uid.as_str()).collect();
    let version = match (kind, generation) {
        // Its holder writes it every few seconds; the annotation is the operator's part of it.
        (Some(Kind::Lease), _) => format!("{:?}", metadata.annotations),
        (_, Some(generation)) => generation.to_string(),
        (_, None) => format!("{:?}", metadata.resource_version),
    };
    xxh3_64(format!("{own:?} {owners:?} {version}").as_bytes())
}
