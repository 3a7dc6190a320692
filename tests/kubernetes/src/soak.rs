//! `allround` in pods: its resource, and its output, which must be the oracle's.

use allround::input::Input;
use serde_json::{Value, json};
use thalweg_integration_tests::check_output;
use thalweg_oracle::read_output;

use crate::application::{Application, IMAGE, s3_configuration};
use crate::namespace::Namespace;
use crate::output::download;

const KEYS: u64 = 40;
/// Rows per second of a source.
const RATE: u64 = 300;
const PARALLELISM: u64 = 2;

/// A run of `allround`.
#[derive(Clone, Debug)]
pub struct Soak {
    rows: u64,
    output: String,
    manifest: Value,
}

impl Soak {
    /// One that runs for about so many seconds, if nothing disturbs it. Its checkpoints come each
    /// second, so that every fault comes after one; what it is made of can be changed.
    pub fn new(namespace: &Namespace, seconds: u64) -> Soak {
        let rows = seconds * RATE;
        let output = format!("{}/output", namespace.location);
        let key = |name: &str, key: &str| {
            let reference = json!({"name": "s3", "key": key});
            json!({"name": name, "valueFrom": {"secretKeyRef": reference}})
        };
        let mut configuration = json!({
            "execution.checkpointing.tolerable-failed-checkpoints": "1000",
            // Many of them run on a small machine, and nobody waits for a row.
            "execution.buffer-timeout.interval": "50 ms",
        });
        for (key, value) in s3_configuration() {
            configuration[key] = value.into();
        }
        let args = [
            "--rows",
            &rows.to_string(),
            "--keys",
            &KEYS.to_string(),
            "--rate",
            &RATE.to_string(),
            "--output",
            &output,
        ];
        let manifest = json!({
            "apiVersion": "thalweg.dev/v1alpha1",
            "kind": "FlinkApplication",
            "metadata": {"name": "allround", "namespace": namespace.name},
            "spec": {
                "image": IMAGE,
                "configuration": configuration,
                "job": {
                    "binary": {
                        "path": "/usr/local/bin/allround",
                        "args": args,
                        "env": [
                            key("AWS_ACCESS_KEY_ID", "access-key-id"),
                            key("AWS_SECRET_ACCESS_KEY", "secret-access-key"),
                        ],
                    },
                    "parallelism": PARALLELISM,
                    "restartStrategy": {"type": "Fixed", "initialBackoffSeconds": 1},
                },
                "state": {
                    "checkpoints": {
                        "location": format!("{}/state", namespace.location),
                        "intervalSeconds": 1,
                    },
                    "savepoints": {"location": format!("{}/savepoints", namespace.location)},
                },
                "upgrade": {"stability": {"minRunningSeconds": 5, "maxRestarts": 1000}},
                "jobManager": {"resources": resources("256Mi")},
                "taskManager": {"slots": 1, "resources": resources("512Mi")},
            },
        });
        Soak { rows, output, manifest }
    }

    /// Its manifest, changed: these fields are merged into its spec.
    #[must_use]
    pub fn with(mut self, spec: Value) -> Soak {
        merge(&mut self.manifest["spec"], spec);
        self
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Soak {
        self.manifest["metadata"]["name"] = name.into();
        self
    }

    /// Applies it, and waits until it runs and has completed a checkpoint.
    ///
    /// # Panics
    /// It doesn't.
    pub fn start(&self, namespace: &Namespace) -> Application {
        let application = self.apply(namespace);
        application.wait_for_checkpoints(1);
        application
    }

    /// Applies it, and waits for nothing.
    ///
    /// # Panics
    /// It is refused.
    pub fn apply(&self, namespace: &Namespace) -> Application {
        Application::apply(namespace, &self.manifest)
    }

    /// The program's arguments and more of them.
    pub fn arguments_and(&self, more: &[&str]) -> Value {
        let mut all = self.manifest["spec"]["job"]["binary"]["args"].clone();
        let list = all.as_array_mut().expect("arguments are a list");
        list.extend(more.iter().map(|argument| Value::from(*argument)));
        all
    }

    /// Waits until it has finished, and compares its output with the oracle's.
    ///
    /// # Panics
    /// It hasn't, or the output is another one.
    pub fn finish(&self, application: &Application) {
        application.wait_for("/job/state", &json!("FINISHED"));
        self.check();
    }

    /// Compares the output with the oracle's.
    ///
    /// # Panics
    /// It is another one.
    pub fn check(&self) {
        let folder = tempfile::tempdir().expect("a folder can be made");
        download(&self.output, folder.path());
        let lines = read_output(folder.path()).expect("it can be read");
        let alerts: Vec<&String> =
            lines.iter().filter(|line| line.starts_with(allround::line::ALERT)).collect();
        assert!(alerts.is_empty(), "allround has found: {alerts:#?}");
        let expected = allround::oracle::expected(Input::new(self.rows, KEYS));
        check_output("allround's output", &expected, folder.path());
    }
}

/// The least that is asked for, so that many pods fit on a small machine; and a limit.
fn resources(memory: &str) -> Value {
    json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": memory}})
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
