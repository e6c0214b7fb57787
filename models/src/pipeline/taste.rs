//! A viewer's taste as unit vectors, computed once per request.

use crate::ids::Row;
use crate::params::InterestParams;
use crate::session::{SessionState, blended_direction};

/// Above this cosine the long-term taste adds nothing to the blended one.
const SAME_DIRECTION_COSINE: f32 = 0.97;

/// A viewer's taste as unit vectors; memory is reused between requests.
#[derive(Debug, Clone, Default)]
pub struct Taste {
    /// What the viewer likes now.
    pub short: Vec<f32>,
    /// Whether it is known.
    pub has_short: bool,
    /// What the viewer has liked for long.
    pub long: Vec<f32>,
    /// Whether it is known.
    pub has_long: bool,
    /// Both together.
    pub blended: Vec<f32>,
    /// Whether it is known.
    pub has_blended: bool,
    /// What the viewer does not want.
    pub negative: Vec<f32>,
    /// Whether it is known.
    pub has_negative: bool,
    /// The item of the last positive signal.
    pub last_item: Option<Row>,
}

impl Taste {
    /// Takes the taste of a viewer.
    pub fn load(&mut self, session: &SessionState, params: &InterestParams, dimension: usize) {
        self.has_short = session.short.direction(&mut self.short) && self.short.len() == dimension;
        self.has_long = session.long.direction(&mut self.long) && self.long.len() == dimension;
        self.has_negative = session.short.negative_direction(&mut self.negative) && self.negative.len() == dimension;
        // A horizon whose embeddings had another dimension must not keep the other one out.
        let short: &[f32] = if self.has_short { &self.short } else { &[] };
        let long: &[f32] = if self.has_long { &self.long } else { &[] };
        let weights = session.horizon_weights(params);
        self.has_blended = blended_direction(short, self.has_short, long, self.has_long, weights, &mut self.blended);
        self.last_item = session.last_positive().map(|action| action.row);
    }

    /// Whether the long-term taste points elsewhere than the blended one.
    #[must_use]
    pub fn long_differs(&self) -> bool {
        cosine(&self.long, &self.blended) < SAME_DIRECTION_COSINE
    }
}

/// The cosine of two unit vectors; 0 when their lengths differ.
pub(crate) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    if a.len() == b.len() {
        crate::index::dot_f32(a, b)
    } else {
        0.0
    }
}
