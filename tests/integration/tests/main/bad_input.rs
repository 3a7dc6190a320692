//! Bad input and bad arguments: an error that names the cause, and no hang.

use std::fs;

use thalweg_integration_tests::{Cluster, FraudInput, Process, application};

const HEADER: &str = "transaction_id,account_id,event_time_ms,amount_cents,merchant,location\n";

#[test]
fn a_malformed_row_fails_the_job_and_is_named_by_file_line_and_field() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("negative.csv", "1,1,1000,5,a,b\n2,1,2000,-5,a,b\n", &["line 3", "amount_cents"][..]),
        ("word.csv", "1,one,1000,5,a,b\n", &["line 2", "account_id"]),
        ("short.csv", "1,1,1000,5,a,b\n2,1,2000,6,a,b\n3,1,3000\n", &["line 4"]),
        // A field with a line break in quotes: the row after it begins one line later.
        ("break.csv", "1,1,1000,5,\"a\nb\",c\nx,1,2000,6,a,b\n", &["line 4", "transaction_id"]),
        ("huge.csv", "1,1,99999999999999999999999,5,a,b\n", &["line 2", "event_time_ms"]),
    ];
    for (name, rows, parts) in cases {
        let path = folder.path().join(name);
        fs::write(&path, format!("{HEADER}{rows}")).unwrap();
        let path = path.to_str().unwrap();
        let arguments = ["--transactions", path, "--parallelism", "2"];
        let ended = Process::run(name, &application("fraud-detection"), &arguments);
        ended.failed_with(&[&[path], parts].concat());
    }
}

#[test]
fn a_malformed_row_fails_a_cluster_and_is_named_there_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("word.csv");
    fs::write(&path, format!("{HEADER}1,1,1000,much,a,b\n")).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    cluster.start_job_manager(&["--transactions".to_owned(), path.clone()]);
    cluster.start_task_manager(1);
    cluster.wait().failed_with(&[&path, "line 2", "amount_cents", "much"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("no-header.csv"), "").unwrap();
    let without_location = HEADER.replace(",location", "") + "1,1,1000,5,a\n";
    fs::write(folder.path().join("no-location.csv"), without_location).unwrap();
    for (name, part) in [
        ("missing.csv", "missing.csv"),
        ("no-header.csv", "header"),
        ("no-location.csv", "location"),
    ] {
        let path = folder.path().join(name);
        let path = path.to_str().unwrap();
        let arguments = ["--transactions", path, "--parallelism", "1"];
        let ended = Process::run(name, &application("fraud-detection"), &arguments);
        ended.failed_with(&[path, part]);
    }
}

#[test]
fn an_output_folder_that_cannot_be_made_is_named() {
    let input = FraudInput::new(100, 51);
    fs::write(input.path("occupied"), "a file").unwrap();
    let occupied = input.path("occupied");
    let transactions = input.path("transactions");
    let arguments = ["--transactions", transactions.to_str().unwrap()];
    let arguments = [&arguments[..], &["--alerts", occupied.to_str().unwrap()]].concat();
    let ended = Process::run("fraud-detection", &application("fraud-detection"), &arguments);
    ended.failed_with(&[occupied.to_str().unwrap()]);
}

#[test]
fn bad_arguments_of_an_application_are_named() {
    let cases = [
        (&["--parralelism", "2"][..], &["--parralelism", "--parallelism"][..]),
        (&["--rate"], &["--rate needs a value"]),
        (&["--rate", "fast"], &["--rate \"fast\""]),
        (&["--rate", "0"], &["\"Source: transactions\" has the rate 0"]),
        (&["--rate", "-1"], &["the rate -1"]),
        (&["--rate", "nan"], &["the rate NaN"]),
        (&["--parallelism", "0"], &["parallelism"]),
        (&["--parallelism", "129"], &["129", "128", "max parallelism"]),
        (&["data.csv"], &["data.csv"]),
    ];
    for (arguments, parts) in cases {
        let what = arguments.join(" ");
        let ended = Process::run(&what, &application("fraud-detection"), arguments);
        ended.failed_with(parts);
    }
}

#[test]
fn bad_arguments_of_an_application_end_a_cluster() {
    let mut cluster = Cluster::new(&application("fraud-detection"), &[]);
    cluster.start_task_manager(1);
    cluster.task_managers[0].wait_for_line("data port");
    cluster.start_job_manager(&["--parallelism".to_owned(), "129".to_owned()]);
    // It may be over before the TaskManager finds the JobManager: only that one must end.
    let ended = cluster.job_manager.as_mut().unwrap().wait();
    ended.failed_with(&["129", "128"]);
}

#[test]
fn bad_arguments_of_a_role_are_named_with_the_usage() {
    let cases = [
        (&["taskmanager", "--confg", "x"][..], "--confg"),
        (&["jobmanager", "--parallelism", "2"], "--parallelism"),
        (&["cancel"], "JOB_ID"),
    ];
    for (arguments, part) in cases {
        let ended = Process::run(part, &application("fraud-detection"), arguments);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(part) && ended.stderr.contains("Usage"), "{}", ended.stderr);
    }
}
