//! A FlinkApplication: applied, watched, asked.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::shared_api;
use crate::namespace::Namespace;
use crate::{wait_until, wait_within};

/// The image with `allround`, and the example applications.
pub const IMAGE: &str = "docker.io/library/thalweg-tests:test";
/// The same programs in an image of another name.
pub const OTHER_IMAGE: &str = "docker.io/library/thalweg-tests:other";
/// How long an application may take to get anywhere. It never takes so long.
const LIMIT: Duration = Duration::from_secs(120);

/// A resource in a namespace.
#[derive(Clone, Debug)]
pub struct Application {
    namespace: String,
    /// Its name.
    pub name: String,
}

impl Application {
    /// Applies a manifest.
    ///
    /// # Panics
    /// It is refused.
    pub fn apply(namespace: &Namespace, manifest: &Value) -> Application {
        let name = manifest["metadata"]["name"].as_str().expect("it has a name").to_owned();
        let application = Application { namespace: namespace.name.clone(), name };
        shared_api().apply(&application.path(), manifest);
        application
    }

    fn path(&self) -> String {
        let Application { namespace, name } = self;
        format!("/apis/thalweg.dev/v1alpha1/namespaces/{namespace}/flinkapplications/{name}")
    }

    /// Changes fields of the spec.
    ///
    /// # Panics
    /// The change is refused.
    pub fn change(&self, spec: &Value) {
        shared_api().merge(&self.path(), &json!({"spec": spec}));
    }

    /// Changes its annotations.
    ///
    /// # Panics
    /// The change is refused.
    pub fn annotate(&self, name: &str, value: &str) {
        shared_api().merge(&self.path(), &json!({"metadata": {"annotations": {name: value}}}));
    }

    /// Asks for its deletion.
    pub fn delete(&self) {
        shared_api().delete(&self.path());
    }

    /// Waits until it is gone.
    ///
    /// # Panics
    /// It isn't in time.
    pub fn wait_until_gone(&self) {
        wait_within(LIMIT, &format!("{} is gone", self.name), || {
            shared_api().get(&self.path()).is_none().then_some(())
        });
    }

    /// The resource as it is.
    pub fn get(&self) -> Option<Value> {
        shared_api().get(&self.path())
    }

    /// A field of the status, by its pointer: `/job/state`.
    pub fn status(&self, pointer: &str) -> Value {
        let resource = self.get().unwrap_or_default();
        resource["status"].pointer(pointer).cloned().unwrap_or_default()
    }

    /// Waits until a field of the status is this.
    ///
    /// # Panics
    /// It isn't in time.
    pub fn wait_for(&self, pointer: &str, value: &Value) {
        self.wait_until(&format!("{pointer} is {value}"), |resource| {
            resource["status"].pointer(pointer) == Some(value)
        });
    }

