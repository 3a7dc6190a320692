//! Who an application's pods are to the API server, and what they may do there.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::{Identity, References};
use crate::resource::FlinkApplicationSpec;

/// The accounts of both roles, with the user's annotations (an identity at the cloud's provider).
/// A token is mounted where a pod asks for it, never by the account.
pub(super) fn service_accounts(
    identity: &Identity,
    spec: &FlinkApplicationSpec,
) -> [ServiceAccount; 2] {
    let annotations: BTreeMap<String, String> = spec.service_account.annotations.clone();
    [identity.job_managers(), identity.task_managers()].map(|name| {
        let mut metadata = identity.metadata(name);
        metadata.annotations = Some(annotations.clone()).filter(|each| !each.is_empty());
        ServiceAccount {
            metadata,
            automount_service_account_token: Some(false),
            ..Default::default()
        }
    })
}

/// What JobManagers may do: lead, report, and have pods. Reading and changing is limited to their
/// own objects by name; which pods they may make, the chart's admission policy limits: it asks for
/// the Deployments and the references that are named here. TaskManagers may do nothing. `revisions`
/// name the Deployments that own their pods.
pub(super) fn role(identity: &Identity, revisions: &[&str], references: &References) -> Role {
    let rule = |group: &str, resource: &str, names: &[&str], verbs: &[&str]| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        resource_names: Some(names.iter().map(|name| (*name).to_owned()).collect())
            .filter(|names: &Vec<String>| !names.is_empty()),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        non_resource_urls: None,
    };
    let name = identity.name.as_str();
    // Without a name a rule would be about all of them.
    let owners = (!revisions.is_empty()).then(|| rule("apps", "deployments", revisions, &["get"]));
    let mut rules = vec![
        rule("coordination.k8s.io", "leases", &[name], &["get", "update", "patch"]),
        rule("thalweg.dev", "flinkapplications", &[name], &["get"]),
        rule("thalweg.dev", "flinkapplications/status", &[name], &["patch"]),
        rule("", "pods", &[], &["get", "list", "watch", "create", "delete"]),
    ];
    rules.extend(owners);
    rules.extend(references.rules());
    Role { metadata: identity.metadata(identity.job_managers()), rules: Some(rules) }
}

/// Gives the JobManagers' account their role.
pub(super) fn role_binding(identity: &Identity) -> RoleBinding {
    RoleBinding {
        metadata: identity.metadata(identity.job_managers()),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: identity.job_managers(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            namespace: Some(identity.namespace.clone()),
            name: identity.job_managers(),
            api_group: None,
        }]),
    }
}
