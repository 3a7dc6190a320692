//! The loop against an API server in memory: what it asks it, and when.

mod certificates;
mod warm;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use thalweg_core::clock::SystemClock;
use thalweg_core::ids::job_id;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Options, run};
use crate::resource::tests::application;
use crate::server::{Health, Metrics};
use crate::testing::ApiServer;

/// An operator that runs.
struct Operator {
    metrics: Metrics,
    health: Arc<Health>,
    leads: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Operator {
    fn start(api: &ApiServer, leads: bool) -> Operator {
        // What it says is shown when a test fails.
        tracing_subscriber::fmt().with_test_writer().try_init().ok();
        let metrics = Metrics::new().expect("metrics");
        let health = Arc::new(Health::default());
        let (leads, leading) = watch::channel(leads);
        let (stop, stopped) = watch::channel(false);
        let options = Options { namespaces: Vec::new(), leading, stop: stopped };
        let clock = Arc::new(SystemClock::new());
        let run = run(api.client(), options, clock, metrics.clone(), Arc::clone(&health));
        Operator { metrics, health, leads, stop, task: tokio::spawn(run) }
    }

    async fn end(self) {
        self.stop.send_replace(true);
        self.task.await.expect("it ends by itself");
    }

    /// How many looks at applications have come to this.
    fn looks(&self, outcome: &str) -> u64 {
        let families = self.metrics.gather();
        let name = "thalweg_operator_reconciliations_total";
        let family = families.iter().find(|each| each.name() == name).expect("it is counted");
        let mut metrics = family.get_metric().iter();
        let found = metrics.find(|each| each.get_label()[0].value() == outcome);
        found.map_or(0, |metric| metric.get_counter().get_value() as u64)
    }
}

/// Waits until something is so, for at most half a minute.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..6_000 {
        look.tick().await;
        if is_so() {
            return;
        }
    }
    panic!("never: {what}");
}

fn resource() -> Value {
    let mut resource = serde_json::to_value(application("fraud-detection.yaml")).expect("JSON");
    resource["metadata"] = json!({ "name": "a", "namespace": "shop", "uid": "uid-a" });
    resource["spec"]["state"]["savepoints"]["intervalSeconds"] = Value::Null;
    resource["spec"]["upgrade"]["preflight"] = json!("Off");
    resource
}

fn status(api: &ApiServer) -> Value {
    api.get("flinkapplications", "a").expect("the resource")["status"].clone()
}

fn revision(api: &ApiServer) -> String {
    api.names("deployments").first().expect("a Deployment").clone()
}

/// The JobManager reports that the job has been running for long.
fn job_runs(api: &ApiServer) {
    job_runs_of(api, &revision(api));
}

fn job_runs_of(api: &ApiServer, revision: &str) {
    let wanted = api.get("flinkapplications", "a").expect("the resource");
    let record = api.get("controllerrevisions", revision).expect("a record");
    let leader = format!("{revision}-x");
    let pod = json!({
        "metadata": {
            "name": leader,
            "namespace": "shop",
            "uid": format!("uid-{leader}"),
            "labels": {
                "thalweg.dev/application": "a",
                "thalweg.dev/revision": revision,
                "app.kubernetes.io/component": "jobmanager",
            },
        },
        "spec": { "containers": [] },
        "status": { "phase": "Running" },
    });
    api.put("api/v1", "pods", pod);
    let id = job_id(record["data"]["clusterId"].as_str().expect("an identity"), 0).to_string();
    let path = format!("s3://b/{id}/chk-9");
    api.change("flinkapplications", "a", |resource| {
        let status = &mut resource["status"];
        status["jobManager"] =
            json!({ "leader": leader, "epoch": 1, "version": "", "protocol": 1 });
        status["job"] = json!({
            "id": id, "state": "RUNNING", "startedAt": "2020-01-01T00:00:00Z", "restarts": 0,
            "parallelism": wanted["spec"]["job"]["parallelism"],
        });
        status["checkpoint"] =
            json!({ "id": 9, "path": path, "completedAt": "2100-01-01T00:00:00Z" });
    });
}

async fn settled(api: &ApiServer) -> Operator {
    api.put("apis/thalweg.dev/v1alpha1", "flinkapplications", resource());
    let operator = Operator::start(api, true);
    until("a Deployment", || !api.names("deployments").is_empty()).await;
    job_runs(api);
    until("stable", || !status(api)["stableRevision"].is_null()).await;
    at_rest(api, &operator).await;
    operator
}

/// Makes the operator look, until it asks nothing any more.
async fn at_rest(api: &ApiServer, operator: &Operator) {
    for _ in 0..20 {
        let before = api.requests().len();
        look(api, operator).await;
        if api.requests().len() == before {
            return;
        }
    }
    panic!("it never comes to rest: {:#?}", api.requests());
}

