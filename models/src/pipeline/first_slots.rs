//! Slots that are promised before anything is ranked: impressions of new items, and what a new viewer's feed is made of.
//!
//! Owns where those slots are. Who is owed what is decided in `new_items` and in `recall::start`.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use smallvec::SmallVec;

use super::scratch::Candidates;
use super::{Query, Taste};
use crate::ids::Row;
use crate::new_items::{Ask, NewItems, Owed};
use crate::popularity::BoardEntry;
use crate::recall::{Admission, Channel, ChannelSet, Evidence, StartPart, evidence_place};
use crate::rerank::{ExploreDraw, Part, share_slots};
use crate::time::DAY_MS;
use crate::world::World;

/// The cheap score of a candidate that nobody recalled: the middle.
const PRE_RANK_UNKNOWN: f32 = 0.5;
/// The evidence of a channel that named a candidate without a score of its own.
const EVIDENCE_NAMED: f32 = 0.5;
/// What a followed author made is recent for so long.
const FOLLOWED_AGE_MS_MAX: i64 = 7 * DAY_MS;
/// A shorter slate owes followed authors nothing.
const FOLLOWED_SLOTS_MIN: usize = 4;
/// The most new items of one slate.
const OWED_MAX: usize = 8;

/// The new items of a slate.
pub(super) type GivenRows = SmallVec<[Row; OWED_MAX]>;

/// What decides about the promised slots of one request.
pub(super) struct Promises<'a> {
    /// Everything shared.
    pub(super) world: &'a World,
    /// What may be shown.
    pub(super) admission: &'a Admission<'a>,
    /// How an item does of which nothing is known.
    pub(super) prior: &'a BoardEntry,
    /// The viewer's taste.
    pub(super) taste: &'a Taste,
    /// The request.
    pub(super) query: &'a Query<'a>,
    /// Whether a new item may have the first slot at all.
    pub(super) leads: bool,
}

impl Promises<'_> {
    /// Gives new items their slots, and owes the parts of a new viewer's feed (`start`, of which the rest is personal)
    /// theirs. Returns the new items, and the parts.
    pub(super) fn keep(
        &self,
        start: Option<Vec<StartPart>>,
        personal_share: f32,
        random: &mut Xoshiro256PlusPlus,
        draws: &mut Vec<ExploreDraw>,
        candidates: &mut Candidates,
    ) -> (GivenRows, Vec<Part>) {
        let ask = Ask {
            admission: self.admission,
            board: &self.world.board,
            prior: self.prior,
            taste: self.taste,
            params: &self.query.params.cold_start,
            now: self.query.now,
            chance: random.random(),
        };
        // A new viewer's feed is led by what is promised to the viewer.
        let leads = self.leads && start.is_none();
        let n = self.query.n;
        let given = give_new_items(&self.world.new_items, &ask, n, leads, random, draws, candidates);
        let slots = n.saturating_sub(draws.len());
        let parts = match start {
            Some(start) => owe_parts(start, personal_share, slots, candidates),
            None => self.owe_followed(slots, candidates),
        };
        (given, parts)
    }

    /// Owes a slot to what followed authors made lately, so that a follow of an author who makes something else than the
    /// viewer likes most is not without effect.
    fn owe_followed(&self, slots: usize, candidates: &Candidates) -> Vec<Part> {
        let is_recent = |place: &usize| {
            let entry = self.admission.snapshot.entry(candidates.rows[*place]);
            entry.is_some_and(|entry| self.query.now.since(entry.created_at) <= FOLLOWED_AGE_MS_MAX)
        };
        let named = (0..candidates.len()).filter(|place| candidates.channels[*place].contains(Channel::Followed));
        let places: Vec<usize> = named.filter(is_recent).collect();
        if places.is_empty() || slots < FOLLOWED_SLOTS_MIN {
            return Vec::new();
        }
        let mut parts = vec![Part::new(Channel::Followed, places, false)];
        share_slots(&mut parts, &[1.0], 1);
        parts
    }
}

/// Gives new items that are owed impressions their slots: on average `new_item_share · n` of them, at most, each in the
/// place of a slot that would have explored, so that not more of the slate explores than before. Unlike a drawn item one
/// may stand first, if it fits the viewer: of a feed that every swipe replaces nothing else is ever seen. `leads`: the
/// first slot may be taken at all. Returns the items.
fn give_new_items(
    new_items: &NewItems,
    ask: &Ask<'_>,
    n: usize,
    leads: bool,
    random: &mut Xoshiro256PlusPlus,
    draws: &mut Vec<ExploreDraw>,
    candidates: &mut Candidates,
) -> GivenRows {
    let wanted = n as f32 * ask.params.new_item_share;
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
fn owe_parts(start: Vec<StartPart>, personal_share: f32, slots: usize, candidates: &mut Candidates) -> Vec<Part> {
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
