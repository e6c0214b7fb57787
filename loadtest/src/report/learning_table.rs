//! The lines of the table about what the server shows: does it learn, does it follow, does it notice a hit?
//!
//! Owns their words. Must not print.

use std::fmt::Write as _;

use crate::client::record::SWIPES_PER_POINT;

use super::table::optional;
use super::{RatePoint, Report, hit_share};

pub(super) fn write_hit(text: &mut String, report: &Report) {
    let Some(item) = &report.settings.hit_item else { return };
    let percent = |share: Option<f64>| optional(share, |share| format!("{:.1} %", 100.0 * share));
    let crowd = report.counters.get("crowd_events").copied().unwrap_or(0);
    let _ = writeln!(
        text,
        "hit       {item}: in {} of the feeds before, in {} since ({crowd} events of the crowd)",
        percent(hit_share(report, "before")),
        percent(hit_share(report, "since"))
    );
}

pub(super) fn write_learning(text: &mut String, report: &Report) {
    let percent = |rate: Option<f64>| optional(rate, |rate| format!("{:.1} %", 100.0 * rate));
    let learning = &report.learning;
    let _ = writeln!(
        text,
        "likes     {} of what was shown{}; random feed {}, popular feed {} for the same viewers",
        percent(learning.expected),
        if report.settings.mix.is_some() {
            String::new()
        } else {
            format!(" (drawn {})", percent(learning.like_rate))
        },
        percent(learning.random),
        percent(learning.popular)
    );
    if let (Some(first), Some(last)) = (learning.by_swipe.first(), well_filled_end(report)) {
        let _ = writeln!(
            text,
            "          from {} in a viewer's first {} swipes to {} around swipe {:.0}",
            percent(first.expected),
            SWIPES_PER_POINT,
            percent(last.expected),
            last.from
        );
    }
    let change = &report.taste_change;
    if change.changed > 0 {
        let _ = writeln!(
            text,
            "change    {} of {} sudden changes of taste reached {:.0} % of a feed, median after {} swipes",
            change.shown,
            change.changed,
            100.0 * change.share,
            optional(change.median_swipes, |swipes| format!("{swipes:.0}"))
        );
    }
}

/// The last point of the curve that enough viewers have reached to mean something.
fn well_filled_end(report: &Report) -> Option<&RatePoint> {
    let points = &report.learning.by_swipe;
    let first = points.first()?;
    points
        .iter()
        .rfind(|point| point.shown * 4 >= first.shown && point.from > 0.0)
}
