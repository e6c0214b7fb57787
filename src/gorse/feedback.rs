//! Feedback: given, read back, listed, taken back.
//!
//! Owns the way of a feedback: into the engine, which learns from it, and then into the book.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;
use swipeline_models::event::{Event, Signal};
use swipeline_models::wire::EventDto;

use super::call::{Answer, Call, Refusal, changed, cursor_of, json};
use super::ledger::{Again, FeedbackBody, FeedbackKey, Kept, Ledger};
use super::rules::Expression;
use super::shapes::{GorseFeedback, GorseItem, time_of, time_text};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FeedbackPage {
    cursor: String,
    feedback: Vec<GorseFeedback>,
}

impl Call<'_> {
    /// The book of feedbacks.
    pub(super) fn ledger(&self) -> Result<&Ledger, Refusal> {
        self.door.ledger().ok_or_else(|| Refusal {
            status: actix_web::http::StatusCode::SERVICE_UNAVAILABLE,
            text: "the server is still recovering".to_owned(),
        })
    }

    /// `POST /feedback` (values add up) and `PUT /feedback` (the new one counts). Users and items that are not known are
    /// made.
    pub(super) async fn give(&self, feedbacks: &[GorseFeedback], again: Again) -> Answer {
        let ledger = self.ledger()?;
        let mut events = Vec::with_capacity(feedbacks.len());
        let mut kept = Vec::with_capacity(feedbacks.len());
        for feedback in feedbacks {
            if feedback.feedback_type.is_empty() {
                return Err(Refusal::bad("FeedbackType must not be empty"));
            }
            events.push(feedback.event(&self.door.rules, self.now).map_err(Refusal::bad)?);
            kept.push(self.kept(feedback)?);
        }
        self.make_items(&events).await?;
        let reply = self.engine.ingest(events).await?;
        if let Some(rejection) = reply.rejected.first() {
            return Err(Refusal::bad(rejection.detail.clone()));
        }
        ledger.put(kept, again)?;
        changed(feedbacks.len())
    }

    /// The feedback as it stands in the book.
    pub(super) fn kept(&self, feedback: &GorseFeedback) -> Result<Kept, Refusal> {
        let at = time_of(&feedback.timestamp)
            .map_err(Refusal::bad)?
            .unwrap_or(self.now.0);
        let updated = time_of(&feedback.updated).map_err(Refusal::bad)?.unwrap_or(at);
        let key = FeedbackKey {
            kind: Arc::from(feedback.feedback_type.as_str()),
            user: Arc::from(feedback.user_id.as_str()),
            item: Arc::from(feedback.item_id.as_str()),
        };
        let body = FeedbackBody {
            value: feedback.value,
            at,
            updated,
            labels: feedback.labels.clone(),
            comment: feedback.comment.clone(),
        };
        Ok((key, body))
    }

    async fn make_items(&self, events: &[Event]) -> Result<(), Refusal> {
        let unknown: BTreeSet<&str> = events
            .iter()
            .map(|event| event.item.as_str())
            .filter(|id| self.engine.item(id).is_none())
            .collect();
        let item = |id: &str| {
            let item = GorseItem {
                item_id: id.to_owned(),
                ..GorseItem::default()
            };
            item.into_item().map_err(Refusal::bad)
        };
        let items = unknown.into_iter().map(item).collect::<Result<Vec<_>, _>>()?;
        if !items.is_empty() {
            self.engine.upsert_items(items).await?;
        }
        Ok(())
    }

    /// `GET /feedback` and `GET /feedback/{type}`.
    pub(super) fn list_feedback(&self, kind: Option<&str>) -> Answer {
        let from = self.cursor()?.map(|text| serde_json::from_str::<FeedbackKey>(&text));
        let from = from
            .transpose()
            .map_err(|error| Refusal::bad(format!("cursor: {error}")))?;
        let (page, next) = self.ledger()?.page(from.as_ref(), kind, self.n()?, self.now.0);
        let next = next.map(|key| serde_json::to_string(&key)).transpose();
        let next = next.map_err(|error| Refusal::bad(error.to_string()))?;
        json(&FeedbackPage {
            cursor: cursor_of(next.as_deref()),
            feedback: shown(page),
        })
    }

    /// `GET /user/{id}/feedback`, perhaps of one type (`star` or `star>=4`).
    pub(super) fn feedback_of_user(&self, user: &str, kind: Option<&str>) -> Answer {
        self.of_kind(self.ledger()?.of_user(user, self.now.0), kind)
    }

    /// `GET /item/{id}/feedback`, perhaps of one type.
    pub(super) fn feedback_of_item(&self, item: &str, kind: Option<&str>) -> Answer {
        self.of_kind(self.ledger()?.of_item(item, self.now.0), kind)
    }

    fn of_kind(&self, mut kept: Vec<Kept>, kind: Option<&str>) -> Answer {
        if let Some(kind) = kind {
            let expression = Expression::parse(kind).map_err(Refusal::bad)?;
            kept.retain(|(key, body)| expression.matches(&key.kind, body.value));
        }
        json(&shown(kept))
    }

    /// `GET /feedback/{user}/{item}`.
    pub(super) fn feedback_between(&self, user: &str, item: &str) -> Answer {
        let mut kept = self.ledger()?.of_user(user, self.now.0);
        kept.retain(|(key, _)| &*key.item == item);
        json(&shown(kept))
    }

    /// `GET /feedback/{type}/{user}/{item}`.
    pub(super) fn one_feedback(&self, kind: &str, user: &str, item: &str) -> Answer {
        let key = FeedbackKey {
            kind: Arc::from(kind),
            user: Arc::from(user),
            item: Arc::from(item),
        };
        match self.ledger()?.get(&key).filter(|body| body.at <= self.now.0) {
            Some(body) => json(&shown_one((key, body))),
            None => json(&serde_json::Map::new()),
        }
    }

    /// `DELETE /feedback/{user}/{item}` and `DELETE /feedback/{type}/{user}/{item}`. A like that goes is taken back.
    pub(super) async fn take_back(&self, user: &str, item: &str, kind: Option<&str>) -> Answer {
        let gone = self.ledger()?.delete(user, item, kind)?;
        let is_like = |(key, body): &Kept| self.door.rules.signal(&key.kind, body.value) == Signal::Like;
        if gone.iter().any(is_like) && self.engine.item(item).is_some() {
            let unlike = EventDto {
                user_id: Some(user.to_owned()),
                item_id: item.to_owned(),
                kind: Signal::Unlike.name().to_owned(),
                at: Some(self.now.0),
                ..EventDto::default()
            };
            let event = unlike.into_event(None, self.now);
            let event = event.map_err(|error| Refusal::bad(format!("{}: {}", error.field, error.detail)))?;
            self.engine.ingest(vec![event]).await?;
        }
        changed(gone.len())
    }
}

fn shown_one((key, body): Kept) -> GorseFeedback {
    GorseFeedback {
        feedback_type: key.kind.to_string(),
        user_id: key.user.to_string(),
        item_id: key.item.to_string(),
        value: body.value,
        timestamp: time_text(body.at),
        updated: time_text(body.updated),
        labels: body.labels,
        comment: body.comment,
    }
}

/// Feedbacks as gorse's clients get to see them.
pub(super) fn shown(kept: Vec<Kept>) -> Vec<GorseFeedback> {
    kept.into_iter().map(shown_one).collect()
}
