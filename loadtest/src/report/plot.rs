//! Line plots as inline SVG.
//!
//! Owns axes, ticks and lines. Must not know what is plotted.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 28.0;
/// About the width of a letter of the key.
const LETTER: f64 = 6.2;
const BOTTOM: f64 = 40.0;
/// About so many ticks per axis.
const TICKS: f64 = 5.0;

/// One line.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    /// A class of the page's style: `a` to `d`.
    pub(super) class: &'a str,
    /// Points from left to right; a gap where there is no value.
    pub(super) points: Vec<(f64, Option<f64>)>,
}

/// A plot.
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    pub(super) log_y: bool,
    /// Texts for given places of the x axis; ticks are found when empty.
    pub(super) x_ticks: Vec<(f64, String)>,
    pub(super) lines: Vec<Line<'a>>,
}

impl Plot<'_> {
    /// The plot as an SVG element; a note when there is nothing to plot.
    pub(super) fn render(&self) -> String {
        let values: Vec<(f64, f64)> = self
            .lines
            .iter()
            .flat_map(|line| &line.points)
            .filter_map(|(x, y)| Some((*x, (*y)?)))
            .collect();
        if values.is_empty() {
            return format!(
                "<figure><figcaption>{}</figcaption><p>nothing measured</p></figure>",
                escape(self.title)
            );
        }
        let bound =
            |pick: fn(&(f64, f64)) -> f64, fold: fn(f64, f64) -> f64, start| values.iter().map(pick).fold(start, fold);
        let (x_min, x_max) = (bound(|v| v.0, f64::min, f64::MAX), bound(|v| v.0, f64::max, f64::MIN));
        let y_max = bound(|v| v.1, f64::max, f64::MIN).max(1e-9);
        let y_min = if self.log_y {
            bound(|v| v.1, f64::min, f64::MAX).max(1e-3).min(y_max / 2.0)
        } else {
            0.0
        };
        let x_span = (x_max - x_min).max(1e-9);
        let x_at = |x: f64| LEFT + (x - x_min) / x_span * (WIDTH - LEFT - RIGHT);
        let y_at = |y: f64| {
            let share = if self.log_y {
                (y.max(y_min) / y_min).ln() / (y_max / y_min).ln()
            } else {
                y / y_max
            };
            HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        };
        let mut svg = format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\">",
            escape(self.title)
        );
        self.write_y_axis(&mut svg, y_min, y_max, &y_at);
        self.write_x_axis(&mut svg, x_min, x_max, &x_at);
        // The key stands in one row above the plot, from the right.
        let mut key_end = WIDTH - RIGHT;
        for line in &self.lines {
            let _ = write!(
                svg,
                "<path class=\"{}\" d=\"{}\"/>",
                line.class,
                path(&line.points, &x_at, &y_at)
            );
            let _ = write!(
                svg,
                "<text class=\"key {}\" x=\"{key_end:.1}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                line.class,
                TOP - 14.0,
                escape(line.name)
            );
            key_end -= LETTER * line.name.chars().count() as f64 + 14.0;
        }
        svg.push_str("</svg></figure>");
        svg
    }

    fn write_y_axis(&self, svg: &mut String, y_min: f64, y_max: f64, y_at: &impl Fn(f64) -> f64) {
        let ticks = if self.log_y {
            log_ticks(y_min, y_max)
        } else {
            linear_ticks(y_min, y_max)
        };
        for tick in ticks {
            let y = y_at(tick);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                number(tick)
            );
        }
        let _ = write!(
            svg,
            "<text transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            HEIGHT / 2.0,
            escape(self.y_label)
        );
    }

    fn write_x_axis(&self, svg: &mut String, x_min: f64, x_max: f64, x_at: &impl Fn(f64) -> f64) {
        let found: Vec<(f64, String)> = linear_ticks(x_min, x_max)
            .into_iter()
            .map(|tick| (tick, number(tick)))
            .collect();
        let ticks = if self.x_ticks.is_empty() { &found } else { &self.x_ticks };
        for (tick, text) in ticks.iter().filter(|(tick, _)| (x_min..=x_max).contains(tick)) {
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                x_at(*tick),
                HEIGHT - BOTTOM + 16.0,
                escape(text)
            );
        }
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
            HEIGHT - 6.0,
            escape(self.x_label)
        );
    }
}

fn path(points: &[(f64, Option<f64>)], x_at: &impl Fn(f64) -> f64, y_at: &impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for (x, y) in points {
        let Some(y) = y else {
            pen_down = false;
            continue;
        };
        let _ = write!(
            path,
            "{}{:.1} {:.1}",
            if pen_down { 'L' } else { 'M' },
            x_at(*x),
            y_at(*y)
        );
        if !pen_down {
            // A point without neighbours is drawn too.
            path.push_str("h0.1");
        }
        pen_down = true;
    }
    path
}

/// Round numbers from `min` to `max`.
fn linear_ticks(min: f64, max: f64) -> Vec<f64> {
    let raw = ((max - min) / TICKS).max(1e-9);
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= raw)
        .unwrap_or(raw);
    let first = (min / step).ceil() as i64;
    let last = (max / step).floor() as i64;
    (first..=last).take(20).map(|n| n as f64 * step).collect()
}

/// Powers of ten between `min` and `max`, and the ends when there are none.
fn log_ticks(min: f64, max: f64) -> Vec<f64> {
    let powers: Vec<f64> = (min.log10().ceil() as i32..=max.log10().floor() as i32)
        .map(|power| 10_f64.powi(power))
        .collect();
    if powers.len() >= 2 {
        powers
    } else {
        vec![min, (min * max).sqrt(), max]
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == 0.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.1}").trim_end_matches(".0").to_owned(),
        _ => format!("{value:.3}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
    }
}

/// Text for HTML and SVG.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plot(points: Vec<(f64, Option<f64>)>, log_y: bool) -> String {
        let lines = vec![Line {
            name: "l",
            class: "a",
            points,
        }];
        Plot {
            title: "a<b",
            x_label: "x",
            y_label: "y",
            log_y,
            x_ticks: vec![],
            lines,
        }
        .render()
    }

    #[test]
    fn a_gap_lifts_the_pen_and_texts_are_escaped() {
        let svg = plot(
            vec![(0.0, Some(1.0)), (1.0, None), (2.0, Some(2.0)), (3.0, Some(2.0))],
            false,
        );
        let path = svg
            .split("d=\"")
            .nth(1)
            .expect("has a path")
            .split('"')
            .next()
            .expect("ends");
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1));
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b"));
        assert!(plot(vec![(0.0, None)], false).contains("nothing measured"));
    }

    proptest! {
        #[test]
        fn everything_drawn_is_a_number(ys in proptest::collection::vec(0.0..1e9_f64, 1..30), log_y: bool) {
            let svg = plot(ys.into_iter().enumerate().map(|(x, y)| (x as f64, Some(y))).collect(), log_y);
            prop_assert!(!svg.contains("NaN") && !svg.contains("inf"));
        }

        #[test]
        fn ticks_are_few_and_inside(min in -1e6..1e6_f64, span in 1e-3..1e6_f64) {
            let ticks = linear_ticks(min, min + span);
            prop_assert!((1..=12).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(ticks.iter().all(|tick| *tick >= min - 1e-6 * span && *tick <= min + span * 1.000_001));
        }
    }
}
