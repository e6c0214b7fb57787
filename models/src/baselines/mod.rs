//! Well-known recommenders in their plain form: the yardsticks of the evaluation, and building blocks of better ones.
//!
//! Owns pure algorithms over dense numbers of users and items. They know no log, file or clock, and no session state.

pub mod ease;
pub mod ials;
pub mod item_knn;
pub mod popularity;
pub mod session_knn;
pub mod transitions;
