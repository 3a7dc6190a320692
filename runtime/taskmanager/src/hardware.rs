//! What the machine or container has. Read once, at the start of a process; for people only:
//! nothing is decided by it.

/// What the machine has, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hardware {
    /// Processors.
    pub cpu_cores: u32,
    /// Memory of the machine or container, in bytes; 0: unknown.
    pub physical_bytes: u64,
    /// The process's id at the operating system; 0: unknown. Not asked for where it is shown, so
    /// that a simulation says the same each time.
    pub process_id: u32,
}

impl Hardware {
    /// What the system says: the container's limit where there is one.
    pub fn detect() -> Self {
        let cpu_cores = std::thread::available_parallelism().map_or(1, usize::from);
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let limit = read("/sys/fs/cgroup/memory.max");
        let physical_bytes = memory(&limit, &read("/proc/meminfo"));
        let cpu_cores = u32::try_from(cpu_cores).unwrap_or(u32::MAX);
        Self { cpu_cores, physical_bytes, process_id: std::process::id() }
    }
}

/// The smaller of a control group's limit and the machine's memory; 0 if neither is known.
fn memory(limit: &str, machine: &str) -> u64 {
    let limit = limit.trim().parse::<u64>().ok();
    let total = machine.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = total.and_then(|total| total.trim().strip_suffix("kB"));
    let machine = kilobytes.and_then(|kilobytes| kilobytes.trim().parse::<u64>().ok());
    let machine = machine.map(|kilobytes| kilobytes.saturating_mul(1024));
    limit.into_iter().chain(machine).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::memory;

    #[test]
    fn the_containers_limit_counts_where_it_is_below_the_machines_memory() {
        let machine = "MemFree:  5 kB\nMemTotal:       16384 kB\nSwap: 0 kB\n";
        let table = [
            ("max\n", machine, 16384 * 1024),
            ("1048576\n", machine, 1_048_576),
            ("9223372036854771712\n", machine, 16384 * 1024),
            ("4096", "", 4096),
            ("", "garbage", 0),
        ];
        for (limit, machine, expected) in table {
            assert_eq!(memory(limit, machine), expected, "{limit:?}");
        }
    }
}
