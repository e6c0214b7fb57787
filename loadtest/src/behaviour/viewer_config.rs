//! What kind of viewer to draw.
//!
//! Owns the settings and their usual values. Must not draw.

/// What kind of viewer to draw.
#[derive(Debug, Clone)]
pub struct ViewerConfig {
    /// The same seed and index give the same viewer.
    pub seed: u64,
    /// Which of the viewers.
    pub index: u64,
    /// The categories to have a taste in.
    pub categories: Vec<String>,
    /// How many of the viewers have a sudden change of taste, 0 to 1.
    pub changing_share: f64,
    /// The sudden change comes after so many items, at the earliest and the latest.
    pub change_after_swipes: (u32, u32),
    /// The median length of a session, in items.
    pub session_median_swipes: f64,
    /// The median number of skips (a like makes up for two) that a viewer bears before it leaves.
    pub patience_median_skips: f64,
}

impl Default for ViewerConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            index: 0,
            categories: super::category_names(),
            changing_share: 0.25,
            change_after_swipes: (20, 30),
            session_median_swipes: 80.0,
            patience_median_skips: 60.0,
        }
    }
}
