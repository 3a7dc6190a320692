//! The registry's laws, and parsing by tables; reading never panics whatever is read.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::options::restart_strategy::RestartStrategyType;
use super::options::{
    checkpointing, execution, heartbeat, jobmanager, metrics, network, parallelism, rest,
    restart_strategy, security, state, taskmanager,
};
use super::*;

fn yaml(text: &str) -> Result<Configuration, ConfigurationError> {
    Configuration::from_yaml(text, "thalweg.yaml")
}

fn yaml_error(text: &str) -> String {
    yaml(text).unwrap_err().to_string()
}

fn set_error(key: &str, value: &str) -> String {
    Configuration::new().set_str(key, value).unwrap_err().to_string()
}

/// What a text becomes as a `T`: its canonical form.
fn canonical<T: ConfigValue>(text: &str) -> Option<String> {
    T::parse(text).ok().and_then(|value| value.text())
}

#[test]
fn no_two_options_share_a_key() {
    let mut keys = BTreeSet::new();
    for option in options::all() {
        for key in [Some(option.key()), option.other_key()].into_iter().flatten() {
            assert!(keys.insert(key), "{key} is there twice");
        }
    }
}

#[test]
fn no_key_is_the_beginning_of_another_so_that_nested_files_can_hold_both() {
    let keys: Vec<_> = options::all().map(AnyOption::key).collect();
    for key in &keys {
        let below = keys.iter().find(|other| other.starts_with(&format!("{key}.")));
        assert_eq!(below, None, "below {key}");
    }
}

#[test]
fn every_option_accepts_its_default_and_its_example_and_describes_itself() {
    for option in options::all() {
        let key = option.key();
        if let Some(default) = option.default_text() {
            assert_eq!(option.canonical(&default), Ok(default), "{key}");
        }
        option.canonical(&option.example()).unwrap_or_else(|error| panic!("{key}: {error}"));
        assert!(option.description().len() > 20, "{key}");
        assert!(!option.description().contains('|'), "{key}: a bar breaks the table");
        assert!(option.canonical(" ").is_err(), "{key}");
    }
}

#[test]
fn the_reference_page_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let expected = reference_markdown();
    for option in options::all() {
        assert!(expected.contains(&format!("| `{}` |", option.key())), "{}", option.key());
    }
    if std::env::var_os("THALWEG_UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&page, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == expected,
        "{} differs from the option registry; \
         run THALWEG_UPDATE=1 cargo test -p thalweg-core configuration",
        page.display()
    );
}

