//! The live view: progress, rate and latency over the last minute, and the numbers that must be zero.
//!
//! Owns the layout. Must not measure anything or touch a terminal: it draws into a frame that it is given.

use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Gauge, Paragraph, Sparkline};
use swipeline_loadtest::client::record::Glance;
use tokio::time::Instant;

use super::live::{LiveFacts, like_percent};

/// Rows that the view takes.
pub(crate) const VIEW_ROWS: u16 = 13;
/// The most points of a sparkline; older ones go.
const POINTS_MAX: usize = 400;
const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);

/// What has been seen of a run.
#[derive(Debug)]
pub(crate) struct View {
    facts: LiveFacts,
    now: Glance,
    /// When the plan began: the first look that saw a planned swipe.
    began: Option<Instant>,
    passed_s: f64,
    last: Option<(Instant, u64)>,
    rates: VecDeque<u64>,
    latencies_us: VecDeque<u64>,
}

impl View {
    pub(crate) fn new(facts: LiveFacts) -> Self {
        Self {
            facts,
            now: Glance::default(),
            began: None,
            passed_s: 0.0,
            last: None,
            rates: VecDeque::new(),
            latencies_us: VecDeque::new(),
        }
    }

    /// Takes a look.
    pub(crate) fn look(&mut self, glance: Glance, now: Instant) {
        if let Some((then, sent)) = self.last {
            let seconds = now.saturating_duration_since(then).as_secs_f64().max(1e-3);
            push(
                &mut self.rates,
                (glance.sent.saturating_sub(sent) as f64 / seconds) as u64,
            );
            push(&mut self.latencies_us, glance.recent_p99_us);
        }
        self.last = Some((now, glance.sent));
        if glance.planned > 0 {
            let began = *self.began.get_or_insert(now);
            self.passed_s = now.saturating_duration_since(began).as_secs_f64();
        }
        self.now = glance;
    }

    /// Draws it.
    pub(crate) fn draw(&self, frame: &mut Frame<'_>) {
        let [head, progress, plots, numbers] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(4),
            Constraint::Length(3),
        ])
        .areas(frame.area());
        let title = Line::from(Span::styled(
            self.facts.title.as_str(),
            Style::new().add_modifier(Modifier::BOLD),
        ));
        frame.render_widget(Paragraph::new(title), head);
        self.draw_progress(frame, progress);
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)])
            .spacing(2)
            .areas(plots);
        let rate = self.rates.back().copied().unwrap_or(0);
        draw_line(frame, left, format!(" sent {rate}/s "), &self.rates, Color::Blue);
        let latency = ms(self.latencies_us.back().copied().unwrap_or(0));
        let title = format!(" swipe to feed, p99 now {latency} ");
        draw_line(frame, right, title, &self.latencies_us, Color::Yellow);
        frame.render_widget(Paragraph::new(self.numbers()), numbers);
    }

    fn draw_progress(&self, frame: &mut Frame<'_>, area: Rect) {
        let total_s = self.facts.duration.as_secs_f64().max(1e-3);
        let label = if self.began.is_none() {
            "connecting".to_owned()
        } else {
            format!("{:.0} of {total_s:.0} s", self.passed_s.min(total_s))
        };
        let gauge = Gauge::default()
            .ratio((self.passed_s / total_s).clamp(0.0, 1.0))
            .label(label)
            .gauge_style(Style::new().fg(Color::Blue));
        frame.render_widget(gauge, area);
    }

    fn numbers(&self) -> Vec<Line<'static>> {
        let now = &self.now;
        let zero =
            |name: &str, count: u64| Span::styled(format!("{name} {count}   "), if count == 0 { GOOD } else { BAD });
        vec![
            Line::from(format!(
                "sent {} of {}   feeds {}   shown {}   likes {:.1} %",
                now.sent,
                self.facts.expected,
                now.feeds,
                now.shown,
                like_percent(now)
            )),
            Line::from(format!(
                "swipe to feed so far: p50 {}   p99 {}",
                ms(now.p50_us),
                ms(now.p99_us)
            )),
            Line::from(vec![
                zero("dropped", now.dropped),
                zero("errors", now.errors),
                zero("repeats shown", now.repeats),
                Span::styled("ctrl-c ends the run and reports", DIM),
            ]),
        ]
    }
}

fn draw_line(frame: &mut Frame<'_>, area: Rect, title: String, points: &VecDeque<u64>, colour: Color) {
    let block = Block::bordered().title(title).border_style(DIM);
    let width = usize::from(block.inner(area).width);
    let newest = points.iter().skip(points.len().saturating_sub(width)).copied();
    let line = Sparkline::default()
        .block(block)
        .data(newest.collect::<Vec<u64>>())
        .style(Style::new().fg(colour));
    frame.render_widget(line, area);
}

fn push(points: &mut VecDeque<u64>, value: u64) {
    if points.len() >= POINTS_MAX {
        points.pop_front();
    }
    points.push_back(value);
}

fn ms(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn screen(view: &View, width: u16, height: u16) -> (String, Terminal<TestBackend>) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal in memory");
        terminal.draw(|frame| view.draw(frame)).expect("is drawn");
        (terminal.backend().to_string(), terminal)
    }

    fn view(looks: u64, dropped: u64) -> View {
        let facts = LiveFacts {
            title: "steady: 100 sessions".to_owned(),
            expected: 6_000,
            duration: Duration::from_secs(30),
        };
        let (mut view, start) = (View::new(facts), Instant::now());
        for n in 0..looks {
            let glance = Glance {
                planned: n * 100,
                sent: n * 100,
                shown: 200,
                likes: 20,
                dropped,
                p99_us: 4_500,
                recent_p99_us: 1_000 + n * 10,
                ..Glance::default()
            };
            view.look(glance, start + Duration::from_millis(500 * n));
        }
        view
    }

    #[test]
    fn the_view_shows_progress_rate_and_what_must_be_zero() {
        let (text, terminal) = screen(&view(21, 7), 90, VIEW_ROWS);
        for expected in [
            "steady: 100 sessions",
            "of 30 s",
            "sent 200/s",
            "sent 2000 of 6000",
            "likes 10.0 %",
            "p99 4.50 ms",
            "dropped 7",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let cells = terminal.backend().buffer().content();
        assert!(cells.iter().any(|cell| cell.fg == Color::Red), "dropped swipes are red");
        let (_, clean) = screen(&view(21, 0), 90, VIEW_ROWS);
        let cells = clean.backend().buffer().content();
        assert!(!cells.iter().any(|cell| cell.fg == Color::Red));
    }

    #[test]
    fn any_size_is_drawn() {
        for (width, height) in [(1, 1), (20, 3), (400, 50)] {
            screen(&view(900, 0), width, height);
        }
        assert!(screen(&view(0, 0), 80, VIEW_ROWS).0.contains("connecting"));
    }
}
