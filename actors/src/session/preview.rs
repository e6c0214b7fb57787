//! A feed as it would be under params that are not in force: for an operator who tries them.
//!
//! Owns that nothing comes of it: no pool, no exposure, no log.

use std::borrow::Cow;

use actix::{Context, Handler};
use swipeline_models::ids::ItemId;
use swipeline_models::pipeline::run;
use swipeline_models::recall::Pool;
use swipeline_models::wire::FeedDto;

use super::actor::SessionActor;
use super::feed::{elapsed_us, hashes, new_request_id};
use super::messages::PreviewFeed;
use super::situation::Situation;
use super::slate_dto::{channel_reports, feed_items};
use crate::clock;

impl Handler<PreviewFeed> for SessionActor {
    type Result = actix::MessageResult<PreviewFeed>;

    fn handle(&mut self, ask: PreviewFeed, _context: &mut Context<Self>) -> Self::Result {
        let PreviewFeed { request, params } = ask;
        let started = clock::monotonic_ns();
        let world = &self.shared.world;
        let scene = request.scene.as_deref();
        let filter = self.test_of(&params, scene, &request.filter);
        let params = scene.map_or_else(|| params.clone(), |scene| self.shared.params.in_scene(&params, scene));
        let excluded = hashes(request.exclude.iter().map(ItemId::hash64));
        let situation = Situation {
            region: self.region_of(request.region.as_deref()),
            device: request.device.as_deref(),
            network: request.network.as_deref(),
            filter: filter.as_ref(),
        };
        let query = self.query(&params, request.n, situation, &excluded, request.explain);
        let slate = Self::with_scratch(|scratch| run(world, &self.state, &mut Pool::default(), &query, scratch));
        let snapshot = world.catalogue.load();
        actix::MessageResult(FeedDto {
            request_id: new_request_id(),
            user_id: self.state.user.as_str().to_owned(),
            items: feed_items(&slate, &snapshot, &world.mixers, request.region.as_deref()),
            cause: Cow::Borrowed("preview"),
            variant: None,
            degraded: slate.degraded.map(|degraded| Cow::Borrowed(degraded.name())),
            generated_at: clock::now().0,
            took_us: elapsed_us(started),
            context: request.explain.then(|| self.context_of(situation)),
            channels: request.explain.then(|| channel_reports(&slate, world)),
        })
    }
}
