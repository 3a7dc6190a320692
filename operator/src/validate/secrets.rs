//! The operator's own Secrets: no pod of an application uses its CA's key, or the certificate of
//! another role, whatever a template says. With the key anybody could be made a JobManager or an
//! operator. Not here: what a JobManager may make pods with, which the admission policy limits by
//! the same references.

use std::collections::BTreeSet;

use super::{Problem, ProblemKind::InvalidPodTemplate};
use crate::build::{Identity, References, Revision};
use crate::pod_template::{Role, read};
use crate::resource::{FlinkApplicationSpec, PodTemplate};

/// Where the spec of this application names Secrets that its pods may not use.
pub fn own_secrets(identity: &Identity, spec: &FlinkApplicationSpec) -> Vec<Problem> {
    // One that can't be read is reported as that.
    let Ok(templates) = Revision::templates(identity, "name-0", spec) else { return Vec::new() };
    let mut problems = Vec::new();
    for (role, template) in [Role::JobManager, Role::TaskManager].into_iter().zip(&templates) {
        for secret in References::of(template).secrets() {
            let Some(holds) = held(identity, role, secret) else { continue };
            let message = format!(
                "the Secret {secret} {holds}, and {role} pods may not use it: name another one",
                role = role.as_str()
            );
            let problem = Problem::new(InvalidPodTemplate, place(spec, role, secret), message);
            // What both roles have in common is told once.
            if !problems.iter().any(|told: &Problem| told.field == problem.field) {
                problems.push(problem);
            }
        }
    }
    problems
}

/// What a Secret of the operator's holds that pods of this role have no business with.
fn held(identity: &Identity, role: Role, secret: &str) -> Option<&'static str> {
    let other = match role {
        Role::JobManager => thalweg_tls::Role::TaskManager,
        Role::TaskManager => thalweg_tls::Role::JobManager,
    };
    if secret == identity.authorities() {
        Some("holds the key of the application's CA")
    } else if secret == identity.leaf(other) {
        Some("holds the certificate of the other role")
    } else {
        None
    }
}

/// The field that names it.
fn place(spec: &FlinkApplicationSpec, role: Role, secret: &str) -> &'static str {
    let sources = spec.job.binary.env.iter().filter_map(|variable| variable.value_from.as_ref());
    let variables: BTreeSet<&str> =
        sources.map(|source| source.secret_key_ref.name.as_str()).collect();
    let of_template = |template: &Option<PodTemplate>| {
        let template = template.as_ref().and_then(|template| read(template).ok());
        template.is_some_and(|template| {
            References::of(&template).secrets().any(|named| named == secret)
        })
    };
    if spec.image_pull_secrets.iter().any(|named| named.name == secret) {
        "spec.imagePullSecrets"
    } else if variables.contains(secret) {
        "spec.job.binary.env"
    } else if of_template(&spec.pod_template) {
        "spec.podTemplate"
    } else {
        match role {
            Role::JobManager => "spec.jobManager.podTemplate",
            Role::TaskManager => "spec.taskManager.podTemplate",
        }
    }
}
