//! In which situation a feed is asked for: where the viewer is, on what, and how connected.

use swipeline_models::catalogue::{FilterTest, device_key};
use swipeline_models::ids::Word;
use swipeline_models::recall::Limits;
use swipeline_models::wire::FeedContextDto;

use super::actor::SessionActor;

/// In which situation a feed is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Situation<'a> {
    /// Where the viewer is.
    pub(crate) region: Option<Word>,
    /// On what; the profile's device holds when the request names none.
    pub(crate) device: Option<&'a str>,
    /// By which kind of network.
    pub(crate) network: Option<&'a str>,
    /// What is wanted of items.
    pub(crate) filter: Option<&'a FilterTest>,
}

impl SessionActor {
    /// The region by name: as the client says it, else that of the profile.
    pub(super) fn region_name(&self, said: Option<&str>, region: Option<Word>) -> Option<String> {
        let known = || self.shared.world.catalogue.words().regions.name(region?);
        said.map(str::to_owned).or_else(|| known().map(|name| name.to_string()))
    }

    /// What the situation limits beside the region.
    pub(super) fn limits_of<'a>(&self, situation: Situation<'a>) -> Limits<'a> {
        let described = self.state.described.as_deref().and_then(|user| user.device.as_deref());
        let authors = &self.shared.world.catalogue.words().authors;
        Limits {
            filter: situation.filter,
            device: situation.device.or(described).map(device_key),
            own_author: authors.get(self.state.user.as_str()),
        }
    }

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
