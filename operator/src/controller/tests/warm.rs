//! An upgrade by `Warm`, as requests: what is asked of the API server, and in which order.

use serde_json::{Value, json};

use super::{at_rest, job_runs_of, revision, settled, status, until};
use crate::testing::ApiServer;

/// The TaskManagers of a revision, ready.
fn task_managers_are_ready(api: &ApiServer, revision: &str, count: i64) {
    for number in 0..count {
        let name = format!("a-taskmanager-w0-{number}");
        let pod = json!({
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": format!("uid-{name}"),
                "labels": {
                    "thalweg.dev/application": "a",
                    "thalweg.dev/revision": revision,
                    "app.kubernetes.io/component": "taskmanager",
                },
            },
            "spec": { "containers": [] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        api.put("api/v1", "pods", pod);
    }
}

fn annotation(api: &ApiServer, name: &str) -> Value {
    api.get("leases", "a").expect("a Lease")["metadata"]["annotations"][name].clone()
}

fn replicas(api: &ApiServer, revision: &str) -> Value {
    api.get("deployments", revision).map_or(Value::Null, |it| it["spec"]["replicas"].clone())
}

#[tokio::test]
async fn the_new_revision_is_made_ready_beside_the_old_one_and_then_takes_its_turn() {
    let api = ApiServer::default();
    let operator = settled(&api).await;
    let old = revision(&api);
    api.change("flinkapplications", "a", |resource| {
        resource["spec"]["upgrade"]["strategy"] = json!("Warm");
        resource["spec"]["image"] = json!("other:2");
    });
    until("two Deployments", || api.names("deployments").len() == 2).await;
    let new = api.names("deployments").into_iter().find(|name| *name != old).expect("another");
    until("it gets ready", || annotation(&api, "thalweg.dev/preparing-revision") == new).await;
    assert_eq!(annotation(&api, "thalweg.dev/revision"), old, "and may not lead");
    assert_eq!((replicas(&api, &old), replicas(&api, &new)), (json!(1), json!(1)));
    assert_eq!(api.get("controllerrevisions", &new).expect("a record")["revision"], 0);
    // Its JobManager may read whom its pods are to belong to.
    let role = api.get("roles", "a-jobmanager").expect("a role").to_string();
    assert!(role.contains(&old) && role.contains(&new), "{role}");
    at_rest(&api, &operator).await;
    assert_eq!(status(&api)["operation"]["step"], "Prepare", "{}", status(&api));
    assert_eq!(status(&api)["currentRevision"], old);

    let spec = api.get("flinkapplications", "a").expect("it")["spec"].clone();
    let parallelism = spec["job"]["parallelism"].as_i64().expect("a number");
    let slots = spec["taskManager"]["slots"].as_i64().expect("a number");
    let standby = spec["taskManager"]["standby"].as_i64().expect("a number");
    task_managers_are_ready(&api, &new, (parallelism + slots - 1) / slots + standby);
    until("its turn", || annotation(&api, "thalweg.dev/revision") == new).await;
    assert_eq!(replicas(&api, &old), 0, "the old JobManagers went first");
    until("it counts", || {
        let number = |name: &str| {
            api.get("controllerrevisions", name).expect("a record")["revision"].as_i64()
        };
        number(&new) > number(&old)
    })
    .await;
    assert_eq!(status(&api)["currentRevision"], new);

    job_runs_of(&api, &new);
    until("the old Deployment is gone", || api.names("deployments") == [new.clone()]).await;
    until("stable", || status(&api)["stableRevision"] == new).await;
    at_rest(&api, &operator).await;
    assert_eq!(operator.looks("error"), 0);
    operator.end().await;
}
