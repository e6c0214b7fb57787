//! Who is in which variant, and the params that hold there.
//!
//! Layers after Tang, Agarwal, O'Brien & Meyer ("Overlapping Experiment Infrastructure", KDD 2010): a viewer's place in a
//! layer is a hash of layer and viewer; each experiment of the layer has a part of it. The variant is a hash of the
//! experiment's name, its salt and the viewer. Nothing is stored: the same viewer is in the same variant as long as the
//! document stays. The params of a combination of variants are made when its first viewer comes, and kept.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::params::{ExperimentParams, Params, layer_parts, with_patches};
use crate::time::TimestampMs;

/// What viewers who are in no experiment are counted under.
pub const VARIANT_DEFAULT: &str = "default";
/// How many combinations of variants have their params kept; beyond that they are made anew.
const COMBINATIONS_MAX: usize = 1_024;
const FRACTION_BITS: u32 = 53;

/// One variant of one experiment, by their places in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Choice {
    experiment: u8,
    variant: u8,
    /// Whether somebody chose; such viewers do not count in the statistics.
    is_forced: bool,
}

/// The experiments of one version of the params, ready to assign.
pub struct Plan {
    version: u64,
    base: Arc<Params>,
    plain: Arc<ViewerVariant>,
    experiments: Vec<Planned>,
    resolved: Mutex<FxHashMap<Choices, Arc<ViewerVariant>>>,
}

type Choices = SmallVec<[Choice; 4]>;

struct Planned {
    name: String,
    layer: String,
    layer_seed: u64,
    variant_seed: u64,
    part: (f64, f64),
    from: i64,
    until: i64,
    allows_requests: bool,
    variants: Vec<PlannedVariant>,
    forced: FxHashMap<String, u8>,
}

struct PlannedVariant {
    name: String,
    arm: u64,
    /// The upper end of its part of the experiment's viewers, 0 to 1.
    end: f64,
}

/// What holds for a viewer.
#[derive(Debug, Clone)]
pub struct ViewerVariant {
    /// The version of the params document.
    pub version: u64,
    /// The numbers.
    pub params: Arc<Params>,
    /// `experiment:variant`, for several layers joined by commas; `None` for a viewer in no experiment.
    pub label: Option<Arc<str>>,
    /// The variants whose statistics count the viewer; without those that somebody chose.
    pub arms: Arc<[u64]>,
}

/// Why a request cannot have the variant that it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    /// Not `experiment:variant`, or several for one layer.
    #[error("must be `experiment:variant`, for several layers joined by commas")]
    Malformed,
    /// No such experiment or variant.
    #[error("there is no variant {0:?}")]
    Unknown(String),
    /// The experiment does not allow it.
    #[error("the experiment of {0:?} does not set `allow_forced_requests`")]
    NotAllowed(String),
}

impl Plan {
    /// The plan of params that have no version.
    #[must_use]
    pub fn new(base: Arc<Params>) -> Self {
        Self::of_version(base, 0)
    }

    /// The plan of a version of the params.
    #[must_use]
    pub fn of_version(base: Arc<Params>, version: u64) -> Self {
        let parts = layer_parts(&base.experiments);
        let experiments = base
            .experiments
            .iter()
            .zip(parts)
            .map(|(experiment, part)| Planned::new(experiment, part));
        Self {
            plain: Arc::new(ViewerVariant {
                version,
                params: base.clone(),
                label: None,
                arms: Arc::new([]),
            }),
            experiments: experiments.collect(),
            version,
            base,
            resolved: Mutex::default(),
        }
    }

