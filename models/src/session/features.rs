//! The features of a viewer that `GET /v1/users/{id}?features=true` shows: what was given from outside and what was seen,
//! in one place.

use std::collections::BTreeMap;

use super::profile::label_times;
use super::{HOURS, SessionState, SignalCounts, WindowSpan, hour_of, squash};
use crate::catalogue::{Entry, NO_WORD, Vocabularies};
use crate::event::{ContextValue, Signal};
use crate::features::FeatureContext;
use crate::ids::Word;
use crate::params::Params;
use crate::time::{DAY_MS, MINUTE_MS, TimestampMs};
use crate::wire::{CrossFeaturesDto, TagWeightDto, UserFeaturesDto, WindowDto};

/// So many impressions of belief stand behind a rate from outside.
const GIVEN_RATE_IMPRESSIONS: f64 = 50.0;
/// Bounds of the classes of playing time, in seconds.
const DURATION_BOUNDS_S: [u32; 5] = [7, 15, 30, 60, 180];

/// The features of a viewer at that time, together with one item where one is given.
#[must_use]
pub fn features_of(
    state: &SessionState,
    item: Option<&Entry>,
    params: &Params,
    words: &Vocabularies,
    now: TimestampMs,
) -> UserFeaturesDto {
    let windows = |span: WindowSpan| (span.name().to_owned(), window(state, span, words, now));
    let given = state.given_by_name(&params.interest, words);
    UserFeaturesDto {
        windows: WindowSpan::ALL.into_iter().map(windows).collect(),
        watermark: state
            .windows
            .as_ref()
            .map(|windows| windows.watermark(&params.windows).0),
        late_events: state.windows.as_ref().map_or(0, |windows| windows.late()),
        labels: state.labels(now).map(label_times).collect(),
        user: user_features(state, params, now),
        active_hours: active_hours(state),
        long_term_tags: given
            .into_iter()
            .map(|(tag, weight)| TagWeightDto { tag, weight })
            .collect(),
        cross: item.map(|entry| cross_features(state, entry, params, words, now)),
    }
}

fn window(state: &SessionState, span: WindowSpan, words: &Vocabularies, now: TimestampMs) -> WindowDto {
    let mut dto = WindowDto {
        since: span.first_minute(now) * MINUTE_MS,
        ..WindowDto::default()
    };
    if let Some(windows) = &state.windows {
        let counts = windows.counts(span, now);
        dto.signals = by_name(&counts.all);
        for (category, counts) in &counts.categories {
            if let Some(name) = words.categories.name(*category) {
                dto.categories.insert(name.to_string(), by_name(counts));
            }
        }
    }
    dto
}

fn by_name(counts: &SignalCounts) -> BTreeMap<String, u32> {
    let named = Signal::ALL
        .into_iter()
        .map(|signal| (signal.name().to_owned(), counts[signal as usize]));
    named.filter(|(_, count)| *count > 0).collect()
}

/// What the outside said, and over it what is seen here. A rate from outside is the prior of the rate seen here, a watch
/// time from outside is added to.
fn user_features(state: &SessionState, params: &Params, now: TimestampMs) -> BTreeMap<String, ContextValue> {
    let described = state.described.as_deref();
    let mut features = described.map(|user| user.attributes.clone()).unwrap_or_default();
    let given = |features: &BTreeMap<String, ContextValue>, name: &str| match features.get(name) {
        Some(ContextValue::Number(number)) => Some(*number),
        Some(ContextValue::Flag(_) | ContextValue::Text(_)) | None => None,
    };
    if let Some(registered_at) = described.and_then(|user| user.registered_at) {
        let days = now.since(registered_at).max(0) / DAY_MS;
        features.insert("register_days".to_owned(), ContextValue::Number(days as f64));
    }
    let watched = given(&features, "total_watch_ms").unwrap_or(0.0) + state.habits().watch_ms as f64;
    let [like_rate, skip_rate, watch_ratio, _] = FeatureContext::user_columns_of(state);
    let shown = state.shown as f64;
    for (name, signal, smoothed) in [
        ("like_rate", Signal::Like, like_rate),
        ("skip_rate", Signal::Skip, skip_rate),
    ] {
        let seen = state.counts[signal as usize] as f64;
        let rate = match given(&features, name) {
            Some(rate) => (seen + rate * GIVEN_RATE_IMPRESSIONS) / (shown.max(seen) + GIVEN_RATE_IMPRESSIONS),
            None => f64::from(smoothed),
        };
        features.insert(name.to_owned(), ContextValue::Number(rate));
    }
    let (short_weight, long_weight) = state.horizon_weights(&params.interest);
    let numbers = [
        ("total_watch_ms", watched),
        ("watch_ratio", f64::from(watch_ratio)),
        ("signals", state.signals() as f64),
        ("shown", shown),
        ("follows", state.follows.len() as f64),
        ("interest_short_weight", f64::from(short_weight)),
        ("interest_long_weight", f64::from(long_weight)),
    ];
    for (name, number) in numbers {
        features.insert(name.to_owned(), ContextValue::Number(number));
    }
    let texts = described.map(|user| [("region", &user.region), ("device", &user.device)]);
    for (name, text) in texts.into_iter().flatten() {
        if let Some(text) = text {
            features.insert(name.to_owned(), ContextValue::Text(text.clone()));
        }
    }
    features
}

