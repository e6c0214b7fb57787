//! How much memory the process may have: the machine's, or what its control group leaves of it.

/// What is taken where the system does not tell: 4 GiB.
const UNKNOWN_BYTES: usize = 4 << 30;

/// The memory that this process may have, in bytes.
pub(super) fn machine_bytes() -> usize {
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total_of(&text));
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let known = [machine, group].into_iter().flatten().min();
    known.unwrap_or(UNKNOWN_BYTES)
}

/// The first line of `/proc/meminfo`: `MemTotal:  16384 kB`.
fn total_of(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_has() {
        assert_eq!(total_of("MemTotal:       16384 kB\nMemFree: 5 kB\n"), Some(16_777_216));
        assert_eq!(total_of("nonsense"), None);
        assert!(machine_bytes() > 64 << 20);
    }
}