    /// Whether nobody is in an experiment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.experiments.is_empty()
    }

    /// What holds for viewers who are in no experiment.
    #[must_use]
    pub fn plain(&self) -> &Arc<ViewerVariant> {
        &self.plain
    }

    /// The variants that a viewer is in, one per layer at most, and until when that holds. `wishes` go before everything.
    #[must_use]
    pub fn assign(&self, user: &str, now: TimestampMs, wishes: &[Choice]) -> (SmallVec<[Choice; 4]>, TimestampMs) {
        let mut choices: Choices = wishes.iter().copied().collect();
        let mut until = i64::MAX;
        let chosen = self.experiments.iter().enumerate().filter_map(|(number, one)| {
            let variant = *one.forced.get(user)?;
            one.is_running(now)
                .then(|| Choice::new(number, usize::from(variant), true))
        });
        chosen.for_each(|choice| self.join(&mut choices, choice));
        for (number, one) in self.experiments.iter().enumerate() {
            for at in [one.from, one.until] {
                if at > now.0 {
                    until = until.min(at);
                }
            }
            if one.is_running(now) && one.holds(user) {
                self.join(&mut choices, Choice::new(number, one.variant_of(user), false));
            }
        }
        choices.sort_by_key(|choice| choice.experiment);
        (choices, TimestampMs(until))
    }

    /// What holds for viewers in these variants.
    #[must_use]
    pub fn resolve(&self, choices: &[Choice]) -> Arc<ViewerVariant> {
        if choices.is_empty() {
            return self.plain.clone();
        }
        if let Some(known) = self.resolved.lock().get(choices) {
            return known.clone();
        }
        let made = Arc::new(self.make(choices));
        let mut resolved = self.resolved.lock();
        if resolved.len() >= COMBINATIONS_MAX {
            resolved.clear();
        }
        resolved.insert(choices.iter().copied().collect(), made.clone());
        made
    }

    /// The variants that a request names, such as `ranking:b,colours:red`.
    ///
    /// # Errors
    /// When it names none, an unknown one, or one that requests may not choose.
    pub fn wish(&self, text: &str) -> Result<Vec<Choice>, WishError> {
        let choices = self.choices(text)?;
        let not_allowed = choices.iter().zip(text.split(',')).find_map(|(choice, label)| {
            let one = &self.experiments[usize::from(choice.experiment)];
            (!one.allows_requests).then(|| WishError::NotAllowed(label.to_owned()))
        });
        not_allowed.map_or(Ok(choices.into_vec()), Err)
    }

    /// What holds for viewers in the variants of a [label](ViewerVariant::label), however they came into them; `None` when
    /// one of them does not exist.
    #[must_use]
    pub fn labelled(&self, label: Option<&str>) -> Option<Arc<ViewerVariant>> {
        match label {
            None => Some(self.plain.clone()),
            Some(label) => Some(self.resolve(&self.choices(label).ok()?)),
        }
    }

    fn choices(&self, text: &str) -> Result<Choices, WishError> {
        let mut choices = Choices::new();
        for label in text.split(',') {
            let (experiment, variant) = label.split_once(':').ok_or(WishError::Malformed)?;
            let unknown = || WishError::Unknown(label.to_owned());
            let number = self
                .experiments
                .iter()
                .position(|one| one.name == experiment)
                .ok_or_else(unknown)?;
            let one = &self.experiments[number];
            let place = one
                .variants
                .iter()
                .position(|known| known.name == variant)
                .ok_or_else(unknown)?;
            let before = choices.len();
            self.join(&mut choices, Choice::new(number, place, true));
            if choices.len() == before {
                return Err(WishError::Malformed);
            }
        }
        Ok(choices)
    }

    /// The key of the statistics of a variant; `None` when there is no such variant.
    #[must_use]
    pub fn arm(&self, experiment: &str, variant: &str) -> Option<u64> {
        let one = self.experiments.iter().find(|one| one.name == experiment)?;
        one.variants
            .iter()
            .find(|known| known.name == variant)
            .map(|known| known.arm)
    }

    /// The keys of the statistics of all variants.
    pub fn arms(&self) -> impl Iterator<Item = u64> {
        self.experiments
            .iter()
            .flat_map(|one| one.variants.iter().map(|variant| variant.arm))
    }

    /// The experiments, as the params say.
    #[must_use]
    pub fn experiments(&self) -> &[ExperimentParams] {
        &self.base.experiments
    }

    /// Takes a choice unless its layer has one.
    fn join(&self, choices: &mut Choices, choice: Choice) {
        let layer = |choice: &Choice| &self.experiments[usize::from(choice.experiment)].layer;
        if choices.iter().all(|known| layer(known) != layer(&choice)) {
            choices.push(choice);
        }
    }

    fn make(&self, choices: &[Choice]) -> ViewerVariant {
        let described = |choice: &Choice| {
            let (experiment, variant) = (usize::from(choice.experiment), usize::from(choice.variant));
            (
                &self.experiments[experiment],
                variant,
                &self.base.experiments[experiment].variants[variant],
            )
        };
        let patches: Vec<serde_json::Value> = choices.iter().map(|choice| described(choice).2.patch()).collect();
        // Every variant and every two of different layers were checked when the params came; what three of them break
        // together leaves the viewer out.
        let Ok(params) = with_patches(&self.base, &patches) else {
            return ViewerVariant::clone(&self.plain);
        };
        let labels: Vec<String> = choices
            .iter()
            .map(|choice| {
                let (planned, variant, _) = described(choice);
                format!("{}:{}", planned.name, planned.variants[variant].name)
            })
            .collect();
        let counted = choices.iter().filter(|choice| !choice.is_forced);
        ViewerVariant {
            version: self.version,
            params: Arc::new(params),
            label: Some(labels.join(",").into()),
            arms: counted
                .map(|choice| {
                    let (planned, variant, _) = described(choice);
                    planned.variants[variant].arm
                })
                .collect(),
        }
    }
}

