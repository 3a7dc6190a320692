//! The operator comes, changes and goes while jobs run: nothing happens to them.

use serde_json::{Value, json};
use thalweg_kubernetes_tests::{
    Application, Namespace, OPERATOR_NAMESPACE, Soak, kubectl, shared_api, test_operator,
    uninstall_operator, upgrade_operator, wait_until,
};

const DEFINITION: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/flinkapplications.thalweg.dev";

/// What must be the same afterwards: the pods, and which of their containers were restarted.
fn pods(namespace: &Namespace) -> Vec<(Value, Value)> {
    let roles = ["jobmanager", "taskmanager"].into_iter();
    let mut pods: Vec<(Value, Value)> = roles
        .flat_map(|role| namespace.pods(role))
        .map(|pod| {
            let restarts = &pod["status"]["containerStatuses"][0]["restartCount"];
            (pod["metadata"]["uid"].clone(), restarts.clone())
        })
        .collect();
    pods.sort_by_key(|(uid, _)| uid.to_string());
    pods
}

/// Nothing has happened to the job.
fn assert_undisturbed(namespace: &Namespace, application: &Application, before: &[(Value, Value)]) {
    assert_eq!(pods(namespace), before);
    assert_eq!(application.status("/job/restarts"), 0);
}

/// Takes fields out of the definition: as it was before these were invented.
fn make_definition_older(fields: &[(&str, &str)]) {
    let mut definition = shared_api().get(DEFINITION).expect("the chart has brought it");
    let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for (place, field) in fields {
        let place = schema.pointer_mut(place).and_then(Value::as_object_mut);
        let taken = place.expect("it is there").remove(*field);
        assert!(taken.is_some(), "there is no field {field}");
    }
    let (status, answer) = shared_api().try_put(DEFINITION, false, &definition);
    assert_eq!(status, 200, "{answer}");
}

#[test]
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn an_older_definition_loses_what_it_does_not_know_until_helm_upgrades_it() {
    let namespace = Namespace::new("older-definition");
    let unknown = "/properties/status/properties/checkpoint/properties";
    let known = "/checkpoint/completedAt";
    make_definition_older(&[
        (unknown, "durationMillis"),
        ("/properties/status/properties/jobManager/properties", "protocol"),
        ("/properties/spec/properties", "ttlSecondsAfterFinished"),
    ]);
    let soak = Soak::new(&namespace, 70);
    let application = soak.start(&namespace);
    application.wait_until("the status is written without what isn't known", |resource| {
        let status = &resource["status"];
        status.pointer(known).is_some_and(Value::is_string)
            && status["checkpoint"]["durationMillis"].is_null()
            && status["job"]["state"] == "RUNNING"
            && status["phase"] == "Running"
    });
    let before = pods(&namespace);
    upgrade_operator();
    application.wait_until("the status has all of it", |resource| {
        resource["status"]["checkpoint"]["durationMillis"].is_u64()
            && resource["status"]["jobManager"]["protocol"].is_u64()
    });
    application.wait_for_checkpoints(2);
    assert_undisturbed(&namespace, &application, &before);
    soak.finish(&application);
    namespace.delete();
}

#[test]
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn jobs_run_on_while_the_operator_is_uninstalled_and_when_it_comes_back() {
    let namespace = Namespace::new("uninstalled");
    let soak = Soak::new(&namespace, 40);
    let application = soak.start(&namespace);
    let deleted = soak.clone().named("deleted").with(json!({"suspend": true}));
    let deleted = deleted.apply(&namespace);
    deleted.wait_for_condition("Suspended", "True", "Suspended");
    let before = pods(&namespace);

    uninstall_operator();
    application.wait_for_checkpoints(2);
    assert_undisturbed(&namespace, &application, &before);
    // Nobody is there who would do what has to be done before it may go.
    deleted.delete();
    assert!(deleted.get().is_some_and(|resource| {
        let metadata = &resource["metadata"];
        metadata["deletionTimestamp"].is_string() && !metadata["finalizers"].is_null()
    }));

    upgrade_operator();
    test_operator();
    deleted.wait_until_gone();
    application.wait_for_checkpoints(2);
    assert_undisturbed(&namespace, &application, &before);
    soak.finish(&application);
    namespace.delete();
}

/// Writes the newest revision's record and Deployment anew, as an operator would have rendered them
/// that puts another label onto pods.
fn render_differently(namespace: &Namespace, revision: &str) {
    let record = namespace.of_group("apps/v1", &format!("controllerrevisions/{revision}"));
    let mut other = shared_api().get(&record).expect("the revision has a record");
    let labels = "/data/jobManager/metadata/labels";
    let labels = other.pointer_mut(labels).and_then(Value::as_object_mut);
    labels.expect("pods have labels").insert("rendered-by".to_owned(), "another".into());
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        other["metadata"].as_object_mut().expect("an object").remove(field);
    }
    // What it holds can't be changed.
    shared_api().delete(&record);
    let records = namespace.of_group("apps/v1", "controllerrevisions");
    let (status, answer) = shared_api().try_put(&records, true, &other);
    assert_eq!(status, 201, "{answer}");
    let deployment = namespace.of_group("apps/v1", &format!("deployments/{revision}"));
    let label = json!({"metadata": {"labels": {"rendered-by": "another"}}});
    shared_api().merge(&deployment, &json!({"spec": {"template": label}}));
}

#[test]
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn an_operator_that_renders_differently_touches_no_pod() {
    let namespace = Namespace::new("rendered");
    let soak = Soak::new(&namespace, 40);
    let application = soak.start(&namespace);
    application.wait_until_stable();
    let revision = application.status("/currentRevision");
    let revision = revision.as_str().expect("it has one").to_owned();
    let of_operator = ["--namespace", OPERATOR_NAMESPACE, "--all", "deployments"];
    kubectl(&[&["scale", "--replicas=0"], &of_operator[..]].concat(), "");
    wait_until("no operator is there", || {
        thalweg_kubernetes_tests::operator_pods().is_empty().then_some(())
    });
    render_differently(&namespace, &revision);
    let is_rendered = |pod: &Value| pod["metadata"]["labels"]["rendered-by"] == "another";
    wait_until("the JobManager is the other one's", || {
        let pods = namespace.pods("jobmanager");
        (pods.len() == 1 && pods.iter().all(is_rendered)).then_some(())
    });
    application.wait_for_checkpoints(2);
    let (before, restarts) = (pods(&namespace), application.status("/job/restarts"));

    kubectl(&[&["scale", "--replicas=1"], &of_operator[..]].concat(), "");
    wait_until("the operator has seen it", || {
        let operators = thalweg_kubernetes_tests::operator_pods();
        let ready = |pod: &Value| pod["status"]["containerStatuses"][0]["ready"] == true;
        operators.iter().any(ready).then_some(())
    });
    // It acts on what it sees before it looks at what is new.
    application.annotate("thalweg.dev/savepoint", "seen");
    application.wait_until("the savepoint is listed", |resource| {
        resource["status"]["savepoints"][0]["token"] == "seen"
    });
    application.wait_for_checkpoints(2);
    assert_eq!(pods(&namespace), before);
    assert_eq!(application.status("/job/restarts"), restarts);
    soak.finish(&application);
    namespace.delete();
}
