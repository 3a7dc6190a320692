//! Whether and when a job that failed is restarted.

use std::time::Duration;

use super::{checkpointing, option_group};
use crate::configuration::named::Named;
use crate::configuration::{ConfigOption, Configuration};

/// When a failed job is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartStrategyType {
    /// Never.
    None,
    /// After a fixed delay, a number of times.
    FixedDelay,
    /// After a fixed delay, unless failures come too fast.
    FailureRate,
    /// After a delay that grows with each failure and returns to its start after a calm time.
    ExponentialDelay,
}

impl Named for RestartStrategyType {
    const NAMES: &'static [(Self, &'static str, &'static [&'static str])] = &[
        (Self::None, "none", &["off", "disable"]),
        (Self::FixedDelay, "fixed-delay", &["fixeddelay"]),
        (Self::FailureRate, "failure-rate", &["failurerate"]),
        (Self::ExponentialDelay, "exponential-delay", &["exponentialdelay"]),
    ];
}

impl RestartStrategyType {
    /// The strategy in force: the one set, else as the description of [`TYPE`] says.
    pub fn of(configuration: &Configuration) -> Self {
        let checkpoints = configuration.get(&checkpointing::INTERVAL).is_some();
        configuration.get(&TYPE).unwrap_or(if checkpoints {
            Self::ExponentialDelay
        } else {
            Self::None
        })
    }
}

option_group! {
    "Restart strategy";

    /// The strategy.
    TYPE: Option<RestartStrategyType> = ConfigOption::new(
        "restart-strategy.type",
        || None,
        "When a failed job is restarted. `off` and `disable` mean `none`; `fixeddelay`, \
         `failurerate` and `exponentialdelay` are accepted. Unset: `exponential-delay` when \
         `execution.checkpointing.interval` is set, else `none`.",
    );

    /// Restarts before giving up.
    FIXED_DELAY_ATTEMPTS: u32 = ConfigOption::new(
        "restart-strategy.fixed-delay.attempts",
        || 1,
        "With `fixed-delay`: the number of restarts before the job is declared failed.",
    );

    /// The fixed delay.
    FIXED_DELAY_DELAY: Duration = ConfigOption::new(
        "restart-strategy.fixed-delay.delay",
        || Duration::from_secs(1),
        "With `fixed-delay`: the time between a failure and the restart.",
    );

    /// Failures in an interval.
    FAILURE_RATE_MAX_FAILURES_PER_INTERVAL: u32 = ConfigOption::new(
        "restart-strategy.failure-rate.max-failures-per-interval",
        || 1,
        "With `failure-rate`: the number of failures within the interval after which one more \
         declares the job failed.",
    )
    .must_be("from 1 to 10000", |failures| (1..=10_000).contains(failures));

    /// The interval.
    FAILURE_RATE_INTERVAL: Duration = ConfigOption::new(
        "restart-strategy.failure-rate.failure-rate-interval",
        || Duration::from_secs(60),
        "With `failure-rate`: the interval in which failures are counted.",
    )
    .must_be("at least 1 ms", |interval| *interval >= Duration::from_millis(1));

    /// The delay.
    FAILURE_RATE_DELAY: Duration = ConfigOption::new(
        "restart-strategy.failure-rate.delay",
        || Duration::from_secs(1),
        "With `failure-rate`: the time between a failure and the restart.",
    );

    /// The first delay.
    EXPONENTIAL_DELAY_INITIAL_BACKOFF: Duration = ConfigOption::new(
        "restart-strategy.exponential-delay.initial-backoff",
        || Duration::from_secs(1),
        "With `exponential-delay`: the time between the first failure and the restart.",
    )
    .must_be("at least 1 ms", |backoff| *backoff >= Duration::from_millis(1));

    /// The longest delay.
    EXPONENTIAL_DELAY_MAX_BACKOFF: Duration = ConfigOption::new(
        "restart-strategy.exponential-delay.max-backoff",
        || Duration::from_secs(60),
        "With `exponential-delay`: the longest time between a failure and the restart.",
    )
    .must_be("at least 1 ms", |backoff| *backoff >= Duration::from_millis(1));

    /// The growth of the delay.
    EXPONENTIAL_DELAY_BACKOFF_MULTIPLIER: f64 = ConfigOption::new(
        "restart-strategy.exponential-delay.backoff-multiplier",
        || 1.5,
        "With `exponential-delay`: what the time is multiplied by at each failure.",
    )
    .must_be("from 1 to 100", |multiplier| (1.0..=100.0).contains(multiplier));

    /// The calm time.
    EXPONENTIAL_DELAY_RESET_BACKOFF_THRESHOLD: Duration = ConfigOption::new(
        "restart-strategy.exponential-delay.reset-backoff-threshold",
        || Duration::from_secs(60 * 60),
        "With `exponential-delay`: after running this long without a failure, the delay and the \
         count of attempts start anew.",
    );

    /// The spread of the delay.
    EXPONENTIAL_DELAY_JITTER_FACTOR: f64 = ConfigOption::new(
        "restart-strategy.exponential-delay.jitter-factor",
        || 0.1,
        "With `exponential-delay`: the part of the delay by which it is lengthened or shortened \
         at random, so that jobs that failed together don't restart together.",
    )
    .must_be("from 0 to 1", |factor| (0.0..=1.0).contains(factor));

    /// Restarts before giving up.
    EXPONENTIAL_DELAY_ATTEMPTS_BEFORE_RESET_BACKOFF: u32 = ConfigOption::new(
        "restart-strategy.exponential-delay.attempts-before-reset-backoff",
        || 2_147_483_647,
        "With `exponential-delay`: the number of restarts before the job is declared failed; a \
         calm time starts the count anew.",
    );
}
