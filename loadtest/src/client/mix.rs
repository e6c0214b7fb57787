//! What single REST calls there are, and how often.
//!
//! Owns the little language `feed=85,events=10,...` and drawing from it.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of REST call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Feed,
    Events,
    Rank,
    Similar,
    Popular,
    Latest,
}

const CALLS: [(&str, Call); 6] = [
    ("feed", Call::Feed),
    ("events", Call::Events),
    ("rank", Call::Rank),
    ("similar", Call::Similar),
    ("popular", Call::Popular),
    ("latest", Call::Latest),
];

/// How often each kind of call is made; only the ratios count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CallMix {
    weights: [u32; CALLS.len()],
}

impl Default for CallMix {
    fn default() -> Self {
        Self {
            weights: [70, 18, 3, 3, 3, 3],
        }
    }
}

impl CallMix {
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Call {
        let mut mark = rng.random_range(0..self.weights.iter().map(|weight| u64::from(*weight)).sum::<u64>().max(1));
        for ((_, call), weight) in CALLS.iter().zip(self.weights) {
            if mark < u64::from(weight) {
                return *call;
            }
            mark -= u64::from(weight);
        }
        Call::Feed
    }
}

impl fmt::Display for CallMix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = CALLS.iter().zip(self.weights).filter(|(_, weight)| *weight > 0);
        let parts: Vec<String> = parts.map(|((name, _), weight)| format!("{name}={weight}")).collect();
        formatter.write_str(&parts.join(","))
    }
}

impl FromStr for CallMix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut weights = [0; CALLS.len()];
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').ok_or("write a mix like feed=85,events=15")?;
            let place = CALLS
                .iter()
                .position(|(known, _)| *known == name.trim())
                .ok_or_else(|| {
                    let names: Vec<&str> = CALLS.iter().map(|(name, _)| *name).collect();
                    format!("{name:?} is not one of {}", names.join(", "))
                })?;
            weights[place] = weight
                .trim()
                .parse()
                .map_err(|_| format!("{weight:?} is not a whole number"))?;
        }
        if weights.iter().all(|weight| *weight == 0) {
            return Err("a mix needs at least one call".to_owned());
        }
        Ok(Self { weights })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::seeded;

    #[test]
    fn mixes_are_read_written_and_drawn() {
        let mix: CallMix = "feed=3, events=1".parse().expect("a mix");
        assert_eq!(mix.to_string(), "feed=3,events=1");
        assert_eq!(CallMix::default().to_string().parse(), Ok(CallMix::default()));
        let mut rng = seeded(1, "mix", 0);
        let feeds = (0..4_000).filter(|_| mix.draw(&mut rng) == Call::Feed).count();
        assert!((2_800..3_200).contains(&feeds), "{feeds}");
        for wrong in ["feed", "feeds=1", "feed=x", "feed=0", "", "feed=-1"] {
            assert!(wrong.parse::<CallMix>().is_err(), "{wrong}");
        }
    }
}
