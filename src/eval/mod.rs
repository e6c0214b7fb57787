//! `swipeline eval`: the same code that serves, replayed over a real log, beside built-in baselines.
//!
//! Owns the harness: reading logs, protocols, metrics, the report. A method sees the log's clock and what came before
//! it, never the target, an outcome or the rest of the log. Methods plug in by [`method`], are listed in [`methods`].

mod cpu;
mod item_set;
mod log;
mod method;
mod methods;
mod protocol;
mod shown;
