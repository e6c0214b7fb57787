//! The feature schema: which number stands in which column of a candidate's feature row.
//!
//! Owns the order, names, ranges, neutral values and groups of the features, and the fingerprint that ties a trained
//! model to them. It computes no feature and knows no model. Any change here that moves or redefines a column must
//! raise [`FEATURE_SCHEMA_VERSION`]: models trained for another schema are refused by the fingerprint.

use xxhash_rust::xxh3::Xxh3;

/// Version of the schema below; part of the fingerprint.
pub const FEATURE_SCHEMA_VERSION: u32 = 1;

/// Number of columns of a feature row.
pub const FEATURE_COUNT: usize = 32;

/// Bound of a channel score after standardisation within one request.
pub const CHANNEL_SCORE_MAX: f32 = 4.0;

/// Number of [`FeatureGroup`]s.
pub const FEATURE_GROUP_COUNT: usize = 7;

/// What a feature speaks about; `explain` sums contributions per group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum FeatureGroup {
    /// Closeness of the item's embedding to the viewer's interest vectors.
    Interest,
    /// The viewer's decayed weights for the item's tags, categories and author.
    Affinity,
    /// How all viewers react to the item.
    Quality,
    /// How many viewers the item reaches, and how that moves.
    Popularity,
    /// Age of the item.
    Freshness,
    /// Evidence from the recall channels that named the item.
    Collaborative,
    /// The viewer's habits, the item's length and region, what was watched last.
    Context,
}

impl FeatureGroup {
    /// Every group, in the order of its discriminant.
    pub const ALL: [FeatureGroup; FEATURE_GROUP_COUNT] = [
        FeatureGroup::Interest,
        FeatureGroup::Affinity,
        FeatureGroup::Quality,
        FeatureGroup::Popularity,
        FeatureGroup::Freshness,
        FeatureGroup::Collaborative,
        FeatureGroup::Context,
    ];

    /// Position of the group in [`FeatureGroup::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            FeatureGroup::Interest => "interest",
            FeatureGroup::Affinity => "affinity",
            FeatureGroup::Quality => "quality",
            FeatureGroup::Popularity => "popularity",
            FeatureGroup::Freshness => "freshness",
            FeatureGroup::Collaborative => "collaborative",
            FeatureGroup::Context => "context",
        }
    }
}

