//! Control: what an operator decides about channels and items, in the form that the pipeline reads.
//!
//! Owns the breakers of channels, and the params' sections `channels`, `mixers` and `boosts` compiled once per document:
//! names become numbers, so that a swipe looks nothing up by name. Must not recall or rank.

mod breaker;
mod compiled;
mod guards;
mod mixer;
mod rules;
mod times;

pub use breaker::{Breaker, BreakerInput, BreakerState, ByHand};
pub use compiled::{ChannelSettings, CompiledControl, Control, Mixer};
pub use guards::{CallOutcome, ChannelGuards, GuardReport};
pub use mixer::{MixScratch, MixerNames};
pub use rules::{ActiveRules, Effect, Rule, RuleContext};
