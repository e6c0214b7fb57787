//! The recall channels by name and number.

use serde::{Deserialize, Serialize};

/// Number of [`Channel`]s.
pub const CHANNEL_COUNT: usize = 18;

/// The most mixers: channels that an operator declares.
pub const MIXERS_MAX: usize = 4;

/// Where a candidate came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Channel {
    /// Nearest to the short-term interest in the embedding space.
    Embedding = 0,
    /// Nearest to the long-term interest in the embedding space.
    EmbeddingLong = 1,
    /// Liked together with what the viewer liked last.
    ItemItem = 2,
    /// Liked in the sessions most like this one.
    SessionKnn = 3,
    /// Carries tags or categories that the viewer cares for.
    Tags = 4,
    /// Popular in the viewer's region and categories.
    Hot = 5,
    /// New.
    Fresh = 6,
    /// Editor's picks for a new viewer, and new items that are owed their first impressions.
    ColdStart = 7,
    /// By an author whom the viewer follows.
    Followed = 8,
    /// Drawn by chance.
    Explore = 9,
    /// Taken because everything else had run out.
    Backfill = 10,
    /// Fits what the viewer liked last, taken together, by the linear model.
    Linear = 11,
    /// Engaged with by viewers who, over weeks, engaged with the same items.
    SimilarUsers = 12,
    /// What a boost rule of the operator asks for.
    Boost = 13,
    /// A mixer; its name is in the params, see [`crate::control::MixerNames`].
    Mixer1 = 14,
    /// A mixer.
    Mixer2 = 15,
    /// A mixer.
    Mixer3 = 16,
    /// A mixer.
    Mixer4 = 17,
}

impl Channel {
    /// All channels in the order of their numbers.
    pub const ALL: [Channel; CHANNEL_COUNT] = [
        Channel::Embedding,
        Channel::EmbeddingLong,
        Channel::ItemItem,
        Channel::SessionKnn,
        Channel::Tags,
        Channel::Hot,
        Channel::Fresh,
        Channel::ColdStart,
        Channel::Followed,
        Channel::Explore,
        Channel::Backfill,
        Channel::Linear,
        Channel::SimilarUsers,
        Channel::Boost,
        Channel::Mixer1,
        Channel::Mixer2,
        Channel::Mixer3,
        Channel::Mixer4,
    ];

    /// The channels that are there for mixers.
    pub const MIXERS: [Channel; MIXERS_MAX] = [Channel::Mixer1, Channel::Mixer2, Channel::Mixer3, Channel::Mixer4];

    /// The name in params, explanations, metrics and on the wire. What stands for a mixer has the operator's name there
    /// instead: [`crate::control::MixerNames::name`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Channel::Embedding => "embedding",
            Channel::EmbeddingLong => "embedding_long",
            Channel::ItemItem => "item_item",
            Channel::SessionKnn => "session_knn",
            Channel::Tags => "tags",
            Channel::Hot => "hot",
            Channel::Fresh => "fresh",
            Channel::ColdStart => "cold_start",
            Channel::Followed => "followed",
            Channel::Explore => "explore",
            Channel::Backfill => "backfill",
            Channel::Linear => "linear",
            Channel::SimilarUsers => "similar_users",
            Channel::Boost => "boost",
            Channel::Mixer1 => "mixer_1",
            Channel::Mixer2 => "mixer_2",
            Channel::Mixer3 => "mixer_3",
            Channel::Mixer4 => "mixer_4",
        }
    }

    /// What a viewer may be told when this channel is the strongest reason.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Channel::Embedding => "similar to what you like right now",
            Channel::EmbeddingLong => "fits what you have liked for long",
            Channel::ItemItem => "liked together with what you liked",
            Channel::SessionKnn => "liked by viewers who swipe like you",
            Channel::Tags => "has tags that you like",
            Channel::Hot => "popular right now",
            Channel::Fresh => "new",
            Channel::ColdStart => "picked for a start",
            Channel::Followed => "by someone you follow",
            Channel::Explore => "something different",
            Channel::Backfill => "not seen yet",
            Channel::Linear => "fits all that you liked last",
            Channel::SimilarUsers => "liked by viewers with a taste like yours",
            Channel::Boost => "featured",
            Channel::Mixer1 | Channel::Mixer2 | Channel::Mixer3 | Channel::Mixer4 => "picked by several signs at once",
        }
    }

    /// The channel of that name, mixers left out.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Channel> {
        let fixed = Channel::ALL.into_iter().filter(|channel| channel.mixer().is_none());
        fixed.into_iter().find(|channel| channel.name() == name)
    }

    /// Which mixer the channel stands for, from 0.
    #[must_use]
    pub fn mixer(self) -> Option<usize> {
        Channel::MIXERS.into_iter().position(|mixer| mixer == self)
    }

    /// The channel's number.
    #[must_use]
    pub const fn number(self) -> usize {
        self as usize
    }
}

/// A set of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct ChannelSet(u32);

impl ChannelSet {
    /// What an operator adds by rules; a model that was trained without it does not know it.
    pub const BY_OPERATOR: ChannelSet = ChannelSet::of(Channel::Boost)
        .with(ChannelSet::of(Channel::Mixer1))
        .with(ChannelSet::of(Channel::Mixer2))
        .with(ChannelSet::of(Channel::Mixer3))
        .with(ChannelSet::of(Channel::Mixer4));

    /// The set of one channel.
    #[must_use]
    pub const fn of(channel: Channel) -> Self {
        Self(1 << channel as u32)
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: ChannelSet) -> Self {
        Self(self.0 | other.0)
    }

    /// The set without those of another.
    #[must_use]
    pub const fn without(self, other: ChannelSet) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the channel is in the set.
    #[must_use]
    pub const fn contains(self, channel: Channel) -> bool {
        self.0 & (1 << channel as u32) != 0
    }

    /// What is in both sets.
    #[must_use]
    pub const fn both(self, other: ChannelSet) -> Self {
        Self(self.0 & other.0)
    }

    /// How many channels are in the set.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The channels in the set, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Channel> {
        Channel::ALL.into_iter().filter(move |channel| self.contains(*channel))
    }
}
