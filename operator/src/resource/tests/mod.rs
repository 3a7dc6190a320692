//! The resource's definition: generated files, bounds, samples, and what the API server refuses.

mod generated;
mod refused;
mod schema;
pub(crate) mod strict;

use serde_json::Value;

use crate::resource::FlinkApplication;

/// The repository's root.
pub(crate) fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One of the samples in crds/examples.
pub(crate) fn sample(name: &str) -> Value {
    let path = root().join("crds/examples").join(name);
    let text = std::fs::read_to_string(&path).expect("a sample");
    serde_yaml::from_str(&text).expect("YAML")
}

/// A sample as the API server would store it.
pub(crate) fn application(name: &str) -> FlinkApplication {
    serde_json::from_value(strict::with_defaults(&sample(name))).expect("a FlinkApplication")
}