fn active_hours(state: &SessionState) -> Vec<u8> {
    let given = state
        .described
        .as_deref()
        .map(|user| user.active_hours.as_slice())
        .unwrap_or_default();
    let mut hours: Vec<u8> = given.iter().copied().chain(state.habits().active_hours()).collect();
    hours.sort_unstable();
    hours.dedup();
    hours.truncate(HOURS);
    hours
}

fn cross_features(
    state: &SessionState,
    entry: &Entry,
    params: &Params,
    words: &Vocabularies,
    now: TimestampMs,
) -> CrossFeaturesDto {
    let interest = &params.interest;
    let prior = |words: &[Word], prior: &mut dyn Iterator<Item = (Word, f32)>| {
        prior
            .filter(|(word, _)| words.contains(word))
            .map(|(_, weight)| weight)
            .sum::<f32>()
    };
    let raw =
        |affinities: &super::Affinities, words: &[Word]| words.iter().map(|word| affinities.raw(*word)).sum::<f32>();
    let long_tags = raw(&state.long.tags, &entry.tags) + prior(&entry.tags, &mut state.prior_tags(interest));
    let given_categories = prior(&entry.categories, &mut state.prior_categories(interest));
    let cares_for = |tag: &&Word| {
        state.short.tags.raw(**tag) > 0.0
            || state.long.tags.raw(**tag) > 0.0
            || state.registered_tags.contains(*tag)
            || state
                .prior_tags(interest)
                .any(|(word, weight)| word == **tag && weight > 0.0)
    };
    let category = entry.leading_category();
    let category_name = words.categories.name(category);
    let device = state.described.as_deref().and_then(|user| user.device.as_deref());
    let counts = state
        .windows
        .as_ref()
        .map(|windows| windows.counts(WindowSpan::Hour, now))
        .unwrap_or_default();
    let of_category = counts.categories.iter().find(|(word, _)| *word == category);
    CrossFeaturesDto {
        item_id: entry.item.id.as_str().to_owned(),
        tag_overlap: entry.tags.iter().filter(cares_for).count() as f32 / entry.tags.len().max(1) as f32,
        tag_affinity_short: state.short.tags.of(&entry.tags),
        tag_affinity_long: squash(long_tags),
        category_affinity_short: state.short.categories.of(&entry.categories),
        category_affinity_long: squash(raw(&state.long.categories, &entry.categories) + given_categories),
        author_affinity_short: author_affinity(&state.short.authors, entry),
        author_affinity_long: author_affinity(&state.long.authors, entry),
        follows_author: state.is_following(entry.author),
        device_duration: format!("{}:{}", device.unwrap_or("unknown"), duration_class(entry.duration_ms)),
        hour_category: format!("{:02}:{}", hour_of(now), category_name.as_deref().unwrap_or("none")),
        hour_activity: state.habits().activity_at(now),
        category_signals_1h: of_category.map(|(_, counts)| by_name(counts)).unwrap_or_default(),
    }
}

fn author_affinity(affinities: &super::Affinities, entry: &Entry) -> f32 {
    if entry.author == NO_WORD {
        0.0
    } else {
        affinities.of(&[entry.author])
    }
}

