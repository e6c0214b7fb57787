//! One run spread over several processes of this program, each with its own sockets, source address and plan.
//!
//! Owns starting them, the few words they say to each other over their standard streams, and adding up what they
//! measured. Must not know viewers.

mod child;
mod parent;

use serde::{Deserialize, Serialize};

pub use child::{Begin, Words};
pub use parent::{SpreadConfig, SpreadError, run_spread};

use crate::client::record::{Glance, MeasurementsDto};

/// The parent's word to begin.
const WORD_GO: &str = "go";
/// The parent's word to stop early; the end of the stream means the same.
const WORD_STOP: &str = "stop";

/// What a child says, one line of JSON each.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Word {
    /// So many viewers have their first feed.
    Ready(usize),
    /// How it goes.
    Glance(Glance),
    /// The end.
    Done(Box<Done>),
}

/// What a child has to say at its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Done {
    measured: MeasurementsDto,
    planned: u64,
    dropped: u64,
    lag_max_us: u64,
    took_us: u64,
    cpu_us: Option<u64>,
}