#[test]
fn durations_are_read_as_flink_writes_them() {
    let table = [
        ("10 s", Some("10 s")),
        ("500ms", Some("500 ms")),
        ("1000 ms", Some("1 s")),
        ("1 min", Some("1 min")),
        ("60 m", Some("1 h")),
        ("1h", Some("1 h")),
        ("36 hours", Some("36 h")),
        ("2 DAYS", Some("2 d")),
        ("7", Some("7 ms")),
        ("0", Some("0 ms")),
        ("5 µs", Some("5 µs")),
        ("12 nanos", Some("12 ns")),
        ("36500 d", Some("36500 d")),
        ("36501 d", None),
        ("99999999999999999999 s", None),
        ("1.5 s", None),
        ("-1 s", None),
        ("s", None),
        ("10 parsecs", None),
    ];
    for (text, expected) in table {
        assert_eq!(canonical::<Duration>(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn memory_sizes_are_read_as_flink_writes_them() {
    let table = [
        ("512 mb", Some(512 << 20)),
        ("1g", Some(1 << 30)),
        ("64kb", Some(64 << 10)),
        ("64 KB", Some(64 << 10)),
        ("3 tebibytes", Some(3 << 40)),
        ("17", Some(17)),
        ("0b", Some(0)),
        ("16777216 tb", None),
        ("1.5 gb", None),
        ("1 gib", None),
    ];
    for (text, expected) in table {
        assert_eq!(MemorySize::parse(text).ok().map(MemorySize::bytes), expected, "{text}");
    }
    assert_eq!(canonical::<MemorySize>("1024 mb").as_deref(), Some("1 gb"));
    assert_eq!(canonical::<MemorySize>("1025").as_deref(), Some("1025 b"));
}

#[test]
fn port_ranges_booleans_and_locations_are_read() {
    let ports = |text| PortRange::parse(text).ok().map(|range| (range.first(), range.last()));
    assert_eq!(ports("8081"), Some((8081, 8081)));
    assert_eq!(ports("50100 - 50200"), Some((50100, 50200)));
    assert_eq!(ports("0"), Some((0, 0)));
    for refused in ["0-10", "9-8", "65536", "1-65536", "-1", "1-", "1-2-3", "+5", "http"] {
        assert_eq!(ports(refused), None, "{refused}");
    }
    assert_eq!(PortRange::parse("7-9").unwrap().ports().collect::<Vec<_>>(), [7, 8, 9]);
    assert_eq!(PortRange::single(65535).ports().count(), 1);

    assert_eq!(canonical::<bool>("TRUE").as_deref(), Some("true"));
    assert_eq!(canonical::<bool>("yes"), None);

    let local = |text| {
        let location = Location::parse(text).ok();
        location.map(|location| location.local_path().map(|path| path.display().to_string()))
    };
    assert_eq!(local("/var/lib"), Some(Some("/var/lib".to_owned())));
    assert_eq!(local("file:///var/lib"), Some(Some("/var/lib".to_owned())));
    assert_eq!(local("s3://bucket/prefix"), Some(None));
    for refused in ["file://var/lib", "file:/var", "://x", "s3://", "a b://c", "a\0b"] {
        assert_eq!(local(refused), None, "{refused:?}");
    }
}

#[test]
fn flat_nested_and_mixed_yaml_say_the_same() {
    let flat = "
        restart-strategy.type: fixeddelay
        restart-strategy.fixed-delay.delay: 2000 ms
        taskmanager.numberOfTaskSlots: 4
        taskmanager.memory.process.size: 2gb
        metrics.port: 9300
        taskmanager.network.memory.fraction: 0.25
    ";
    let nested = "
        restart-strategy:
          type: fixed-delay
          fixed-delay:
            delay: 2 s
        taskmanager:
          numberOfTaskSlots: '4'
          memory: {process: {size: 2048 mb}}
          network.memory.fraction: '0.25'
        metrics: {port: '9300'}
    ";
    let configuration = yaml(flat).unwrap();
    assert_eq!(yaml(nested).unwrap(), configuration);
    let strategy = configuration.get(&restart_strategy::TYPE);
    assert_eq!(strategy, Some(RestartStrategyType::FixedDelay));
    let delay = configuration.get(&restart_strategy::FIXED_DELAY_DELAY);
    assert_eq!(delay, Duration::from_secs(2));
    assert_eq!(configuration.get(&taskmanager::NUMBER_OF_TASK_SLOTS), 4);
    assert_eq!(configuration.get(&taskmanager::MEMORY_PROCESS_SIZE), MemorySize::from_mib(2048));
    assert_eq!(configuration.get(&metrics::PORT), PortRange::single(9300));
    assert_eq!(configuration.get(&network::MEMORY_FRACTION).to_bits(), 0.25_f64.to_bits());
    for empty in ["", "# nothing\n", "{}", "---\n"] {
        assert_eq!(yaml(empty).unwrap(), Configuration::new(), "{empty:?}");
    }
}

#[test]
fn what_is_not_set_has_its_default() {
    let mut configuration = Configuration::new();
    assert!(!configuration.is_set(&rest::PORT));
    assert_eq!(configuration.get(&rest::PORT), 8081);
    assert_eq!(configuration.get_optional(&rest::PORT), None);
    assert_eq!(configuration.get(&checkpointing::INTERVAL), None);
    configuration.set_definition("rest.port=8081").unwrap();
    assert!(configuration.is_set(&rest::PORT));
    assert_eq!(configuration.get_optional(&rest::PORT), Some(8081));
}

#[test]
fn every_mistake_in_a_file_is_named_with_its_place_and_remedy() {
    let table = [
        (
            "rest:\n  port: 1\n  prot: 2\n",
            "unknown configuration key \"rest.prot\" (thalweg.yaml, line 3): \
             did you mean rest.port?",
        ),
        (
            "# comment\nheartbeat.interval: 10 parsecs\n",
            "configuration key heartbeat.interval: \"10 parsecs\" (thalweg.yaml, line 2) is not \
             accepted: the unit \"parsecs\" isn't known; the units are d, h, min, s, ms, µs and \
             ns; expected a duration, at least 1 ms, for example \"1 s\"",
        ),
        (
            "parallelism.default: 0\n",
            "configuration key parallelism.default: \"0\" (thalweg.yaml, line 1) is not accepted: \
             it must be from 1 to 32768; expected an integer, from 1 to 32768, for example \"1\"",
        ),
        (
            "parallelism.default:\n",
            "configuration key \"parallelism.default\" (thalweg.yaml, line 1) has nothing instead \
             of one value",
        ),
        (
            "rest.port: [1, 2]\n",
            "configuration key \"rest.port\" (thalweg.yaml, line 1) has a list instead of one \
             value",
        ),
        (
            "rest.port: 1\nrest:\n  \"port\": 2\n",
            "configuration key rest.port is set twice (thalweg.yaml, line 3); remove one of the \
             two",
        ),
        (
            "execution.buffer-timeout: 1\nexecution.buffer-timeout.interval: 2\n",
            "configuration key execution.buffer-timeout.interval is set twice (thalweg.yaml, \
             line 2); remove one of the two",
        ),
        (
            "high-availability.cluster-id: 1.10\n",
            "configuration key high-availability.cluster-id (thalweg.yaml, line 1): write the \
             value in quotes, else YAML changes it",
        ),
        (
            "just text",
            "thalweg.yaml is not a YAML mapping of configuration keys to values: the document is \
             a single value or a list",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(yaml_error(text), expected, "{text}");
    }
    let syntax = yaml_error("rest.port: 1\nrest.port: 2\n");
    assert!(syntax.contains("duplicate entry with key \"rest.port\""), "{syntax}");
    let syntax = yaml_error("a: b: c");
    assert!(syntax.contains("thalweg.yaml") && syntax.contains("line 1"), "{syntax}");
    let large = yaml_error(&"#".repeat((1 << 20) + 1));
    assert!(large.contains("1048577 bytes"), "{large}");
}

#[test]
fn an_unknown_key_gets_the_most_helpful_advice() {
    let table = [
        ("rest.prot", Advice::DidYouMean("rest.port")),
        ("taskmanager.number-of-task-slots", Advice::DidYouMean("taskmanager.numberOfTaskSlots")),
        ("taskmanager.numberoftaskslots", Advice::DidYouMean("taskmanager.numberOfTaskSlots")),
        ("numberOfTaskSlots", Advice::DidYouMean("taskmanager.numberOfTaskSlots")),
        ("checkpointing.interval", Advice::DidYouMean("execution.checkpointing.interval")),
        ("taskmanager.memory.process.sise", Advice::DidYouMean("taskmanager.memory.process.size")),
        ("state.checkpoints.dir", Advice::Renamed("execution.checkpointing.dir")),
        ("rest.bind-port", Advice::Renamed("rest.port")),
        (
            "metrics.reporter.prom.port",
            Advice::NotNeeded("the Prometheus reporter is built in; its port is metrics.port"),
        ),
        ("restart-strategy", Advice::Renamed("restart-strategy.type")),
        ("something.else.altogether", Advice::SeeReference),
        ("", Advice::SeeReference),
    ];
    for (key, expected) in table {
        let error = Configuration::new().set_str(key, "1").unwrap_err();
        let ConfigurationError::UnknownKey { advice, .. } = error else {
            panic!("{key}: {error}");
        };
        assert_eq!(advice, expected, "{key}");
    }
    let error = set_error("taskmanager.memory.network.min", "64 mb");
    assert!(error.contains("taskmanager.memory.network.fraction alone"), "{error}");
    let error = set_error("taskmanager.memory.managed.fraction", "0.4");
    assert!(error.contains("remove it: taskmanager.memory.process.size is the one"), "{error}");
    let error = set_error(&"x".repeat(100_000), "1");
    assert!(error.len() < 300, "{error}");
}

#[test]
fn every_key_that_advice_names_exists() {
    for (_, advice) in suggestion::FLINK_KEYS {
        if let Advice::Renamed(key) = advice {
            assert!(options::find(key).is_some(), "{key}");
        }
    }
    for (key, _) in suggestion::FLINK_KEYS {
        assert!(options::find(key).is_none(), "{key} is an option and is advised against");
    }
}

#[test]
fn definitions_take_the_place_of_what_the_file_says() {
    let mut configuration = yaml("parallelism.default: 2").unwrap();
    configuration.set_definition("parallelism.default = 3 ").unwrap();
    assert_eq!(configuration.get(&parallelism::DEFAULT), 3);
    assert_eq!(
        configuration.set_definition("parallelism.default").unwrap_err().to_string(),
        "-D \"parallelism.default\" has no value; write -D key=value"
    );
    let error = configuration.set_definition("parallelism.default=x=y").unwrap_err().to_string();
    assert!(error.contains("\"x=y\" (-D on the command line)"), "{error}");
    assert_eq!(configuration.get(&parallelism::DEFAULT), 3, "a refused value changes nothing");
}

#[test]
fn names_aliases_and_refusals_of_enumerations() {
    use RestartStrategyType::{ExponentialDelay, FailureRate, FixedDelay, None};
    let table = [
        ("none", None),
        ("off", None),
        ("disable", None),
        ("fixed-delay", FixedDelay),
        ("fixeddelay", FixedDelay),
        ("Failure-Rate", FailureRate),
        ("failurerate", FailureRate),
        ("exponential-delay", ExponentialDelay),
        ("exponentialdelay", ExponentialDelay),
    ];
    for (text, expected) in table {
        let configuration = yaml(&format!("restart-strategy.type: {text}")).unwrap();
        assert_eq!(configuration.get(&restart_strategy::TYPE), Some(expected), "{text}");
        assert_eq!(RestartStrategyType::of(&configuration), expected, "{text}");
    }
    assert_eq!(RestartStrategyType::of(&Configuration::new()), None);
    let with_checkpoints = yaml("execution.checkpointing.interval: 10 s").unwrap();
    assert_eq!(RestartStrategyType::of(&with_checkpoints), ExponentialDelay);

    let backend = yaml("state.backend.type: hashmap").unwrap();
    assert_eq!(
        backend.keys_and_values().next(),
        Some((state::BACKEND_TYPE.key(), "memory".into()))
    );
    let refused = set_error("execution.checkpointing.mode", "AT_LEAST_ONCE");
    assert!(refused.contains("at-least-once checkpoints aren't offered"), "{refused}");
    let refused = set_error(jobmanager::FAILOVER_STRATEGY.key(), "full");
    assert!(refused.contains("tasks restart by region"), "{refused}");
    let refused = set_error("restart-strategy.type", "sometimes");
    assert!(refused.contains("none, fixed-delay, failure-rate, exponential-delay"), "{refused}");
}

#[test]
fn values_set_by_the_program_are_checked_too() {
    let mut configuration = Configuration::new();
    configuration.set(&checkpointing::INTERVAL, Some(Duration::from_secs(90))).unwrap();
    assert_eq!(configuration.get(&checkpointing::INTERVAL), Some(Duration::from_secs(90)));
    configuration.set(&checkpointing::INTERVAL, None).unwrap();
    assert!(!configuration.is_set(&checkpointing::INTERVAL));
    assert!(configuration.set(&parallelism::DEFAULT, 0).is_err());
    assert!(configuration.set(&jobmanager::RPC_ADDRESS, "http://host:1".to_owned()).is_err());
    configuration.set(&jobmanager::RPC_ADDRESS, "::1".to_owned()).unwrap();
}

#[test]
fn extending_takes_over_what_the_other_sets_and_nothing_else() {
    let mut configuration = yaml("{rest.port: 1, jobmanager.rpc.port: 2}").unwrap();
    configuration.extend(&yaml("{rest.port: 3, parallelism.default: 4}").unwrap());
    let expected = yaml("{rest.port: 3, jobmanager.rpc.port: 2, parallelism.default: 4}").unwrap();
    assert_eq!(configuration, expected);
}

#[test]
fn secrets_are_hidden_wherever_a_configuration_is_shown() {
    for key in ["s3.secret-key", "S3.Access_Key", "db.password", "auth.token", "x.apikey"] {
        assert_eq!(redacted(key, "hunter2"), HIDDEN_CONTENT, "{key}");
    }
    assert_eq!(redacted("rest.port", "8081"), "8081");
    assert_eq!(redacted("a.dir", "s3://me:pa@ss@host/b?x=@"), "s3://******@host/b?x=@");
    assert_eq!(redacted("a.dir", "s3://bucket/a@b"), "s3://bucket/a@b");

    let location = "s3://me:hunter2@host/bucket";
    let mut configuration = Configuration::new();
    configuration.set_str("execution.checkpointing.dir", location).unwrap();
    assert_eq!(
        format!("{configuration:?}"),
        r#"{"execution.checkpointing.dir": "s3://******@host/bucket"}"#
    );
    assert_eq!(configuration.get(&checkpointing::DIRECTORY).unwrap().as_str(), location);
    let error = set_error("execution.checkpointing.dir", "1s://me:hunter2@host/bucket");
    assert!(!error.contains("hunter2") && error.contains("******"), "{error}");
}

#[test]
fn serialisation_keeps_everything_and_refuses_what_is_not_a_configuration() {
    let configuration = yaml("{rest.port: 9, execution.checkpointing.interval: 10 s}").unwrap();
    let json = serde_json::to_string(&configuration).unwrap();
    assert_eq!(json, r#"{"execution.checkpointing.interval":"10 s","rest.port":"9"}"#);
    assert_eq!(serde_json::from_str::<Configuration>(&json).unwrap(), configuration);
    let bytes = postcard::to_stdvec(&configuration).unwrap();
    assert_eq!(postcard::from_bytes::<Configuration>(&bytes).unwrap(), configuration);
    for refused in [r#"{"rest.prot":"9"}"#, r#"{"rest.port":"x"}"#, r#"{"rest.port":9}"#] {
        assert!(serde_json::from_str::<Configuration>(refused).is_err(), "{refused}");
    }
}

#[test]
fn contradictions_are_named_with_both_keys() {
    let table = [
        ("heartbeat.timeout: 1 s", heartbeat::INTERVAL.key()),
        ("{parallelism.default: 4, pipeline.max-parallelism: 3}", parallelism::MAX.key()),
        (
            "restart-strategy.exponential-delay.initial-backoff: 2 min",
            restart_strategy::EXPONENTIAL_DELAY_MAX_BACKOFF.key(),
        ),
        ("execution.checkpointing.interval: 1 s", checkpointing::DIRECTORY.key()),
        ("security.ssl.internal.enabled: true", security::INTERNAL_DIRECTORY.key()),
    ];
    for (text, expected) in table {
        let error = yaml(text).unwrap().validate().unwrap_err();
        let ConfigurationError::Contradiction { second_key, .. } = &error else {
            panic!("{text}: {error}");
        };
        assert_eq!(*second_key, expected, "{error}");
    }
    let error = yaml("{parallelism.default: 200}").unwrap().validate().unwrap_err().to_string();
    assert_eq!(
        error,
        "the parallelism is above the max parallelism: parallelism.default is 200, \
         pipeline.max-parallelism is 128; lower the one, or raise the other for a job that has \
         no snapshots yet"
    );
    Configuration::new().validate().unwrap();
    yaml("{execution.checkpointing.interval: 1 s, execution.checkpointing.dir: /tmp/x}")
        .unwrap()
        .validate()
        .unwrap();
}

#[test]
fn an_other_key_of_flink_sets_the_same_option() {
    let configuration = yaml("execution.buffer-timeout: 20 ms").unwrap();
    assert_eq!(configuration.get(&execution::BUFFER_TIMEOUT), Duration::from_millis(20));
    let configuration = yaml("rest.bind-address: 0.0.0.0").unwrap();
    assert_eq!(configuration.get(&rest::BIND_HOST), "0.0.0.0");
}

/// Any text, and texts that come close to a value.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[0-9]{1,22} ?[a-zµ]{0,6}",
        "[0-9]{0,6}-[0-9]{0,6}",
        "-?[0-9]{0,4}\\.?[0-9]{0,4}(e-?[0-9]{1,3})?",
        "[a-z0-9+.-]{0,5}:?/{0,3}[a-z@:/]{0,8}",
    ]
}

proptest! {
    #[test]
    fn any_text_for_any_key_is_accepted_in_canonical_form_or_refused_without_a_change(
        text in text()
    ) {
        for option in options::all() {
            let mut configuration = Configuration::new();
            match configuration.set_str(option.key(), &text) {
                Ok(()) => {
                    let stored = configuration.values.get(option.key()).unwrap();
                    prop_assert_eq!(option.canonical(stored), Ok(stored.clone()));
                }
                Err(error) => {
                    prop_assert!(error.to_string().contains(option.key()));
                    prop_assert_eq!(configuration, Configuration::new());
                }
            }
        }
    }

    #[test]
    fn any_key_and_any_yaml_end_in_a_value_or_an_error(key in any::<String>(), text in text()) {
        let mut configuration = Configuration::new();
        prop_assert_eq!(
            configuration.set_str(&key, &text).is_err(),
            options::find(&key).is_none()
        );
        let _ = yaml(&text);
        let _ = yaml(&format!("{key}: {text}\n  {key}:\n {text}"));
    }

    #[test]
    fn a_duration_or_memory_size_survives_being_written_and_read(
        nanos in 0..u64::MAX / 8, bytes in any::<u64>()
    ) {
        for nanos in [nanos, nanos / 1_000_000 * 1_000_000] {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(Duration::parse(&duration.text().unwrap()), Ok(duration));
        }
        let size = MemorySize::from_bytes(bytes);
        prop_assert_eq!(MemorySize::parse(&size.text().unwrap()), Ok(size));
    }
}
