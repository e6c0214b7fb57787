//! In which situation a feed is asked for: where the viewer is, on what, and how connected.

use swipeline_models::ids::Word;
use swipeline_models::wire::FeedContextDto;

use super::actor::SessionActor;

/// In which situation a feed is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Situation<'a> {
    /// Where the viewer is.
    pub(crate) region: Option<Word>,
    /// On what; the profile's device holds when the request names none.
    pub(crate) device: Option<&'a str>,
    /// By which kind of network.
    pub(crate) network: Option<&'a str>,
}

impl SessionActor {
    /// The situation by names, with what the profile adds.
    pub(super) fn context_of(&self, situation: Situation<'_>) -> FeedContextDto {
        let regions = &self.shared.world.catalogue.words().regions;
        let region = situation.region.and_then(|region| regions.name(region));
        let described = self.state.described.as_deref().and_then(|user| user.device.as_deref());
        FeedContextDto {
            region: region.map(|region| region.to_string()),
            device: situation.device.or(described).map(str::to_owned),
            network: situation.network.map(str::to_owned),
        }
    }
}
