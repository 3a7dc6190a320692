//! `spec.configuration` and other texts that a revision shows to whoever may read ConfigMaps:
//! reserved keys, secrets, locations with credentials.

use thalweg_core::configuration::is_secret;

use super::{Problem, ProblemKind::InvalidSpec};
use crate::build::OPERATOR_VARIABLES;
use crate::resource::FlinkApplicationSpec;
use crate::resource::reserved::RESERVED;

/// The longest key.
const KEY_LENGTH_MAX: usize = 253;

pub(super) fn check(spec: &FlinkApplicationSpec, problems: &mut Vec<Problem>) {
    let mut refuse = |field: String, message: String| {
        problems.push(Problem::new(InvalidSpec, field, message));
    };
    for (key, value) in &spec.configuration {
        let field = format!("spec.configuration[{}]", shown(key));
        if key.is_empty() || key.len() > KEY_LENGTH_MAX || key.chars().any(is_odd) {
            refuse(field, "not a key of the engine: see docs/configuration.md".to_owned());
        } else if let Some(reserved) = RESERVED.iter().find(|reserved| reserved.contains(key)) {
            refuse(field, reserved.instead.to_owned());
        } else if is_secret(key) {
            let instead = "it looks like a secret, which a ConfigMap would show: give it by \
                           spec.job.binary.env with a secretKeyRef";
            refuse(field, instead.to_owned());
        } else if value.chars().any(char::is_control) {
            refuse(field, "the value has a control character in it: remove it".to_owned());
        }
    }
    for variable in &spec.job.binary.env {
        let field = format!("spec.job.binary.env[{}]", variable.name);
        if OPERATOR_VARIABLES.contains(&variable.name.as_str()) {
            refuse(field, "the operator sets this variable: choose another name".to_owned());
        } else if is_secret(&variable.name) && variable.value.is_some() {
            let instead = "it looks like a secret, which the pod's spec would show: use valueFrom \
                           with a secretKeyRef instead of value";
            refuse(field, instead.to_owned());
        }
    }
    for argument in &spec.job.binary.args {
        if argument.contains('\0') {
            refuse("spec.job.binary.args".to_owned(), "a zero byte can't be passed on".to_owned());
        }
    }
    locations(spec, &mut refuse);
}

fn locations(spec: &FlinkApplicationSpec, refuse: &mut impl FnMut(String, String)) {
    let restore = spec.state.restore.as_ref().and_then(|restore| restore.from.path.as_ref());
    for (field, location) in [
        ("spec.state.checkpoints.location", &spec.state.checkpoints.location),
        ("spec.state.savepoints.location", &spec.state.savepoints.location),
        ("spec.state.restore.from.path", &restore.cloned()),
    ] {
        let Some(location) = location else { continue };
        let (scheme, rest) = location.split_once("://").unwrap_or_default();
        let authority = rest.split('/').next().unwrap_or_default();
        let wrong = if location.chars().any(is_odd) {
            "it has a blank or control character in it"
        } else if authority.contains('@') {
            "credentials don't belong there, where status and logs show them: use \
             spec.job.binary.env with a secretKeyRef, or spec.serviceAccount"
        } else if scheme == "s3" && authority.is_empty() {
            "the bucket is missing: s3://BUCKET/PREFIX"
        } else if rest.contains(['?', '#']) {
            "it has a query or a fragment: remove it"
        } else if rest.split('/').any(|part| part == "..") {
            "it has .. in it: write where it leads"
        } else {
            continue;
        };
        refuse(field.to_owned(), wrong.to_owned());
    }
}

fn is_odd(c: char) -> bool {
    c.is_control() || c.is_whitespace()
}

/// A key as it may be shown in a message.
fn shown(key: &str) -> String {
    key.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
}
