//! An application's certificates and the authority that signs them change while its job runs. Not
//! here: when they do (`thalweg-operator`, `certificates`), and what comes of wrong ones
//! (`thalweg-tls`).

use std::time::Duration;

use serde_json::{Value, json};
use thalweg_kubernetes_tests::{
    Namespace, Signal, Soak, kubectl, mounted, operator_pods, shared_api, signal, wait_within,
};

use crate::faults::restarts;
use crate::strike::{delete, strike};

/// A node's kubelet looks at what is mounted every ten seconds; it is a minute by default.
const LIMIT: Duration = Duration::from_secs(180);

/// What a pod has in a file of its certificate's folder.
fn file(pod: &Value, name: &str) -> String {
    mounted(pod, &format!("etc/thalweg-tls/{name}"))
}

fn authorities(pod: &Value) -> usize {
    file(pod, "ca.crt").matches("BEGIN CERTIFICATE").count()
}

/// Changes the Secret of the application's authorities, and lets an operator find it like that.
fn change_authorities(namespace: &Namespace, change: &Value) {
    shared_api().merge(&namespace.core("secrets/allround-ca"), &json!({"data": change}));
    operator_pods().iter().for_each(delete);
}

#[test]
#[ignore = "needs a Kubernetes that tests/cluster has made: tests/run cluster"]
fn another_authority_and_new_certificates_are_taken_while_connections_stay_open() {
    let namespace = Namespace::new("certificates");
    let soak = Soak::new(&namespace, 110);
    let application = soak.start(&namespace);
    // One that was killed stays for its logs.
    let runs = |pod: &Value| pod["status"]["phase"] == "Running";
    let task_managers = || {
        let mut pods = namespace.pods("taskmanager");
        pods.retain(runs);
        pods
    };
    let pods = || [namespace.pods("jobmanager"), task_managers()].concat();
    let all = |is_so: &dyn Fn(&Value) -> bool| {
        let pods = pods();
        pods.len() == 3 && pods.iter().all(is_so)
    };
    let job_manager = namespace.pods("jobmanager").pop().expect("it runs a job");
    let secret = namespace.core("secrets/allround-ca");
    let first = shared_api().get(&secret).expect("the application has an authority");
    assert!(all(&|pod| authorities(pod) == 1));

    // As if its successor had to be made: the first one signs until everybody knows of both.
    change_authorities(
        &namespace,
        &json!({
            "previous.crt": first["data"]["ca.crt"],
            "previous.key": first["data"]["ca.key"],
            "ca.crt": null,
            "ca.key": null,
        }),
    );
    wait_within(LIMIT, "all pods have both authorities", || {
        all(&|pod| authorities(pod) == 2).then_some(())
    });
    strike("a TaskManager killed while two authorities count", &application, || {
        signal(&task_managers()[0], Signal::Kill);
    });

    // As if everybody had known of both for long enough.
    let before: Vec<String> = pods().iter().map(|pod| file(pod, "tls.crt")).collect();
    change_authorities(&namespace, &json!({"previous.crt": null, "previous.key": null}));
    wait_within(LIMIT, "all pods have certificates of the new authority alone", || {
        all(&|pod| authorities(pod) == 1 && !before.contains(&file(pod, "tls.crt"))).then_some(())
    });
    application.wait_for_checkpoints(2);
    assert_eq!(application.status("/job/restarts"), 1, "open connections stay");
    strike("a TaskManager killed after its authority was replaced", &application, || {
        signal(&task_managers()[0], Signal::Kill);
    });
    application.annotate("thalweg.dev/savepoint", "by-the-new-authority");
    application.wait_until("the savepoint is listed", |resource| {
        resource["status"]["savepoints"][0]["token"] == "by-the-new-authority"
    });

    let name = job_manager["metadata"]["name"].as_str().expect("a pod has a name");
    let said = kubectl(&["logs", name, "--namespace", &namespace.name], "");
    assert!(said.contains("a new certificate is in use"), "{said}");
    assert_eq!(restarts(&namespace, &job_manager), Some(0), "the JobManager runs on");
    soak.finish(&application);
    namespace.delete();
}