/// A class of playing time by its bounds in seconds.
fn duration_class(duration_ms: u32) -> String {
    let seconds = duration_ms / 1_000;
    if duration_ms == 0 {
        return "unknown".to_owned();
    }
    match DURATION_BOUNDS_S.iter().position(|bound| seconds < *bound) {
        Some(0) => format!("0-{}s", DURATION_BOUNDS_S[0]),
        Some(place) => format!("{}-{}s", DURATION_BOUNDS_S[place - 1], DURATION_BOUNDS_S[place]),
        None => format!("{}s+", DURATION_BOUNDS_S[DURATION_BOUNDS_S.len() - 1]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::testing::{NOW, Viewer, catalogue_of, share_of};
    use crate::wire::UserDto;
    use serde_json::json;

    #[test]
    fn what_was_given_and_what_was_seen_stand_together() {
        let world = catalogue_of(60);
        let mut viewer = Viewer::new();
        let dto: UserDto = serde_json::from_value(
            json!({"id": "viewer", "device": "mobile", "registered_at": NOW.0 - 10 * DAY_MS,
            "long_term_tags": {"cats-0": 1.0, "chess": 0.5}, "active_hours": [21, 7, 7], "follows": ["someone"],
            "attributes": {"like_rate": 0.5, "total_watch_ms": 1_000, "plan": "free"}}),
        )
        .expect("a user");
        viewer
            .state
            .describe(dto.into_user().expect("valid"), world.catalogue.words());
        viewer.act(&world, 0, Signal::Like);
        let snapshot = world.catalogue.load();
        let (params, words) = (world.params.load(), world.catalogue.words());
        let features = features_of(
            &viewer.state,
            snapshot.entry(3).map(|entry| &**entry),
            &params,
            words,
            viewer.now,
        );
        let number = |name: &str| match features.user.get(name) {
            Some(ContextValue::Number(number)) => *number,
            other => panic!("{name} is {other:?}"),
        };
        assert_eq!(
            (number("register_days"), number("follows"), number("signals")),
            (10.0, 1.0, 1.0)
        );
        assert!(
            (number("like_rate") - 26.0 / 51.0).abs() < 1e-6,
            "one like of one shown, behind 25 of 50"
        );
        assert_eq!(features.user["plan"], ContextValue::Text("free".to_owned()));
        assert_eq!(features.active_hours, [7, 21]);
        assert_eq!(features.windows["5m"].signals["like"], 1);
        assert_eq!(features.windows["24h"].categories["cats"]["like"], 1);
        let cross = features.cross.expect("an item was named");
        assert_eq!(
            (cross.item_id.as_str(), cross.hour_category.as_str()),
            ("v3", "00:chess")
        );
        assert_eq!(cross.device_duration, "mobile:15-30s");
        assert!(cross.category_affinity_long > 0.4 && cross.category_affinity_short == 0.0);
    }

    #[test]
    fn long_term_tags_lead_at_first_and_give_way_to_what_the_viewer_does() {
        let world = catalogue_of(600);
        let mut viewer = Viewer::new();
        let tags =
            json!({"id": "viewer", "long_term_tags": {"chess-0": 1.0, "chess-1": 1.0, "chess-2": 1.0, "chess": 1.0}});
        let dto: UserDto = serde_json::from_value(tags).expect("a user");
        viewer
            .state
            .describe(dto.into_user().expect("valid"), world.catalogue.words());
        let interest = world.params.load().interest;
        let share = |viewer: &Viewer| viewer.state.prior_share(&interest);
        assert!((share(&viewer) - 1.0).abs() < 1e-6);
        let first = share_of(&world, &viewer.feed(&world, 20), "chess");
        assert!(first > 0.4, "{first} of the first feed is chess");
        for row in (0..100).step_by(5) {
            viewer.act(&world, row, Signal::Like);
        }
        assert!((share(&viewer) - 0.5).abs() < 1e-6, "half is left after twenty signals");
        let later = share_of(&world, &viewer.feed(&world, 20), "chess");
        assert!(later < first / 2.0, "from {first} to {later}");
        let mut unknown = Viewer::new();
        assert!(share_of(&world, &unknown.feed(&world, 20), "chess") < first - 0.15);
    }
}
