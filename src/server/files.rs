//! How many connections the process has file descriptors for.
//!
//! Every connection takes one, and so does every segment and table that the server opens: without a reserve a flood of
//! connections would keep the journal from its next segment, and operators from their listener.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that connections never get: for data, the admin listener and health.
const RESERVED: u64 = 512;

/// The most connections that there are descriptors for, at most `wanted`. Raises the process's own limit as far as it may.
pub(super) fn connections_max(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(RESERVED);
    let mut current = limit.current.unwrap_or(u64::MAX);
    let raised = needed.min(limit.maximum.unwrap_or(u64::MAX));
    if raised > current {
        let raise = Rlimit {
            current: Some(raised),
            maximum: limit.maximum,
        };
        match setrlimit(Resource::Nofile, raise) {
            Ok(()) => current = raised,
            Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
        }
    }
    let room = room_of(current, wanted);
    if room < wanted {
        tracing::warn!(
            wanted,
            room,
            open_files = current,
            "fewer connections than server.max_connections: the limit of open files (ulimit -n) is too low"
        );
    }
    room
}

/// A quarter of few descriptors is kept, of many a fixed number.
fn room_of(descriptors: u64, wanted: usize) -> usize {
    let room = descriptors - RESERVED.min(descriptors / 4);
    usize::try_from(room).unwrap_or(usize::MAX).clamp(1, wanted.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_never_connections() {
        assert_eq!(room_of(20_000, 50_000), 19_488);
        assert_eq!(room_of(1_024, 50_000), 768);
        assert_eq!(room_of(1_000_000, 50_000), 50_000);
        assert_eq!(room_of(0, 10), 1);
        assert!(connections_max(10) == 10);
    }
}
