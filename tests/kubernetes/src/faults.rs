//! What happens to a pod's process and what it sees, from outside of the pod: from within, nobody
//! can kill the first one.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What is done to a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// It ends at once.
    Kill,
    /// It stands still.
    Stop,
    /// It goes on.
    Continue,
}

/// Sends a signal to the application's process in a pod of this machine.
///
/// # Panics
/// There is none.
pub fn signal(pod: &Value, signal: Signal) {
    let uid = pod["metadata"]["uid"].as_str().expect("a pod has a uid");
    let processes = processes_of(uid);
    assert!(!processes.is_empty(), "pod {} has no process here", pod["metadata"]["name"]);
    let name = match signal {
        Signal::Kill => "KILL",
        Signal::Stop => "STOP",
        Signal::Continue => "CONT",
    };
    let status = Command::new("kill").arg(format!("-{name}")).args(&processes).status();
    assert!(status.expect("kill is there").success(), "{processes:?} of {uid} are gone");
}

/// What the processes in a pod of this machine keep in memory, in bytes.
///
/// # Panics
/// There is none.
pub fn memory(pod: &Value) -> u64 {
    let uid = pod["metadata"]["uid"].as_str().expect("a pod has a uid");
    let processes = processes_of(uid);
    assert!(!processes.is_empty(), "pod {} has no process here", pod["metadata"]["name"]);
    let of_process = |id: &String| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        let kilobytes: u64 =
            line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        kilobytes << 10
    };
    processes.iter().map(of_process).sum()
}

/// A file as the processes in a pod of this machine see it; empty if it isn't there.
pub fn mounted(pod: &Value, path: &str) -> String {
    let uid = pod["metadata"]["uid"].as_str().expect("a pod has a uid");
    let process = processes_of(uid).pop();
    let read = process.map(|id| fs::read_to_string(format!("/proc/{id}/root/{path}")));
    read.and_then(Result::ok).unwrap_or_default()
}

/// Leaves a pod's process no more memory than it has: the kernel ends it when it wants more.
///
/// # Panics
/// It isn't ended.
pub fn exhaust_memory(pod: &Value) {
    let uid = pod["metadata"]["uid"].as_str().expect("a pod has a uid");
    let process = processes_of(uid).pop().expect("the pod has a process");
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).expect("it has groups");
    let group = |controller: &str| {
        let line = groups.lines().find(|line| line.split(':').nth(1) == Some(controller))?;
        line.splitn(3, ':').nth(2)
    };
    let (used, limit) = match group("memory") {
        Some(of) => (
            format!("/sys/fs/cgroup/memory{of}/memory.usage_in_bytes"),
            format!("/sys/fs/cgroup/memory{of}/memory.limit_in_bytes"),
        ),
        None => {
            let of = group("").expect("a group of version 2");
            let file = |name: &str| format!("/sys/fs/cgroup{of}/memory.{name}");
            (file("current"), file("max"))
        }
    };
    crate::wait_until("the kernel ends the process", || {
        // What it has just now may be less than what it had a moment ago.
        let now = fs::read_to_string(&used).unwrap_or_default();
        let _ = fs::write(&limit, now.trim());
        (!Path::new(&format!("/proc/{process}")).exists()).then_some(())
    });
}

/// The processes in the control groups of a pod, but the one that only holds its namespaces.
pub(crate) fn processes_of(uid: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("there is /proc").flatten();
    let processes = entries.filter(|entry| {
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let program = fs::read_link(entry.path().join("exe")).unwrap_or_default();
        // With systemd's cgroups the dashes are underscores.
        (groups.contains(uid) || groups.contains(&uid.replace('-', "_")))
            && !program.ends_with("pause")
    });
    processes.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
