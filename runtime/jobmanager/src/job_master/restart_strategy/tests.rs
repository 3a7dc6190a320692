//! The strategies as tables: failures at some times, and what is decided.

use std::time::Duration;

use super::*;
use crate::testing::configuration;

fn decisions(settings: &[(&str, &str)], failures_ms: &[u64]) -> Vec<Option<u64>> {
    let mut strategy = RestartStrategy::of(&configuration(settings), 1);
    let mut decide = |at: &u64| match strategy.failed(Duration::from_millis(*at)) {
        RestartDecision::Restart(delay) => Some(delay.as_millis() as u64),
        RestartDecision::Fail => None,
    };
    failures_ms.iter().map(&mut decide).collect()
}

#[test]
fn strategies_decide_as_flinks_do() {
    let fixed = [
        ("restart-strategy.type", "fixed-delay"),
        ("restart-strategy.fixed-delay.attempts", "2"),
        ("restart-strategy.fixed-delay.delay", "3 s"),
    ];
    assert_eq!(decisions(&fixed, &[0, 9, 10]), [Some(3000), Some(3000), None]);

    let rate = [
        ("restart-strategy.type", "failure-rate"),
        ("restart-strategy.failure-rate.max-failures-per-interval", "2"),
        ("restart-strategy.failure-rate.failure-rate-interval", "10 s"),
        ("restart-strategy.failure-rate.delay", "1 s"),
    ];
    let one = Some(1000);
    assert_eq!(decisions(&rate, &[0, 5_000, 10_500, 14_000]), [one, one, one, None]);

    assert_eq!(decisions(&[("restart-strategy.type", "none")], &[0]), [None]);
}

const EXPONENTIAL: [(&str, &str); 6] = [
    ("restart-strategy.type", "exponential-delay"),
    ("restart-strategy.exponential-delay.initial-backoff", "1 s"),
    ("restart-strategy.exponential-delay.max-backoff", "5 s"),
    ("restart-strategy.exponential-delay.backoff-multiplier", "2"),
    ("restart-strategy.exponential-delay.reset-backoff-threshold", "1 min"),
    ("restart-strategy.exponential-delay.jitter-factor", "0"),
];

#[test]
fn the_exponential_delay_grows_to_its_maximum_and_starts_anew_after_a_calm_time() {
    let failures = [0, 400, 2_000, 10_000, 20_000, 84_999, 150_000];
    let delays =
        [Some(1000), Some(600), Some(2000), Some(4000), Some(5000), Some(5000), Some(1000)];
    assert_eq!(decisions(&EXPONENTIAL, &failures), delays);

    let mut limited = EXPONENTIAL.to_vec();
    limited.push(("restart-strategy.exponential-delay.attempts-before-reset-backoff", "2"));
    let (failures, delays) = ([0, 10_000, 20_000], [Some(1000), Some(2000), None]);
    assert_eq!(decisions(&limited, &failures), delays);
}

#[test]
fn jitter_stays_within_its_factor_and_depends_on_the_seed_alone() {
    let mut settings = EXPONENTIAL.to_vec();
    settings[5].1 = "0.25";
    let draws = |seed: u64| -> Vec<u64> {
        (0..50)
            .map(|i| {
                let mut strategy = RestartStrategy::of(&configuration(&settings), seed * 100 + i);
                match strategy.failed(Duration::ZERO) {
                    RestartDecision::Restart(delay) => delay.as_millis() as u64,
                    RestartDecision::Fail => panic!("it restarts"),
                }
            })
            .collect()
    };
    assert_eq!(draws(1), draws(1));
    assert_ne!(draws(1), draws(2));
    assert!(draws(1).iter().all(|delay| (750..=1250).contains(delay)), "{:?}", draws(1));
    assert!(draws(1).iter().any(|d| *d < 900) && draws(1).iter().any(|d| *d > 1100));
}

#[test]
fn the_default_depends_on_checkpointing() {
    assert_eq!(decisions(&[], &[0]), [None]);
    let settings = [("execution.checkpointing.interval", "1 s")];
    assert!(decisions(&settings, &[0])[0].is_some());
}
