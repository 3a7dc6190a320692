//! Names, labels and owner of what is made for an application.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use thalweg_tls::CertificateIdentity;

use crate::pod_template::Role;
use crate::resource::{FlinkApplication, GROUP, VERSION};

/// The label with the application's name.
pub const APPLICATION_LABEL: &str = "thalweg.dev/application";
/// The label with the revision's name.
pub const REVISION_LABEL: &str = "thalweg.dev/revision";
/// On the Lease: the revision whose JobManagers may lead.
pub const REVISION_ANNOTATION: &str = "thalweg.dev/revision";
/// On the Lease: the revision whose JobManager gets its TaskManagers ready meanwhile.
pub const PREPARING_ANNOTATION: &str = "thalweg.dev/preparing-revision";
/// On a record of a revision, whose data can't be changed: the image that ran, by its digest.
pub const IMAGE_ANNOTATION: &str = "thalweg.dev/image";
/// On the resource: a token by which a savepoint is asked for.
pub const SAVEPOINT_ANNOTATION: &str = "thalweg.dev/savepoint";

/// Which application something belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Its namespace.
    pub namespace: String,
    /// Its name, at most 45 characters.
    pub name: String,
    /// What tells it from an earlier one of the same name.
    pub uid: String,
}

impl Identity {
    /// Whose resource this is; none if it was never stored.
    pub fn of(application: &FlinkApplication) -> Option<Identity> {
        Some(Identity {
            namespace: application.metadata.namespace.clone()?,
            name: application.metadata.name.clone()?,
            uid: application.metadata.uid.clone()?,
        })
    }

    /// The name of what JobManagers have: account, role, headless Service, policy, budget.
    pub fn job_managers(&self) -> String {
        format!("{}-jobmanager", self.name)
    }

    /// The name of what TaskManagers have: account, policy.
    pub fn task_managers(&self) -> String {
        format!("{}-taskmanager", self.name)
    }

    /// The name of the Service with the REST endpoint and web pages.
    pub fn rest(&self) -> String {
        format!("{}-rest", self.name)
    }

    /// The name of the Secret with the application's CA, which no pod mounts.
    pub fn authorities(&self) -> String {
        format!("{}-ca", self.name)
    }

    /// The name of the Secret with a role's certificate.
    pub fn leaf(&self, role: thalweg_tls::Role) -> String {
        format!("{}-{role}-tls", self.name)
    }

    /// Who a process of the application is in its certificate.
    pub fn certificate(&self, role: thalweg_tls::Role) -> CertificateIdentity {
        let (namespace, application_uid) = (self.namespace.clone(), self.uid.clone());
        CertificateIdentity { namespace, application_uid, role }
    }

    /// The labels of everything that belongs to the application.
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (APPLICATION_LABEL.to_owned(), self.name.clone()),
            ("app.kubernetes.io/name".to_owned(), "thalweg".to_owned()),
            ("app.kubernetes.io/instance".to_owned(), self.name.clone()),
            ("app.kubernetes.io/managed-by".to_owned(), "thalweg-operator".to_owned()),
        ])
    }

    /// The labels that select the pods of a role.
    pub fn selector(&self, role: Role) -> BTreeMap<String, String> {
        BTreeMap::from([
            (APPLICATION_LABEL.to_owned(), self.name.clone()),
            ("app.kubernetes.io/component".to_owned(), role.as_str().to_owned()),
        ])
    }

    /// The pods of a role.
    pub fn label_selector(&self, role: Role) -> LabelSelector {
        LabelSelector { match_labels: Some(self.selector(role)), ..Default::default() }
    }

    /// The labels of a pod of a revision.
    pub fn pod_labels(&self, role: Role, revision: &str) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.extend(self.selector(role));
        labels.insert(REVISION_LABEL.to_owned(), revision.to_owned());
        labels
    }

    /// The metadata of an object that goes with the resource.
    pub fn metadata(&self, name: String) -> ObjectMeta {
        ObjectMeta {
            namespace: Some(self.namespace.clone()),
            name: Some(name),
            labels: Some(self.labels()),
            owner_references: Some(vec![self.owner()]),
            ..Default::default()
        }
    }

    /// The metadata of an object of a revision.
    pub fn revision_metadata(&self, name: String, revision: &str) -> ObjectMeta {
        let mut metadata = self.metadata(name);
        let labels = metadata.labels.get_or_insert_default();
        labels.insert(REVISION_LABEL.to_owned(), revision.to_owned());
        metadata
    }

    /// The resource as an owner. It doesn't hold up its owner's deletion: finalizers do that.
    fn owner(&self) -> OwnerReference {
        OwnerReference {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: "FlinkApplication".to_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(false),
        }
    }
}
