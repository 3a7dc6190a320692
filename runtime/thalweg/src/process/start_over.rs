//! A process that starts over in its place: the same program with the same arguments, settings and
//! process id, and nothing else of what there was. All threads end, all connections, ports and
//! files are closed, as when it exits; but whoever watches it sees no end, and waits for nothing.
//! Not here: when (`high_availability`).

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// This program, also when its file was replaced or deleted meanwhile.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Starts over. Returns only why that can't be.
pub(super) fn start_over() -> io::Error {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let mut command = Command::new(OWN_PROGRAM);
    if !arguments.is_empty() {
        command.arg0(arguments.remove(0));
    }
    command.args(arguments).exec()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::Path;
    use std::{env, fs, process};

    use super::*;

    /// Names a file; set in the process that is to start over.
    const NOTES: &str = "THALWEG_TEST_STARTS_OVER";
    const NAME: &str = "a_process_that_starts_over_is_the_same_one_without_its_ports_and_threads";

    /// Its first life leaves notes; its second one compares, and puts its own in their place.
    fn live(notes: &Path) {
        let Ok(first) = fs::read_to_string(notes) else {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            fs::write(notes, format!("{} {port}", process::id())).unwrap();
            // Another thread is in the middle of something, and has the port.
            let (_kept, never) = std::sync::mpsc::sync_channel::<()>(1);
            let busy = std::thread::Builder::new().spawn(move || {
                let _listener = listener;
                let _ = never.recv();
            });
            busy.unwrap();
            panic!("it can't start over: {}", start_over());
        };
        let (id, port) = first.split_once(' ').unwrap();
        assert_eq!(id, process::id().to_string());
        TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
        fs::write(notes, "another life").unwrap();
    }

    #[test]
    fn a_process_that_starts_over_is_the_same_one_without_its_ports_and_threads() {
        if let Some(notes) = env::var_os(NOTES) {
            return live(Path::new(&notes));
        }
        let folder = tempfile::tempdir().unwrap();
        let notes = folder.path().join("notes");
        let test = format!("process::start_over::tests::{NAME}");
        let ran = Command::new(env::current_exe().unwrap())
            .args(["--exact", &test, "--nocapture"])
            .env(NOTES, &notes)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(fs::read_to_string(&notes).unwrap(), "another life");
    }
}
