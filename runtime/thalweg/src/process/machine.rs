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

/// Bytes of memory that this process has resident now.
pub(crate) fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
