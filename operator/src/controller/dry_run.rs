//! Asks the API server, before anything changes, whether it would admit a new revision's pods: what
//! a cluster's policies say of them can't be known otherwise.

use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use super::ReconcileError;
use super::cache::{Items, Kind};
use super::memory::Admission;
use crate::build::Revision;
use crate::plan::Facts;
use crate::pod_template::Role;

/// What an answer says of a pod.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Nothing against it.
    Nothing,
    /// It never gets in as it is.
    Refused,
    /// Not now, or nobody knows.
    Unknown,
}

/// Asks for both pods of the wanted revision.
pub(super) async fn ask(
    client: &Client,
    facts: &Facts,
    items: &Items,
) -> Result<Admission, ReconcileError> {
    let templates = Revision::templates(&facts.identity, &facts.wanted, &facts.spec)?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &facts.identity.namespace);
    let parameters = PostParams { dry_run: true, field_manager: None };
    let mut refusals = Vec::new();
    for (role, template) in [Role::JobManager, Role::TaskManager].into_iter().zip(templates) {
        let pod = pod(&facts.wanted, template, items);
        let (code, message) = match pods.create(&parameters, &pod).await {
            Ok(_) => continue,
            Err(kube::Error::Api(status)) => (status.code, status.message.clone()),
            Err(error) => return Err(error.into()),
        };
        match answer(code, &message) {
            Answer::Nothing => {
                tracing::info!(pod = role.as_str(), %message, "a dry run says nothing of its pod");
            }
            Answer::Refused => refusals.push(format!("the {} pod: {message}", role.as_str())),
            Answer::Unknown => {
                return Err(ReconcileError::NotAsked { pod: role.as_str(), reason: message });
            }
        }
    }
    Ok(match refusals.is_empty() {
        true => Admission::Granted,
        false => Admission::Refused(format!(
            "the API server refuses {}. Change the pod templates or the resources",
            refusals.join("; ")
        )),
    })
}

fn pod(revision: &str, template: PodTemplateSpec, items: &Items) -> Pod {
    let PodTemplateSpec { metadata, spec } = template;
    let mut pod = Pod { metadata: metadata.unwrap_or_default(), spec, status: None };
    // The same each time, as it is in the answer.
    pod.metadata.name = Some(format!("{revision}-try"));
    if let Some(spec) = &mut pod.spec {
        // An application's accounts come with its first revision; without them no pod is admitted.
        let account = spec.service_account_name.take();
        spec.service_account_name =
            account.filter(|account| items.contains_key(&(Kind::ServiceAccount, account.clone())));
    }
    pod
}

/// What is said by a status code and a message. A refusal is only what says something of the pod
/// itself: not that there are too many, or that the API server can't be asked.
fn answer(code: u16, message: &str) -> Answer {
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    match code {
        // The operator may not ask, a webhook can't be asked this way, or there are too many pods.
        400 | 403 if says(&["cannot create resource", "does not support dry run"]) => {
            Answer::Nothing
        }
        403 if says(&["exceeded quota"]) => Answer::Nothing,
        // Going, or not there yet.
        403 if says(&["is being terminated", "looking up service account"])
            || says(&["status unknown for quota", "not yet ready to handle request"]) =>
        {
            Answer::Unknown
        }
        400 | 403 | 422 => Answer::Refused,
        _ => Answer::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_speaks_against_the_pod_itself_is_a_refusal() {
        for (code, message, expected) in [
            (422, "Pod \"a-\" is invalid: spec.containers[0].image: Required", Answer::Refused),
            (400, "Pod in version \"v1\" cannot be handled as a Pod", Answer::Refused),
            (403, "pods \"a-\" is forbidden: violates PodSecurity \"restricted\"", Answer::Refused),
            (403, "admission webhook \"w\" denied the request: no tag latest", Answer::Refused),
            (
                403,
                "pods \"a-\" is forbidden: no PriorityClass with name x was found",
                Answer::Refused,
            ),
            (403, "failed quota: q: must specify limits.cpu for: jobmanager", Answer::Refused),
            (
                403,
                "pods \"a-\" is forbidden: exceeded quota: q, requested: pods=1",
                Answer::Nothing,
            ),
            (403, "User \"o\" cannot create resource \"pods\" in API group", Answer::Nothing),
            (400, "admission webhook \"w\" does not support dry run", Answer::Nothing),
            (403, "unable to create: namespace shop is being terminated", Answer::Unknown),
            (403, "error looking up service account shop/default: not found", Answer::Unknown),
            (404, "namespaces \"shop\" not found", Answer::Unknown),
            (429, "too many requests", Answer::Unknown),
            (500, "failed calling webhook \"w\": no route", Answer::Unknown),
        ] {
            assert_eq!(answer(code, message), expected, "{code} {message}");
        }
    }
}
