//! What the outside says about the viewer, changed in part; what the viewer did, told.

use std::borrow::Cow;

use actix::{Context, Handler};
use swipeline_models::params::merge_patch;
use swipeline_models::wire::{FieldError, HistoryEventDto, UserDto};

use super::actor::SessionActor;
use super::messages::{Describe, GetHistory, PatchUser};
use crate::api::EngineError;

impl Handler<PatchUser> for SessionActor {
    type Result = Result<Option<(UserDto, u64)>, EngineError>;

    fn handle(&mut self, PatchUser { patch }: PatchUser, context: &mut Context<Self>) -> Self::Result {
        if !self.state.is_known() {
            return Ok(None);
        }
        let words = self.shared.world.catalogue.words();
        let name = |author: &u32| words.authors.name(*author).map(|name| name.to_string());
        let follows: Vec<String> = self.state.follows.iter().filter_map(name).collect();
        let described = self.state.described.as_deref().map(UserDto::from);
        let known = UserDto {
            id: self.state.user.as_str().to_owned(),
            // Those that were followed by events too: a patch that does not name them keeps them.
            follows: (!follows.is_empty()).then_some(follows),
            ..described.unwrap_or_default()
        };
        let malformed =
            |error: serde_json::Error| EngineError::Invalid(FieldError::new("body", "malformed", error.to_string()));
        let mut document = serde_json::to_value(&known).map_err(malformed)?;
        merge_patch(&mut document, &patch);
        let mut patched: UserDto = serde_json::from_value(document).map_err(malformed)?;
        if known.follows.is_some() && patched.follows.is_none() {
            // Taken away: nobody is followed any more, which is another thing than not to speak of it.
            patched.follows = Some(Vec::new());
        }
        let user = patched.clone().into_user().map_err(EngineError::Invalid)?;
        let sequence = self.handle(Describe { user }, context)?;
        patched.follows = patched.follows.filter(|follows| !follows.is_empty());
        Ok(Some((patched, sequence)))
    }
}

impl Handler<GetHistory> for SessionActor {
    type Result = Option<Vec<HistoryEventDto>>;

    fn handle(&mut self, _history: GetHistory, _context: &mut Context<Self>) -> Self::Result {
        if !self.state.is_known() {
            return None;
        }
        let snapshot = self.shared.world.catalogue.load();
        let event = |action: &swipeline_models::session::RecentAction| {
            // An item that was deleted has no name any more.
            let entry = snapshot.entry(action.row)?;
            Some(HistoryEventDto {
                item_id: entry.item.id.as_str().to_owned(),
                kind: Cow::Borrowed(action.signal.name()),
                at: action.at.0,
            })
        };
        Some(self.state.recent.iter().rev().filter_map(event).collect())
    }
}
