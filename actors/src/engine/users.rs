//! Users: what the outside says about them, and what is known of them.

use swipeline_models::ids::ItemId;
use swipeline_models::user::User;
use swipeline_models::wire::UserProfileDto;

use super::*;

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

    /// The journal number to wait for.
    async fn describe(&self, user: &User) -> Result<u64, EngineError> {
        let describe = || Describe { user: user.clone() };
        self.shared.sessions.ask(&self.shared, &user.id, describe).await?
    }
}