/// One line per feature, so that enum, name, group, range and neutral value cannot drift apart.
macro_rules! feature_table {
    ($($(#[$doc:meta])* $variant:ident $name:literal $group:ident [$low:expr, $high:expr] $neutral:expr;)*) => {
        /// A column of the feature row; the discriminant is the column's index.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(usize)]
        pub enum Feature {
            $($(#[$doc])* $variant,)*
        }

        /// Names of the columns, in order; the names that a trainer sees.
        pub const FEATURE_NAMES: [&str; FEATURE_COUNT] = [$($name,)*];

        impl Feature {
            /// Every feature, in column order.
            pub const ALL: [Feature; FEATURE_COUNT] = [$(Feature::$variant,)*];

            /// The group that `explain` counts the feature to.
            pub const fn group(self) -> FeatureGroup {
                match self {
                    $(Feature::$variant => FeatureGroup::$group,)*
                }
            }

            /// Lowest and highest value that the feature takes.
            pub const fn range(self) -> (f32, f32) {
                match self {
                    $(Feature::$variant => ($low, $high),)*
                }
            }

            /// The value of an average item for a viewer of whom nothing is known; also what stands in for a value
            /// that is not finite.
            pub const fn neutral(self) -> f32 {
                match self {
                    $(Feature::$variant => $neutral,)*
                }
            }
        }
    };
}

feature_table! {
    /// Cosine of item embedding and short-term interest vector.
    ShortCosine "short_cosine" Interest [-1.0, 1.0] 0.0;
    /// Cosine of item embedding and long-term interest vector.
    LongCosine "long_cosine" Interest [-1.0, 1.0] 0.0;
    /// Short-term weight of the item's tags, squashed.
    TagAffinityShort "tag_affinity_short" Affinity [-1.0, 1.0] 0.0;
    /// Long-term weight of the item's tags, squashed.
    TagAffinityLong "tag_affinity_long" Affinity [-1.0, 1.0] 0.0;
    /// Short-term weight of the item's categories, squashed.
    CategoryAffinityShort "category_affinity_short" Affinity [-1.0, 1.0] 0.0;
    /// Long-term weight of the item's categories, squashed.
    CategoryAffinityLong "category_affinity_long" Affinity [-1.0, 1.0] 0.0;
    /// Short-term weight of the item's author, squashed.
    AuthorAffinityShort "author_affinity_short" Affinity [-1.0, 1.0] 0.0;
    /// Long-term weight of the item's author, squashed.
    AuthorAffinityLong "author_affinity_long" Affinity [-1.0, 1.0] 0.0;
    /// 1 when the viewer follows the author, else 0.
    FollowsAuthor "follows_author" Affinity [0.0, 1.0] 0.0;
    /// Smoothed likes per view of the item.
    ItemLikeRate "item_like_rate" Quality [0.0, 1.0] 0.07;
    /// Smoothed skips per view of the item.
    ItemSkipRate "item_skip_rate" Quality [0.0, 1.0] 0.35;
    /// Smoothed completions per view of the item.
    ItemCompletionRate "item_completion_rate" Quality [0.0, 1.0] 0.4;
    /// Smoothed shares per view of the item.
    ItemShareRate "item_share_rate" Quality [0.0, 1.0] 0.01;
    /// Decayed engagement, ln(1 + x) scaled to about [0, 1].
    Popularity "popularity" Popularity [0.0, 1.0] 0.3;
    /// Share of the engagement that is recent: 0 fading, 1 rising.
    Trend "trend" Popularity [0.0, 1.0] 0.3;
    /// Impressions, ln(1 + x) scaled to about [0, 1].
    ImpressionsLog "impressions_log" Popularity [0.0, 1.0] 0.3;
    /// exp(-age / τ): 1 just created, 0 old.
    Freshness "freshness" Freshness [0.0, 1.0] 0.3;
    /// 1 while the item is in its cold-start phase, else 0.
    IsNew "is_new" Freshness [0.0, 1.0] 0.0;
    /// Duration in seconds, ln(1 + x) scaled to about [0, 1].
    DurationLog "duration_log" Context [0.0, 1.0] 0.5;
    /// 1 when the item is meant for the viewer's region (or for all), else 0.
    RegionMatch "region_match" Context [0.0, 1.0] 1.0;
    /// Score of the embedding channel, standardised within the request; 0 when the channel did not name the item.
    ChannelEmbedding "channel_embedding" Collaborative [-CHANNEL_SCORE_MAX, CHANNEL_SCORE_MAX] 0.0;
    /// Score of the item-item channel, standardised within the request; 0 when it did not name the item.
    ChannelItemItem "channel_item_item" Collaborative [-CHANNEL_SCORE_MAX, CHANNEL_SCORE_MAX] 0.0;
    /// Score of the session-kNN channel, standardised within the request; 0 when it did not name the item.
    ChannelSessionKnn "channel_session_knn" Collaborative [-CHANNEL_SCORE_MAX, CHANNEL_SCORE_MAX] 0.0;
    /// Score of the tag channel, standardised within the request; 0 when it did not name the item.
    ChannelTags "channel_tags" Collaborative [-CHANNEL_SCORE_MAX, CHANNEL_SCORE_MAX] 0.0;
    /// Score of the hot channel, standardised within the request; 0 when it did not name the item.
    ChannelHot "channel_hot" Collaborative [-CHANNEL_SCORE_MAX, CHANNEL_SCORE_MAX] 0.0;
    /// Channels that named the item over all channels asked.
    ChannelCount "channel_count" Collaborative [0.0, 1.0] 0.1;
    /// Smoothed likes per view of the viewer.
    UserLikeRate "user_like_rate" Context [0.0, 1.0] 0.07;
    /// Smoothed skips per view of the viewer.
    UserSkipRate "user_skip_rate" Context [0.0, 1.0] 0.35;
    /// Mean watched share of a video of the viewer.
    UserWatchRatio "user_watch_ratio" Context [0.0, 1.0] 0.5;
    /// Events of the viewer so far, ln(1 + x) scaled to about [0, 1].
    UserEventsLog "user_events_log" Context [0.0, 1.0] 0.0;
    /// Cosine with the item that the viewer last engaged with.
    LastItemSimilarity "last_item_similarity" Context [-1.0, 1.0] 0.0;
    /// Cosine with what the viewer has lately skipped or disliked.
    NegativeSimilarity "negative_similarity" Interest [-1.0, 1.0] 0.0;
}

impl Feature {
    /// Column of the feature.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name of the column.
    pub const fn name(self) -> &'static str {
        FEATURE_NAMES[self as usize]
    }

    /// The feature of a column name.
    pub fn from_name(name: &str) -> Option<Feature> {
        Feature::ALL.into_iter().find(|feature| feature.name() == name)
    }
}

/// The feature row in which every feature is neutral.
pub const NEUTRAL_ROW: [f32; FEATURE_COUNT] = {
    let mut row = [0.0; FEATURE_COUNT];
    let mut index = 0;
    while index < FEATURE_COUNT {
        row[index] = Feature::ALL[index].neutral();
        index += 1;
    }
    row
};

/// The lowest and the highest values of all features, as columns that a loop over a row can go along with.
const BOUNDS: ([f32; FEATURE_COUNT], [f32; FEATURE_COUNT]) = {
    let mut bounds = ([0.0; FEATURE_COUNT], [0.0; FEATURE_COUNT]);
    let mut index = 0;
    while index < FEATURE_COUNT {
        (bounds.0[index], bounds.1[index]) = Feature::ALL[index].range();
        index += 1;
    }
    bounds
};

/// The feature row in which every feature is neutral.
pub fn neutral_row() -> [f32; FEATURE_COUNT] {
    NEUTRAL_ROW
}

/// Cuts every value to its feature's range; what is not finite becomes neutral.
pub(super) fn bound_row(row: &mut [f32; FEATURE_COUNT]) {
    for index in 0..FEATURE_COUNT {
        let value = row[index];
        let bounded = value.max(BOUNDS.0[index]).min(BOUNDS.1[index]);
        row[index] = if value.is_finite() { bounded } else { NEUTRAL_ROW[index] };
    }
}

/// xxh3 over version and names in order. A model carries it in its metadata; another value means another schema.
pub fn schema_fingerprint() -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&FEATURE_SCHEMA_VERSION.to_le_bytes());
    for name in FEATURE_NAMES {
        hasher.update(name.as_bytes());
        // A separator that no name contains: ["ab", "c"] and ["a", "bc"] must differ.
        hasher.update(&[0]);
    }
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snake_case(variant: &str) -> String {
        let mut name = String::new();
        for letter in variant.chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }

    #[test]
    fn index_name_and_variant_agree() {
        for (index, feature) in Feature::ALL.into_iter().enumerate() {
            assert_eq!(feature.index(), index);
            assert_eq!(feature.name(), snake_case(&format!("{feature:?}")));
            assert_eq!(Feature::from_name(feature.name()), Some(feature));
        }
        assert_eq!(Feature::from_name("no_such_feature"), None);
    }

    #[test]
    fn neutral_values_lie_in_range() {
        for feature in Feature::ALL {
            let (low, high) = feature.range();
            assert!(low < high && (low..=high).contains(&feature.neutral()), "{feature:?}");
        }
        assert_eq!(neutral_row()[Feature::ItemSkipRate.index()], 0.35);
    }

    #[test]
    fn a_row_is_cut_to_its_ranges_and_what_is_not_finite_is_neutral() {
        for index in 0..FEATURE_COUNT {
            let (low, high) = Feature::ALL[index].range();
            for (value, expected) in [
                (low - 1.0, low),
                (high + 1.0, high),
                (f32::NAN, NEUTRAL_ROW[index]),
                (f32::INFINITY, NEUTRAL_ROW[index]),
            ] {
                let mut row = NEUTRAL_ROW;
                row[index] = value;
                bound_row(&mut row);
                assert_eq!(row[index], expected, "{:?}", Feature::ALL[index]);
            }
        }
    }

    #[test]
    fn every_group_is_used_and_indexed() {
        for (index, group) in FeatureGroup::ALL.into_iter().enumerate() {
            assert_eq!(group.index(), index);
            assert!(
                Feature::ALL.into_iter().any(|feature| feature.group() == group),
                "{group:?}"
            );
        }
    }

    #[test]
    fn fingerprint_is_pinned() {
        // Fails when a name or the order changes: raise FEATURE_SCHEMA_VERSION and retrain, then pin anew.
        assert_eq!(format!("{:016x}", schema_fingerprint()), "3f7ed37238c16898");
    }
}
