//! Session-kNN in the form of VMIS-kNN: the sessions nearest to this one say what comes next.
//!
//! Source: Kersbergen, Sprangers, Schelter, "Serenade", SIGMOD 2022; after VS-kNN (Ludewig, Jannach 2018). Owns the index
//! of sessions, which grows event by event. A user with a long log is a session like any other (VS-kNN over users).

use rustc_hash::FxHashMap;

use super::transitions::last_distinct;

/// The settings of [`SessionKnn`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SessionKnnConfig {
    /// How many of the most recent sessions that share an item are looked at (m).
    pub recent_sessions: usize,
    /// How many of those, the most similar ones, speak (k).
    pub neighbours: usize,
    /// How many of the last items a request goes by.
    pub context_items: usize,
    /// The weight of an item of the request over that of the one after it.
    pub context_decay: f32,
    /// Exponent by which a neighbour's length divides its similarity: 0 for sessions, which are short.
    pub length_exponent: f32,
}

impl Default for SessionKnnConfig {
    fn default() -> Self {
        Self {
            recent_sessions: 500,
            neighbours: 500,
            context_items: 2,
            context_decay: 0.7,
            length_exponent: 0.0,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Session {
    /// Each item once, in the order of the first event.
    items: Vec<u32>,
    last_at_ms: i64,
}

/// Past sessions by their items.
#[derive(Debug, Clone)]
pub struct SessionKnn {
    config: SessionKnnConfig,
    place_of: FxHashMap<u32, u32>,
    sessions: Vec<Session>,
    sessions_of: Vec<Vec<u32>>,
    similarity: FxHashMap<u32, Similarity>,
    nearest: Vec<(u32, Similarity)>,
}

/// How near a session is.
#[derive(Debug, Clone, Copy, Default)]
struct Similarity {
    sum: f32,
    /// The weight of the latest item in common.
    latest: f32,
}

impl SessionKnn {
    /// Nothing learned yet.
    #[must_use]
    pub fn new(config: SessionKnnConfig) -> Self {
        Self {
            config,
            place_of: FxHashMap::default(),
            sessions: Vec::new(),
            sessions_of: Vec::new(),
            similarity: FxHashMap::default(),
            nearest: Vec::new(),
        }
    }

    /// The next event of `session` was about `item`.
    pub fn learn(&mut self, session: u32, item: u32, at_ms: i64) {
        let next = self.sessions.len() as u32;
        let place = *self.place_of.entry(session).or_insert(next);
        if place == next {
            self.sessions.push(Session::default());
        }
        if item as usize >= self.sessions_of.len() {
            self.sessions_of.resize(item as usize + 1, Vec::new());
        }
        let session = &mut self.sessions[place as usize];
        session.last_at_ms = session.last_at_ms.max(at_ms);
        if !session.items.contains(&item) {
            session.items.push(item);
            self.sessions_of[item as usize].push(place);
        }
    }

    /// Adds the scores of what the sessions nearest to `context` (oldest first) hold to `scores` (one entry per item).
    /// `own` is the session that asks; it is no neighbour of itself.
    pub fn scores_into(&mut self, own: u32, context: impl DoubleEndedIterator<Item = u32>, scores: &mut [f32]) {
        self.find_nearest(self.place_of.get(&own).copied(), context);
        let sessions_total = self.sessions.len() as f32;
        for (place, similarity) in &self.nearest {
            for item in &self.sessions[*place as usize].items {
                let holders = self.sessions_of[*item as usize].len() as f32;
                let rarity = (sessions_total / holders).ln();
                scores[*item as usize] += similarity.sum * similarity.latest * rarity;
            }
        }
    }

    fn find_nearest(&mut self, own: Option<u32>, context: impl DoubleEndedIterator<Item = u32>) {
        self.similarity.clear();
        let mut weight = 1.0;
        for item in last_distinct(context, self.config.context_items) {
            let holders = self.sessions_of.get(item as usize).map_or(&[][..], Vec::as_slice);
            let recent = holders.iter().rev().filter(|place| Some(**place) != own);
            for place in recent.take(self.config.recent_sessions) {
                let similarity = self.similarity.entry(*place).or_default();
                similarity.sum += weight;
                similarity.latest = similarity.latest.max(weight);
            }
            weight *= self.config.context_decay;
        }
        self.nearest.clear();
        for (place, similarity) in &self.similarity {
            let length = self.sessions[*place as usize].items.len() as f32;
            let sum = similarity.sum * length.powf(-self.config.length_exponent);
            self.nearest.push((*place, Similarity { sum, ..*similarity }));
        }
        let at_ms = |place: u32| (self.sessions[place as usize].last_at_ms, place);
        keep_best(&mut self.nearest, self.config.recent_sessions, |left, right| {
            at_ms(right.0).cmp(&at_ms(left.0))
        });
        keep_best(&mut self.nearest, self.config.neighbours, |left, right| {
            right
                .1
                .sum
                .total_cmp(&left.1.sum)
                .then_with(|| at_ms(right.0).cmp(&at_ms(left.0)))
        });
        // Floats are added in this order; the map's own would depend on its history.
        self.nearest.sort_unstable_by_key(|(place, _)| *place);
    }
}

fn keep_best<T>(all: &mut Vec<T>, count: usize, compare: impl Fn(&T, &T) -> std::cmp::Ordering) {
    if all.len() > count && count > 0 {
        all.select_nth_unstable_by(count - 1, compare);
    }
    all.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(config: SessionKnnConfig, context: &[u32]) -> Vec<f32> {
        let mut knn = SessionKnn::new(config);
        for (session, item, at_ms) in [(1, 0, 1), (1, 1, 2), (2, 0, 3), (2, 2, 4), (3, 3, 5), (9, 0, 6)] {
            knn.learn(session, item, at_ms);
        }
        let mut scores = vec![0.0; 4];
        knn.scores_into(9, context.iter().copied(), &mut scores);
        scores
    }

    #[test]
    fn neighbours_speak_for_their_items_and_rare_items_weigh_more() {
        let all = scores(SessionKnnConfig::default(), &[0]);
        // Four sessions; items 1 and 2 are in one each, item 0 in three.
        assert_eq!((all[1], all[2], all[3]), (4.0_f32.ln(), 4.0_f32.ln(), 0.0));
        assert!((all[0] - 2.0 * (4.0_f32 / 3.0).ln()).abs() < 1e-6);
    }

    #[test]
    fn only_the_most_recent_sessions_are_asked() {
        let config = SessionKnnConfig {
            recent_sessions: 1,
            ..SessionKnnConfig::default()
        };
        let recent = scores(config, &[0]);
        assert_eq!(recent[1], 0.0);
        assert!(recent[2] > 0.0);
    }

    #[test]
    fn the_last_item_weighs_most() {
        let mixed = scores(SessionKnnConfig::default(), &[0, 3]);
        assert!(mixed[3] > mixed[1] && mixed[1] > 0.0, "{mixed:?}");
    }
}
