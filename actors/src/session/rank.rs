//! Given items, scored and ordered for this viewer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actix::{Context, Handler};
use swipeline_models::pipeline::rank_items;
use swipeline_models::rank::Objective;
use swipeline_models::wire::{Name, RankReply, RankedItemDto};

use super::actor::SessionActor;
use super::messages::RankItems;
use super::situation::Situation;
use crate::api::EngineError;

impl Handler<RankItems> for SessionActor {
    type Result = Result<RankReply, EngineError>;

    fn handle(&mut self, RankItems { query }: RankItems, _context: &mut Context<Self>) -> Self::Result {
        self.touch();
        let catalogue = &self.shared.world.catalogue;
        let mut unknown = Vec::new();
        let mut known = Vec::new();
        for item in &query.items {
            match catalogue.row(item.as_str()) {
                Some(row) => known.push((row, item.as_str().to_owned())),
                None => unknown.push(item.as_str().to_owned()),
            }
        }
        let rows: Vec<u32> = known.iter().map(|(row, _)| *row).collect();
        let situation = Situation {
            region: self.region_of(query.region.as_deref()),
            device: query.device.as_deref(),
            network: None,
            filter: None,
        };
        let params = self.params();
        let ask = self.query(&params, rows.len(), situation, &[], false);
        let mut items = Self::with_scratch(|scratch| {
            let ranked = rank_items(&self.shared.world, &self.state, &rows, &ask, scratch)
                .map_err(|error| EngineError::Unavailable(error.to_string()))?;
            Ok::<_, EngineError>(
                known
                    .into_iter()
                    .enumerate()
                    .map(|(place, (_, item_id))| RankedItemDto {
                        item_id,
                        score: ranked.fused[place],
                        objectives: objectives(&ranked.objectives[place]),
                    })
                    .collect::<Vec<_>>(),
            )
        })?;
        items.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.item_id.cmp(&b.item_id)));
        items.truncate(query.n.unwrap_or(usize::MAX));
        Ok(RankReply { items, unknown })
    }
}

fn objectives(row: &[f32]) -> BTreeMap<Name, f32> {
    Objective::ALL
        .into_iter()
        .map(|one| (Cow::Borrowed(one.name()), row[one.index()]))
        .collect()
}
