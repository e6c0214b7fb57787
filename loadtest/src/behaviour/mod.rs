//! What is simulated: a catalogue of short videos and the viewers who react to them.
//!
//! Pure and seeded: the same seed gives the same items and the same reactions. Must not know a server, a socket or a
//! clock.

mod catalogue;
mod draw;
mod popularity;
mod taste;
mod viewer;
mod viewer_config;
mod words;

pub use catalogue::{Catalogue, CatalogueConfig, CatalogueError, item_quality};
pub use draw::{Weighted, exponential, log_normal, normal, seeded, stable_hash};
pub use popularity::PopularitySampler;
pub use taste::Taste;
pub use viewer::{Reaction, TasteChange, Viewer};
pub use viewer_config::ViewerConfig;

/// The names of the generated categories.
#[must_use]
pub fn category_names() -> Vec<String> {
    words::CATEGORIES
        .iter()
        .map(|category| category.name.to_owned())
        .collect()
}
