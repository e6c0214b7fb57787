//! The scenarios: what happens in a run besides swiping.
//!
//! Owns their numbers. Must not know how they are carried out.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::Traits;
use crate::plan::RateProfile;

/// How much higher the rate of a spike is.
const SPIKE_FACTOR: f64 = 5.0;
/// How many viewers are slow readers in that scenario.
const SLOW_SHARE: f64 = 0.1;
/// How many messages are sent twice in that scenario.
const DUPLICATE_SHARE: f64 = 0.2;
/// How many messages are late in that scenario.
const LATE_SHARE: f64 = 0.1;
/// How long new viewers stay in a cold start, in items.
const COLD_SESSION_SWIPES: f64 = 8.0;
/// How long a run lasts when nobody says so, and how long a soak does.
const DURATION_DEFAULT: Duration = Duration::from_secs(30);
const SOAK_DURATION_DEFAULT: Duration = Duration::from_secs(30 * 60);

macro_rules! scenarios {
    ($($(#[$doc:meta])* $variant:ident => $text:literal,)*) => {
        /// What happens in a run.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum Scenario { $($(#[$doc])* $variant,)* }

        impl Scenario {
            /// All of them.
            pub const ALL: &'static [Scenario] = &[$(Scenario::$variant,)*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Scenario::$variant => $text,)* }
            }
        }
    };
}

scenarios! {
    /// The rate stays.
    #[default]
    Steady => "steady",
    /// The rate climbs from nothing to its full height at the end.
    Ramp => "ramp",
    /// The middle tenth of the run has five times the rate.
    Spike => "spike",
    /// Half-way all sockets are dropped without a goodbye and opened again at once.
    ReconnectStorm => "reconnect-storm",
    /// Viewers stay for a few items and are followed by new ones.
    ColdStart => "cold-start",
    /// A tenth of the viewers asks for long feeds and does not read.
    SlowReaders => "slow-readers",
    /// A fifth of the messages of events comes twice, a tenth comes late.
    Duplicates => "duplicates",
    /// The rate stays, for half an hour when nothing else is said: does memory grow?
    Soak => "soak",
    /// One day pressed into the run: a quiet night, a busy evening, and other viewers at other hours.
    Diurnal => "diurnal",
    /// After a third, one item is a hit: a crowd outside likes it, and so does nearly everybody who is shown it.
    Viral => "viral",
    /// The ranking model is exchanged after a third and after two thirds.
    ModelSwap => "model-swap",
    /// The server is restarted by a given command after a third and after two thirds.
    RollingRestart => "rolling-restart",
    /// No sockets: single REST calls of many users over a few connections that are kept.
    OneShot => "one-shot",
}

/// Something that happens at an instant of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// All sockets are dropped without a goodbye and opened again.
    Storm,
    /// One item becomes a hit.
    Hit,
    /// The ranking model is exchanged.
    ModelSwap,
    /// The server is restarted.
    Restart,
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Scenario {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Scenario::ALL
            .iter()
            .copied()
            .find(|scenario| scenario.name() == text)
            .ok_or_else(|| {
                let names: Vec<&str> = Scenario::ALL.iter().map(|scenario| scenario.name()).collect();
                format!("{text:?} is not one of {}", names.join(", "))
            })
    }
}

/// A scenario in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioPlan {
    /// The course of the rate.
    pub profile: RateProfile,
    /// What happens, and after how long, in order.
    pub happenings: Vec<(Duration, Happening)>,
    /// Whether other viewers are active at other times of the run.
    pub day_mix: bool,
    /// The share of slow readers.
    pub slow_share: f64,
    /// What the other viewers are like.
    pub traits: Traits,
    /// How long viewers stay, in items, when it is not as usual.
    pub session_median_swipes: Option<f64>,
}

impl Scenario {
    /// How long a run lasts when nobody says so.
    #[must_use]
    pub fn default_duration(self) -> Duration {
        if self == Scenario::Soak {
            SOAK_DURATION_DEFAULT
        } else {
            DURATION_DEFAULT
        }
    }

    /// The scenario for this rate and duration.
    #[must_use]
    pub fn plan(self, rate: f64, duration: Duration) -> ScenarioPlan {
        let seconds = duration.as_secs_f64();
        let twice = |what| vec![(duration / 3, what), (duration * 2 / 3, what)];
        let mut plan = ScenarioPlan {
            profile: RateProfile::steady(rate, seconds),
            happenings: Vec::new(),
            day_mix: false,
            slow_share: 0.0,
            traits: Traits::default(),
            session_median_swipes: None,
        };
        match self {
            Scenario::Steady | Scenario::Soak | Scenario::OneShot => {}
            Scenario::Ramp => plan.profile = RateProfile::ramp(rate, seconds),
            Scenario::Spike => plan.profile = RateProfile::spike(rate, seconds, SPIKE_FACTOR),
            Scenario::ReconnectStorm => plan.happenings = vec![(duration / 2, Happening::Storm)],
            Scenario::Diurnal => {
                plan.profile = RateProfile::day(rate, seconds);
                plan.day_mix = true;
            }
            Scenario::Viral => plan.happenings = vec![(duration / 3, Happening::Hit)],
            Scenario::ModelSwap => plan.happenings = twice(Happening::ModelSwap),
            Scenario::RollingRestart => plan.happenings = twice(Happening::Restart),
            Scenario::ColdStart => {
                plan.session_median_swipes = Some(COLD_SESSION_SWIPES);
                plan.traits.new_user_per_session = true;
            }
            Scenario::SlowReaders => plan.slow_share = SLOW_SHARE,
            Scenario::Duplicates => {
                plan.traits.duplicate_share = DUPLICATE_SHARE;
                plan.traits.late_share = LATE_SHARE;
            }
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_they_are_written_and_serialised() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.name().parse(), Ok(*scenario));
            assert_eq!(
                serde_json::to_string(scenario).expect("JSON"),
                format!("{:?}", scenario.name())
            );
        }
        assert!(
            "storm"
                .parse::<Scenario>()
                .expect_err("no such scenario")
                .contains("reconnect-storm")
        );
    }

    #[test]
    fn the_plans_differ_in_what_they_say() {
        let plan = |scenario: Scenario| scenario.plan(100.0, Duration::from_secs(10));
        assert!((plan(Scenario::Ramp).profile.total() - 500.0).abs() < 1e-6);
        assert!((plan(Scenario::Spike).profile.total() - 1_400.0).abs() < 1e-6);
        assert_eq!(
            plan(Scenario::ReconnectStorm).happenings,
            [(Duration::from_secs(5), Happening::Storm)]
        );
        assert_eq!(plan(Scenario::RollingRestart).happenings.len(), 2);
        assert!((plan(Scenario::Diurnal).profile.total() - 1_000.0).abs() < 1e-6);
        assert!(plan(Scenario::ColdStart).traits.new_user_per_session);
    }
}
