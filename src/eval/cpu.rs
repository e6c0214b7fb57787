//! The processor time of a thread, for the cost of a request.

use rustix::time::{ClockId, clock_gettime};

/// Processor time that this thread has used, in microseconds.
pub(crate) fn thread_cpu_us() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec as f64 * 1e6 + used.tv_nsec as f64 / 1e3
}
