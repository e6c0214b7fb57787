//! One socket's way into its session, and to its thread.

use super::*;

/// How many messages of sockets may be on their way to one session.
const IN_FLIGHT_MAX: usize = 200;

/// One socket's way into its session. Dropping it detaches the socket.
pub struct SocketHandle {
    pub(super) addr: Addr<crate::session::SessionActor>,
    pub(super) activity: Arc<crate::session::Activity>,
    pub(super) socket: SocketId,
}

impl Engine {
    /// Runs what `start` makes on the thread of the user's session, until it ends or the threads are
    /// [stopped](Engine::stop_threads). A socket that lives there reaches its session, and is reached by it, without
    /// waking another thread. Returns whether the thread takes it.
    pub fn run_beside<F: Future<Output = ()> + 'static>(
        &self,
        user: &UserId,
        start: impl FnOnce() -> F + Send + 'static,
    ) -> bool {
        let arbiter = self.shared.arbiter(user.hash64());
        arbiter.spawn_fn(move || drop(tokio::task::spawn_local(start())))
    }
}

impl SocketHandle {
    /// Hands a message to the session. Never waits. `received_at` is when the frame arrived (for event-to-feed).
    ///
    /// # Errors
    /// `Overloaded` when the session has too much in flight, `Unavailable` when the session is gone.
    pub fn send(&self, id: Option<MessageId>, message: ClientMessage, received_at: Instant) -> Result<(), EngineError> {
        if self.activity.enter() >= IN_FLIGHT_MAX {
            self.activity.leave();
            return Err(EngineError::Overloaded { retry_after_ms: 100 });
        }
        let deliver = Deliver {
            socket: self.socket,
            id,
            message,
            received_at,
        };
        self.addr.try_send(deliver).map_err(|error| {
            self.activity.leave();
            match error {
                SendError::Full(_) => EngineError::Overloaded { retry_after_ms: 100 },
                SendError::Closed(_) => EngineError::Unavailable("the session has ended".to_owned()),
            }
        })
    }
}

impl Drop for SocketHandle {
    fn drop(&mut self) {
        let (addr, socket) = (self.addr.clone(), self.socket);
        if addr.try_send(Detach { socket }).is_err() && addr.connected() {
            // The mailbox is full: wait for room beside the caller.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    let _ = addr.send(Detach { socket }).await;
                });
            }
        }
    }
}
