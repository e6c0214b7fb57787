//! The door for gorse's clients: `/api/...` as gorse answers it.
//!
//! Owns the shapes, what feedback means, the book of feedbacks and the routes. Must not recommend: every list comes from
//! the engine.

mod bulk;
mod call;
mod door;
mod feedback;
mod ledger;
mod recommend;
mod routes;
pub(crate) mod rules;
pub(crate) mod shapes;
mod things;

pub(crate) use door::Door;
pub(crate) use routes::{ROOT, configure};
