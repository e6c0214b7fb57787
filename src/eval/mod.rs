//! `swipeline eval`: the same code that serves, replayed over a real log, beside built-in baselines.
//!
//! Owns the harness: reading logs, protocols, metrics, the report. A method sees the log's clock and what came before
//! it, never the target, an outcome or the rest of the log. Methods plug in by [`method`], are listed in [`methods`].

mod bootstrap;
mod cpu;
mod item_set;
mod judge;
mod leaks;
pub(crate) mod log;
mod method;
mod methods;
mod metrics;
mod next_item;
mod protocol;
mod read;
pub(crate) mod run;
pub(crate) mod setup;
mod shown;
mod shown_bench;
mod summary;
pub(crate) mod table;
#[cfg(test)]
mod testing;
pub(crate) mod tune;
pub(crate) mod whole_log;
