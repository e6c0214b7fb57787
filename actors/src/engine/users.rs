//! Users: what the outside says about them, and what is known of them.

use std::ops::ControlFlow;

use swipeline_models::ids::ItemId;
use swipeline_models::session::SessionSnapshot;
use swipeline_models::user::User;
use swipeline_models::wire::{HistoryEventDto, UserDto, UserProfileDto};

use super::*;
use crate::records::decode_bytes;
use crate::session::{GetHistory, PatchUser};

impl Engine {
    /// Takes what the outside says about a user. Durable when it returns.
    ///
    /// # Errors
    /// `Overloaded`, `JournalFailed` or `Unavailable`.
    pub async fn put_user(&self, user: User) -> Result<(), EngineError> {
        let sequence = self.describe(&user).await?;
        self.wait_durable(sequence).await
    }

    /// The same for many users, with one wait for all. Durable when it returns.
    ///
    /// # Errors
    /// `Overloaded`, `JournalFailed` or `Unavailable`. Some users may have been taken then; a retry is harmless.
    pub async fn put_users(&self, users: &[User]) -> Result<(), EngineError> {
        let mut last = 0;
        for batch in users.chunks(USERS_AT_A_TIME) {
            for answer in futures_util::future::join_all(batch.iter().map(|user| self.describe(user))).await {
                last = last.max(answer?);
            }
        }
        self.wait_durable(last).await
    }

    /// The profile; `None` for a user nobody has heard of.
    ///
    /// # Errors
    /// `Overloaded` or `Unavailable`.
    pub async fn profile(&self, user: &UserId) -> Result<Option<Arc<UserProfileDto>>, EngineError> {
        if let Some(kept) = self.shared.sessions.kept_profile(&self.shared, user) {
            return Ok(Some(kept));
        }
        let _call = self.shared.overload.enter_call();
        let ask = || GetProfile {
            features: false,
            item: None,
        };
        self.shared.sessions.ask(&self.shared, user, ask).await
    }

    /// The profile with the features that models and rules can read; with an item also those of both together.
    ///
    /// # Errors
    /// `Overloaded` or `Unavailable`.
    pub async fn profile_with_features(
        &self,
        user: &UserId,
        item: Option<&ItemId>,
    ) -> Result<Option<Arc<UserProfileDto>>, EngineError> {
        let _call = self.shared.overload.enter_call();
        let ask = || GetProfile {
            features: true,
            item: item.cloned(),
        };
        self.shared.sessions.ask(&self.shared, user, ask).await
    }

    /// Changes what the outside says about a user in part (RFC 7396). Returns what is kept now, `None` for a user nobody has
    /// heard of. Durable when it returns.
    ///
    /// # Errors
    /// `Invalid` for what is no user any more, `Overloaded`, `JournalFailed` or `Unavailable`.
    pub async fn patch_user(&self, user: &UserId, patch: serde_json::Value) -> Result<Option<UserDto>, EngineError> {
        let patch = Arc::new(patch);
        let ask = || PatchUser { patch: patch.clone() };
        let Some((kept, sequence)) = self.shared.sessions.ask(&self.shared, user, ask).await?? else {
            return Ok(None);
        };
        self.wait_durable(sequence).await?;
        Ok(Some(kept))
    }

    /// What a user did, the newest first: the last 200 actions. `None` for a user nobody has heard of.
    ///
    /// # Errors
    /// `Overloaded` or `Unavailable`.
    pub async fn history(&self, user: &UserId) -> Result<Option<Vec<HistoryEventDto>>, EngineError> {
        let _call = self.shared.overload.enter_call();
        self.shared.sessions.ask(&self.shared, user, || GetHistory).await
    }

    /// Up to `n` users whose ids begin with `prefix`, from the first id on that is not before `from`, in the order of ids.
    ///
    /// # Errors
    /// `Unavailable` when the snapshots cannot be read.
    pub async fn users(&self, prefix: &str, from: &str, n: usize) -> Result<Vec<UserDto>, EngineError> {
        if from <= prefix {
            // What is known of active users stands in their sessions only. Once for all pages.
            service::checkpoint(&self.shared).await?;
        }
        let (prefix, from) = (prefix.to_owned(), from.max(prefix).to_owned());
        let read = self.shared.read_beside(move |shared| {
            let mut users = Vec::with_capacity(n.min(1_000));
            let walked = shared
                .storage
                .snapshots
                .for_each_from(Tree::Sessions, from.as_bytes(), &mut |key, value| {
                    if !key.starts_with(prefix.as_bytes()) || users.len() >= n {
                        return ControlFlow::Break(());
                    }
                    if let (Ok(id), Ok(snapshot)) = (std::str::from_utf8(key), decode_bytes::<SessionSnapshot>(value)) {
                        users.push(UserDto {
                            id: id.to_owned(),
                            ..snapshot.described().cloned().unwrap_or_default()
                        });
                    }
                    ControlFlow::Continue(())
                });
            walked
                .map(|_| users)
                .map_err(|error| EngineError::Unavailable(error.to_string()))
        });
        read.await
            .unwrap_or_else(|| Err(EngineError::Unavailable("the list broke off".to_owned())))
    }

    /// The journal number to wait for.
    async fn describe(&self, user: &User) -> Result<u64, EngineError> {
        let describe = || Describe { user: user.clone() };
        self.shared.sessions.ask(&self.shared, &user.id, describe).await?
    }
}
