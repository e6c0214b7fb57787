//! What may be tuned: numbers of the params document by their paths, each with the values that are tried.
//!
//! Owns the declared spaces and how a point of one becomes a document. The ladders are the same for every log; they
//! reach about as far to both sides of the defaults as any log the project knows has wanted.

use serde_json::Value;

/// One number (or word) of the document and the values it may take, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Knob {
    /// The path in the document, with dots.
    pub(crate) path: &'static str,
    /// What is tried, in ascending order where there is one.
    pub(crate) values: Values,
}

/// The values of a knob.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values {
    /// Numbers.
    Numbers(&'static [f64]),
    /// Words.
    Words(&'static [&'static str]),
}

const fn numbers(path: &'static str, values: &'static [f64]) -> Knob {
    Knob {
        path,
        values: Values::Numbers(values),
    }
}

/// What the product may turn where the next item is asked for.
pub(crate) const NEXT_ITEM: &[Knob] = &[
    Knob {
        path: "collaborative.profile",
        values: Values::Words(&["auto", "narrow", "wide"]),
    },
    numbers("collaborative.pair_gap_power", &[0.0, 0.25, 0.5, 0.75, 1.0, 1.5]),
    numbers(
        "collaborative.pair_pause_ms",
        &[
            15_000.0,
            30_000.0,
            60_000.0,
            120_000.0,
            300_000.0,
            1_200_000.0,
            86_400_000.0,
        ],
    ),
    numbers("collaborative.pair_window", &[5.0, 10.0, 20.0, 30.0, 50.0, 100.0]),
    numbers("collaborative.pair_reverse_weight", &[0.0, 0.25, 0.5, 0.7, 0.85, 1.0]),
    numbers(
        "collaborative.recency_pause_ms",
        &[50_000.0, 100_000.0, 200_000.0, 400_000.0, 1_200_000.0, 86_400_000.0],
    ),
    numbers("collaborative.knn_sessions", &[100.0, 250.0, 500.0, 1_000.0, 2_500.0]),
    numbers(
        "collaborative.knn_neighbours",
        &[50.0, 100.0, 200.0, 350.0, 500.0, 1_000.0],
    ),
    numbers(
        "collaborative.linear_regularisation",
        &[30.0, 100.0, 200.0, 300.0, 500.0, 1_000.0],
    ),
    numbers("collaborative.linear_frequency_ridge", &[0.0, 0.1, 0.3, 0.6, 1.0]),
    numbers(
        "collaborative.linear_half_life_ms",
        &[
            1_209_600_000.0,
            2_592_000_000.0,
            5_184_000_000.0,
            10_368_000_000.0,
            31_536_000_000.0,
        ],
    ),
    numbers("channels.item_item.weight", &[0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0]),
    numbers("channels.session_knn.weight", &[0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0]),
    numbers("channels.linear.weight", &[0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 4.0]),
    numbers("fusion.collaborative", &[0.6, 1.0, 1.5, 2.0, 3.0, 5.0]),
];

