//! kubectl, and the scripts of `tests/cluster`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs kubectl with some input, and gives what it prints.
///
/// # Panics
/// It fails.
pub fn kubectl(arguments: &[&str], input: &str) -> String {
    let output = run(Command::new("kubectl").args(arguments), input);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl {}: {errors}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Runs the plugin as it was built beside this test: `kubectl flinkapp`. Gives what it prints.
///
/// # Panics
/// It fails.
pub fn kubectl_flinkapp(namespace: &str, arguments: &[&str]) -> String {
    let test = std::env::current_exe().expect("a test has a path");
    let built = test.ancestors().nth(2).expect("cargo puts tests into <profile>/deps");
    let path = std::env::var("PATH").expect("kubectl is in it");
    let mut command = Command::new("kubectl");
    command.arg("flinkapp").args(["--namespace", namespace]).args(arguments);
    let output = run(command.env("PATH", format!("{}:{path}", built.display())), "");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "kubectl flinkapp {}: {errors}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Runs kubectl, which is to fail, and gives what it says.
///
/// # Panics
/// It doesn't.
pub fn kubectl_fails(arguments: &[&str], input: &str) -> String {
    let output = run(Command::new("kubectl").args(arguments), input);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "kubectl {} has worked: {printed}", arguments.join(" "));
    String::from_utf8(output.stderr).expect("it prints text")
}

/// How often an object is written within so many seconds.
pub fn writes_within(seconds: u32, namespace: &str, object: &str) -> usize {
    let limit = format!("--request-timeout={seconds}s");
    let arguments =
        ["get", object, "--namespace", namespace, "--watch-only", "--output=name", &limit];
    // That the time is over is no success to kubectl.
    let output = run(Command::new("kubectl").args(arguments), "");
    String::from_utf8_lossy(&output.stdout).lines().count()
}

/// Runs a script of `tests/cluster`.
///
/// # Panics
/// It fails, as it does on a cluster that it hasn't made.
pub fn cluster_script(name: &str, arguments: &[&str]) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster");
    let mut command = Command::new(scripts.join(name));
    // tests/cluster/enter has set it, and the script takes it for a cluster of the user's.
    let output = run(command.args(arguments).env_remove("KUBECONFIG"), "");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tests/cluster/{name} {}: {errors}", arguments.join(" "));
}

fn run(command: &mut Command, input: &str) -> Output {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("it can be started");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).expect("it reads its input");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}
