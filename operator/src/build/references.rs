//! What a pod uses of its namespace by name: Secrets, ConfigMaps, claims, drivers of volumes, and
//! labels by which others select it.
//!
//! The Role of an application's JobManagers grants the verb `use` on what the template of its
//! TaskManagers names, and the chart's admission policy refuses pods that use anything else. The
//! policy reads the same fields: charts/thalweg-operator/templates/admissionpolicy.yaml.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, PodTemplateSpec, Volume};
use k8s_openapi::api::rbac::v1::PolicyRule;

/// The verb that is granted. No API has it: only the admission policy asks for it.
const VERB: &str = "use";
/// The most that one pod may use. Asking for each one costs the API server time, and it bounds what
/// a policy may cost.
pub const REFERENCES_MAX: usize = 20;
/// Labels that begin so are the operator's; the policy knows them.
const LABEL_PREFIXES: &[&str] = &["thalweg.dev/", "app.kubernetes.io/"];

/// A kind of what can be used, as rules name it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    ConfigMap,
    Secret,
    Claim,
    Driver,
    Label,
}

impl Kind {
    /// Its API group and resource.
    fn resource(self) -> (&'static str, &'static str) {
        match self {
            Kind::ConfigMap => ("", "configmaps"),
            Kind::Secret => ("", "secrets"),
            Kind::Claim => ("", "persistentvolumeclaims"),
            Kind::Driver => ("storage.k8s.io", "csidrivers"),
            // There is no such resource; each one's name is KEY=VALUE.
            Kind::Label => ("thalweg.dev", "podlabels"),
        }
    }
}

/// What pods use.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct References(BTreeMap<Kind, BTreeSet<String>>);

impl References {
    /// What pods of a template use.
    pub fn of(template: &PodTemplateSpec) -> References {
        let mut references = References::default();
        let labels = template.metadata.iter().flat_map(|metadata| metadata.labels.iter().flatten());
        for (key, value) in labels {
            if !LABEL_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
                references.add(Kind::Label, &format!("{key}={value}"));
            }
        }
        let Some(spec) = &template.spec else { return references };
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            references.container(container);
        }
        for secret in spec.image_pull_secrets.iter().flatten() {
            references.add(Kind::Secret, &secret.name);
        }
        for volume in spec.volumes.iter().flatten() {
            references.volume(volume);
        }
        references
    }

    /// The names of the Secrets among them.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.get(&Kind::Secret).into_iter().flatten().map(String::as_str)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Adds those of another template.
    pub fn extend(&mut self, other: References) {
        for (kind, names) in other.0 {
            self.0.entry(kind).or_default().extend(names);
        }
    }

    /// The rules that allow using them.
    pub(super) fn rules(&self) -> impl Iterator<Item = PolicyRule> + '_ {
        self.0.iter().map(|(kind, names)| {
            let (group, resource) = kind.resource();
            PolicyRule {
                api_groups: Some(vec![group.to_owned()]),
                resources: Some(vec![resource.to_owned()]),
                resource_names: Some(names.iter().cloned().collect()),
                verbs: vec![VERB.to_owned()],
                non_resource_urls: None,
            }
        })
    }

    /// A reference without a name leads nowhere; a rule without one would be about all.
    fn add(&mut self, kind: Kind, name: &str) {
        if !name.is_empty() {
            self.0.entry(kind).or_default().insert(name.to_owned());
        }
    }

    fn container(&mut self, container: &Container) {
        for source in container.env.iter().flatten().filter_map(|each| each.value_from.as_ref()) {
            if let Some(secret) = &source.secret_key_ref {
                self.add(Kind::Secret, &secret.name);
            }
            if let Some(map) = &source.config_map_key_ref {
                self.add(Kind::ConfigMap, &map.name);
            }
        }
        for source in container.env_from.iter().flatten() {
            if let Some(secret) = &source.secret_ref {
                self.add(Kind::Secret, &secret.name);
            }
            if let Some(map) = &source.config_map_ref {
                self.add(Kind::ConfigMap, &map.name);
            }
        }
    }

    fn volume(&mut self, volume: &Volume) {
        if let Some(secret) = &volume.secret {
            self.add(Kind::Secret, secret.secret_name.as_deref().unwrap_or_default());
        }
        if let Some(map) = &volume.config_map {
            self.add(Kind::ConfigMap, &map.name);
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            self.add(Kind::Claim, &claim.claim_name);
        }
        if let Some(driver) = &volume.csi {
            self.add(Kind::Driver, &driver.driver);
            if let Some(secret) = &driver.node_publish_secret_ref {
                self.add(Kind::Secret, &secret.name);
            }
        }
        let sources = volume.projected.iter().flat_map(|projected| &projected.sources).flatten();
        for source in sources {
            if let Some(secret) = &source.secret {
                self.add(Kind::Secret, &secret.name);
            }
            if let Some(map) = &source.config_map {
                self.add(Kind::ConfigMap, &map.name);
            }
        }
    }
}