/// Those of one profile; only the profile that serves is tuned.
pub(crate) const NARROW: &[Knob] = &[
    numbers("collaborative.narrow.item_decay", &[0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8]),
    numbers(
        "collaborative.narrow.session_decay",
        &[0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
    ),
    numbers(
        "collaborative.narrow.item_popularity_power",
        &[0.0, 0.25, 0.5, 0.6, 0.75, 1.0],
    ),
    numbers(
        "collaborative.narrow.vote_popularity_power",
        &[0.0, 0.15, 0.3, 0.6, 0.9],
    ),
    numbers(
        "collaborative.narrow.vote_step_decay",
        &[0.6, 0.75, 0.85, 0.9, 0.95, 0.98, 1.0],
    ),
    numbers(
        "collaborative.narrow.session_recency_ms",
        &[
            86_400_000.0,
            216_000_000.0,
            432_000_000.0,
            864_000_000.0,
            2_592_000_000.0,
            0.0,
        ],
    ),
    numbers("collaborative.narrow.linear_weight", &[0.0, 0.25, 0.5, 1.0]),
];

/// Those of the other.
pub(crate) const WIDE: &[Knob] = &[
    numbers("collaborative.wide.item_decay", &[0.5, 0.65, 0.75, 0.85, 0.9, 0.95]),
    numbers("collaborative.wide.session_decay", &[0.5, 0.65, 0.75, 0.85, 0.9, 0.95]),
    numbers("collaborative.wide.linear_decay", &[0.65, 0.75, 0.85, 0.9, 0.95, 0.98]),
    numbers(
        "collaborative.wide.item_popularity_power",
        &[0.25, 0.4, 0.5, 0.6, 0.7, 0.85],
    ),
    numbers(
        "collaborative.wide.vote_popularity_power",
        &[0.0, 0.3, 0.45, 0.6, 0.75, 0.9],
    ),
    numbers(
        "collaborative.wide.vote_step_decay",
        &[0.85, 0.9, 0.95, 0.98, 0.99, 1.0],
    ),
    numbers("collaborative.wide.linear_weight", &[0.5, 1.0, 1.5, 2.0, 3.0, 5.0]),
];

/// Knobs that say nothing together where the part that they turn is not in use: a profile that does not serve, the linear
/// model where its weight is 0. By how their paths begin.
const GROUPS: [&[&str]; 3] = [
    &["collaborative.narrow."],
    &["collaborative.wide."],
    &["collaborative.linear_", "channels.linear."],
];

/// What the live model of outcomes may turn.
pub(crate) const LIVE: &[Knob] = &[
    numbers("steps.columns", &[0.003, 0.005, 0.01, 0.02, 0.04]),
    numbers("steps.ids", &[0.003, 0.005, 0.01, 0.02, 0.04]),
    numbers("forest.learning_rate", &[0.03, 0.05, 0.08]),
    numbers("forest.trees", &[80.0, 150.0, 250.0]),
    numbers("forest.leaves_max", &[6.0, 8.0, 12.0, 20.0]),
    numbers("forest.leaf_curvature_min", &[3.0, 10.0, 30.0]),
    numbers("forest.penalty", &[3.0, 10.0, 30.0]),
    numbers("forest.column_share", &[0.15, 0.25, 0.5]),
    numbers("forest_growth", &[1.2, 1.35, 1.7]),
];

impl Values {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Values::Numbers(numbers) => numbers.len(),
            Values::Words(words) => words.len(),
        }
    }

    fn get(&self, place: usize) -> Value {
        match self {
            Values::Numbers(numbers) => numbers.get(place).map_or(Value::Null, |number| {
                // A count must be written as a whole number.
                if number.fract() == 0.0 {
                    Value::from(*number as i64)
                } else {
                    Value::from(*number)
                }
            }),
            Values::Words(words) => words.get(place).map_or(Value::Null, |word| Value::from(*word)),
        }
    }

    /// The place of the value that is nearest to `value`.
    fn nearest(&self, value: &Value) -> usize {
        match self {
            Values::Numbers(numbers) => {
                let value = value.as_f64().unwrap_or_default();
                let distance = |place: &usize| (numbers[*place] - value).abs();
                let places = 0..numbers.len();
                places
                    .min_by(|left, right| distance(left).total_cmp(&distance(right)))
                    .unwrap_or(0)
            }
            Values::Words(words) => words.iter().position(|word| value == word).unwrap_or(0),
        }
    }
}

/// A point: the document it began with, and the place on each knob's ladder (`None`: as the document has it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point(pub(crate) Vec<Option<usize>>);

/// A document and what may be turned in it.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    base: Value,
    knobs: Vec<Knob>,
}

impl Space {
    /// The space around a document.
    pub(crate) fn new(base: Value, knobs: impl IntoIterator<Item = Knob>) -> Self {
        Self {
            base,
            knobs: knobs.into_iter().collect(),
        }
    }

    /// The document itself.
    pub(crate) fn origin(&self) -> Point {
        Point(vec![None; self.knobs.len()])
    }

    /// What may be turned.
    pub(crate) fn knobs(&self) -> &[Knob] {
        &self.knobs
    }

    /// The knobs that may be without effect together, by their places.
    pub(crate) fn groups(&self) -> Vec<Vec<usize>> {
        let group = |starts: &&[&str]| -> Vec<usize> {
            let is_in = |knob: &Knob| starts.iter().any(|start| knob.path.starts_with(start));
            let places = self.knobs.iter().enumerate().filter(|(_, knob)| is_in(knob));
            places.map(|(place, _)| place).collect()
        };
        GROUPS.iter().map(group).filter(|group| !group.is_empty()).collect()
    }

