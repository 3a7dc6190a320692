//! A process that is watched: its output is kept, it has a deadline, and it ends with the test.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::waiting::{DEADLINE, wait_until, wait_within};

/// The most output that a failure shows, from its end.
const SHOWN_BYTES: usize = 6_000;

/// A running process, or one that has ended. Dropped, it is killed; dropped by a failing test, it
/// first shows what it has printed.
#[derive(Debug)]
pub struct Process {
    what: String,
    child: Child,
    stdout: Kept,
    stderr: Kept,
    shown: bool,
}

/// How a process has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit code; none when a signal has ended it.
    pub code: Option<i32>,
    /// All that it has printed.
    pub stdout: String,
    /// All that it has printed as errors, progress and logs.
    pub stderr: String,
}

/// A stream of the process that is read to its end by a thread.
#[derive(Debug)]
struct Kept {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Kept {
    fn new(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = bytes.clone();
        let read = move || {
            let mut piece = [0; 8_192];
            while let Ok(read @ 1..) = stream.read(&mut piece) {
                kept.lock().expect("no reader panics").extend_from_slice(&piece[..read]);
            }
        };
        let reader = std::thread::Builder::new().name("output".to_owned()).spawn(read);
        Self { bytes, reader: Some(reader.expect("a thread can be started")) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no reader panics")).into_owned()
    }

    /// All of it: the process must have ended.
    fn rest(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no reader panics");
        }
        self.text()
    }
}

impl Process {
    /// Starts a program. `what` names it in failures.
    pub fn start(what: &str, program: &Path, arguments: &[&str]) -> Self {
        Self::start_with(what, program, arguments, |_| {})
    }

    /// Starts a program, with something else set.
    pub fn start_with(
        what: &str,
        program: &Path,
        arguments: &[&str],
        set: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What tests expect in logs doesn't depend on the shell that they were started from.
        command.env_remove("RUST_LOG");
        set(&mut command);
        let started = command.spawn();
        let mut child = started.unwrap_or_else(|e| panic!("{} can't run: {e}", program.display()));
        let stdout = Kept::new(child.stdout.take().expect("it is piped"));
        let stderr = Kept::new(child.stderr.take().expect("it is piped"));
        Self { what: what.to_owned(), child, stdout, stderr, shown: false }
    }

    /// Runs a program to its end.
    pub fn run(what: &str, program: &Path, arguments: &[&str]) -> Ended {
        Self::start(what, program, arguments).wait()
    }

    /// The system's number of it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// It doesn't, within [`DEADLINE`].
    pub fn wait(&mut self) -> Ended {
        self.wait_within(DEADLINE)
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// It doesn't, within `limit`.
    pub fn wait_within(&mut self, limit: Duration) -> Ended {
        let what = format!("{} ends", self.what);
        let status = wait_within(limit, &what, || self.child.try_wait().ok().flatten());
        let (stdout, stderr) = (self.stdout.rest(), self.stderr.rest());
        Ended { code: status.code(), stdout, stderr }
    }

    /// Waits until stderr has a line that contains `text`, and gives the line.
    ///
    /// # Panics
    /// There is none within [`DEADLINE`], or it ends without.
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let what = format!("{} prints {text:?}", self.what);
        wait_until(&what, || {
            let runs = self.is_running();
            let printed = if runs { self.stderr() } else { self.stderr.rest() };
            // The last line may not be whole yet.
            let whole = printed.rsplit_once('\n').map_or("", |(lines, _)| lines);
            let found = whole.lines().find(|line| line.contains(text)).map(str::to_owned);
            assert!(runs || found.is_some(), "{} has ended without {text:?}", self.what);
            found
        })
    }

    /// Kills it at once (SIGKILL).
    ///
    /// # Panics
    /// It has ended already.
    pub fn kill(&mut self) {
        assert!(self.is_running(), "{} has ended before it was killed", self.what);
        self.child.kill().expect("a running process can be killed");
        self.child.wait().expect("a killed process ends");
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Panics
    /// It has ended already.
    pub fn terminate(&mut self) {
        self.signal("TERM");
    }

    /// Makes it stand still (SIGSTOP): its connections stay open and nothing moves.
    ///
    /// # Panics
    /// It has ended already.
    pub fn pause(&mut self) {
        self.signal("STOP");
    }

    /// Lets it go on after [`Self::pause`] (SIGCONT).
    ///
    /// # Panics
    /// It has ended already.
    pub fn resume(&mut self) {
        self.signal("CONT");
    }

    fn signal(&mut self, name: &str) {
        assert!(self.is_running(), "{} has ended before SIG{name}", self.what);
        let command = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &command]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{command} doesn't work");
    }

    fn show(&mut self) {
        if std::mem::replace(&mut self.shown, true) {
            return;
        }
        for (name, kept) in [("stdout", &mut self.stdout), ("stderr", &mut self.stderr)] {
            let text = kept.rest();
            let mut from = text.len().saturating_sub(SHOWN_BYTES);
            while !text.is_char_boundary(from) {
                from += 1;
            }
            if !text.is_empty() {
                eprintln!("---- {} of {} ({from} bytes left out) ----", name, self.what);
                eprintln!("{}", text[from..].trim_end());
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when it has ended, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            self.show();
        }
    }
}

impl Ended {
    /// The process, expected to have succeeded.
    ///
    /// # Panics
    /// It hasn't.
    pub fn succeeded(self) -> Self {
        self.with_code(0)
    }

    /// The process, expected to have ended with this exit code.
    ///
    /// # Panics
    /// It has another one.
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stderr:\n{}", self.stderr);
        self
    }

    /// The process, expected to have failed with a message that has all of `parts`.
    ///
    /// # Panics
    /// It hasn't failed, has panicked, or a part is missing.
    pub fn failed_with(self, parts: &[&str]) -> Self {
        let ended = self.with_code(1);
        for part in parts {
            assert!(ended.stderr.contains(part), "{part:?} is missing in:\n{}", ended.stderr);
        }
        assert!(!ended.stderr.contains("panicked at"), "it panicked:\n{}", ended.stderr);
        ended
    }
}

/// Arguments as [`Process::start`] takes them.
pub fn strs(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}
