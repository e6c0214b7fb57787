//! The methods by their names.
//!
//! Owns the list of rows. Algorithms live in `swipeline_models`; here they are only plugged into the harness.

pub(crate) mod popular;

use super::method::NextItemMethod;

/// Makes a method with its default settings.
pub(crate) type MakeNextItem = fn() -> Box<dyn NextItemMethod>;

/// The methods that answer "what next?", in the order of the table.
pub(crate) const NEXT_ITEM: &[(&str, MakeNextItem)] = &[
    ("popular", || Box::new(popular::Popular::all_time())),
    ("popular-window", || Box::new(popular::Popular::in_window())),
];
