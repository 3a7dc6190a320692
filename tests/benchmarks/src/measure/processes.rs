//! Other processes of this binary, and what the system says of processes.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use thalweg::prelude::Duration;

use crate::Outcome;

/// Clock ticks a second in /proc: fixed by Linux's interface to programs.
const TICKS_PER_SECOND: u64 = 100;

/// A command that starts this binary again.
pub(crate) fn own_binary() -> Outcome<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

/// A process that ends with whoever holds this.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Starts this binary in a role, with nothing on its standard input as long as it lives.
    pub(crate) fn start(arguments: &[&str]) -> Outcome<Self> {
        let mut command = own_binary()?;
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    /// Bytes of memory that it has resident now.
    pub(crate) fn resident_bytes(&self) -> Outcome<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()).unwrap_or_default();
        Ok(number.parse::<u64>()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Processor time of this process and of those that it has started and seen end.
pub(crate) fn cpu_time() -> Outcome<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name, which may hold anything: user and system time are the 12th to 15th field.
    let (_, fields) = text.rsplit_once(')').ok_or("/proc/self/stat has no name")?;
    let fields = fields.split_whitespace().skip(11).take(4).map(str::parse::<u64>);
    let ticks = fields.sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Waits.
#[expect(clippy::disallowed_methods, reason = "a benchmark lets time pass")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
