//! An environment for tests and for trying things out: no roles, no ports.

use std::sync::OnceLock;

use thalweg_core::configuration::Configuration;
use thalweg_datastream::StreamExecutionEnvironment;

use crate::process::LocalCluster;

/// An environment whose jobs run in this process. The first call starts the JobManager that all
/// of them share.
///
/// ```
/// use thalweg::prelude::*;
/// let env = thalweg::local_environment();
/// let rows = env.from_source(CollectionSource::new(vec![1u64, 2]), no_watermarks(), "rows");
/// assert_eq!(rows.execute_and_collect()?, [1, 2]);
/// # Ok::<(), thalweg::Error>(())
/// ```
///
/// # Panics
/// The process can't have threads.
pub fn local_environment() -> StreamExecutionEnvironment {
    static CLUSTER: OnceLock<LocalCluster> = OnceLock::new();
    static ENVIRONMENTS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let cluster = CLUSTER.get_or_init(|| match LocalCluster::start(Configuration::new()) {
        Ok(cluster) => cluster,
        #[expect(clippy::panic, reason = "tests would only unwrap it")]
        Err(error) => panic!("the local environment can't be started: {error}"),
    });
    let number = ENVIRONMENTS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    cluster.environment(&format!("local-environment-{number}"), Vec::new(), None)
}
