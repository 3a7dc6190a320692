//! A namespace of a test's own, in which Pod Security "restricted" is enforced.

use serde_json::{Value, json};

use crate::api::shared_api;
use crate::operator::install_operator;
use crate::output::secret;

/// Deleted at the end of a test that succeeds, and before the next run of one that failed.
#[derive(Debug)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// The location in S3 of what belongs to it: another one in each run.
    pub location: String,
}

impl Namespace {
    /// A new one, with the operator there and a Secret for S3.
    ///
    /// # Panics
    /// It can't be made.
    pub fn new(name: &str) -> Namespace {
        install_operator();
        let api = shared_api();
        let path = format!("/api/v1/namespaces/{name}");
        if api.get(&path).is_some() {
            Namespace { name: name.to_owned(), location: String::new() }.delete();
        }
        api.apply(
            &path,
            &json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {
                    "name": name,
                    "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
                },
            }),
        );
        let made = api.get(&path).expect("it was made");
        let uid = made["metadata"]["uid"].as_str().expect("it has a uid").to_owned();
        api.apply(&format!("{path}/secrets/s3"), &secret(name));
        let bucket = std::env::var("THALWEG_TEST_S3_BUCKET").expect("tests/cluster/enter sets it");
        let location = format!("s3://{bucket}/{name}-{}", &uid[..8]);
        Namespace { name: name.to_owned(), location }
    }

    /// The path of one of its objects: `pods`, `pods/NAME`.
    pub fn core(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.name)
    }

    /// The path of one of its objects of a group: `apps/v1`, `deployments`.
    pub fn of_group(&self, group: &str, rest: &str) -> String {
        format!("/apis/{group}/namespaces/{}/{rest}", self.name)
    }

    /// Its pods of a role, `jobmanager` or `taskmanager`, that aren't being deleted.
    pub fn pods(&self, role: &str) -> Vec<Value> {
        let selector = format!("app.kubernetes.io/component%3D{role}");
        let mut pods = shared_api().list(&self.core(&format!("pods?labelSelector={selector}")));
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        pods
    }

    /// Everything in it, as `kind/name`, of every kind that the API server lists; without what
    /// Kubernetes puts into each namespace, and without events.
    pub fn everything(&self) -> Vec<String> {
        let kinds =
            crate::kubectl(&["api-resources", "--verbs=list", "--namespaced", "--output=name"], "");
        let kinds: Vec<&str> = kinds
            .lines()
            .filter(|kind| !kind.starts_with("events") && !kind.contains("metrics.k8s.io"))
            .collect();
        let own = ["configmap/kube-root-ca.crt", "serviceaccount/default", "secret/s3"];
        let listed = crate::kubectl(
            &["get", &kinds.join(","), "--output=name", "--namespace", &self.name],
            "",
        );
        listed.lines().filter(|line| !own.contains(line)).map(str::to_owned).collect()
    }

    /// Deletes it, and waits until it is gone.
    ///
    /// # Panics
    /// It isn't gone within three minutes.
    pub fn delete(self) {
        let path = format!("/api/v1/namespaces/{}", self.name);
        shared_api().delete(&path);
        let limit = std::time::Duration::from_secs(180);
        crate::wait_within(limit, &format!("namespace {} is gone", self.name), || {
            shared_api().get(&path).is_none().then_some(())
        });
    }
}
