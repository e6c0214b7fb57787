//! Ways out to other systems.
//!
//! Owns webhooks. Must not decide what happened: it passes on what the journal holds.

mod cursor;
mod signature;
mod webhook;

pub(crate) use webhook::start_webhooks;
