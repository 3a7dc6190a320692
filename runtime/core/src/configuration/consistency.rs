//! Values that are fine alone and contradict each other.

use super::option::AnyOption;
use super::options::s3::S3CredentialsSource;
use super::options::{
    checkpointing, heartbeat, high_availability, parallelism, restart_strategy, s3, security,
};
use super::{Configuration, ConfigurationError};

/// Checks, in this order:
/// 1. a heartbeat's timeout is longer than its interval;
/// 2. the default parallelism isn't above the max parallelism;
/// 3. the exponential delay doesn't start above its maximum;
/// 4. checkpoints have a place to be written to;
/// 5. a leader shows itself more often than it is believed;
/// 6. TLS has a certificate;
/// 7. keys for S3 come in pairs, and are there when they are to be used.
pub(super) fn check(configuration: &Configuration) -> Result<(), ConfigurationError> {
    let get = configuration;
    if get.get(&heartbeat::TIMEOUT) <= get.get(&heartbeat::INTERVAL) {
        return contradiction(
            configuration,
            "every process would count as lost between two heartbeats",
            (&heartbeat::TIMEOUT, &heartbeat::INTERVAL),
            "make the timeout several times the interval",
        );
    }
    if get.get(&parallelism::DEFAULT) > get.get(&parallelism::MAX) {
        return contradiction(
            configuration,
            "the parallelism is above the max parallelism",
            (&parallelism::DEFAULT, &parallelism::MAX),
            "lower the one, or raise the other for a job that has no snapshots yet",
        );
    }
    let initial = &restart_strategy::EXPONENTIAL_DELAY_INITIAL_BACKOFF;
    let maximum = &restart_strategy::EXPONENTIAL_DELAY_MAX_BACKOFF;
    if get.get(initial) > get.get(maximum) {
        return contradiction(
            configuration,
            "the first restart's delay is above the longest delay",
            (initial, maximum),
            "lower the one or raise the other",
        );
    }
    let directory = get.get(&checkpointing::DIRECTORY);
    let directory = directory.or_else(|| get.get(&high_availability::STORAGE_DIRECTORY));
    if get.get(&checkpointing::INTERVAL).is_some() && directory.is_none() {
        return contradiction(
            configuration,
            "checkpoints are on and have no place to be written to",
            (&checkpointing::INTERVAL, &checkpointing::DIRECTORY),
            "set the directory",
        );
    }
    let (lease, period) = (&high_availability::LEASE_DURATION, &high_availability::RETRY_PERIOD);
    if get.get(lease) <= get.get(period) {
        return contradiction(
            configuration,
            "every leader would count as gone between two signs of life",
            (lease, period),
            "make the lease several times the period",
        );
    }
    check_certificate(configuration)?;
    check_s3_keys(configuration)
}

fn check_certificate(configuration: &Configuration) -> Result<(), ConfigurationError> {
    let (enabled, directory) = (&security::INTERNAL_ENABLED, &security::INTERNAL_DIRECTORY);
    if !configuration.get(enabled) || configuration.get(directory).is_some() {
        return Ok(());
    }
    contradiction(
        configuration,
        "TLS is on and has no certificate",
        (enabled, directory),
        "set the directory with tls.crt, tls.key and ca.crt",
    )
}

fn check_s3_keys(configuration: &Configuration) -> Result<(), ConfigurationError> {
    let access = configuration.get(&s3::ACCESS_KEY).is_some();
    let secret = configuration.get(&s3::SECRET_KEY).is_some();
    let source = configuration.get(&s3::CREDENTIALS_SOURCE);
    if access != secret {
        return contradiction(
            configuration,
            "one key for S3 is useless without the other",
            (&s3::ACCESS_KEY, &s3::SECRET_KEY),
            "set both, or none and let s3.credentials.source say where they come from",
        );
    }
    match source {
        S3CredentialsSource::Keys if !access => contradiction(
            configuration,
            "the keys for S3 are to be taken from the configuration and aren't there",
            (&s3::CREDENTIALS_SOURCE, &s3::ACCESS_KEY),
            "set s3.access-key and s3.secret-key",
        ),
        S3CredentialsSource::Auto | S3CredentialsSource::Keys => Ok(()),
        _ if access => contradiction(
            configuration,
            "keys for S3 are set and wouldn't be used",
            (&s3::CREDENTIALS_SOURCE, &s3::ACCESS_KEY),
            "remove the keys or the other key",
        ),
        _ => Ok(()),
    }
}

fn contradiction(
    configuration: &Configuration,
    problem: &'static str,
    (first, second): (&dyn AnyOption, &dyn AnyOption),
    remedy: &'static str,
) -> Result<(), ConfigurationError> {
    let shown = |option: &dyn AnyOption| {
        let set = configuration.values.get(option.key()).cloned();
        let value = set.or_else(|| option.default_text());
        value.map_or_else(|| "unset".to_owned(), |text| super::redacted(option.key(), &text))
    };
    Err(ConfigurationError::Contradiction {
        problem,
        first_key: first.key(),
        first: shown(first),
        second_key: second.key(),
        second: shown(second),
        remedy,
    })
}