/// Makes the operator look at the application once more, and waits until it has.
async fn look(api: &ApiServer, operator: &Operator) {
    let before = operator.looks("success");
    api.change("flinkapplications", "a", |resource| {
        let looks = format!("after {before} looks");
        resource["metadata"]["annotations"] = json!({ "look": looks });
    });
    until("another look", || operator.looks("success") > before).await;
}

#[tokio::test]
async fn a_settled_application_costs_no_request_however_often_it_is_looked_at() {
    let api = ApiServer::default();
    let operator = settled(&api).await;
    let before = api.requests();
    for _ in 0..10 {
        look(&api, &operator).await;
    }
    assert_eq!(api.requests(), before);
    assert_eq!(operator.looks("error"), 0);
    operator.end().await;
}

#[tokio::test]
async fn what_somebody_else_changes_or_deletes_is_mended() {
    let api = ApiServer::default();
    let operator = settled(&api).await;
    for (resource, name) in [
        ("leases", "a".to_owned()),
        ("services", "a-rest".to_owned()),
        ("roles", "a-jobmanager".to_owned()),
        ("rolebindings", "a-jobmanager".to_owned()),
        ("serviceaccounts", "a-taskmanager".to_owned()),
        ("networkpolicies", "a-taskmanager".to_owned()),
        ("configmaps", revision(&api)),
        ("deployments", revision(&api)),
    ] {
        api.delete(resource, &name);
        until(resource, || api.get(resource, &name).is_some()).await;
    }
    at_rest(&api, &operator).await;
    let deployed = revision(&api);
    for (resource, name, pointer, wrong) in [
        ("roles", "a-jobmanager", "/rules", json!([])),
        ("leases", "a", "/metadata/annotations/thalweg.dev~1revision", json!("wrong")),
        ("services", "a-rest", "/spec/selector", json!({})),
        ("deployments", deployed.as_str(), "/spec/template/spec/containers", json!([])),
    ] {
        let of = |object: &Value| object.pointer(pointer).cloned();
        let right = api.get(resource, name).as_ref().and_then(of);
        assert!(right.is_some(), "{pointer}");
        api.change(resource, name, |object| {
            *object.pointer_mut(pointer).expect("a field") = wrong;
        });
        until(resource, || api.get(resource, name).as_ref().and_then(of) == right).await;
    }
    // A JobManager that writes its Lease changes nothing of the operator's.
    at_rest(&api, &operator).await;
    let before = api.requests();
    api.change("leases", "a", |lease| lease["spec"] = json!({ "holderIdentity": "a-x" }));
    look(&api, &operator).await;
    assert_eq!(api.requests(), before);
    operator.end().await;
}

#[tokio::test]
async fn an_operator_that_is_started_again_asks_a_bounded_number_of_times_and_touches_nothing() {
    let api = ApiServer::default();
    settled(&api).await.end().await;
    let versions = || {
        let of = |resource: &'static str| {
            let names = api.names(resource).into_iter();
            let versions = names.map(move |name| (resource, name));
            versions.collect::<Vec<_>>()
        };
        let all = [
            "deployments",
            "configmaps",
            "services",
            "roles",
            "leases",
            "controllerrevisions",
            "secrets",
        ];
        all.into_iter()
            .flat_map(of)
            .map(|(resource, name)| {
                let version = api.get(resource, &name).map(|each| each["metadata"].clone());
                (resource, name, version)
            })
            .collect::<Vec<_>>()
    };
    let (before, asked) = (versions(), api.requests().len());
    let operator = Operator::start(&api, true);
    until("a look", || operator.looks("success") > 0).await;
    at_rest(&api, &operator).await;
    let asked = api.requests().split_off(asked);
    // A list for each of the watches; then what is read, each object once, and three Secrets.
    assert!(asked.len() <= 12 + 5 + 14 + 3, "{}: {asked:#?}", asked.len());
    assert_eq!(versions(), before);
    operator.end().await;
}

#[tokio::test]
async fn an_operator_that_stands_by_reads_everything_and_does_nothing_until_it_leads() {
    let api = ApiServer::default();
    api.put("apis/thalweg.dev/v1alpha1", "flinkapplications", resource());
    let operator = Operator::start(&api, false);
    until("ready", || operator.health.unread().is_none()).await;
    assert!(api.requests().iter().all(|request| request.starts_with("GET")));
    assert_eq!(api.names("deployments"), Vec::<String>::new());
    let asked = api.requests().len();
    operator.leads.send_replace(true);
    until("a Deployment", || !api.names("deployments").is_empty()).await;
    let lists = api.requests().split_off(asked);
    let again = lists.iter().filter(|request| request.starts_with("GET roles")).count();
    assert_eq!(again, 0, "it has read that before");
    operator.end().await;
}

