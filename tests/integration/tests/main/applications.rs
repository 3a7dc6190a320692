//! The example applications in one process.

use std::path::Path;

use thalweg_integration_tests::{FraudInput, PersonalisationInput, Process, application};
use thalweg_integration_tests::{Rest, strs, wait_until};
use thalweg_oracle::{compare, fraud_detection};

const PARALLELISMS: [&str; 4] = ["1", "2", "3", "7"];

#[test]
fn fraud_detection_gives_the_oracles_output_at_any_parallelism() {
    let input = FraudInput::new(30_000, 1);
    for parallelism in PARALLELISMS {
        let name = format!("p{parallelism}");
        let arguments = input.arguments(&name, &["--parallelism", parallelism]);
        let binary = application("fraud-detection");
        Process::run(&name, &binary, &strs(&arguments)).succeeded();
        input.check(&name);
    }
}

#[test]
fn personalisation_gives_the_oracles_output_at_any_parallelism() {
    let input = PersonalisationInput::new(20_000, 2);
    for parallelism in PARALLELISMS {
        let name = format!("p{parallelism}");
        let arguments = input.arguments(&name, &["--parallelism", parallelism]);
        let binary = application("personalisation");
        Process::run(&name, &binary, &strs(&arguments)).succeeded();
        input.check(&name);
    }
}

#[test]
fn without_arguments_fraud_detection_prints_alerts_and_progress_about_its_own_data() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/fraud-detection/data");
    let expected = fraud_detection::run(data.join("transactions.csv")).unwrap();
    let ended = Process::run("fraud-detection", &application("fraud-detection"), &[]).succeeded();
    let alerts: Vec<String> = ended.stdout.lines().map(str::to_owned).collect();
    compare(&expected.alerts, &alerts).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(ended.stderr.contains("REST is served at http://127.0.0.1:"), "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap_or_default();
    let records = format!("FINISHED {} records read", expected.rows);
    assert!(last.contains(&records) && last.contains("watermark"), "{records}: {last}");
    let rate = last.split(", ").find_map(|part| part.strip_suffix("/s"));
    assert!(rate.is_some_and(|rate| rate.parse::<u64>().is_ok_and(|rate| rate > 0)), "{last}");
}

/// The port of the line `REST is served at http://127.0.0.1:PORT`.
fn rest_port(process: &mut Process) -> u16 {
    let line = process.wait_for_line("REST is served at");
    let port = line.rsplit(':').next().unwrap_or_default();
    port.parse().unwrap_or_else(|e| panic!("{line}: {e}"))
}

#[test]
fn a_second_process_at_the_same_time_takes_the_next_rest_port() {
    let input = FraudInput::new(5_000, 3);
    let binary = application("fraud-detection");
    let start = |name: &str| {
        let arguments = input.arguments(name, &["--rate", "2500", "--parallelism", "1"]);
        Process::start(name, &binary, &strs(&arguments))
    };
    let mut first = start("first");
    let first_port = rest_port(&mut first);
    let mut second = start("second");
    let second_port = rest_port(&mut second);
    // Other tests have their processes, too: the next free one isn't always the next one.
    assert!((8081..=8181).contains(&first_port), "{first_port}");
    assert!(second_port != first_port && (8081..=8181).contains(&second_port), "{second_port}");
    for (port, process) in [(first_port, &mut first), (second_port, &mut second)] {
        let rest = Rest::new(&format!("127.0.0.1:{port}"));
        rest.wait_for_job("RUNNING");
        assert!(process.is_running());
    }
    for (name, mut process) in [("first", first), ("second", second)] {
        process.wait().succeeded();
        input.check(name);
    }
}

#[test]
fn progress_says_how_far_a_running_job_is() {
    let input = FraudInput::new(5_000, 4);
    let arguments = input.arguments("slow", &["--rate", "1200", "--parallelism", "2"]);
    let binary = application("fraud-detection");
    let mut process = Process::start("slow", &binary, &strs(&arguments));
    let (mut numbers, mut dated) = (Vec::new(), false);
    wait_until("two lines of progress with rising numbers", || {
        let printed = process.stderr();
        let lines = printed.lines().filter(|line| line.contains("RUNNING"));
        numbers.clear();
        for line in lines {
            dated |= line.contains("watermark 2026-01-0");
            let number = line.split(' ').find_map(|word| word.parse::<u64>().ok());
            numbers.extend(number.filter(|number| *number > 0));
        }
        numbers.dedup();
        assert!(process.is_running(), "it ended with {numbers:?}:\n{printed}");
        (numbers.len() >= 2 && dated).then_some(())
    });
    assert!(numbers.is_sorted(), "{numbers:?}");
    process.wait().succeeded();
    input.check("slow");
}