    /// Waits until something is true of the resource.
    ///
    /// # Panics
    /// It isn't in time; the resource and its pods are shown.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let asked = thalweg_integration_tests::try_within(LIMIT, || self.get().filter(&is_so));
        asked.unwrap_or_else(|| {
            let pods = format!("/api/v1/namespaces/{}/pods", self.namespace);
            let pods = shared_api().list(&pods).into_iter();
            let pods: Vec<String> =
                pods.map(|pod| format!("{}: {}", pod["metadata"]["name"], pod["status"])).collect();
            let status = self.get().map(|resource| resource["status"].clone());
            panic!("waited {LIMIT:?} for this of {}: {what}\n{status:#?}\n{pods:#?}", self.name)
        })
    }

    /// Waits until its first revision has proved stable.
    ///
    /// # Panics
    /// It hasn't in time.
    pub fn wait_until_stable(&self) {
        self.wait_until("the first revision is stable", |resource| {
            resource["status"]["stableRevision"].is_string()
        });
    }

    /// The status of a condition, `True` or `False`, and its reason.
    pub fn condition(&self, kind: &str) -> Option<(String, String)> {
        let conditions = self.status("/conditions");
        let found = conditions.as_array()?.iter().find(|each| each["type"] == kind)?.clone();
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason")))
    }

    /// Waits until a condition is so.
    ///
    /// # Panics
    /// It isn't in time.
    pub fn wait_for_condition(&self, kind: &str, status: &str, reason: &str) {
        self.wait_until(&format!("condition {kind} is {status}, {reason}"), |resource| {
            resource["status"]["conditions"].as_array().is_some_and(|all| {
                all.iter().any(|each| {
                    let is = |field: &str, value: &str| each[field] == value;
                    is("type", kind) && is("status", status) && is("reason", reason)
                })
            })
        });
    }

    /// The id of the newest checkpoint of its job, if that runs and REST answers.
    pub fn running_checkpoint(&self) -> Option<u64> {
        let jobs = self.rest("/jobs/overview")?;
        let job = jobs["jobs"].as_array()?.iter().find(|job| job["state"] == "RUNNING")?;
        let checkpoints = self.rest(&format!("/jobs/{}/checkpoints", job["jid"].as_str()?))?;
        let latest = &checkpoints["latest"];
        let restored = latest["restored"]["id"].as_u64();
        latest["completed"]["id"].as_u64().or(restored).or(Some(0))
    }

    /// Waits until its job runs and has so many more checkpoints than before.
    ///
    /// # Panics
    /// It hasn't in time.
    pub fn wait_for_checkpoints(&self, more: u64) -> u64 {
        let mut before = None;
        wait_within(LIMIT, &format!("{} has {more} more checkpoints", self.name), || {
            let now = self.running_checkpoint()?;
            let before = *before.get_or_insert(now);
            (now >= before + more).then_some(now)
        })
    }

    /// What the leader's REST answers at a path; none if it doesn't.
    pub fn rest(&self, path: &str) -> Option<Value> {
        let Application { namespace, name } = self;
        let service = format!("/api/v1/namespaces/{namespace}/services/{name}-rest:8081/proxy");
        shared_api().get(&format!("{service}{path}"))
    }

    /// The reasons of the events about it.
    pub fn events(&self) -> Vec<String> {
        let events = shared_api().list(&format!("/api/v1/namespaces/{}/events", self.namespace));
        let about = events.iter().filter(|event| event["involvedObject"]["name"] == *self.name);
        about.filter_map(|event| event["reason"].as_str().map(str::to_owned)).collect()
    }

    /// Waits for an event.
    ///
    /// # Panics
    /// There is none in time.
    pub fn wait_for_event(&self, reason: &str) {
        wait_until(
            &format!("event {reason} of {}, not only {:?}", self.name, self.events()),
            || self.events().iter().any(|event| event == reason).then_some(()),
        );
    }
}

/// An example of `crds/examples`, with its state and output in the namespace's part of S3, and
/// the images that the tests have made.
///
/// # Panics
/// There is no such example.
pub fn example(name: &str, namespace: &Namespace) -> Value {
    let file = format!("{}/../../crds/examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let text = text.replace("s3://example-bucket", &namespace.location);
    let text = text.replace(&format!("{name}-s3"), "s3");
    let mut manifest: Value = serde_yaml::from_str(&text).expect("it is YAML");
    manifest["metadata"]["namespace"] = namespace.name.as_str().into();
    let spec = &mut manifest["spec"];
    spec["image"] = IMAGE.into();
    for (key, value) in s3_configuration() {
        spec["configuration"][key] = value.into();
    }
    manifest
}

/// The settings by which pods reach the S3.
pub(crate) fn s3_configuration() -> Vec<(&'static str, String)> {
    let endpoint = std::env::var("THALWEG_TEST_S3_ENDPOINT_IN_PODS");
    vec![
        ("s3.endpoint", endpoint.expect("run the tests by tests/cluster/enter")),
        ("s3.path-style-access", "true".to_owned()),
        ("s3.region", "us-east-1".to_owned()),
    ]
}
