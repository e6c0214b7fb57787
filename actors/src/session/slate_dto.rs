//! A slate as others see it: the session that remembers it, the client that shows it, whoever asks for an explanation.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use swipeline_models::catalogue::CatalogueSnapshot;
use swipeline_models::control::MixerNames;
use swipeline_models::effect::position_bucket;
use swipeline_models::pipeline::{Slate, SlateItem};
use swipeline_models::recall::{Channel, Filter};
use swipeline_models::session::ServedItem;
use swipeline_models::wire::{ChannelExplainDto, FeedItemDto, ItemDto, Name};
use swipeline_models::world::World;

use super::variant::ServedVariant;

/// What a session remembers of a slate.
pub(super) fn served_items(slate: &Slate, snapshot: &CatalogueSnapshot, variant: &ServedVariant) -> Vec<ServedItem> {
    let served = |(place, item): (usize, &SlateItem)| {
        let hash = snapshot.entry(item.row)?.hash;
        Some(ServedItem {
            row: item.row,
            hash,
            channels: item.channels,
            position: position_bucket(u32::try_from(place).unwrap_or(u32::MAX)),
            variant: variant.tag,
        })
    };
    slate.items.iter().enumerate().filter_map(served).collect()
}

/// The items of a feed, with their cards.
pub(super) fn feed_items(
    slate: &Slate,
    snapshot: &CatalogueSnapshot,
    names: &MixerNames,
    region: Option<&str>,
) -> Vec<FeedItemDto> {
    let mut items = Vec::with_capacity(slate.items.len());
    for item in &slate.items {
        let Some(entry) = snapshot.entry(item.row) else {
            continue;
        };
        items.push(FeedItemDto {
            item_id: entry.item.id.as_str().to_owned(),
            score: if item.score.is_finite() { item.score } else { f32::MIN },
            position: u32::try_from(items.len()).unwrap_or(u32::MAX),
            channels: item.channels.iter().map(|channel| names.name(channel)).collect(),
            reason: Cow::Borrowed(item.reason.reason()),
            explore: item.propensity.is_some(),
            propensity: item.propensity,
            item: Some(Arc::new(ItemDto::card(&entry.item))),
            media_url: entry.item.media_for(region).map(str::to_owned),
            explain: item.explain.clone(),
        });
    }
    items
}

/// What each channel and mixer did for a slate.
pub(super) fn channel_reports(slate: &Slate, world: &World) -> BTreeMap<Name, ChannelExplainDto> {
    let report = &slate.report;
    let explain = |channel: Channel| {
        let one = &report.channels[channel.number()];
        let filtered = Filter::ALL
            .into_iter()
            .filter(|filter| one.filtered[*filter as usize] > 0)
            .map(|filter| (Cow::Borrowed(filter.name()), one.filtered[filter as usize]));
        let dto = ChannelExplainDto {
            recalled: one.recalled,
            filtered: filtered.collect(),
            kept: report.kept[channel.number()],
            on_slate: report.on_slate[channel.number()],
            took_us: u32::try_from(one.took_ns / 1_000).unwrap_or(u32::MAX),
            trouble: one.trouble.map(|trouble| Cow::Borrowed(trouble.name())),
            breaker: (channel != Channel::Backfill).then(|| Cow::Borrowed(world.guards.state(channel).name())),
        };
        (world.mixers.name(channel), dto)
    };
    world.mixers.channels().map(explain).collect()
}