impl Choice {
    fn new(experiment: usize, variant: usize, is_forced: bool) -> Self {
        // The params have at most 32 experiments and 64 variants.
        Self {
            experiment: u8::try_from(experiment).unwrap_or(u8::MAX),
            variant: u8::try_from(variant).unwrap_or(u8::MAX),
            is_forced,
        }
    }
}

impl Planned {
    fn new(experiment: &ExperimentParams, part: (f64, f64)) -> Self {
        let ExperimentParams { name, layer, salt, .. } = experiment;
        let salt = if salt.is_empty() { name } else { salt };
        // Whatever a variant is made of belongs to the run: changed variants are counted anew.
        let run = serde_json::to_string(&(name, layer, salt, &experiment.variants)).unwrap_or_default();
        let total: f64 = experiment.variants.iter().map(|variant| variant.weight).sum();
        let mut end = 0.0;
        let variants = experiment.variants.iter().map(|variant| {
            end += variant.weight / total;
            PlannedVariant {
                name: variant.name.clone(),
                arm: xxh3_64(format!("{run}\0{}", variant.name).as_bytes()),
                end,
            }
        });
        let variants: Vec<PlannedVariant> = variants.collect();
        let place = |variant: &String| variants.iter().position(|known| known.name == *variant);
        let forced = experiment
            .forced
            .iter()
            .filter_map(|(user, variant)| Some((user.clone(), u8::try_from(place(variant)?).ok()?)));
        Self {
            forced: forced.collect(),
            name: name.clone(),
            layer: layer.clone(),
            layer_seed: xxh3_64(format!("layer\0{layer}").as_bytes()),
            variant_seed: xxh3_64(format!("variant\0{name}\0{salt}").as_bytes()),
            part,
            from: experiment.from,
            until: experiment.until,
            allows_requests: experiment.allow_forced_requests,
            variants,
        }
    }

    fn is_running(&self, now: TimestampMs) -> bool {
        now.0 >= self.from && (self.until == 0 || now.0 < self.until)
    }

    /// Whether the viewer's place in the layer lies in the experiment's part.
    fn holds(&self, user: &str) -> bool {
        let place = fraction(xxh3_64_with_seed(user.as_bytes(), self.layer_seed));
        (self.part.0..self.part.1).contains(&place)
    }

    fn variant_of(&self, user: &str) -> usize {
        let place = fraction(xxh3_64_with_seed(user.as_bytes(), self.variant_seed));
        let found = self.variants.iter().position(|variant| place < variant.end);
        // Rounding may leave the last end a little below 1.
        found.unwrap_or(self.variants.len() - 1)
    }
}

/// A hash as a number from 0 to just below 1.
fn fraction(hash: u64) -> f64 {
    (hash >> (u64::BITS - FRACTION_BITS)) as f64 / (1u64 << FRACTION_BITS) as f64
}