#[tokio::test]
async fn a_resource_that_cannot_be_read_is_told_of_once_and_keeps_nothing_from_working() {
    let api = ApiServer::default();
    let mut broken = resource();
    broken["metadata"]["name"] = json!("broken");
    broken["spec"] = json!({ "job": 5 });
    api.put("apis/thalweg.dev/v1alpha1", "flinkapplications", broken);
    let operator = settled(&api).await;
    assert_eq!(api.names("events").iter().filter(|name| name.starts_with("broken.")).count(), 1);
    operator.end().await;
}

fn dry_runs(api: &ApiServer) -> usize {
    api.requests().iter().filter(|request| request.ends_with("(dry run)")).count()
}

fn stalled(api: &ApiServer) -> Option<String> {
    let status = status(api);
    let conditions = status["conditions"].as_array()?;
    let stalled = conditions.iter().find(|each| each["type"] == "Stalled")?;
    stalled["message"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn pods_that_the_api_server_refuses_are_asked_about_once_before_anything_changes() {
    let api = ApiServer::default();
    let operator = settled(&api).await;
    let deployments =
        || api.names("deployments").into_iter().map(|name| api.get("deployments", &name));
    let before: Vec<_> = deployments().collect();
    assert_eq!(dry_runs(&api), 2, "one for each role");
    api.answer_dry_runs(Some((403, "violates PodSecurity \"restricted\"")));
    api.change("flinkapplications", "a", |resource| resource["spec"]["image"] = json!("other:2"));
    until("stalled", || stalled(&api).is_some()).await;
    assert!(stalled(&api).expect("stalled").contains("violates PodSecurity"));
    at_rest(&api, &operator).await;
    for _ in 0..5 {
        look(&api, &operator).await;
    }
    assert_eq!((dry_runs(&api), deployments().collect::<Vec<_>>()), (4, before));
    assert_eq!(operator.looks("error"), 0);
    // Another spec is asked about again.
    api.answer_dry_runs(None);
    api.change("flinkapplications", "a", |resource| resource["spec"]["image"] = json!("other:3"));
    until("not stalled", || stalled(&api).is_none()).await;
    assert_eq!(dry_runs(&api), 6);
    operator.end().await;
}

#[tokio::test]
async fn an_api_server_that_cannot_tell_makes_no_pod_template_invalid() {
    let api = ApiServer::default();
    api.answer_dry_runs(Some((500, "failed calling webhook")));
    api.put("apis/thalweg.dev/v1alpha1", "flinkapplications", resource());
    let operator = Operator::start(&api, true);
    until("an error", || operator.looks("error") > 0).await;
    assert_eq!((status(&api), api.names("deployments").len()), (Value::Null, 0));
    api.answer_dry_runs(Some((403, "exceeded quota: pods")));
    api.change("flinkapplications", "a", |resource| resource["metadata"]["labels"] = json!({}));
    until("a Deployment", || !api.names("deployments").is_empty()).await;
    assert_eq!(stalled(&api), None);
    operator.end().await;
}

#[tokio::test]
async fn a_forgotten_revision_leaves_neither_a_record_nor_settings() {
    let api = ApiServer::default();
    let operator = settled(&api).await;
    let record = api.get("controllerrevisions", &revision(&api)).expect("a record");
    let limit = record["data"]["spec"]["upgrade"]["revisionHistoryLimit"].as_i64();
    let limit = limit.unwrap_or(10);
    for (resource, api_version) in
        [("controllerrevisions", "apis/apps/v1"), ("configmaps", "api/v1")]
    {
        for number in 0..=limit {
            let of_old = |name: &str| format!("{name}{number}");
            let mut old = match resource {
                "configmaps" => json!({ "metadata": record["metadata"], "immutable": true }),
                _ => record.clone(),
            };
            old["metadata"]["name"] = json!(of_old("a-old"));
            old["metadata"]["uid"] = json!(of_old(resource));
            if resource == "controllerrevisions" {
                old["revision"] = json!(-1 - number);
                old["data"]["name"] = old["metadata"]["name"].clone();
            }
            api.put(api_version, resource, old);
        }
    }
    look(&api, &operator).await;
    let oldest = format!("a-old{limit}");
    until("it is forgotten", || api.get("controllerrevisions", &oldest).is_none()).await;
    assert_eq!(api.get("configmaps", &oldest), None);
    assert!(api.get("configmaps", "a-old0").is_some(), "the limit keeps it");
    operator.end().await;
}