    /// Where a point stands on a knob's ladder: the step itself, or the one nearest to the document's value.
    pub(crate) fn step(&self, point: &Point, knob: usize) -> usize {
        point.0[knob].unwrap_or_else(|| self.knobs[knob].values.nearest(&self.base_value(knob)))
    }

    /// Whether a step of a knob is what the document has anyway.
    #[cfg(test)]
    fn is_base(&self, knob: usize, step: usize) -> bool {
        same(&self.knobs[knob].values.get(step), &self.base_value(knob))
    }

    /// The document of a point.
    pub(crate) fn document(&self, point: &Point) -> Value {
        let mut document = self.base.clone();
        for (knob, step) in self.knobs.iter().zip(&point.0) {
            if let (Some(step), Some(value)) = (step, document.pointer_mut(&pointer(knob.path))) {
                *value = knob.values.get(*step);
            }
        }
        document
    }

    /// What a point changes: path, before, after.
    pub(crate) fn changes(&self, point: &Point) -> Vec<(&'static str, Value, Value)> {
        let knobs = self.knobs.iter().enumerate().zip(&point.0);
        knobs
            .filter_map(|((number, knob), step)| {
                let (before, after) = (self.base_value(number), knob.values.get((*step)?));
                (!same(&before, &after)).then(|| (knob.path, tidy(&before), after))
            })
            .collect()
    }

    fn base_value(&self, knob: usize) -> Value {
        let value = self.base.pointer(&pointer(self.knobs[knob].path));
        value.cloned().unwrap_or_default()
    }
}

/// A number as a person would write it: singles became doubles on their way into the document.
pub(crate) fn tidy(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let single = number.as_f64().unwrap_or_default() as f32;
            single
                .to_string()
                .parse::<f64>()
                .map_or_else(|_| value.clone(), Value::from)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            value.clone()
        }
    }
}

/// A whole number equals the same number with a point; singles written as doubles are rounded.
fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left as f32 == right as f32,
        _ => left == right,
    }
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use swipeline_models::online::LiveParams;
    use swipeline_models::params::{Params, parse};

    fn defaults() -> Value {
        serde_json::to_value(Params::default()).expect("JSON")
    }

    fn all_knobs() -> impl Iterator<Item = Knob> {
        NEXT_ITEM.iter().chain(NARROW).chain(WIDE).copied()
    }

    #[test]
    fn every_step_of_every_knob_makes_a_valid_document() {
        let space = Space::new(defaults(), all_knobs());
        for (number, knob) in all_knobs().enumerate() {
            for step in 0..knob.values.len() {
                let mut point = space.origin();
                point.0[number] = Some(step);
                let document = parse(space.document(&point)).expect(knob.path);
                let changed = document != Params::default();
                assert_eq!(changed, !space.is_base(number, step), "{} at step {step}", knob.path);
                assert_eq!(space.changes(&point).len(), usize::from(changed), "{}", knob.path);
            }
        }
    }

    #[test]
    fn the_defaults_stand_on_every_ladder() {
        let space = Space::new(defaults(), all_knobs());
        for (number, knob) in all_knobs().enumerate() {
            let step = space.step(&space.origin(), number);
            assert!(space.is_base(number, step), "{} has no default step", knob.path);
        }
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        assert_eq!(tidy(&serde_json::json!(0.85_f32)).to_string(), "0.85");
        assert_eq!(tidy(&serde_json::json!(7)).to_string(), "7");
    }

    #[test]
    fn the_live_model_takes_every_step() {
        let defaults = serde_json::to_value(LiveParams::default()).expect("JSON");
        let space = Space::new(defaults, LIVE.iter().copied());
        for (number, knob) in LIVE.iter().enumerate() {
            let own = space.step(&space.origin(), number);
            assert!(space.is_base(number, own), "{} has no default step", knob.path);
            for step in 0..knob.values.len() {
                let mut point = space.origin();
                point.0[number] = Some(step);
                let params: LiveParams = serde_json::from_value(space.document(&point)).expect(knob.path);
                assert_eq!(
                    params != LiveParams::default(),
                    step != own,
                    "{} at step {step}",
                    knob.path
                );
            }
        }
    }
}
