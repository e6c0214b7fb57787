//! Slots that are promised before anything is ranked: impressions of new items, and what a new viewer's feed is made of.
//!
//! Owns where those slots are. Who is owed what is decided in `new_items` and in `recall::start`.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use smallvec::SmallVec;

use super::Query;
use super::scratch::Candidates;
use crate::ids::Row;
use crate::new_items::{Ask, NewItems, Owed};
use crate::recall::{Channel, ChannelSet, Evidence, StartPart, evidence_place};
use crate::rerank::{ExploreDraw, Part, share_slots};

/// The cheap score of a candidate that nobody recalled: the middle.
const PRE_RANK_UNKNOWN: f32 = 0.5;
/// The evidence of a channel that named a candidate without a score of its own.
const EVIDENCE_NAMED: f32 = 0.5;
/// The most new items of one slate.
const OWED_MAX: usize = 8;

/// The new items of a slate.
pub(super) type GivenRows = SmallVec<[Row; OWED_MAX]>;

/// Gives new items that are owed impressions their slots: on average `new_item_share · n` of them, at most, each in the
/// place of a slot that would have explored, so that not more of the slate explores than before. Unlike a drawn item one
/// may stand first, if it fits the viewer: of a feed that every swipe replaces nothing else is ever seen. `leads`: the
/// first slot may be taken at all. Returns the items.
pub(super) fn give_new_items(
    new_items: &NewItems,
    ask: &Ask<'_>,
    query: &Query<'_>,
    leads: bool,
    random: &mut Xoshiro256PlusPlus,
    draws: &mut Vec<ExploreDraw>,
    candidates: &mut Candidates,
) -> GivenRows {
    let (n, wanted) = (query.n, query.n as f32 * ask.params.new_item_share);
    let count = wanted as usize + usize::from(random.random::<f32>() < wanted.fract());
    let mut taken: SmallVec<[Owed; OWED_MAX]> = SmallVec::new();
    let mut given: SmallVec<[ExploreDraw; OWED_MAX]> = SmallVec::new();
    while taken.len() < count.min(OWED_MAX) {
        let Some(owed) = new_items.choose(ask, &taken) else {
            break;
        };
        taken.push(owed);
        let first = usize::from(!(leads && owed.may_lead));
        let is_free = |slot: &usize| given.iter().all(|known: &ExploreDraw| known.slot != *slot);
        let free: SmallVec<[usize; 32]> = (first..n).filter(is_free).collect();
        if free.is_empty() {
            break;
        }
        let slot = free[random.random_range(0..free.len())];
        let place = place_of(candidates, owed.row, Channel::ColdStart);
        let in_the_way = draws.iter().position(|draw| draw.slot == slot || draw.place == place);
        if !draws.is_empty() {
            draws.remove(in_the_way.unwrap_or(0));
        }
        draws.retain(|draw| draw.slot != slot && draw.place != place);
        given.push(ExploreDraw {
            slot,
            place,
            propensity: wanted.min(1.0),
        });
    }
    draws.extend_from_slice(&given);
    draws.sort_unstable_by_key(|draw| draw.slot);
    given.iter().map(|draw| candidates.rows[draw.place]).collect()
}

/// Owes the parts of a new viewer's feed their share of the `slots` that do not explore.
pub(super) fn owe_parts(
    start: Vec<StartPart>,
    personal_share: f32,
    slots: usize,
    candidates: &mut Candidates,
) -> Vec<Part> {
    let weights: SmallVec<[f32; 3]> = start.iter().map(|part| part.weight).collect();
    let part = |start: StartPart| {
        let channel = start.channel;
        let places = start.rows.iter().map(|row| place_of(candidates, *row, channel));
        Part::new(channel, places.collect(), start.keeps_order)
    };
    let mut parts: Vec<Part> = start.into_iter().map(part).collect();
    share_slots(
        &mut parts,
        &weights,
        (slots as f32 * (1.0 - personal_share)).round() as usize,
    );
    parts
}

/// The place of an item among the candidates, which it joins if need be, as one that `channel` has named.
fn place_of(candidates: &mut Candidates, row: Row, channel: Channel) -> usize {
    let known = candidates.rows.iter().position(|candidate| *candidate == row);
    let place = known.unwrap_or_else(|| {
        candidates.push(row, ChannelSet::default(), Evidence::default(), PRE_RANK_UNKNOWN, 0.0);
        candidates.len() - 1
    });
    candidates.channels[place] = candidates.channels[place].with(ChannelSet::of(channel));
    if let Some(column) = evidence_place(channel) {
        let evidence = &mut candidates.evidence[place][column];
        *evidence = evidence.max(EVIDENCE_NAMED);
    }
    place
}
