//! Pod templates: read strictly, nothing reserved in them, and the pods that come of them pass the
//! Pod Security Standard "restricted".

use super::{Problem, ProblemKind::InvalidPodTemplate};
use crate::build::{Identity, OPERATOR_VARIABLES, REFERENCES_MAX, References, Revision};
use crate::pod_template::{Role, read, reserved_parts, violations};
use crate::resource::{FlinkApplicationSpec, PodTemplate};

/// The most problems that are reported of one template.
const REPORTED_MAX: usize = 10;

pub(super) fn check(spec: &FlinkApplicationSpec, problems: &mut Vec<Problem>) {
    let mut variables = OPERATOR_VARIABLES.to_vec();
    variables.extend(spec.job.binary.env.iter().map(|variable| variable.name.as_str()));
    let before = problems.len();
    for (field, template) in [
        ("spec.podTemplate", &spec.pod_template),
        ("spec.jobManager.podTemplate", &spec.job_manager.pod_template),
        ("spec.taskManager.podTemplate", &spec.task_manager.pod_template),
    ] {
        if let Some(template) = template {
            let found = one(template, &variables);
            problems.extend(
                found
                    .into_iter()
                    .take(REPORTED_MAX)
                    .map(|message| Problem::new(InvalidPodTemplate, field, message)),
            );
        }
    }
    if problems.len() == before {
        pods(spec, problems);
    }
}

fn one(template: &PodTemplate, variables: &[&str]) -> Vec<String> {
    match read(template) {
        Ok(template) => reserved_parts(&template, variables),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// The pods as they would be made.
fn pods(spec: &FlinkApplicationSpec, problems: &mut Vec<Problem>) {
    // Neither names nor identity bear on what is checked here.
    let identity = Identity {
        namespace: "namespace".to_owned(),
        name: "name".to_owned(),
        uid: "uid".to_owned(),
    };
    let mut refuse = |field: &str, message: String| {
        problems.push(Problem::new(InvalidPodTemplate, field, message));
    };
    match Revision::templates(&identity, "name-0", spec) {
        Err(error) => refuse("spec.podTemplate", error.to_string()),
        Ok(templates) => {
            for (role, template) in [Role::JobManager, Role::TaskManager].iter().zip(&templates) {
                let field = match role {
                    Role::JobManager => "spec.jobManager.podTemplate",
                    Role::TaskManager => "spec.taskManager.podTemplate",
                };
                if *role == Role::TaskManager {
                    let count = References::of(template).count();
                    if count > REFERENCES_MAX {
                        let message = format!(
                            "{count} Secrets, ConfigMaps, claims, CSI drivers and labels are used: \
                             a TaskManager may use {REFERENCES_MAX}, so put some into one"
                        );
                        refuse(field, message);
                    }
                }
                let reason = "breaks the Pod Security Standard restricted";
                for violation in violations(template).into_iter().take(REPORTED_MAX) {
                    refuse(field, format!("{reason}: {violation}"));
                }
            }
        }
    }
}
