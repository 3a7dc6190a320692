//! Writes the status to the API server, for as long as the JobManager leads.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use thalweg_core::Clock;
use thalweg_jobmanager::JobManagerHandle;
use thalweg_jobmanager::rest::RestGateway;

use super::undeclared::drop_undeclared;
use super::{FIELD_MANAGER, LeaderFacts, PodCounts, StatusSchedule, carry_over, report};
use crate::api::{Outcome, asked};

/// How often it is looked whether there is anything to write.
const LOOK: Duration = Duration::from_millis(500);
/// How long to leave the API server alone after it has failed.
const PAUSE: Duration = Duration::from_secs(5);
/// The annotation by which a savepoint is asked for.
const SAVEPOINT_ANNOTATION: &str = "thalweg.dev/savepoint";

/// What the status of an application is written with.
pub struct StatusOptions {
    /// The API server.
    pub client: Client,
    /// Where the application is.
    pub namespace: String,
    /// Its name.
    pub application: String,
    /// Its uid: the status of another one of that name isn't written. None: of any.
    pub uid: Option<String>,
    /// Who writes, as the holder of the application's Lease.
    pub identity: String,
    /// How many savepoints are listed at most.
    pub savepoint_history: usize,
    /// Who writes.
    pub leader: LeaderFacts,
    /// The pods of now.
    pub pods: Arc<dyn Fn() -> PodCounts + Send + Sync>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The kind of an application's resource.
pub(super) fn application_kind() -> ApiResource {
    let kind = GroupVersionKind::gvk("thalweg.dev", "v1alpha1", "FlinkApplication");
    ApiResource::from_gvk(&kind)
}

/// Writes the status whenever it is due, until the JobManager ends or finds that a later one leads.
pub async fn push_status(options: StatusOptions, job_manager: JobManagerHandle) {
    let StatusOptions { client, namespace, application, leader, pods, clock, .. } = options;
    let target = Target {
        leases: Api::namespaced(client.clone(), &namespace),
        applications: Api::namespaced_with(client, &namespace, &application_kind()),
        identity: options.identity,
        name: application,
        uid: options.uid,
        term: (leader.lineage.place, leader.epoch),
        history: options.savepoint_history,
    };
    let mut schedule = StatusSchedule::default();
    loop {
        let pause = tokio::select! {
            () = job_manager.ended() => return,
            pause = async {
                let status = {
                    let earlier = job_manager.earlier_run();
                    let cluster = job_manager.cluster();
                    report(&leader, &cluster, earlier.as_ref(), pods(), target.history)
                };
                if !schedule.is_due(&status, clock.elapsed()) {
                    return Some(LOOK);
                }
                match write(&target, &status).await {
                    Written::Done => {
                        schedule.written(status, clock.elapsed());
                        Some(LOOK)
                    }
                    Written::Again(why) => {
                        tracing::warn!("the status of {} isn't written: {why}", target.name);
                        schedule.forget();
                        Some(PAUSE)
                    }
                    Written::Changed => Some(LOOK),
                    Written::Superseded => None,
                }
            } => pause,
        };
        let Some(pause) = pause else { return };
        tokio::time::sleep(pause).await;
    }
}

enum Written {
    Done,
    Again(String),
    /// Somebody has written between reading and writing.
    Changed,
    /// A later leader writes.
    Superseded,
}

/// Whose status is written, and in which term.
struct Target {
    applications: Api<DynamicObject>,
    name: String,
    uid: Option<String>,
    /// Of two leaders the one with the higher term came later: the place of its identity among
    /// those of the application, then its epoch, which begins again under each identity.
    term: (u64, u64),
    /// As the holder of the Lease.
    identity: String,
    leases: Api<Lease>,
    history: usize,
}

/// The term of the leader that has written a status. One that wrote no place had the first.
fn term_of(status: &Value) -> Option<(u64, u64)> {
    let leading = &status["jobManager"];
    Some((leading["lineage"].as_u64().unwrap_or(0), leading["epoch"].as_u64()?))
}

/// Whether this JobManager holds the application's Lease.
async fn holds_lease(target: &Target) -> Result<bool, String> {
    match asked(target.leases.get(&target.name)).await {
        Outcome::Done(lease) => {
            let holder = lease.spec.and_then(|spec| spec.holder_identity);
            Ok(holder.as_ref() == Some(&target.identity))
        }
        Outcome::NotFound | Outcome::Conflict => Ok(false),
        Outcome::Failed(error) => Err(error),
    }
}

/// Writes only onto what was read, and only if no later leader has written that: one that was
/// paused must not bring back what was.
async fn write(target: &Target, status: &Value) -> Written {
    let Target { applications, name, uid, term, history, .. } = target;
    let object = match asked(applications.get(name)).await {
        Outcome::Done(object) => object,
        Outcome::NotFound | Outcome::Conflict => return Written::Again("it is gone".to_owned()),
        Outcome::Failed(error) => return Written::Again(error),
    };
    if uid.is_some() && object.metadata.uid != *uid {
        return Written::Superseded;
    }
    if term_of(&object.data["status"]) > Some(*term) {
        // Places are counted anew where the state is kept elsewhere, and an older definition of the
        // resource doesn't have them. Who was paused doesn't hold the Lease any more.
        match holds_lease(target).await {
            Ok(true) => {}
            Ok(false) => return Written::Superseded,
            Err(error) => return Written::Again(error),
        }
    }
    let mut status = status.clone();
    let annotations = object.metadata.annotations.as_ref();
    let token = annotations.and_then(|all| all.get(SAVEPOINT_ANNOTATION)).map(String::as_str);
    carry_over(&mut status, &object.data["status"], token, *history);
    let version = object.metadata.resource_version.as_deref();
    match apply(target, version, &status).await {
        Outcome::Failed(refusal) if drop_undeclared(&mut status, &refusal) => {
            tracing::debug!("the definition of the resource is older than this: {refusal}");
            apply(target, version, &status).await.into()
        }
        outcome => outcome.into(),
    }
}

async fn apply(
    Target { applications, name, .. }: &Target,
    version: Option<&str>,
    status: &Value,
) -> Outcome<()> {
    let patch = json!({
        "apiVersion": "thalweg.dev/v1alpha1",
        "kind": "FlinkApplication",
        "metadata": {"name": name, "resourceVersion": version},
        "status": status,
    });
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&patch);
    let request = applications.patch_status(name, &parameters, &patch);
    asked(async { request.await.map(drop) }).await
}

impl From<Outcome<()>> for Written {
    fn from(outcome: Outcome<()>) -> Written {
        match outcome {
            Outcome::Done(()) => Written::Done,
            Outcome::Conflict => Written::Changed,
            Outcome::NotFound => Written::Again("it is gone".to_owned()),
            Outcome::Failed(error) => Written::Again(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::term_of;

    #[test]
    fn a_leader_under_a_new_identity_comes_after_all_leaders_of_the_one_before() {
        let written = |leading| term_of(&json!({"jobManager": leading}));
        assert_eq!(term_of(&json!({})), None);
        let before = written(json!({"epoch": 7}));
        assert_eq!(before, Some((0, 7)));
        let restored = written(json!({"epoch": 1, "lineage": 1}));
        assert!(restored > before, "its epochs count from 1 again");
        assert!(written(json!({"epoch": 2, "lineage": 1})) > restored);
    }
}
