//! Whether and when a failed job is restarted: Flink's four strategies, with its parameters.
//!
//! Not here: what is restarted (the scheduler), and randomness: the jitter comes from a generator
//! whose seed is passed in.

mod random;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use thalweg_core::configuration::Configuration;
use thalweg_core::configuration::options::restart_strategy as options;
use thalweg_core::configuration::options::restart_strategy::RestartStrategyType;

pub use random::SeededRandom;

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartDecision {
    /// Restart, this long after the failure.
    Restart(Duration),
    /// Give the job up.
    Fail,
}

/// A strategy and what it remembers.
#[derive(Debug, Clone)]
pub enum RestartStrategy {
    /// Never restart.
    None,
    /// A number of times, after the same delay.
    FixedDelay(FixedDelay),
    /// Unless failures come too fast.
    FailureRate(FailureRate),
    /// After a delay that grows until the job was calm for a while.
    ExponentialDelay(ExponentialDelay),
}

/// A number of restarts, each after the same delay.
#[derive(Debug, Clone)]
pub struct FixedDelay {
    attempts: u32,
    delay: Duration,
    restarts: u32,
}

/// Restarts as long as at most a number of failures lie within an interval.
#[derive(Debug, Clone)]
pub struct FailureRate {
    failures_max: usize,
    interval: Duration,
    delay: Duration,
    failures: VecDeque<Duration>,
}

/// Restarts after a delay that grows by a factor and returns to its start after a calm time.
#[derive(Debug, Clone)]
pub struct ExponentialDelay {
    initial: Duration,
    max: Duration,
    multiplier: f64,
    reset_threshold: Duration,
    jitter: f64,
    attempts_max: u32,
    current: Duration,
    attempts: u32,
    next_restart: Option<Duration>,
    random: SeededRandom,
}

impl RestartStrategy {
    /// The strategy that the configuration asks for; `seed` is for its jitter.
    pub fn of(configuration: &Configuration, seed: u64) -> Self {
        let get = configuration;
        match RestartStrategyType::of(configuration) {
            RestartStrategyType::None => Self::None,
            RestartStrategyType::FixedDelay => Self::FixedDelay(FixedDelay {
                attempts: get.get(&options::FIXED_DELAY_ATTEMPTS),
                delay: get.get(&options::FIXED_DELAY_DELAY),
                restarts: 0,
            }),
            RestartStrategyType::FailureRate => Self::FailureRate(FailureRate {
                failures_max: get.get(&options::FAILURE_RATE_MAX_FAILURES_PER_INTERVAL) as usize,
                interval: get.get(&options::FAILURE_RATE_INTERVAL),
                delay: get.get(&options::FAILURE_RATE_DELAY),
                failures: VecDeque::new(),
            }),
            RestartStrategyType::ExponentialDelay => {
                let initial = get.get(&options::EXPONENTIAL_DELAY_INITIAL_BACKOFF);
                Self::ExponentialDelay(ExponentialDelay {
                    initial,
                    max: get.get(&options::EXPONENTIAL_DELAY_MAX_BACKOFF),
                    multiplier: get.get(&options::EXPONENTIAL_DELAY_BACKOFF_MULTIPLIER),
                    reset_threshold: get.get(&options::EXPONENTIAL_DELAY_RESET_BACKOFF_THRESHOLD),
                    jitter: get.get(&options::EXPONENTIAL_DELAY_JITTER_FACTOR),
                    attempts_max: get
                        .get(&options::EXPONENTIAL_DELAY_ATTEMPTS_BEFORE_RESET_BACKOFF),
                    current: initial,
                    attempts: 0,
                    next_restart: None,
                    random: SeededRandom::new(seed),
                })
            }
        }
    }

    /// Decides about a failure at `now`:
    ///
    /// 1. `none` gives up.
    /// 2. `fixed-delay` gives up after its number of restarts.
    /// 3. `failure-rate` gives up when its number of failures already lies within the interval
    ///    before `now`.
    /// 4. `exponential-delay` answers a failure before the restart that it has already announced
    ///    with that same restart; starts anew when the job was calm for the threshold since the
    ///    last restart; gives up after its number of attempts; lengthens the delay by its factor
    ///    up to the maximum, each with jitter.
    pub fn failed(&mut self, now: Duration) -> RestartDecision {
        match self {
            Self::None => RestartDecision::Fail,
            Self::FixedDelay(strategy) => {
                if strategy.restarts >= strategy.attempts {
                    return RestartDecision::Fail;
                }
                strategy.restarts += 1;
                RestartDecision::Restart(strategy.delay)
            }
            Self::FailureRate(strategy) => strategy.failed(now),
            Self::ExponentialDelay(strategy) => strategy.failed(now),
        }
    }

    /// The strategy in words, as REST shows it.
    pub fn description(&self) -> String {
        match self {
            Self::None => "Restart deactivated.".to_owned(),
            Self::FixedDelay(s) => {
                format!(
                    "Restart with fixed delay ({} ms). #{} restart attempts.",
                    s.delay.as_millis(),
                    s.attempts
                )
            }
            Self::FailureRate(s) => format!(
                "Failure rate restart with maximum of {} failures within interval {} ms and \
                 fixed delay {} ms.",
                s.failures_max,
                s.interval.as_millis(),
                s.delay.as_millis()
            ),
            Self::ExponentialDelay(s) => format!(
                "Restart with exponential delay: starting at {} ms, multiplied by {} up to {} \
                 ms, jitter {}, reset after {} ms.",
                s.initial.as_millis(),
                s.multiplier,
                s.max.as_millis(),
                s.jitter,
                s.reset_threshold.as_millis()
            ),
        }
    }
}

impl FailureRate {
    fn failed(&mut self, now: Duration) -> RestartDecision {
        while self.failures.front().is_some_and(|at| now.saturating_sub(*at) > self.interval) {
            self.failures.pop_front();
        }
        if self.failures.len() >= self.failures_max {
            return RestartDecision::Fail;
        }
        self.failures.push_back(now);
        RestartDecision::Restart(self.delay)
    }
}

impl ExponentialDelay {
    fn failed(&mut self, now: Duration) -> RestartDecision {
        if let Some(next) = self.next_restart {
            if now < next {
                return RestartDecision::Restart(next - now);
            }
            if now - next >= self.reset_threshold {
                self.attempts = 0;
            }
        }
        if self.attempts >= self.attempts_max {
            return RestartDecision::Fail;
        }
        self.current = if self.attempts == 0 {
            self.initial
        } else {
            scaled(self.current, self.multiplier).min(self.max)
        };
        self.attempts += 1;
        let spread = 1.0 + self.jitter * (self.random.next_fraction() * 2.0 - 1.0);
        let delay = scaled(self.current, spread).min(self.max);
        self.next_restart = Some(now + delay);
        RestartDecision::Restart(delay)
    }
}

/// `duration * factor`; the longest duration where that is longer still.
fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}
