//! `allround troubled` in pods that Prometheus scrapes: what happens to it is asked for.

use serde_json::{Value, json};

use crate::application::Application;
use crate::namespace::Namespace;
use crate::soak::Soak;

/// Applies one, changed by fields of its spec, and waits for nothing.
///
/// # Panics
/// It is refused.
pub fn troubled(namespace: &Namespace, name: &str, troubles: &[&str], spec: Value) -> Application {
    let arguments = [&["troubled"], troubles].concat();
    let troubled = Soak::new(namespace, 0).named(name).with(json!({
        "job": {"binary": {"args": arguments}, "parallelism": 1},
        "podTemplate": {"metadata": {"annotations": {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": "9249",
        }}},
        // It has no end, and nothing that had to be moved.
        "taskManager": {"podTemplate": {"spec": {"terminationGracePeriodSeconds": 1}}},
    }));
    troubled.with(spec).apply(namespace)
}
