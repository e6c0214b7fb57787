//! Who is on the socket: the token of a first `hello`, and fresh tokens later.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use swipeline_models::wire::{ClientMessage, Hello, MessageId, ServerMessage};
use tokio::time::Instant as TimerInstant;

use super::Connection;
use crate::auth::{AuthError, Viewer};
use crate::ws::close::Ending;

impl Connection {
    /// The first `hello` of a socket without a token opens the session; any other one is the session's business.
    pub(super) async fn hello(
        &mut self,
        id: Option<MessageId>,
        mut hello: Hello,
        received_at: Instant,
    ) -> Result<(), Ending> {
        let token = hello.token.take();
        if self.user.is_none() {
            let Some(token) = token else {
                return self
                    .refuse(id, "token_missing", "hello must carry a token".to_owned())
                    .await;
            };
            let viewer = match self.state.authenticator().viewer(&token) {
                Ok(viewer) => viewer,
                Err(error) => return Err(self.token_refused(id, &error).await),
            };
            if let Err(exceeded) = self.state.limits().check_user(viewer.user.as_str()) {
                self.too_fast(id, &exceeded).await?;
                return Err(Ending::Refused);
            }
            self.deadline = Some(expiry(viewer.expires_at_s));
            return self.open_session(viewer.user, id, hello).await;
        }
        if let Some(token) = token
            && self.state.authenticator().takes_tokens()
        {
            self.check_renewal(&id, &token).await?;
        }
        self.hand_over(id, ClientMessage::Hello(hello), received_at).await
    }

    /// `auth`: a fresh token of the same user; answered by an empty `ack`.
    pub(super) async fn renew(&mut self, id: Option<MessageId>, token: &str) -> Result<(), Ending> {
        if !self.state.authenticator().takes_tokens() {
            return self
                .refuse(id, "auth_not_configured", "this server takes no tokens".to_owned())
                .await;
        }
        if self.user.is_none() {
            return self
                .refuse(id, "hello_expected", "say hello with the token first".to_owned())
                .await;
        }
        self.check_renewal(&id, token).await?;
        self.socket
            .write(&ServerMessage::Ack {
                id,
                accepted: 0,
                duplicates: 0,
                rejected: Vec::new(),
                durable: true,
            })
            .await
    }

    async fn check_renewal(&mut self, id: &Option<MessageId>, token: &str) -> Result<(), Ending> {
        let renewed = match self.state.authenticator().viewer(token) {
            Ok(viewer) if self.user.as_ref() == Some(&viewer.user) => Ok(viewer),
            Ok(_) => Err(AuthError::Invalid("it is another user's".to_owned())),
            Err(error) => Err(error),
        };
        match renewed {
            Ok(Viewer { expires_at_s, .. }) => {
                // A back end's socket has no deadline and needs none.
                self.deadline = self.deadline.take().map(|_| expiry(expires_at_s));
                Ok(())
            }
            Err(error) => Err(self.token_refused(id.clone(), &error).await),
        }
    }

    async fn token_refused(&mut self, id: Option<MessageId>, error: &AuthError) -> Ending {
        let (code, ending) = match error {
            AuthError::Expired => ("token_expired", Ending::TokenExpired),
            AuthError::Invalid(_) | AuthError::UnknownKey(_) | AuthError::Missing => {
                ("token_refused", Ending::TokenRefused)
            }
        };
        match self
            .socket
            .write_error(id, code.to_owned(), error.to_string(), None)
            .await
        {
            Ok(()) => ending,
            Err(gone) => gone,
        }
    }
}

/// When a token that is valid until `expires_at_s` (in seconds since 1970-01-01 UTC) ends a connection.
pub(super) fn expiry(expires_at_s: u64) -> (TimerInstant, Ending) {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let left = Duration::from_secs(expires_at_s.saturating_sub(now_s));
    let at = TimerInstant::now()
        .checked_add(left)
        .unwrap_or_else(|| TimerInstant::now() + EXPIRY_MAX);
    (at, Ending::TokenExpired)
}

/// Tokens that are valid for longer than the clock can count end after a year.
const EXPIRY_MAX: Duration = Duration::from_secs(365 * 86_400);
