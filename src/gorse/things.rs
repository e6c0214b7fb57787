//! Users and items: put, patched, read, listed, deleted.
//!
//! Owns nothing: users and items are the engine's.

use std::collections::BTreeSet;

use serde::Serialize;
use swipeline_models::ids::{ItemId, UserId};
use swipeline_models::item::Item;
use swipeline_models::user::User;
use swipeline_models::wire::UserDto;

use super::call::{Answer, Call, Refusal, changed, cursor_of, json};
use super::shapes::{GorseItem, GorseUser};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UserPage {
    cursor: String,
    users: Vec<GorseUser>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ItemPage {
    cursor: String,
    items: Vec<GorseItem>,
}

/// Checks a user's id.
pub(super) fn user_id(text: &str) -> Result<UserId, Refusal> {
    UserId::new(text).map_err(|error| Refusal::bad(format!("UserId: {error}")))
}

/// Checks an item's id.
pub(super) fn item_id(text: &str) -> Result<ItemId, Refusal> {
    ItemId::new(text).map_err(|error| Refusal::bad(format!("ItemId: {error}")))
}

impl Call<'_> {
    /// `POST /user`, `POST /users`.
    pub(super) async fn put_users(&self, users: Vec<GorseUser>) -> Answer {
        let count = users.len();
        let users: Result<Vec<User>, String> = users.into_iter().map(GorseUser::into_user).collect();
        self.engine.put_users(&users.map_err(Refusal::bad)?).await?;
        changed(count)
    }

    /// `PATCH /user/{id}`.
    pub(super) async fn patch_user(&self, id: &str) -> Answer {
        let patch = self.shape()?;
        // A user that is not there is nothing that could be changed; gorse does not mind.
        let Some(known) = self.user(id).await? else {
            return changed(0);
        };
        self.put_users(vec![known.patched(patch)]).await
    }

    /// `GET /user/{id}`.
    pub(super) async fn get_user(&self, id: &str) -> Answer {
        match self.user(id).await? {
            Some(user) => json(&user),
            None => Err(Refusal::not_found("user not found")),
        }
    }

    /// `GET /users`.
    pub(super) async fn list_users(&self) -> Answer {
        let (n, from) = (self.n()?, self.cursor()?.unwrap_or_default());
        let mut found: Vec<UserDto> = Vec::new();
        let mut take = |user: &User| {
            if user.id.as_str() >= from.as_str() && found.len() <= n {
                found.push(UserDto::from(user));
            }
        };
        self.engine.for_each_user(&mut take).await?;
        let next = found.get(n).map(|user| user.id.clone());
        found.truncate(n);
        json(&UserPage {
            cursor: cursor_of(next.as_deref()),
            users: found.iter().map(GorseUser::of).collect(),
        })
    }

    /// `DELETE /user/{id}`: with all its feedback.
    pub(super) async fn delete_user(&self, id: &str) -> Answer {
        self.engine.delete_user(&user_id(id)?).await?;
        self.ledger()?.forget_user(id)?;
        changed(1)
    }

    async fn user(&self, id: &str) -> Result<Option<GorseUser>, Refusal> {
        let profile = self.engine.profile(&user_id(id)?).await?;
        Ok(profile.map(|profile| GorseUser::of(&profile.user)))
    }

    /// `POST /item`, `POST /items`.
    pub(super) async fn put_items(&self, items: Vec<GorseItem>) -> Answer {
        let count = items.len();
        let items: Result<Vec<Item>, String> = items.into_iter().map(GorseItem::into_item).collect();
        let outcomes = self.engine.upsert_items(items.map_err(Refusal::bad)?).await?;
        match outcomes.into_iter().find_map(Result::err) {
            None => changed(count),
            Some(error) => Err(Refusal::bad(format!("{}: {}", error.field, error.detail))),
        }
    }

    /// `PATCH /item/{id}`.
    pub(super) async fn patch_item(&self, id: &str) -> Answer {
        let patch = self.shape()?;
        match self.engine.item(id) {
            Some(item) => self.put_items(vec![GorseItem::of(&item).patched(patch)]).await,
            None => changed(0),
        }
    }

    /// `GET /item/{id}`.
    pub(super) fn get_item(&self, id: &str) -> Answer {
        match self.engine.item(id) {
            Some(item) => json(&GorseItem::of(&item)),
            None => Err(Refusal::not_found("item not found")),
        }
    }

    /// `GET /items`: in the order of their ids, or those in which a text stands.
    pub(super) fn list_items(&self) -> Answer {
        let n = self.n()?;
        if let Some(text) = self.parameter("q") {
            let items = self.search(&text.to_lowercase(), n);
            return json(&ItemPage {
                cursor: String::new(),
                items,
            });
        }
        let from = self.cursor()?.unwrap_or_default();
        // The n + 1 smallest ids: never more in memory than the page.
        let mut ids: BTreeSet<String> = BTreeSet::new();
        self.engine.for_each_item(&mut |item| {
            let id = item.id.as_str();
            let is_wanted =
                id >= from.as_str() && (ids.len() <= n || ids.last().is_some_and(|last| id < last.as_str()));
            if is_wanted {
                ids.insert(id.to_owned());
                if ids.len() > n + 1 {
                    ids.pop_last();
                }
            }
        });
        let next = if ids.len() > n { ids.pop_last() } else { None };
        let items = ids.iter().filter_map(|id| self.engine.item(id));
        json(&ItemPage {
            cursor: cursor_of(next.as_deref()),
            items: items.map(|item| GorseItem::of(&item)).collect(),
        })
    }

    fn search(&self, text: &str, n: usize) -> Vec<GorseItem> {
        let mut found = Vec::new();
        self.engine.for_each_item(&mut |item| {
            let in_title = || {
                item.title
                    .as_ref()
                    .is_some_and(|title| title.to_lowercase().contains(text))
            };
            let in_tags = || {
                item.tags
                    .iter()
                    .any(|tag| tag.to_string().to_lowercase().contains(text))
            };
            if found.len() < n && (in_title() || in_tags()) {
                found.push(GorseItem::of(item));
            }
        });
        found
    }

    /// `DELETE /item/{id}`.
    pub(super) async fn delete_item(&self, id: &str) -> Answer {
        self.engine.delete_item(&item_id(id)?).await?;
        changed(1)
    }

    /// `PUT` and `DELETE /item/{id}/category/{category}`.
    pub(super) async fn set_category(&self, id: &str, category: &str, is_in: bool) -> Answer {
        let Some(item) = self.engine.item(id) else {
            return Err(Refusal::not_found("item not found"));
        };
        let mut item = GorseItem::of(&item);
        item.categories.retain(|known| known != category);
        if is_in {
            item.categories.push(category.to_owned());
        }
        self.put_items(vec![item]).await
    }
}
