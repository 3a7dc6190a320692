//! Sources that read from sockets.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;

use thalweg_integration_tests::{PersonalisationInput, Process, application, strs};

/// Serves a CSV file's rows, without its header, to the first who connects, and closes.
fn serve(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let (_header, rows) = text.split_once('\n').unwrap();
    let rows = rows.to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(rows.as_bytes()).unwrap();
    };
    // Not joined: if nobody connects, the test fails by what is missing in the output.
    std::thread::Builder::new().spawn(serve).unwrap();
    format!("tcp://{address}")
}

#[test]
fn personalisation_reads_both_streams_from_sockets() {
    let input = PersonalisationInput::in_files(10_000, 41, 1);
    for parallelism in ["1", "3"] {
        let (views, purchases) = (serve(&input.path("views")), serve(&input.path("purchases")));
        let mut arguments = input.output_arguments(parallelism);
        arguments.extend([format!("--views={views}"), format!("--purchases={purchases}")]);
        arguments.push(format!("--parallelism={parallelism}"));
        let binary = application("personalisation");
        Process::run("personalisation", &binary, &strs(&arguments)).succeeded();
        input.check(parallelism);
    }
}

#[test]
fn a_socket_and_a_folder_can_be_read_together() {
    let input = PersonalisationInput::in_files(10_000, 42, 1);
    let mut arguments = input.arguments("run", &["--parallelism", "2"]);
    let purchases = arguments.iter().position(|argument| argument == "--purchases").unwrap();
    arguments[purchases + 1] = serve(&input.path("purchases"));
    let binary = application("personalisation");
    Process::run("personalisation", &binary, &strs(&arguments)).succeeded();
    input.check("run");
}

#[test]
fn a_socket_that_nobody_serves_fails_the_job_and_is_named() {
    let input = PersonalisationInput::in_files(100, 43, 1);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut arguments = input.arguments("run", &["--parallelism", "1"]);
    let views = arguments.iter().position(|argument| argument == "--views").unwrap();
    arguments[views + 1] = format!("tcp://{address}");
    let ended = Process::run("personalisation", &application("personalisation"), &strs(&arguments));
    ended.failed_with(&[&address.to_string()]);
}
