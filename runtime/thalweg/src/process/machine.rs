//! What the machine has, as far as it tells.

use thalweg_taskmanager::Hardware;

/// Processors and memory of this machine.
pub(super) fn hardware() -> Hardware {
    let cpu_cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    Hardware {
        cpu_cores: u32::try_from(cpu_cores).unwrap_or(1),
        physical_bytes: physical_bytes().unwrap_or(0),
        process_id: std::process::id(),
    }
}

fn physical_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// What this process takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessUsage {
    /// Processor time of all its threads since it began, in ns.
    pub(crate) cpu_ns: u64,
    /// Its threads now.
    pub(crate) threads: u64,
    /// Bytes of memory that it has resident now.
    pub(crate) resident_bytes: u64,
}

/// What this process takes, where the system tells.
pub(crate) fn process_usage() -> Option<ProcessUsage> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    usage(&std::fs::read_to_string("/proc/self/stat").ok()?, &status)
}

/// From the text of `/proc/<pid>/stat` and `/proc/<pid>/status` (proc(5)).
fn usage(stat: &str, status: &str) -> Option<ProcessUsage> {
    /// A clock tick as programs see it, whatever the kernel's own is: 1/100 s.
    const TICK_NS: u64 = 10_000_000;
    // The second field is the program's name in brackets, and may hold any character.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let threads: u64 = fields.nth(4)?.parse().ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(ProcessUsage { cpu_ns: (user + system) * TICK_NS, threads, resident_bytes: kib * 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_takes_is_read_behind_whatever_name_it_has() {
        let stat = "77 (a) b (c) S 1 77 77 0 -1 4194560 900 0 3 0 250 50 0 0 20 0 9 0 1205 1 2 3";
        let found = usage(stat, "Name:\ta) b (c\nVmRSS:\t    2048 kB\nThreads:\t9\n");
        let expected =
            ProcessUsage { cpu_ns: 3_000_000_000, threads: 9, resident_bytes: 2048 * 1024 };
        assert_eq!(found, Some(expected));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_takes_something() {
        let used = process_usage().unwrap();
        assert!(used.threads > 0 && used.resident_bytes > 0, "{used:?}");
    }
}
