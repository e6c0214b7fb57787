//! Threads that nobody waits for give way to those that answer.

/// How much nicer such a thread is than the one that started it: under contention it gets about a tenth of what that gets
/// (each step is a factor of 1.25, `sched(7)`), and everything while others sleep.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lets the calling thread, and those that it starts from now on, give way to others of the process. Linux only, where
/// every thread has a niceness of its own; elsewhere nothing changes.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn niceness() -> i32 {
        rustix::process::nice(0).expect("one's own niceness can be read")
    }

    #[test]
    fn only_the_thread_itself_and_its_children_give_way() {
        let before = niceness();
        let (inside, child) = std::thread::spawn(|| {
            give_way();
            (niceness(), std::thread::spawn(niceness).join())
        })
        .join()
        .expect("no panic");
        let expected = (before + NICENESS).min(19);
        assert_eq!((inside, child.expect("no panic")), (expected, expected));
        assert_eq!(niceness(), before);
    }
}
