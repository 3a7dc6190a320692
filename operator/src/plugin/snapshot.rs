//! What there is of an application, read at one moment.

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};

use crate::build::APPLICATION_LABEL;
use crate::resource::FlinkApplication;

/// An application and what belongs to it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The resource.
    pub application: FlinkApplication,
    /// By which one of its JobManagers leads.
    pub lease: Option<Lease>,
    /// Its revisions on record, the newest first.
    pub revisions: Vec<ControllerRevision>,
    /// Its Deployments, each named after a revision.
    pub deployments: Vec<Deployment>,
    /// Its pods, by name.
    pub pods: Vec<Pod>,
}

impl Snapshot {
    /// Reads it.
    ///
    /// # Errors
    /// When the API server refuses, or there is no such application.
    pub async fn read(client: &Client, namespace: &str, name: &str) -> kube::Result<Snapshot> {
        let of_application = ListParams::default().labels(&format!("{APPLICATION_LABEL}={name}"));
        let applications: Api<FlinkApplication> = Api::namespaced(client.clone(), namespace);
        let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
        let revisions: Api<ControllerRevision> = Api::namespaced(client.clone(), namespace);
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let (application, lease, revisions, deployments, pods) = futures::try_join!(
            applications.get(name),
            leases.get_opt(name),
            revisions.list(&of_application),
            deployments.list(&of_application),
            pods.list(&of_application),
        )?;
        let (mut revisions, mut pods) = (revisions.items, pods.items);
        revisions.sort_by_key(|revision| std::cmp::Reverse(revision.revision));
        pods.sort_by_key(ResourceExt::name_any);
        Ok(Snapshot { application, lease, revisions, deployments: deployments.items, pods })
    }
}
