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

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    /// Emits both inputs.
    struct Both;

    impl CoProcessFunction<u64, u64, u64> for Both {
        fn process_first(
            &mut self,
            row: u64,
            _: &mut ProcessContext<'_>,
            out: &mut Collector<'_, u64>,
        ) -> FunctionResult {
            out.collect(row);
            Ok(())
        }
        fn process_second(
            &mut self,
            row: u64,
            _: &mut ProcessContext<'_>,
            out: &mut Collector<'_, u64>,
        ) -> FunctionResult {
            out.collect(row);
            Ok(())
        }
    }

    #[test]
    fn subtasks_that_an_input_has_no_channel_to_do_their_part_and_end() {
        let env = crate::local_environment();
        env.set_parallelism(3);
        let numbers = |name: &str, numbers: std::ops::Range<u64>| {
            let source = CollectionSource::new(numbers.collect()).in_parallel();
            env.from_source(source, no_watermarks(), name)
        };
        let (first, second) = (numbers("first", 0..50), numbers("second", 50..100));
        let both = first.connect(&second.global()).process(|_| Ok(Both));
        let mut all = both.global().map(|n| n).execute_and_collect().unwrap();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}
