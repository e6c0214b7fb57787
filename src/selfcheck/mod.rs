//! `swipeline selfcheck`: a scripted story, told chapter by chapter against a running server, each observation a line.
//!
//! Owns: which chapters there are. Each chapter lives in its own file, starts a server process of its own on a scratch
//! data directory, and speaks to it from outside as an app would. Must not look inside the server.

mod archive;
mod boosts;
mod channels;
mod cold_start;
mod enrichment;
mod experiments;
mod features;
mod learner;
mod new_items;
mod overload;
mod params;
mod stage;
mod story;
mod viral;

pub(crate) use story::Story;

/// A chapter of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chapter {
    /// A change of the params alters the next feed, and a rollback restores it.
    Params,
    /// Labels, windows and features appear as events arrive.
    Features,
    /// A planted preference is learned online and shows in the scores.
    Learner,
    /// A new viewer's feeds begin with editor's picks and tags, and become personal.
    ColdStart,
    /// A new item gets its impressions; a bad one is stopped early.
    NewItems,
    /// A viral item is listed at once.
    Viral,
    /// A broken channel is cut off and comes back.
    Channels,
    /// A boosted category's share rises in its window only.
    Boosts,
    /// An experiment splits evenly and reports a planted effect.
    Experiments,
    /// An overloaded server walks down the ladder and up again and loses nothing.
    Overload,
    /// The archive's rows are the accepted events; a forgotten user is in none of the places.
    Archive,
    /// An item without tags gets them from its words.
    Enrichment,
}

/// All chapters in their order.
pub(crate) const CHAPTERS: [Chapter; 12] = [
    Chapter::Params,
    Chapter::Features,
    Chapter::Learner,
    Chapter::ColdStart,
    Chapter::NewItems,
    Chapter::Viral,
    Chapter::Channels,
    Chapter::Boosts,
    Chapter::Experiments,
    Chapter::Overload,
    Chapter::Archive,
    Chapter::Enrichment,
];

impl Chapter {
    /// The name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Chapter::Params => "params",
            Chapter::Features => "features",
            Chapter::Learner => "learner",
            Chapter::ColdStart => "cold_start",
            Chapter::NewItems => "new_items",
            Chapter::Viral => "viral",
            Chapter::Channels => "channels",
            Chapter::Boosts => "boosts",
            Chapter::Experiments => "experiments",
            Chapter::Overload => "overload",
            Chapter::Archive => "archive",
            Chapter::Enrichment => "enrichment",
        }
    }

    /// Walks through the chapter.
    ///
    /// # Errors
    /// When the server does not start or an answer is not what the API promises; the story tells it as a failure.
    async fn walk(self, story: &mut Story) -> anyhow::Result<()> {
        match self {
            Chapter::Params => params::walk(story).await,
            Chapter::Features => features::walk(story).await,
            Chapter::Learner => learner::walk(story).await,
            Chapter::ColdStart => cold_start::walk(story).await,
            Chapter::NewItems => new_items::walk(story).await,
            Chapter::Viral => viral::walk(story).await,
            Chapter::Channels => channels::walk(story).await,
            Chapter::Boosts => boosts::walk(story).await,
            Chapter::Experiments => experiments::walk(story).await,
            Chapter::Overload => overload::walk(story).await,
            Chapter::Archive => archive::walk(story).await,
            Chapter::Enrichment => enrichment::walk(story).await,
        }
    }
}
