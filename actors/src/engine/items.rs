//! One item: changed in part, and what is counted of it.

use serde_json::Value;
use swipeline_models::params::merge_patch;
use swipeline_models::popularity::{Counter, Counts, WindowSpan};
use swipeline_models::wire::{ItemCountsDto, ItemDto, ItemStatsReply};

use super::*;

/// The windows that are always told.
const WINDOWS: [(&str, WindowSpan); 4] = [
    ("5m", WindowSpan::FiveMinutes),
    ("1h", WindowSpan::Hour),
    ("24h", WindowSpan::Day),
    ("7d", WindowSpan::Week),
];

impl Engine {
    /// Changes some fields of an item (RFC 7396 merge patch): `read` makes an item of the patched document. Patches follow
    /// each other, so that none is lost when two come at a time. `None`: there is no such item. Durable when it returns.
    ///
    /// # Errors
    /// Those of `read`, `Overloaded` or `JournalFailed`; nothing has changed then.
    pub async fn patch_item<E: From<EngineError>>(
        &self,
        id: &ItemId,
        patch: &Value,
        read: impl FnOnce(Value) -> Result<ItemDto, E>,
    ) -> Result<Option<Arc<Item>>, E> {
        let _one_at_a_time = self.shared.patches.lock().await;
        let Some(known) = self.item(id.as_str()) else {
            return Ok(None);
        };
        let document = serde_json::to_value(ItemDto::from(known.as_ref()));
        let mut document = document.map_err(|error| EngineError::Unavailable(error.to_string()))?;
        merge_patch(&mut document, patch);
        let dto = read(document)?;
        let item = dto.into_item(known.created_at).map_err(EngineError::Invalid)?;
        for result in self.upsert_items(vec![item]).await? {
            result.map_err(EngineError::Invalid)?;
        }
        Ok(self.item(id.as_str()))
    }

    /// What is counted of an item, in a window of that length and in those that are always told. `None` for an unknown item.
    ///
    /// # Errors
    /// `Invalid` for a window that is not kept.
    pub async fn item_stats(&self, id: &str, window_ms: i64) -> Result<Option<ItemStatsReply>, EngineError> {
        let newest = WindowSpan::covering(window_ms)
            .ok_or_else(|| EngineError::Invalid(FieldError::new("window", "out_of_range", "must be at most 7d")))?;
        let Some(row) = self.shared.world.catalogue.row(id) else {
            return Ok(None);
        };
        let stats = self.shared.items.stats(&self.shared, row).await;
        let now = clock::now();
        let mut windows: std::collections::BTreeMap<String, ItemCountsDto> = WINDOWS
            .iter()
            .map(|(name, span)| ((*name).to_owned(), counts_dto(&stats.counts(*span, now))))
            .collect();
        windows.insert("all".to_owned(), counts_dto(stats.lifetime()));
        Ok(Some(ItemStatsReply {
            item_id: id.to_owned(),
            window_ms,
            counts: counts_dto(&stats.newest_counts(newest, now)),
            windows,
        }))
    }
}

fn counts_dto(counts: &Counts) -> ItemCountsDto {
    let of = |counter: Counter| u64::from(counts.get(counter));
    let impressions = of(Counter::Impressions);
    // Events on items whose impression lies before the window have none to be divided by.
    let rate = |counter: Counter| match impressions {
        0 => 0.0,
        impressions => (of(counter) as f64 / impressions as f64).min(1.0),
    };
    ItemCountsDto {
        impressions,
        views: of(Counter::Views),
        likes: of(Counter::Likes),
        skips: of(Counter::Skips),
        completions: of(Counter::Completions),
        shares: of(Counter::Shares),
        comments: of(Counter::Comments),
        favorites: of(Counter::Favorites),
        dislikes: of(Counter::Dislikes),
        watch_time_ms: counts.watch_ms(),
        ctr: rate(Counter::Views),
        like_rate: rate(Counter::Likes),
        skip_rate: rate(Counter::Skips),
        completion_rate: rate(Counter::Completions),
        share_rate: rate(Counter::Shares),
    }
}
