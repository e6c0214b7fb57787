//! What this process or a child has cost: CPU time and memory, from `/proc`.
//!
//! Owns the reading of `/proc/<pid>/stat` and `status`. Where there is no `/proc` everything is `None`.

use std::time::Duration;

/// Clock ticks per second in `/proc/<pid>/stat`; fixed to 100 in Linux's interface to programs (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// Processor time (user and system, all threads, also ended ones) of a process so far.
#[must_use]
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

/// Processor time of all living threads of a process, to the nanosecond where the system counts it so finely; for short
/// measurements of a process whose threads do not end.
#[must_use]
pub fn cpu_time_of_threads(pid: u32) -> Option<Duration> {
    let of_thread = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    let nanos = std::fs::read_dir(format!("/proc/{pid}/task"))
        .ok()?
        .map(of_thread)
        .try_fold(0_u64, |sum, nanos| Some(sum + nanos?));
    nanos
        .filter(|nanos| *nanos > 0)
        .map(Duration::from_nanos)
        .or_else(|| cpu_time(pid))
}

/// Processor time of this process so far.
#[must_use]
pub fn own_cpu_time() -> Option<Duration> {
    cpu_time(std::process::id())
}

/// Resident memory of a process, in bytes.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// How many files (and sockets) this process may have open.
#[must_use]
pub fn open_files_max() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Fields 14 and 15 (utime, stime). The name in field 2 may contain blanks and brackets, so count from its end.
fn parse_stat(stat: &str) -> Option<Duration> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1_000 / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let stat = "17 (a) b (c) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 100 1 1 1";
        assert_eq!(parse_stat(stat), Some(Duration::from_secs(3)));
        assert_eq!(parse_stat("17 (x"), None);
    }

    #[test]
    fn a_process_that_does_not_exist_has_cost_nothing_known() {
        assert_eq!(cpu_time(u32::MAX), None);
        assert_eq!(resident_bytes(u32::MAX), None);
        assert_eq!(cpu_time_of_threads(u32::MAX), None);
        assert!(cpu_time_of_threads(std::process::id()).is_some_and(|cpu| cpu > Duration::ZERO));
    }
}
